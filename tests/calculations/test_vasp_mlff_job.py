"""The VASP job: what it refuses, and the files it writes."""

import io
import subprocess
import time

import numpy as np
import pytest
from aiida import orm

from aiida_hdiff.formats.incar import read_incar
from tests.conftest import nickel_hydride
from tests.vasp_fixtures import POTCAR_MARKER, fake_force_field

pytest.importorskip('aiida_vasp')

ENTRY = 'hdiff.vasp_mlff'
TRAIN = {
    'encut': 400, 'ediff': 1e-5, 'prec': 'Normal', 'ismear': 1, 'sigma': 0.1, 'lwave': False, 'lcharg': False,
    'ml_lmlff': True, 'ml_mode': 'train', 'ml_ctifor': 0.005, 'ml_mconf': 100, 'ibrion': 0, 'nsw': 50, 'potim': 1.0,
    'mdalgo': 3, 'isif': 3, 'langevin_gamma': [10, 10], 'langevin_gamma_l': 10, 'pmass': 1000, 'pstress': 0,
    'tebeg': 100, 'teend': 300, 'random_seed': '7 0 0',
}  # fmt: skip
RUN = {
    'ml_lmlff': True, 'ml_mode': 'run', 'ibrion': 0, 'nsw': 100, 'potim': 1.0, 'mdalgo': 1, 'isif': 2,
    'andersen_prob': 0.0, 'tebeg': 300, 'random_seed': '7 0 0', 'ml_outblock': 10, 'ml_output_mode': 0,
}  # fmt: skip


@pytest.fixture
def kpoints():
    node = orm.KpointsData()
    node.set_kpoints_mesh([1, 1, 1])
    return node


@pytest.fixture
def force_field():
    from aiida_hdiff.data.potential import PotentialData

    return lambda **kwargs: PotentialData.from_vasp_mlff(fake_force_field(**kwargs))


@pytest.fixture
def vasp_inputs(fake_code, generate_structure, fake_potcars, kpoints):
    """Give a factory of valid inputs of a training job."""

    def factory(base=None, *, tags=None, **changes):
        parameters = {key: value for key, value in {**(base or TRAIN), **(tags or {})}.items() if value is not ...}
        values = {
            'code': fake_code(ENTRY),
            'structure': generate_structure(),
            'parameters': orm.Dict(parameters),
            'potential': fake_potcars(),
            'kpoints': kpoints,
            **({} if base else {'constraint': orm.Str('fixed_shape')}),
            **changes,
        }
        return {key: value for key, value in values.items() if value is not ...}

    return factory


@pytest.fixture
def vasp_error():
    """Give a function that returns what submitting the job would say, or ``None``."""
    from aiida.plugins import CalculationFactory

    def error(values, entry=ENTRY):
        port = CalculationFactory(entry).spec().inputs
        problem = port.validate(port.pre_process(values))
        return None if problem is None else problem.message

    return error


def ml_ab_node(n_configurations=12):
    text = f' 1.0 Version\n{"*" * 50}\n     The number of configurations\n{"-" * 50}\n {n_configurations}\n{"*" * 50}\n'
    return orm.SinglefileData(io.BytesIO(text.encode()), filename='ML_ABN')


def remote(computer, path='/scratch/job'):
    return orm.RemoteData(computer=computer, remote_path=path)


def test_valid_inputs(vasp_inputs, vasp_error, force_field):
    assert vasp_error(vasp_inputs()) is None
    assert vasp_error(vasp_inputs(RUN, force_field=force_field())) is None
    assert vasp_error(vasp_inputs(ml_ab=ml_ab_node())) is None


def test_the_checks_of_incar_are_asked(vasp_inputs, vasp_error):
    assert "`ML_MODE` is 'Train', which stops VASP" in vasp_error(vasp_inputs(tags={'ml_mode': 'Train'}))
    assert '`TEBEG` is 0: give at least 1 K' in vasp_error(vasp_inputs(tags={'tebeg': 0}))
    assert 'LANGEVIN_GAMMA` is [10]: give 2 numbers' in vasp_error(vasp_inputs(tags={'langevin_gamma': [10]}))
    assert '`constraint` is missing' in vasp_error(vasp_inputs(constraint=...))
    assert 'no known INCAR tag. Did you mean `ENCUT`?' in vasp_error(vasp_inputs(tags={'encutt': 1}))
    settings = orm.Dict({'unsupported_parameters': {'encutt': ''}})
    assert vasp_error(vasp_inputs(tags={'encutt': 1}, settings=settings)) is None
    assert vasp_error(vasp_inputs(tags={'velocity': True})) is None


def test_structures_that_cannot_be_written(vasp_inputs, vasp_error, generate_structure):
    mixed = nickel_hydride(2, 2)
    order = [*range(1, 33), 33, 0]
    message = vasp_error(vasp_inputs(structure=generate_structure(atoms=mixed[order])))
    assert 'the species of `structure` are in the order Ni H Ni, with Ni in 2 places: sort the sites' in message
    flat = nickel_hydride()
    flat.pbc = [True, True, False]
    assert 'not periodic in all three' in vasp_error(vasp_inputs(structure=generate_structure(atoms=flat)))
    alloy = orm.StructureData(cell=np.diag([4.0] * 3).tolist())
    alloy.append_atom(position=(0, 0, 0), symbols=['Ni', 'H'], weights=[0.5, 0.5])
    assert 'several elements or vacancies' in vasp_error(vasp_inputs(structure=alloy))


def test_two_kinds_of_one_element_are_refused(vasp_inputs, vasp_error, fake_potcars):
    structure = orm.StructureData(cell=np.diag([4.0] * 3).tolist())
    for name, x in (('Ni', 0.0), ('H1', 1.5), ('H2', 3.0)):
        structure.append_atom(position=(x, x, x), symbols=name[:2].rstrip('12'), name=name)
    potcars = fake_potcars()
    values = vasp_inputs(structure=structure, potential={'Ni': potcars['Ni'], 'H1': potcars['H'], 'H2': potcars['H']})
    assert 'with H in 2 places: sort the sites by element, each once' in vasp_error(values)


def test_potcars_that_do_not_fit(vasp_inputs, vasp_error, fake_potcars):
    potcars = fake_potcars(('Ni', 'H', 'Mg'))
    for given, message in (
        ({'Ni': potcars['Ni']}, '`potential` has no POTCAR for H of `structure` (given: Ni): give one for each kind'),
        ({'Ni': potcars['Ni'], 'H': potcars['Mg']}, '`potential.H` is the POTCAR of Mg, but H is H'),
        (potcars, '`potential.Mg` belongs to no kind of `structure`: leave it out'),
    ):
        assert message in vasp_error(vasp_inputs(potential=given))


def test_files_that_contradict_the_mode(vasp_inputs, vasp_error, force_field, generate_potential, aiida_localhost):
    folder = remote(aiida_localhost)
    for values, message in (
        (vasp_inputs(RUN), 'ML_MODE = run needs `force_field` or `force_field_folder`'),
        (vasp_inputs(RUN, force_field=force_field(), ml_ab=ml_ab_node()), 'ML_MODE = run reads no labels'),
        (vasp_inputs(force_field=force_field()), 'ML_MODE = train reads no force field: leave it out'),
        (
            vasp_inputs({'ml_lmlff': True, 'ml_mode': 'refit', 'encut': 400}),
            'ML_MODE = refit needs `ml_ab` or `ml_ab_folder`: give the labels',
        ),
        (vasp_inputs(ml_ab=ml_ab_node(), ml_ab_folder=folder), '`ml_ab` and `ml_ab_folder` are both given'),
        (vasp_inputs(ml_ab_folder=folder), '`n_configurations` is missing: say how many'),
        (vasp_inputs(n_configurations=orm.Int(4)), 'there is no ML_AB to read: leave it out'),
        (vasp_inputs(ml_ab=ml_ab_node(5), n_configurations=orm.Int(4)), '`n_configurations` is 4, but `ml_ab` has 5'),
        (vasp_inputs(ml_ab=ml_ab_node(100)), '`ML_MCONF` is 100, but the ML_AB has 100 configurations'),
        (vasp_inputs(ml_ab=orm.SinglefileData(io.BytesIO(b'no'))), '`ml_ab` does not begin as an ML_AB does'),
        (vasp_inputs(n_configurations=orm.Int(-1), ml_ab_folder=folder), '-1 is given'),
        (vasp_inputs(RUN, force_field=force_field(lfast=False)), 'ML_LFAST = .FALSE., so that every step is as slow'),
        (vasp_inputs(RUN, force_field=generate_potential('mace')), 'is a mace model, which VASP cannot run'),
        (
            vasp_inputs(RUN, force_field=force_field(types=('Ni', 'Al'))),
            '`force_field` covers Ni, Al but not H of `structure`',
        ),
    ):
        assert message in vasp_error(values)
    slow = vasp_inputs(RUN, force_field=force_field(lfast=False), settings=orm.Dict({'allow_slow_force_field': True}))
    assert vasp_error(slow) is None


def test_a_folder_on_another_computer_is_refused(vasp_inputs, vasp_error, aiida_computer_local):
    other = remote(aiida_computer_local(label='elsewhere'))
    message = vasp_error(vasp_inputs(ml_ab_folder=other, n_configurations=orm.Int(3)))
    assert '`ml_ab_folder` is on elsewhere, but the code is on localhost' in message


def test_a_state_of_other_atoms_is_refused(vasp_inputs, vasp_error, generate_state):
    swapped = nickel_hydride()[::-1]
    assert '`state` has other atoms' in vasp_error(vasp_inputs(state=generate_state(atoms=swapped)))


def earlier_job(generate_calc_job_node, values, **outputs):
    """Return a finished training job with the inputs, whose namespaces become link labels with two underscores."""
    flat = {name: values[name] for name in ('structure', 'parameters', 'kpoints')}
    flat |= {f'potential__{kind}': potcar for kind, potcar in values['potential'].items()}
    return generate_calc_job_node(ENTRY, inputs=flat, exit_status=0, outputs=outputs)


def test_labels_of_another_level_of_theory_are_refused(
    vasp_inputs, vasp_error, generate_calc_job_node, aiida_localhost, fake_potcars, kpoints
):
    job = earlier_job(
        generate_calc_job_node, vasp_inputs(tags={'encut': 500}), ml_ab=ml_ab_node(), remote=remote(aiida_localhost)
    )
    files = {'ml_ab': {'ml_ab': job.outputs.ml_ab}}
    files['ml_ab_folder'] = {'ml_ab_folder': job.outputs.remote, 'n_configurations': orm.Int(12)}
    for name, given in files.items():
        message = vasp_error(vasp_inputs(**given))
        assert f'`{name}` was made with other DFT settings (vasp:' in message
        assert 'ENCUT was 500.0, now 400.0: labels of two levels of theory cannot be mixed' in message
        same = vasp_inputs(tags={'encut': 500.0, 'tebeg': 480, 'nsw': 9}, **given)
        assert vasp_error(same) is None
    dense = orm.KpointsData()
    dense.set_kpoints_mesh([2, 2, 2])
    message = vasp_error(vasp_inputs(tags={'encut': 500}, kpoints=dense, **files['ml_ab']))
    assert 'the k-points differ' in message
    other = fake_potcars(('Ni', 'H_GW'))
    message = vasp_error(vasp_inputs(tags={'encut': 500}, potential=other, **files['ml_ab']))
    assert 'the POTCARs were PAW_PBE H 01Jan2000' in message
    assert vasp_error(vasp_inputs(ml_ab=ml_ab_node())) is None


def test_the_level_of_theory_of_an_imported_ml_ab(vasp_inputs, vasp_error):
    from aiida_hdiff.calculations.vasp_inputs import SETTINGS_EXTRA, settings_hash

    values = vasp_inputs()
    node = ml_ab_node().store()
    node.base.extras.set(SETTINGS_EXTRA, 'vasp:0123456789abcdef')
    assert 'other DFT settings (vasp:0123456789abcdef)' in vasp_error(vasp_inputs(ml_ab=node))
    identity = settings_hash(values['parameters'].get_dict(), values['potential'], values['kpoints'])
    node.base.extras.set(SETTINGS_EXTRA, identity)
    assert vasp_error(vasp_inputs(ml_ab=node)) is None


def test_training_job(generate_calc_job, vasp_inputs, file_regression):
    folder, info = generate_calc_job(ENTRY, vasp_inputs())
    assert {path.name for path in folder.iterdir()} == {'INCAR', 'POSCAR', 'POTCAR', 'KPOINTS', 'ICONST'}
    assert set(info.provenance_exclude_list) == {'POTCAR', 'ML_AB', 'ML_FF'}
    assert info.local_copy_list == []
    assert info.remote_copy_list == []
    assert set(info.retrieve_list) == {'vasp_output', 'CONTCAR'}
    assert set(info.retrieve_temporary_list) == {
        'OUTCAR', 'vasprun.xml', 'XDATCAR', 'OSZICAR', 'REPORT', 'ML_LOGFILE', 'ML_ABN', 'ML_REG',
    }  # fmt: skip
    (code,) = info.codes_info
    assert code.stdout_name == 'vasp_output'
    for name in ('INCAR', 'POSCAR', 'ICONST'):
        file_regression.check((folder / name).read_text(), basename=f'train_{name.lower()}')
    assert (folder / 'POTCAR').read_text().count(POTCAR_MARKER) == 12
    assert (folder / 'POTCAR').read_text().index('PAW_PBE Ni') < (folder / 'POTCAR').read_text().index('PAW_PBE H ')


def test_only_a_refit_brings_a_force_field_back(generate_calc_job, vasp_inputs):
    refit = {'ml_lmlff': True, 'ml_mode': 'refit', 'encut': 400}
    node = ml_ab_node().store()
    folder, info = generate_calc_job(ENTRY, vasp_inputs(refit, ml_ab=node))
    assert 'ML_FFN' in info.retrieve_temporary_list
    assert info.local_copy_list == [(node.uuid, 'ML_ABN', 'ML_AB')]
    assert not (folder / 'ICONST').exists()


def test_a_run_with_a_force_field(generate_calc_job, vasp_inputs, force_field):
    potential = force_field().store()
    _, info = generate_calc_job(ENTRY, vasp_inputs(RUN, force_field=potential))
    assert info.local_copy_list == [(potential.uuid, 'potential.0', 'ML_FF')]
    assert not {'ML_ABN', 'ML_REG', 'ML_FFN'} & set(info.retrieve_temporary_list)
    for names in (info.retrieve_list, info.retrieve_temporary_list):
        assert 'vaspout.h5' not in names
    assert 'OUTCAR' not in info.retrieve_list


def test_large_files_stay_on_the_computer(generate_calc_job, vasp_inputs, aiida_localhost):
    folder = remote(aiida_localhost, '/scratch/first').store()
    _, info = generate_calc_job(ENTRY, vasp_inputs(ml_ab_folder=folder, n_configurations=orm.Int(20)))
    assert info.remote_copy_list == [(aiida_localhost.uuid, '/scratch/first/ML_ABN', 'ML_AB')]
    _, info = generate_calc_job(ENTRY, vasp_inputs(RUN, force_field_folder=folder))
    assert info.remote_copy_list == [(aiida_localhost.uuid, '/scratch/first/ML_FFN', 'ML_FF')]


def test_a_state_is_written_with_all_its_digits(generate_calc_job, vasp_inputs):
    from aiida_hdiff.data.md_state import MDState
    from aiida_hdiff.formats.poscar import read_contcar

    atoms = nickel_hydride()
    rng = np.random.default_rng(4)
    state = MDState(
        numbers=atoms.numbers,
        positions=atoms.positions + rng.normal(0.0, 3.0, atoms.positions.shape),
        cell=1.01 * atoms.cell.array,
        velocities=1e-3 * rng.standard_normal(atoms.positions.shape),
        lattice_velocities=1e-5 * rng.standard_normal((3, 3)),
    )
    folder, _ = generate_calc_job(ENTRY, vasp_inputs(state=state))
    found = read_contcar(folder / 'POSCAR')
    np.testing.assert_allclose(found.positions, state.get_array('positions'), atol=1e-13)
    np.testing.assert_allclose(found.cell, state.get_array('cell'), atol=1e-15)
    np.testing.assert_allclose(found.velocities, state.velocities, rtol=1e-14)
    np.testing.assert_allclose(found.lattice_velocities, state.lattice_velocities, rtol=1e-14)
    first = (folder / 'ICONST').read_text()
    assert first == (generate_calc_job(ENTRY, vasp_inputs())[0] / 'ICONST').read_text()


def test_incar_is_what_was_asked(generate_calc_job, vasp_inputs):
    folder, _ = generate_calc_job(ENTRY, vasp_inputs())
    expected = {key.upper(): value for key, value in TRAIN.items()}
    expected |= {'RANDOM_SEED': [7, 0, 0]}
    assert read_incar((folder / 'INCAR').read_text()) == expected


def test_vasp_is_asked_to_stop_before_the_wall_time_ends(generate_calc_job, vasp_inputs, tmp_path):
    options = {'max_wallclock_seconds': 2}
    _, info = generate_calc_job(ENTRY, vasp_inputs(metadata={'options': options}))
    script = '{}\nwhile [ ! -e STOPCAR ]; do sleep 0.05; done; cat STOPCAR\n{}\n'
    text = script.format(info.prepend_text, info.append_text)
    done = subprocess.run(
        ['bash', '-e', '-c', text], cwd=tmp_path, capture_output=True, text=True, timeout=20, check=False
    )
    assert done.stdout == 'LSTOP = .TRUE.\n'
    assert done.returncode == 0


def test_the_timer_ends_with_the_job(generate_calc_job, vasp_inputs, tmp_path):
    options = {'max_wallclock_seconds': 4321}
    _, info = generate_calc_job(ENTRY, vasp_inputs(metadata={'options': options}))
    assert 'sleep 4104' in info.prepend_text
    text = f'{info.prepend_text}\nsleep 0.2\n{info.append_text}\nwait\n'
    begun = time.monotonic()
    subprocess.run(['bash', '-c', text], cwd=tmp_path, check=True, timeout=20)
    assert time.monotonic() - begun < 10
    assert not (tmp_path / 'STOPCAR').exists()
    assert (
        'sleep 4104'
        not in subprocess.run(['ps', 'ax', '-o', 'args'], capture_output=True, text=True, check=True).stdout
    )


def test_equal_jobs_have_equal_hashes_and_versions_count(generate_process, vasp_inputs, monkeypatch, fake_code):
    from aiida.plugins import CalculationFactory

    cls = CalculationFactory(ENTRY)
    common = {'code': fake_code(ENTRY).store()}

    def job_hash(**changes):
        return generate_process(cls, vasp_inputs(**common, **changes)).node.base.caching.compute_hash()

    first = job_hash()
    assert first == job_hash(metadata={'options': {'max_wallclock_seconds': 99}})
    assert first != job_hash(first_step=orm.Int(5))
    monkeypatch.setattr(cls, 'CACHE_VERSION', 99)
    assert first != job_hash()


def test_without_aiida_vasp_the_extra_is_named():
    code = (
        'import sys, importlib.util as u\n'
        'find = u.find_spec\n'
        'u.find_spec = lambda name, *a: None if name == "aiida_vasp" else find(name, *a)\n'
        'import aiida_hdiff.calculations.vasp_mlff\n'
    )
    import sys

    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, timeout=120, check=False)
    assert 'run `pip install "aiida-hdiff[vasp]"`' in done.stderr
