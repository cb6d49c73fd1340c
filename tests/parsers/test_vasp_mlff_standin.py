"""The parser on output of the stand-in, from inputs that the calculation has written; nothing here is of VASP."""

import os
import shutil
import subprocess

import numpy as np
import pytest
from aiida import orm

from tests.conftest import executable, nickel_hydride
from tests.vasp_fixtures import POTCAR_MARKER, upload_fake_potcars

pytest.importorskip('aiida_vasp', reason='aiida-vasp is not installed')
pytestmark = pytest.mark.integration

TRAIN = {
    'ENCUT': 250, 'ML_LMLFF': True, 'ML_MODE': 'train', 'ML_CTIFOR': 0.02, 'ML_MCONF': 100, 'ML_MB': 500, 'IBRION': 0,
    'NSW': 40, 'POTIM': 1.0, 'MDALGO': 3, 'ISIF': 3, 'LANGEVIN_GAMMA': [10, 10], 'LANGEVIN_GAMMA_L': 10, 'PMASS': 1000,
    'TEBEG': 100, 'TEEND': 200, 'RANDOM_SEED': '7 0 0',
}  # fmt: skip
RUN = {
    'ML_LMLFF': True, 'ML_MODE': 'run', 'IBRION': 0, 'NSW': 60, 'POTIM': 1.0, 'MDALGO': 1, 'ISIF': 2,
    'ANDERSEN_PROB': 0.0, 'TEBEG': 200, 'RANDOM_SEED': '7 0 0', 'ML_OUTBLOCK': 10, 'ML_OUTPUT_MODE': 0,
}  # fmt: skip


@pytest.fixture(scope='module')
def potcars(aiida_profile, tmp_path_factory):
    return upload_fake_potcars(tmp_path_factory.mktemp('potcars'), ('Ni', 'H'))


@pytest.fixture
def emulate(generate_calc_job, generate_calc_job_node, generate_structure, fake_code, potcars, tmp_path):
    """Give a function that runs the stand-in on inputs of the calculation, and parses what it leaves."""
    from aiida.plugins import ParserFactory

    numbers = iter(range(100))

    def run(parameters, *, copy=(), environment=None, **inputs):
        kpoints = orm.KpointsData()
        kpoints.set_kpoints_mesh([1, 1, 1])
        given = {
            'structure': generate_structure(atoms=nickel_hydride(1, 1)),
            'parameters': orm.Dict(parameters),
            'kpoints': kpoints,
            **inputs,
        }
        if parameters.get('ISIF') == 3:
            given['constraint'] = orm.Str('fixed_shape')
        written, _ = generate_calc_job(
            'hdiff.vasp_mlff', {**given, 'code': fake_code('hdiff.vasp_mlff'), 'potential': potcars}
        )
        index = next(numbers)
        folder, retrieved = tmp_path / f'job_{index}', tmp_path / f'retrieved_{index}'
        shutil.copytree(written, folder)
        retrieved.mkdir()
        for source, name in copy:
            shutil.copy(source, folder / name)
        # The reference does not describe Ni with H; it only makes the atoms move.
        variables = {**os.environ, 'HDIFF_STANDIN_REFERENCE': 'emt', 'OMP_NUM_THREADS': '1', **(environment or {})}
        with (retrieved / 'vasp_output').open('wb') as stdout:
            subprocess.run([executable('hdiff-vasp-standin')], cwd=folder, env=variables, stdout=stdout, check=False)
        if (folder / 'CONTCAR').exists():
            shutil.copy(folder / 'CONTCAR', retrieved)
        node = generate_calc_job_node(
            'hdiff.vasp_mlff',
            {**given, **{f'potential__{kind}': potcar for kind, potcar in potcars.items()}},
            retrieved=retrieved,
            attributes={'output_filename': 'vasp_output'},
        )
        outputs, parsed = ParserFactory('hdiff.vasp_mlff').parse_from_node(
            node, store_provenance=False, retrieved_temporary_folder=str(folder)
        )
        return folder, outputs, parsed

    return run


def test_train_refit_run(emulate):
    folder, outputs, node = emulate(TRAIN)
    assert node.exit_status == 0, node.exit_message
    misc = outputs['misc'].get_dict()
    assert misc['emulated']
    assert misc['n_dft_steps'] + misc['n_ml_steps'] == misc['n_steps'] == misc['last_step'] == 40
    assert 0 < misc['n_ml_steps']
    assert outputs['trajectory'].n_frames == 40
    frames = outputs['dataset'].frames()
    assert len(frames) == misc['n_configurations'] == misc['n_dft_steps']
    dft = outputs['sources'].get_array('step')[outputs['sources'].get_array('dft')]
    assert [int(origin.split()[1]) for origin in frames.origins] == dft.tolist()
    learning = outputs['learning']
    assert set(learning.get_array('status_step')[learning.get_array('dft')]) == set(dft)
    state = outputs['final_state']
    assert state.velocities is not None
    assert state.lattice_velocities is not None
    assert outputs['regression'].get_array('energies').shape == (misc['n_configurations'], 2)

    refit_tags = {key: TRAIN[key] for key in ('ENCUT', 'ML_LMLFF')} | {'ML_MODE': 'refit', 'NSW': 1}
    ml_ab = orm.SinglefileData(folder / 'ML_ABN', filename='ML_ABN').store()
    refit_folder, outputs, node = emulate(refit_tags, copy=[(folder / 'ML_ABN', 'ML_AB')], ml_ab=ml_ab)
    assert node.exit_status == 0, node.exit_message
    potential = outputs['force_field']
    assert potential.options['lfast']
    assert potential.options['emulated']
    assert 'dataset' not in outputs

    _, outputs, node = emulate(
        RUN, copy=[(refit_folder / 'ML_FFN', 'ML_FF')], force_field=potential.store(), state=state.store()
    )
    assert node.exit_status == 0, node.exit_message
    assert outputs['final_state'].step == 60
    with outputs['trajectory'].reader() as reader:
        assert np.unique(np.diff(reader.steps)).tolist() == [10]
        total = reader.observable('potential_energy') + reader.observable('kinetic_energy')
        assert np.isfinite(total).all()
        assert np.ptp(total) < 0.05


def test_continuation_is_one_trajectory(emulate):
    """Frames, steps and labelled frames of two chunks fit together."""
    from aiida_hdiff.data.trajectory import read_run

    folder, first, node = emulate(TRAIN | {'NSW': 20, 'TEEND': 150})
    assert node.exit_status == 0
    ml_ab = orm.SinglefileData(folder / 'ML_ABN', filename='ML_ABN').store()
    _, second, node = emulate(
        TRAIN | {'NSW': 20, 'TEBEG': 150}, copy=[(folder / 'ML_ABN', 'ML_AB')],
        ml_ab=ml_ab, state=first['final_state'].store(), first_step=orm.Int(20),
    )  # fmt: skip
    assert node.exit_status == 0, node.exit_message
    assert second['final_state'].step == 40
    count = first['misc']['n_configurations'] + (second['dataset'].n_frames if 'dataset' in second else 0)
    assert second['misc']['n_configurations'] == count
    with read_run(first['trajectory'], {'chunk': second['trajectory']}) as reader:
        assert reader.steps.tolist() == list(range(40))
        moves = np.linalg.norm(np.diff(reader.positions(), axis=0), axis=2).max(axis=1)
    assert moves[19] < 2 * moves.max()
    assert moves[19] > 0


@pytest.mark.parametrize(
    ('fault', 'status'),
    [
        ({'HDIFF_STANDIN_CRASH_AT_STEP': '15'}, 401),
        ({'HDIFF_STANDIN_CRASH_AT_STEP': '1'}, 402),
        ({'HDIFF_STANDIN_SCF_FAIL_AT_STEP': '4'}, 413),
        ({'HDIFF_STANDIN_WALLTIME_S': '0.01'}, 400),
    ],
)
def test_faults(emulate, fault, status):
    _, outputs, node = emulate(TRAIN | {'ML_CTIFOR': 1e-4}, environment=fault)
    assert node.exit_status == status, node.exit_message
    if status == 402:
        return
    state, steps = outputs['final_state'], outputs['misc']['n_steps']
    expected = {400: steps, 401: 13, 413: 2}[status]
    assert state.step == expected
    assert state.velocities is not None
    assert 'dataset' in outputs


def test_limit_of_configurations(emulate):
    _, outputs, node = emulate(TRAIN | {'ML_MCONF': 5, 'ML_CTIFOR': 1e-4})
    assert node.exit_status == 414, node.exit_message
    assert outputs['dataset'].n_frames == 5
    assert outputs['final_state'].step > 0


def test_as_a_job(vasp_code, generate_structure, potcars):
    """Through AiiDA's engine: files come from the computer, nothing of the POTCARs stays in the nodes."""
    from aiida.engine import run_get_node

    kpoints = orm.KpointsData()
    kpoints.set_kpoints_mesh([1, 1, 1])
    builder = vasp_code('hdiff.vasp_mlff').get_builder()
    builder.structure = generate_structure(atoms=nickel_hydride(1, 1))
    builder.parameters = orm.Dict(TRAIN | {'NSW': 10})
    builder.kpoints = kpoints
    builder.potential = potcars
    builder.constraint = orm.Str('fixed_shape')
    builder.metadata.options.environment_variables = {'HDIFF_STANDIN_REFERENCE': 'emt', 'OMP_NUM_THREADS': '1'}
    outputs, node = run_get_node(builder)
    assert node.exit_status == 0, node.exit_message
    assert {'trajectory', 'sources', 'final_state', 'dataset', 'learning', 'regression', 'misc'} <= set(outputs)
    assert node.base.extras.get('emulated') is True
    assert orm.load_node(outputs['dataset'].pk).base.extras.get('emulated') is True
    assert outputs['retrieved'].list_object_names() == [
        'CONTCAR', '_scheduler-stderr.txt', '_scheduler-stdout.txt', 'vasp_output',
    ]  # fmt: skip
    nodes = [node, *(value for value in outputs.values() if isinstance(value, orm.Node))]
    for found in nodes:
        assert POTCAR_MARKER not in repr(found.base.attributes.all)
        repository = found.base.repository
        for name in [folder / name for folder, _, names in repository.walk() for name in names]:
            assert POTCAR_MARKER.encode() not in repository.get_object_content(name, mode='rb')
