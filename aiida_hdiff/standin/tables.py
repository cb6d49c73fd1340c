"""Writers of OSZICAR, REPORT and what VASP prints to the screen."""

from __future__ import annotations

from aiida_hdiff.standin import VERSION
from aiida_hdiff.standin.record import Run, Step, fortran

ELECTRONIC_HEADER = '       N       E                     dE             d eps       ncg     rms          rms(c)\n'


def stdout_header(run: Run) -> str:
    """Return the first lines on the screen."""
    poscar = run.poscar
    return (
        f' running    1 mpi-ranks, with    1 threads/rank\n vasp.{VERSION} hdiff-vasp-standin\n {run.banner}\n'
        f' POSCAR found type information on POSCAR {"".join(f"{element:2s}" for element in poscar.elements)}\n'
        f' POSCAR found : {len(poscar.counts):2d} types and {len(poscar.scaled):7d} ions\n'
        ' POSCAR, INCAR and KPOINTS ok, starting setup\n entering main loop\n'
    )


def electronic_steps(step: Step) -> str:
    """Return the lines of the electronic steps, nothing for a step of the force field."""
    if step.scf is None:
        return ''
    text, previous = ELECTRONIC_HEADER, 0.0
    for number, energy in enumerate(step.scf.energies, 1):
        change = energy - previous
        previous = energy
        text += (
            f'DAV: {number:3d}    {fortran(energy, 12, zero=True):>19s}   {fortran(change, 5, zero=True):>12s}'
            f'   {fortran(change, 5, zero=True):>12s}{640:6d}   {fortran(abs(change), 3, zero=True)}\n'
        )
    return text


def ionic_line(run: Run, step: Step) -> str:
    """Return the line of an ionic step."""
    energy, kinetics = step.final.energy, step.kinetics
    free = fortran(energy, 8)
    if kinetics is None:
        return f'{step.number:4d} F= {free} E0= {free}  d E ={fortran(energy, 6)}\n'
    total = energy + kinetics.ions + kinetics.lattice + kinetics.nose_potential + kinetics.nose_kinetic
    number = f'{step.number:7d}' if step.number < 10**7 else '*' * 7
    return (
        f'{number} T= {kinetics.temperature_K:5.0f}. E= {fortran(total, 8)} F= {free} E0= {free}'
        f'  EK= {fortran(kinetics.ions, 5, zero=True)} SP= {fortran(kinetics.nose_potential, 2, zero=True)}'
        f' SK= {fortran(kinetics.nose_kinetic, 2, zero=True)}\n'
    )


def report_header(run: Run) -> str:
    """Return the first lines of REPORT, a file of which no real sample was at hand: layout not verified."""
    return f'{run.banner}\n\n   MDALGO = {run.settings.mdalgo:5d}\n\n'


def report_step(step: Step) -> str:
    """Return a step of REPORT."""
    kinetics = step.kinetics
    assert kinetics is not None
    energy = step.final.energy
    total = energy + kinetics.ions + kinetics.lattice + kinetics.nose_potential + kinetics.nose_kinetic
    return (
        f'{"=" * 40}\n         MD step No. {step.number:6d}\n{"=" * 40}\n\n'
        f'           RANDOM_SEED = {step.seed[0]:17d}{step.seed[1]:17d}                0\n\n        >Energies\n'
        '               E_tot          E_pot          E_kin          EPS            ES\n'
        f'   e_b> {total:14.5E} {energy:14.5E} {kinetics.ions:14.5E} {kinetics.nose_kinetic:14.5E}'
        f' {kinetics.nose_potential:14.5E}\n\n'
        f'        >Temperature\n   tmprt> {kinetics.temperature_K:14.5f}\n\n'
    )
