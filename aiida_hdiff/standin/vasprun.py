"""Writer of vasprun.xml."""

from __future__ import annotations

from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray

from aiida_hdiff.standin import VERSION
from aiida_hdiff.standin.record import Run, Step
from aiida_hdiff.standin.reference import Labels

Floats = NDArray[np.float64]


def header(run: Run) -> str:
    """Return what precedes the first step."""
    settings, poscar, potcar = run.settings, run.poscar, run.potcar
    incar = ''.join(
        f'  <i type="string" name="{escape(name)}">{escape(value)}</i>\n' for name, value in settings.tags.items()
    )
    atoms = ''.join(f'    <rc><c>{poscar.elements[kind]:2s}</c><c>{kind + 1:4d}</c></rc>\n' for kind in poscar.kinds)
    types = ''.join(
        f'    <rc><c>{count:4d}</c><c>{element:2s}</c><c>{mass:16.8f}</c><c>{valence:16.8f}</c>'
        f'<c>  {escape(title):38s}</c></rc>\n'
        for count, element, mass, valence, title in zip(
            poscar.counts, poscar.elements, potcar.masses, potcar.valences, potcar.titles, strict=True
        )
    )
    velocities = '' if poscar.velocities is None else _velocities(run, poscar.velocities, poscar.cell)
    weight = 1.0 / max(int(np.prod(run.kpoints)), 1)
    points = [
        (i / run.kpoints[0], j / run.kpoints[1], k / run.kpoints[2])
        for i in range(run.kpoints[0])
        for j in range(run.kpoints[1])
        for k in range(run.kpoints[2])
    ]
    return (
        '<?xml version="1.0" encoding="ISO-8859-1"?>\n<modeling>\n'
        f' <!-- {escape(run.banner)} -->\n <generator>\n'
        '  <i name="program" type="string">hdiff-vasp-standin </i>\n'
        f'  <i name="version" type="string">{VERSION}  </i>\n'
        f'  <i name="subversion" type="string">{escape(run.banner)} </i>\n'
        f' </generator>\n <incar>\n{incar} </incar>\n <kpoints>\n  <generation param="Gamma">\n'
        f'   <v type="int" name="divisions">{"".join(f"{count:9d}" for count in run.kpoints)} </v>\n  </generation>\n'
        f'{_varray("kpointlist", np.array(points), 2)}'
        f'{_varray("weights", np.full((len(points), 1), weight), 2)} </kpoints>\n'
        f' <parameters>\n{_parameters(run)} </parameters>\n'
        f' <atominfo>\n  <atoms>{len(poscar.scaled):8d} </atoms>\n  <types>{len(poscar.counts):8d} </types>\n'
        '  <array name="atoms" >\n   <dimension dim="1">ion</dimension>\n   <field type="string">element</field>\n'
        f'   <field type="int">atomtype</field>\n   <set>\n{atoms}   </set>\n  </array>\n'
        '  <array name="atomtypes" >\n   <dimension dim="1">type</dimension>\n'
        '   <field type="int">atomspertype</field>\n   <field type="string">element</field>\n   <field>mass</field>\n'
        '   <field>valence</field>\n   <field type="string">pseudopotential</field>\n'
        f'   <set>\n{types}   </set>\n  </array>\n </atominfo>\n'
        f'{_structure(poscar.cell, poscar.scaled, 1, " name=" + chr(34) + "initialpos" + chr(34), velocities)}'
    )


def step_text(run: Run, step: Step) -> str:
    """Return a step: an element `<calculation>` with the reference, bare elements with the force field."""
    labels = step.final
    if step.labels is None:
        tables = _tables(run, step, labels, 1) if run.settings.output_mode > 0 else ''
        return f'{tables}{_energies(step, 1)} <time name="totalsc">    0.00    0.00</time>\n'
    assert step.scf is not None
    electronic = ''.join(
        '  <scstep>\n   <time name="total">    0.00    0.00</time>\n   <energy>\n'
        + ''.join(f'    <i name="{name}">{energy:16.8f} </i>\n' for name in ('e_fr_energy', 'e_wo_entrp', 'e_0_energy'))
        + '   </energy>\n  </scstep>\n'
        for energy in step.scf.energies
    )
    return (
        f' <calculation>\n{electronic}{_tables(run, step, labels, 2)}{_energies(step, 2)}'
        '  <time name="totalsc">    0.00    0.00</time>\n </calculation>\n'
    )


def footer(run: Run, cell: Floats, scaled: Floats, velocities: Floats | None) -> str:
    """Return the final structure and the end."""
    moving = '' if velocities is None else _velocities(run, velocities, cell)
    return _structure(cell, scaled, 1, ' name="finalpos"', moving) + '</modeling>\n'


def _parameters(run: Run) -> str:
    settings = run.settings
    electrons = sum(count * valence for count, valence in zip(run.poscar.counts, run.potcar.valences, strict=True))
    bands = int(electrons // 2 + max(1, len(run.poscar.scaled) // 2))
    groups: dict[str, list[tuple[str, str]]] = {
        'electronic': [
            _real('ENMAX', settings.encut),
            _real('EDIFF', settings.ediff),
            _integer('NBANDS', bands),
            _real('NELECT', electrons),
        ],
        'electronic smearing': [_integer('ISMEAR', 0), _real('SIGMA', 0.05)],
        'electronic spin': [_integer('ISPIN', 1), _logical('LNONCOLLINEAR', False), _logical('LSORBIT', False)],
        'electronic convergence': [_integer('NELM', settings.nelm), _integer('NELMIN', 2)],
        'ionic': [
            _integer('NSW', settings.nsw),
            _integer('IBRION', settings.ibrion),
            _integer('MDALGO', settings.mdalgo),
            _integer('ISIF', settings.isif),
            _real('PSTRESS', settings.pstress),
            _real('POTIM', settings.potim),
            _real('SMASS', settings.smass),
        ],
        'ionic md': [
            _real('TEBEG', settings.tebeg),
            _real('TEEND', settings.teend),
            _integer('NBLOCK', settings.nblock),
        ],
        'symmetry': [_integer('ISYM', 0)],
        'dos': [_integer('NEDOS', 301), _real('EFERMI', 0.0)],
    }
    return ''.join(
        f'  <separator name="{name}" >\n'
        + ''.join(f'   <i {attributes}>{value}</i>\n' for attributes, value in rows)
        + '  </separator>\n'
        for name, rows in groups.items()
    )


def _real(name: str, value: float) -> tuple[str, str]:
    return f'name="{name}"', f'{value:16.8f}'


def _integer(name: str, value: int) -> tuple[str, str]:
    return f'type="int" name="{name}"', f'{value:6d}'


def _logical(name: str, value: bool) -> tuple[str, str]:
    return f'type="logical" name="{name}"', f' {"T" if value else "F"}  '


def _tables(run: Run, step: Step, labels: Labels, indent: int) -> str:
    stress = _varray('stress', labels.stress_kbar, indent) if run.settings.isif > 0 else ''
    return _structure(step.cell, step.scaled, indent) + _varray('forces', labels.forces, indent) + stress


def _energies(step: Step, indent: int) -> str:
    space, energy, kinetics = ' ' * indent, step.final.energy, step.kinetics
    values = dict.fromkeys(('e_fr_energy', 'e_wo_entrp', 'e_0_energy'), energy)
    if kinetics is not None:
        values |= {
            'kinetic': kinetics.ions,
            'lattice kinetic': kinetics.lattice,
            'nosepot': kinetics.nose_potential,
            'nosekinetic': kinetics.nose_kinetic,
        }
        values['total'] = energy + kinetics.ions + kinetics.lattice + kinetics.nose_potential + kinetics.nose_kinetic
    rows = ''.join(f'{space} <i name="{name}">{value:16.8f} </i>\n' for name, value in values.items())
    return f'{space}<energy>\n{rows}{space}</energy>\n'


def _structure(cell: Floats, scaled: Floats, indent: int, attribute: str = '', extra: str = '') -> str:
    space, inverse = ' ' * indent, np.array(np.linalg.inv(cell).T, dtype=np.float64)
    return (
        f'{space}<structure{attribute}{" " if attribute else ""}>\n{space} <crystal>\n'
        f'{_varray("basis", cell, indent + 2)}'
        f'{space}  <i name="volume">{abs(np.linalg.det(cell)):16.8f} </i>\n'
        f'{_varray("rec_basis", inverse, indent + 2)}{space} </crystal>\n'
        f'{_varray("positions", scaled, indent + 1)}{extra}{space}</structure>\n'
    )


def _velocities(run: Run, velocities: Floats, cell: Floats) -> str:
    """Velocities as VASP has them there: displacements in a step, in units of the lattice vectors."""
    return _varray('velocities', velocities @ np.linalg.inv(cell) * run.settings.potim, 2)


def _varray(name: str, table: Floats, indent: int) -> str:
    space = ' ' * indent
    form = f'{space} <v>' + '{:16.8f} ' * table.shape[1] + '</v>\n'
    rows = ''.join(form.format(*row) for row in table.tolist())
    return f'{space}<varray name="{name}" >\n{rows}{space}</varray>\n'
