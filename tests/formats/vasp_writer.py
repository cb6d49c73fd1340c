"""Small files in the layouts of VASP 6.3, from numbers that a test knows."""

from dataclasses import dataclass

import numpy as np

DASHES = '-' * 104


@dataclass
class Step:
    """Numbers of a step; stress is XX YY ZZ XY YZ ZX in kbar."""

    ml: bool
    energy: float
    positions: np.ndarray
    cell: np.ndarray
    forces: np.ndarray
    stress: np.ndarray
    kinetic: float
    scf_steps: int = 0
    predicted_energy: float = -1.0


def random_steps(pattern, n_atoms=3, seed=1):
    """Steps of a run, `d` for DFT and `m` for the force field."""
    rng = np.random.default_rng(seed)
    steps = []
    for letter in pattern:
        cell = 6.0 * np.eye(3) + 0.1 * rng.normal(size=(3, 3))
        steps.append(
            Step(
                letter == 'm',
                -100.0 + rng.normal(),
                rng.random((n_atoms, 3)) @ cell,
                cell,
                rng.normal(size=(n_atoms, 3)),
                10.0 * rng.normal(size=6),
                rng.random(),
                scf_steps=0 if letter == 'm' else int(rng.integers(2, 6)),
                predicted_energy=-100.0 + rng.normal(),
            )
        )
    return steps


def rows(table, form, start=' ', end=''):
    return ''.join(start + ''.join(form % value for value in row) + end + '\n' for row in table)


def vasprun_header(step, symbols, potim=0.5, nelm=60, velocities=None):
    """What precedes the steps."""
    atoms = ''.join(f'<rc><c>{symbol:2}</c><c>   1</c></rc>\n' for symbol in symbols)
    moving = _varray('velocities', velocities @ np.linalg.inv(step.cell) * potim) if velocities is not None else ''
    return (
        '<?xml version="1.0" encoding="ISO-8859-1"?>\n<modeling>\n<generator>\n'
        '<i name="program" type="string">vasp </i>\n<i name="version" type="string">6.3.0  </i>\n</generator>\n'
        '<incar>\n<i type="string" name="PREC">Normal</i>\n<i type="logical" name="ML_LMLFF"> T  </i>\n</incar>\n'
        '<kpoints>\n<varray name="kpointlist" >\n<v> 0 0 0 </v>\n</varray>\n'
        '<varray name="weights" >\n<v> 1 </v>\n</varray>\n</kpoints>\n'
        f'<parameters>\n<separator name="electronic" >\n<i type="int" name="NELM">  {nelm}</i>\n'
        '<i type="int" name="ISPIN"> 1</i>\n'
        f'<i name="POTIM">  {potim:.8f}</i>\n</separator>\n</parameters>\n'
        f'<atominfo>\n<atoms> {len(symbols)} </atoms>\n<array name="atoms" >\n<set>\n{atoms}</set>\n</array>\n'
        '<array name="atomtypes" >\n<set>\n<rc><c>   1</c><c>Xx</c><c> 1.0</c></rc>\n</set>\n</array>\n</atominfo>\n'
        + _structure(step, ' name="initialpos" ', moving)
    )


def vasprun_step(step, energies_only=False):
    """A step: DFT in a `<calculation>`, the force field without."""
    stress = step.stress[[0, 3, 5, 3, 1, 4, 5, 4, 2]].reshape(3, 3)
    tables = _structure(step) + _varray('forces', step.forces) + _varray('stress', stress)
    free = {'e_fr_energy': step.energy, 'e_wo_entrp': step.energy + 0.2, 'e_0_energy': step.energy + 0.1}
    if step.ml:
        free = dict.fromkeys(free, step.energy)
    final = _energy(free | {'kinetic': step.kinetic, 'lattice kinetic': 0.0, 'total': step.energy + step.kinetic})
    if step.ml:
        return ('' if energies_only else tables) + final + '<time name="totalsc">    0.03    0.04</time>\n'
    scf = f'<scstep>\n{_energy(free)}</scstep>\n' * step.scf_steps
    dos = '<dos>\n<i name="efermi"> 1.0 </i>\n<total><array><set><r> 1 2 3 </r></set></array></total>\n</dos>\n'
    return f'<calculation>\n{scf}{tables}{final}{dos}</calculation>\n'


def write_vasprun(path, steps, symbols=('Mg', 'Mg', 'H'), potim=0.5, nelm=60, velocities=None, energies_only=False):
    with path.open('w') as stream:
        stream.write(vasprun_header(steps[0], symbols, potim, nelm, velocities))
        stream.writelines(vasprun_step(step, energies_only) for step in steps)
        stream.write(_structure(steps[-1], ' name="finalpos" ') + '</modeling>\n')


def _varray(name, table):
    return f'<varray name="{name}" >\n' + rows(table, '%16.8f', '<v>', '</v>') + '</varray>\n'


def _structure(step, attribute='', extra=''):
    scaled = step.positions @ np.linalg.inv(step.cell)
    crystal = f'<crystal>\n{_varray("basis", step.cell)}<i name="volume"> 1.0 </i>\n'
    crystal += _varray('rec_basis', np.linalg.inv(step.cell).T) + '</crystal>\n'
    return f'<structure{attribute}>\n{crystal}{_varray("positions", scaled)}{extra}</structure>\n'


def _energy(values):
    return '<energy>\n' + ''.join(f'<i name="{k}"> {v:16.8f} </i>\n' for k, v in values.items()) + '</energy>\n'


def outcar_header(step, symbols, counts, nelm=60):
    """What precedes the steps."""
    return (
        ' vasp.6.3.0 20Jan22 (build May 08 2022 00:08:36) gamma-only\n\n INCAR:\n   PREC = Normal\n'
        '   ML_LMLFF = .TRUE.\n\n'
        + ''.join(f' POTCAR:   PAW_PBE {symbol}_x 01Jan2000\n' for symbol in symbols)
        + ''.join(f'   TITEL  = PAW_PBE {symbol}_x 01Jan2000\n' for symbol in symbols)
        + f'   ions per type =  {" ".join(map(str, counts))}\n   NELM   = {nelm:6d};   NELMIN=  2\n'
        + _lattice(step)
    )


def outcar_step(step, number, nelm=60):
    """A step: the block of the force field, and for DFT the electronic steps and a second block."""
    predicted = step.energy if step.ml else step.predicted_energy
    text = (
        _stress('ML ', step.stress if step.ml else 2.0 * step.stress)
        + _lattice(step)
        + _forces(step.positions, ' (ML)', step.forces if step.ml else 2.0 * step.forces)
        + '  ML FREE ENERGIE OF THE ION-ELECTRON SYSTEM (eV)\n'
        f'  free  energy ML TOTEN  = {predicted:19.8f} eV\n\n'
        f'  ML energy  without entropy= {predicted:17.8f}  ML energy(sigma->0) = {predicted:17.8f}\n\n'
    )
    for iteration in range(1, step.scf_steps + 1):
        text += (
            f'{"-" * 39} Iteration {number:6d}({iteration:4d})  {"-" * 39}\n'
            '  free energy    TOTEN  =        69.99764688 eV\n\n'
            '  energy without entropy =       69.99764688  energy(sigma->0) =       69.99764688\n'
        )
    if not step.ml:
        end = 'because EDIFF is reached ' if step.scf_steps < nelm else 'EDIFF was not reached (unconverged) '
        text += (
            f'{"-" * 24} aborting loop {end}{"-" * 40}\n'
            + _stress('', step.stress)
            + _lattice(step)
            + _forces(step.positions, '', step.forces)
            + f'  free  energy   TOTEN  = {step.energy:18.8f} eV\n\n'
            f'  energy  without entropy= {step.energy + 0.2:17.8f}  energy(sigma->0) = {step.energy + 0.1:17.8f}\n'
        )
    return text + (
        f'% ion-electron   TOTEN  = {step.energy:17.6f}  see above\n'
        f'  kinetic energy EKIN   = {step.kinetic:16.6f}\n'
        f'  kin. lattice  EKIN_LAT= {0.0:16.6f}  (temperature    3.43 K)\n'
    )


def write_outcar(path, steps, symbols=('Mg', 'H'), counts=(2, 1), nelm=60, finished=True):
    with path.open('w') as stream:
        stream.write(outcar_header(steps[0], symbols, counts, nelm))
        stream.writelines(outcar_step(step, number, nelm) for number, step in enumerate(steps, 1))
        if finished:
            stream.write(' General timing and accounting informations for this job:\n')


def _lattice(step):
    pairs = np.hstack([step.cell, np.linalg.inv(step.cell).T])
    return (
        '  volume of cell :     1000.00\n      direct lattice vectors                 reciprocal lattice vectors\n'
        + rows(pairs, '%13.9f', '   ')
        + '\n  length of vectors\n     1.0  1.0  1.0  1.0  1.0  1.0\n\n\n'
    )


def _forces(positions, mark, forces):
    ruler = ' ' + '-' * 83 + '\n'
    text = ''.join(
        '{:13.5f}{:13.5f}{:13.5f}   {:14.6f}{:14.6f}{:14.6f}\n'.format(*position, *force)
        for position, force in zip(positions, forces, strict=True)
    )
    title = f'POSITION{" " * 39}TOTAL-FORCE (eV/Angst){mark}\n'
    return f' {title}{ruler}{text}{ruler}    total drift:     0.000000      0.000000      0.000000\n\n{DASHES}\n\n'


def _stress(head, values):
    return (
        f'  {head}FORCE on cell =-STRESS in cart. coord. units (eV/cell)\n  in kB  '
        + ''.join(f'{value:12.5f}' for value in values)
        + '\n  external pressure =       -1.00 kB  Pullay stress =        1.00 kB\n'
    )
