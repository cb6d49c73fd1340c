"""The VASP job of a stage of molecular dynamics: its INCAR, its files, what it refuses."""

import numpy as np
import pytest
from aiida import orm

from aiida_hdiff.formats.incar import read_incar
from aiida_hdiff.formats.poscar import read_contcar
from tests.conftest import PARAMETERS, nickel_hydride
from tests.vasp_fixtures import fake_force_field

pytest.importorskip('aiida_vasp')

ENTRY = 'hdiff.vasp_md'
STAGE = {key: value for key, value in PARAMETERS.items() if key != 'checkpoint_interval'}


@pytest.fixture
def md_inputs(fake_code, generate_structure, fake_potcars):
    """Give a factory of valid inputs; further arguments change the parameters."""
    from aiida_hdiff.data.potential import PotentialData

    def factory(changes=None, **parameters):
        values = {
            'code': fake_code(ENTRY),
            'structure': generate_structure(),
            'potential': PotentialData.from_vasp_mlff(fake_force_field()),
            'potcars': fake_potcars(),
            'parameters': orm.Dict({**STAGE, **parameters}),
            **(changes or {}),
        }
        return {key: value for key, value in values.items() if value is not ...}

    return factory


@pytest.fixture
def md_error():
    from aiida.plugins import CalculationFactory

    def error(values):
        port = CalculationFactory(ENTRY).spec().inputs
        problem = port.validate(port.pre_process(values))
        return None if problem is None else problem.message

    return error


@pytest.fixture
def job(generate_calc_job, md_inputs):
    """Give a function that writes the files of a job and returns its folder."""
    return lambda *args, **kwargs: generate_calc_job(ENTRY, md_inputs(*args, **kwargs))[0]


def state(step=0, checkpoint=None, **more):
    from aiida_hdiff.data.md_state import MDState

    atoms = nickel_hydride()
    rng = np.random.default_rng(5)
    return MDState(
        numbers=atoms.numbers, positions=atoms.positions + 7.04, cell=1.02 * atoms.cell.array,
        velocities=1e-3 * rng.standard_normal(atoms.positions.shape), lattice_velocities=1e-5 * np.eye(3),
        step=step, checkpoint=checkpoint, engine='vasp', **more,
    )  # fmt: skip


@pytest.mark.parametrize('ensemble', ['npt', 'nvt', 'nve'])
def test_incar_of_a_stage(job, ensemble, file_regression):
    settings = {'pressure_GPa': 0.5, 'thermostat_time_fs': 100.0, 'barostat_time_fs': 200.0}
    folder = job(ensemble=ensemble, **settings)
    file_regression.check((folder / 'INCAR').read_text(), basename=f'incar_{ensemble}')
    assert (folder / 'ICONST').exists() == (ensemble == 'npt')
    assert {path.name for path in folder.iterdir()} - {'ICONST'} == {'INCAR', 'POSCAR', 'POTCAR', 'KPOINTS'}


def test_units_of_incar(job):
    tags = read_incar(
        (job(ensemble='npt', pressure_GPa=1.5, thermostat_time_fs=50.0, barostat_time_fs=250.0) / 'INCAR').read_text()
    )
    assert tags['PSTRESS'] == 15.0
    assert tags['LANGEVIN_GAMMA'] == [20.0, 20.0]
    assert tags['LANGEVIN_GAMMA_L'] == 4.0
    assert (tags['POTIM'], tags['NSW'], tags['ML_OUTBLOCK'], tags['NBLOCK']) == (1.0, 200, 10, 10)
    assert tags['RANDOM_SEED'] == [11, 0, 0]


def test_barostats_become_constraints(job):
    texts = {kind: job(ensemble='npt', barostat=kind) / 'ICONST' for kind in ('isotropic', 'fixed_shape', 'full')}
    assert texts['isotropic'].read_text().count('\nS') == 6
    assert texts['fixed_shape'].read_text().count('\nS') == 4
    assert not texts['full'].exists()


def test_a_ramp_is_continued_where_it_was(job):
    ramp = {'ensemble': 'nvt', 'temperature_K': 300.0, 'temperature_end_K': 500.0, 'steps': 200}
    tags = read_incar((job(**ramp) / 'INCAR').read_text())
    assert (tags['TEBEG'], tags['TEEND'], tags['NSW']) == (300.0, 500.0, 200)
    tags = read_incar((job({'checkpoint': state(50, b'x')}, **ramp) / 'INCAR').read_text())
    assert (tags['TEBEG'], tags['TEEND'], tags['NSW'], tags['RANDOM_SEED']) == (350.0, 500.0, 150, [61, 0, 0])
    tags = read_incar((job({'checkpoint': state(57, b'x')}, **ramp) / 'INCAR').read_text())
    assert (tags['TEBEG'], tags['TEEND'], tags['NSW'], tags['ML_OUTBLOCK']) == (357.0, 360.0, 3, 3)


@pytest.mark.parametrize('port', ['state', 'checkpoint'])
@pytest.mark.parametrize('ensemble', ['npt', 'nvt'])
def test_motion_is_handed_on(job, port, ensemble):
    given = state(50, b'x')
    poscar = read_contcar(job({port: given}, ensemble=ensemble) / 'POSCAR')
    np.testing.assert_allclose(poscar.positions, given.get_array('positions'), atol=1e-13)
    np.testing.assert_allclose(poscar.velocities, given.velocities, rtol=1e-14)
    assert (poscar.lattice_velocities is not None) == (ensemble == 'npt')


def test_iconst_refers_to_the_structure_in_every_part(job):
    first, later = job(ensemble='npt'), job({'checkpoint': state(50, b'x')}, ensemble='npt')
    assert (first / 'ICONST').read_text() == (later / 'ICONST').read_text()
    assert read_contcar(later / 'POSCAR').cell[0, 0] == pytest.approx(1.02 * 7.04)


def test_files_of_the_job(generate_calc_job, md_inputs):
    inputs = md_inputs()
    inputs['potential'].store()
    folder, info = generate_calc_job(ENTRY, inputs)
    assert info.local_copy_list == [(inputs['potential'].uuid, 'potential.0', 'ML_FF')]
    assert set(info.provenance_exclude_list) == {'POTCAR', 'ML_AB', 'ML_FF'}
    assert set(info.retrieve_list) == {'vasp_output', 'CONTCAR'}
    assert {'XDATCAR', 'OSZICAR', 'vasprun.xml', 'OUTCAR'} <= set(info.retrieve_temporary_list)
    assert '1 1 1' in ' '.join((folder / 'KPOINTS').read_text().split())


def test_valid_inputs(md_inputs, md_error):
    for ensemble in ('npt', 'nvt', 'nve'):
        assert md_error(md_inputs(ensemble=ensemble)) is None


def test_inputs_that_do_not_fit(md_inputs, md_error, generate_potential, fake_potcars, generate_structure):
    from aiida_hdiff.data.potential import PotentialData

    mixed = nickel_hydride(2, 2)[[*range(1, 33), 33, 0]]
    for change, parameters, message in (
        ({'potential': generate_potential('mace')}, {}, 'the potential is a mace model, which VASP cannot run'),
        ({'potential': PotentialData.from_vasp_mlff(fake_force_field(lfast=False))}, {}, 'refit it (ML_MODE = refit)'),
        (
            {'potential': PotentialData.from_vasp_mlff(fake_force_field(types=('Ni',)))},
            {},
            'covers Ni but not H of `structure`',
        ),
        ({'potcars': {'Ni': fake_potcars()['Ni']}}, {}, '`potcars` has no POTCAR for H of `structure`'),
        ({'potcars': ...}, {}, '`potcars` has no POTCAR for Ni of `structure` (given: none)'),
        ({'structure': generate_structure(atoms=mixed)}, {}, 'with Ni in 2 places: sort the sites by element'),
        (
            {},
            {'thermostat': 'nose_hoover'},
            "`thermostat` is 'nose_hoover', but VASP runs are thermostatted by langevin",
        ),
        ({}, {'temperature_K': 0.5}, '`TEBEG` is 0.5: give at least 1 K'),
        ({}, {'steps': 205}, '`steps` is 205, no multiple of `output_interval` (10)'),
        ({}, {'timestep_fs': 2.5}, '`timestep_fs` is 2.5'),
        ({'checkpoint': state(50)}, {}, '`checkpoint` has no file of the engine to continue from'),
    ):
        assert message in md_error(md_inputs(change, **parameters))
    slow = {'potential': PotentialData.from_vasp_mlff(fake_force_field(lfast=False))}
    assert md_error(md_inputs({**slow, 'settings': orm.Dict({'allow_slow_force_field': True})})) is None


def test_the_job_never_hits_the_cache_of_a_training(generate_process, md_inputs):
    from aiida.plugins import CalculationFactory

    node = generate_process(CalculationFactory(ENTRY), md_inputs()).node
    assert node.get_option('parser_name') == ENTRY
