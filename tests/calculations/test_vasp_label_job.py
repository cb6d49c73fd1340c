"""The static VASP job: what it refuses, and the files it writes."""

import numpy as np
import pytest
from aiida import orm
from aiida.plugins import CalculationFactory

from aiida_hdiff.formats.incar import read_incar
from aiida_hdiff.formats.poscar import read_contcar
from tests.conftest import nickel_hydride
from tests.vasp_fixtures import POTCAR_MARKER

pytest.importorskip('aiida_vasp')

ENTRY = 'hdiff.vasp_label'
TRAINING = {
    'ENCUT': 400, 'EDIFF': 1e-5, 'ISYM': 0, 'NELM': 80, 'NCORE': 4, 'ICHARG': 1, 'LWAVE': True, 'ML_LMLFF': True,
    'ML_MODE': 'train', 'NSW': 1000, 'IBRION': 0, 'ISIF': 3, 'MDALGO': 3, 'TEBEG': 300, 'LANGEVIN_GAMMA': [10, 10],
}  # fmt: skip


@pytest.fixture
def vasp_inputs(fake_code, generate_structure, fake_potcars):
    """Give a factory of valid inputs."""

    def factory(**changes):
        kpoints = orm.KpointsData()
        kpoints.set_kpoints_mesh([2, 2, 2])
        values = {
            'code': fake_code(ENTRY),
            'structure': generate_structure(1),
            'parameters': orm.Dict(TRAINING),
            'kpoints': kpoints,
            'potential': fake_potcars(('Ni', 'H')),
        }
        return {**values, **changes}

    return factory


def error_of(values):
    port = CalculationFactory(ENTRY).spec().inputs
    error = port.validate(port.pre_process(values))
    return None if error is None else error.message


def test_files(generate_calc_job, vasp_inputs, file_regression):
    values = vasp_inputs()
    folder, info = generate_calc_job(ENTRY, values)
    assert {path.name for path in folder.iterdir()} == {'INCAR', 'POSCAR', 'POTCAR', 'KPOINTS'}
    assert info.provenance_exclude_list == ['POTCAR']
    assert info.retrieve_list == ['vasp_output']
    assert info.retrieve_temporary_list == ['vasprun.xml']
    assert info.codes_info[0].stdout_name == 'vasp_output'
    poscar = read_contcar(folder / 'POSCAR')
    np.testing.assert_allclose(poscar.positions, values['structure'].get_ase().positions, atol=1e-14)
    potcar = (folder / 'POTCAR').read_text()
    assert potcar.index('PAW_PBE Ni') < potcar.index('PAW_PBE H')
    assert POTCAR_MARKER in potcar
    incar = read_incar((folder / 'INCAR').read_text())
    assert (incar['NSW'], incar['IBRION'], incar['ISIF'], incar['LWAVE']) == (0, -1, 2, False)
    file_regression.check((folder / 'INCAR').read_text(), basename='static_incar')


def test_potcars_of_other_elements_belong_to_the_settings(generate_calc_job, vasp_inputs, generate_structure):
    nickel = generate_structure(atoms=nickel_hydride(1, 0))
    folder, _ = generate_calc_job(ENTRY, vasp_inputs(structure=nickel))
    assert 'PAW_PBE H' not in (folder / 'POTCAR').read_text()


def test_inputs_that_are_refused(vasp_inputs, fake_potcars, generate_structure):
    potcars = fake_potcars(('Ni', 'H'))
    mixed = nickel_hydride(1, 1)[[0, 4, 1, 2, 3]]
    kspacing = orm.Dict({'ENCUT': 400, 'KSPACING': 0.3})
    unknown = orm.Dict({'ENCUT': 400, 'MYTAG': 1})
    for changes, message in (
        ({}, None),
        ({'potential': {'Ni': potcars['Ni']}}, '`potential` has no POTCAR for H of `structure`'),
        ({'potential': {'Ni': potcars['Ni'], 'H': potcars['Ni']}}, '`potential.H` is the POTCAR of Ni'),
        ({'structure': generate_structure(atoms=mixed)}, 'with Ni in 2 places: sort the sites by element'),
        ({'parameters': orm.Dict({'EDIFF': 1e-5})}, '`ENCUT` is missing'),
        ({'parameters': orm.Dict({'ENCUT': 1, 'encut': 2})}, '`ENCUT` is given twice in different spellings'),
        ({'parameters': kspacing}, '`KSPACING` and `KGAMMA` are ignored'),
        ({'parameters': unknown}, '`MYTAG` is no known INCAR tag'),
        ({'parameters': unknown, 'settings': orm.Dict({'unsupported_parameters': ['mytag']})}, None),
    ):
        error = error_of(vasp_inputs(**changes))
        assert error is None if message is None else message in (error or '')
