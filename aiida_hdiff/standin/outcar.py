"""Writer of OUTCAR."""

from __future__ import annotations

from textwrap import wrap

import numpy as np
from numpy.typing import NDArray

from aiida_hdiff.standin import VERSION
from aiida_hdiff.standin.record import VOIGT, Run, Step
from aiida_hdiff.standin.reference import KBAR_PER_EV_PER_ANGSTROM3, Labels

Floats = NDArray[np.float64]

RULER = '-' * 104
_DIRECTIONS = '  Direction    XX          YY          ZZ          XY          YZ          ZX\n'
_SPACE = f'\n\n{RULER}\n\n\n'


def header(run: Run) -> str:
    """Return what precedes the first step."""
    settings, poscar, potcar = run.settings, run.poscar, run.potcar
    counts = ''.join(f'{count:4d}' for count in poscar.counts)
    incar = ''.join(f'   {name} = {value}\n' for name, value in settings.tags.items())
    titles = ''.join(f' POTCAR:   {title:38s}\n' for title in potcar.titles)
    data = ''.join(
        f' POTCAR:   {title:38s}\n{text}' for title, text in zip(potcar.titles, run.potcar_headers, strict=True)
    )
    scaled = ''.join('  {:11.8f} {:11.8f} {:11.8f}\n'.format(*row) for row in poscar.scaled)
    grid = ''.join(f'{count:5d}' for count in run.kpoints)
    n_kpoints = int(np.prod(run.kpoints))
    return (
        f' vasp.{VERSION} hdiff-vasp-standin\n \n {run.banner}\n \n'
        f' executed on     hdiff-vasp-standin\n\n\n{RULER}\n\n\n'
        f' INCAR:\n{incar}\n{titles}{data}\n  *** {run.banner} ***\n\n'
        f'{RULER}\n\n\n generate k-points for: {grid}\n\n\n Dimension of arrays:\n'
        f'   k-points           NKPTS = {n_kpoints:6d}   k-points in BZ     NKDIM = {n_kpoints:6d}'
        f'   number of bands    NBANDS={_bands(run):7d}\n'
        f'   number of dos      NEDOS =    301   number of ions     NIONS = {len(poscar.scaled):6d}\n'
        f'   ions per type =            {counts}\n\n'
        f' SYSTEM =  {settings.system:40s}\n POSCAR =  {poscar.comment:40.40s}\n\n Startparameter for this run:\n'
        f'   NWRITE =      2    write-flag & timer\n   ISPIN  =      1    spin polarized calculation?\n'
        f' Electronic Relaxation 1\n   ENCUT  = {settings.encut:6.1f} eV\n'
        f'   NELM   = {settings.nelm:6d};   NELMIN=  2; NELMDL= -5     # of ELM steps \n'
        f'   EDIFF  = {settings.ediff:.1E}   stopping-criterion for ELM\n'
        f' Ionic relaxation\n   NSW    = {settings.nsw:6d}    number of steps for IOM\n'
        f'   NBLOCK = {settings.nblock:6d};   KBLOCK = {max(settings.nsw, 1):6d}    inner block; outer block \n'
        f'   IBRION = {settings.ibrion:6d}    ionic relax: 0-MD 1-quasi-New 2-CG\n'
        f'   ISIF   = {settings.isif:6d}    stress and relaxation\n\n'
        f'   POTIM  = {settings.potim:6.4f}    time-step for ionic-motion\n'
        f'   TEBEG  = {settings.tebeg:6.1f};   TEEND  ={settings.teend:6.1f} temperature during run\n'
        f'   SMASS  = {settings.smass:6.2f}    Nose mass-parameter (am)\n'
        f'   PSTRESS={settings.pstress:7.1f} pullay stress\n\n'
        '  Mass of Ions in am\n   POMASS =' + ''.join(f'{mass:7.2f}' for mass in potcar.masses) + '\n'
        f'   NELECT = {_electrons(run):12.4f}    total number of electrons\n\n\n{RULER}\n\n\n'
        f'  energy-cutoff  : {settings.encut:11.2f}\n{_lattice(poscar.cell)}'
        f' position of ions in fractional coordinates (direct lattice) \n{scaled}\n\n{RULER}\n\n'
    )


def step_text(run: Run, step: Step) -> str:
    """Return a step in the layout that VASP 6.3 has in training and in prediction-only runs."""
    settings = run.settings
    written = settings.output_mode > 0 or step.labels is not None
    text = ''
    if settings.mode == 'run':
        text += f'{"-" * 39} Ionic step {step.number:8d}  {"-" * 43}\n\n\n\n'
        text += '' if step.number == 1 else f'\n{RULER}\n\n\n\n'
    if step.predicted is not None:
        text += _ml_block(run, step, step.predicted, written)
    if step.labels is not None:
        text += _dft_block(run, step, step.labels)
    else:
        text += '     LOOP+:  cpu time      0.0010: real time      0.0010\n'
    if step.kinetics is not None:
        text += _motion(run, step)
    return text


def footer() -> str:
    """Return the end of a run that was not interrupted."""
    return (
        '\n     LOOP+:  cpu time      0.0010: real time      0.0010\n\n'
        ' total amount of memory used by VASP MPI-rank0    30000. kBytes\n' + '=' * 71 + '\n\n'
        '   base      :      30000. kBytes\n \n  \n  \n'
        ' General timing and accounting informations for this job:\n'
        f' {"=" * 56}\n  \n'
        + ''.join(
            f'{name:>39s}: {value:>12s}\n'
            for name, value in (
                ('Total CPU time used (sec)', '1.000'),
                ('User time (sec)', '1.000'),
                ('System time (sec)', '0.000'),
                ('Elapsed time (sec)', '1.000'),
            )
        )
        + f'  \n{"Maximum memory used (kb)":>38s}: {"30000.":>12s}\n{"Average memory used (kb)":>38s}: {"N/A":>12s}\n'
    )


def box(kind: str, text: str) -> str:
    """Return a message in the frame that VASP gives its warnings and errors."""
    width = 77
    inner = ''.join(f'|     {line:{width - 5}s}|\n' for line in wrap(text, width - 11))
    edge, empty = f' {"-" * width} \n', f'|{" " * width}|\n'
    return f'\n{edge}{empty}|{kind:^{width}s}|\n{empty}{inner}{empty}{edge}\n'


def _ml_block(run: Run, step: Step, labels: Labels, written: bool) -> str:
    text = ''
    if written:
        text += (
            '  ML FORCE on cell =-STRESS in cart. coord. units (eV/cell)\n'
            f'{_DIRECTIONS}  {"-" * 86}\n{_stress(run, step, labels, "Total:", "ML")}'
            f'{_lattice(step.cell)}'
            f'{_forces(step, labels, "  ", " (ML)")}{_SPACE}'
        )
    text += (
        f'  ML FREE ENERGIE OF THE ION-ELECTRON SYSTEM (eV)\n  {"-" * 51}\n'
        f'  free  energy ML TOTEN  = {labels.energy:18.8f} eV\n\n'
        f'  ML energy  without entropy= {labels.energy:17.8f}  ML energy(sigma->0) = {labels.energy:17.8f}\n\n'
    )
    if run.settings.pstress:
        volume = step.pressure_volume(run.settings.pstress)
        text += f'  enthalpy is ML TOTEN    = {labels.energy + volume:18.8f} eV   P V= {volume:17.8f}\n\n'
    return text


def _dft_block(run: Run, step: Step, labels: Labels) -> str:
    assert step.scf is not None
    text = '' if step.number == 1 else '     LOOP+:  cpu time      0.0010: real time      0.0010\n'
    previous = 0.0
    for number, energy in enumerate(step.scf.energies, 1):
        text += (
            f'\n\n{"-" * 39} Iteration {step.number:6d}({number:4d})  {"-" * 39}\n\n\n'
            f'    POTLOK:  cpu time      0.0001: real time      0.0001\n    {"-" * 44}\n'
            '      LOOP:  cpu time      0.0001: real time      0.0001\n\n eigenvalue-minimisations  :    16\n'
            f' total energy-change (2. order) : {energy - previous:.7E}  ({energy - previous:.7E})\n'
            f'\n Free energy of the ion-electron system (eV)\n  {"-" * 51}\n'
            f'  free energy    TOTEN  = {energy:18.8f} eV\n\n'
            f'  energy without entropy = {energy:17.8f}  energy(sigma->0) = {energy:17.8f}\n{_SPACE}'
        )
        previous = energy
    reason = 'because EDIFF is reached ' if step.scf.converged else 'EDIFF was not reached (unconverged) '
    text += f'\n{"-" * 24} aborting loop {reason}{"-" * 40}\n\n\n'
    text += f'  FORCE on cell =-STRESS in cart. coord.  units (eV):\n{_DIRECTIONS}  {"-" * 86}\n  {"-" * 85}\n'
    text += _stress(run, step, labels, 'Total ', '')
    text += (
        f'\n VOLUME and BASIS-vectors are now :\n {"-" * 77}\n  energy-cutoff  : {run.settings.encut:11.2f}\n'
        f'{_lattice(step.cell)}{_forces(step, labels, " ", "")}{_SPACE}'
        f'  FREE ENERGIE OF THE ION-ELECTRON SYSTEM (eV)\n  {"-" * 51}\n'
        f'  free  energy   TOTEN  = {labels.energy:18.8f} eV\n\n'
        f'  energy  without entropy= {labels.energy:17.8f}  energy(sigma->0) = {labels.energy:17.8f}\n'
    )
    if run.settings.pstress:
        volume = step.pressure_volume(run.settings.pstress)
        text += f'  enthalpy is  TOTEN    = {labels.energy + volume:18.8f} eV   P V= {volume:17.8f}\n'
    return text + f'\n\n\n{RULER}\n\n\n    POTLOK:  cpu time      0.0001: real time      0.0001\n\n\n{RULER}\n\n\n'


def _motion(run: Run, step: Step) -> str:
    kinetics = step.kinetics
    assert kinetics is not None
    volume = 0.0 if step.labels is not None else step.pressure_volume(run.settings.pstress)
    electronic = step.final.energy + volume
    total = electronic + kinetics.ions + kinetics.lattice + kinetics.nose_potential + kinetics.nose_kinetic
    seed = (
        f'           RANDOM_SEED = {step.seed[0]:17d}{step.seed[1]:17d}                0\n'
        if run.settings.mdalgo == 3
        else ''
    )
    return (
        f'{seed}   IONSTEP:  cpu time      0.0001: real time      0.0001\n\n'
        f'  ENERGY OF THE ELECTRON-ION-THERMOSTAT SYSTEM (eV)\n  {"-" * 51}\n'
        f'% ion-electron   TOTEN  = {electronic:16.6f}  see above\n'
        f'  kinetic energy EKIN   = {kinetics.ions:16.6f}\n'
        f'  kin. lattice  EKIN_LAT= {kinetics.lattice:16.6f}  (temperature {kinetics.temperature_K:7.2f} K)\n'
        f'  nose potential ES     = {kinetics.nose_potential:16.6f}\n'
        f'  nose kinetic   EPS    = {kinetics.nose_kinetic:16.6f}\n  {"-" * 51}\n'
        f'  total energy   ETOTAL = {total:16.6f} eV\n\n'
        + ('  maximum distance moved by ions :      0.00E+00\n\n' if step.labels is not None else '')
        + '    OFIELD:  cpu time      0.0000: real time      0.0000\n\n'
    )


def _stress(run: Run, step: Step, labels: Labels, title: str, kind: str) -> str:
    kbar = [labels.stress_kbar[index] for index in VOIGT]
    electronvolt = [value * step.volume / KBAR_PER_EV_PER_ANGSTROM3 for value in kbar]
    kinetic = 0.0
    if step.kinetics is not None and (kind == '' or labels.energy != 0.0):
        kinetic = 2.0 / 3.0 * step.kinetics.ions / step.volume * KBAR_PER_EV_PER_ANGSTROM3
    mean, outer = sum(kbar[:3]) / 3.0, run.settings.pstress
    shown = [value + (kinetic if index < 3 else 0.0) for index, value in enumerate(kbar)]
    return (
        f'  {title} {"".join(f"{value:12.5f}" for value in electronvolt)}\n'
        f'  in kB  {"".join(f"{value:12.5f}" for value in kbar)}\n'
        f'  external pressure = {mean - outer:11.2f} kB  Pullay stress = {outer:11.2f} kB\n\n'
        f'  kinetic pressure (ideal gas correction) = {kinetic:9.2f} kB\n  total pressure  = {mean + kinetic:9.2f} kB\n'
        f'  Total+kin.{shown[0]:10.3f}{"".join(f"{value:12.3f}" for value in shown[1:])}\n'
    )


def _lattice(cell: Floats) -> str:
    inverse = np.linalg.inv(cell).T
    rows = ''.join(
        '   {:13.9f}{:13.9f}{:13.9f}   {:13.9f}{:13.9f}{:13.9f}\n'.format(*a, *b)
        for a, b in zip(cell, inverse, strict=True)
    )
    lengths = ''.join(f'{value:13.9f}' for value in np.linalg.norm(cell, axis=1))
    inverse_lengths = ''.join(f'{value:13.9f}' for value in np.linalg.norm(inverse, axis=1))
    return (
        f'  volume of cell : {abs(np.linalg.det(cell)):11.2f}\n'
        '      direct lattice vectors                 reciprocal lattice vectors\n'
        f'{rows}\n  length of vectors\n   {lengths}   {inverse_lengths}\n\n\n'
    )


def _forces(step: Step, labels: Labels, indent: str, mark: str) -> str:
    positions = step.scaled @ step.cell
    table = np.hstack([positions, labels.forces])
    rows = ''.join('{:13.5f}{:13.5f}{:13.5f}   {:14.6f}{:14.6f}{:14.6f}\n'.format(*row) for row in table.tolist())
    drift = labels.forces.sum(axis=0)
    title = f'{indent}POSITION{" " * 39}TOTAL-FORCE (eV/Angst){mark}\n'
    total = f'    total drift:{" " * 29}{drift[0]:11.6f}   {drift[1]:11.6f}   {drift[2]:11.6f}\n'
    return f'{title} {"-" * 83}\n{rows} {"-" * 83}\n{total}'


def _electrons(run: Run) -> float:
    return sum(count * valence for count, valence in zip(run.poscar.counts, run.potcar.valences, strict=True))


def _bands(run: Run) -> int:
    return int(_electrons(run) // 2 + max(1, len(run.poscar.scaled) // 2))
