"""The job that fits a POD potential: its inputs, and the files it writes."""

from dataclasses import replace

import numpy as np
import pytest
from aiida import orm
from aiida.plugins import CalculationFactory

from aiida_hdiff.calculations import pod_train as files
from aiida_hdiff.data.dataset import LabelledDataset
from aiida_hdiff.data.potential import PotentialData
from aiida_hdiff.formats import LabelledFrames, pod
from aiida_hdiff.formats import pod_evaluation as script


@pytest.fixture
def inputs(fake_code, generate_dataset):
    """Give a factory of the inputs of a job."""

    def factory(**changes):
        return {'code': fake_code('hdiff.lammps_md'), 'train': generate_dataset(4), **changes}

    return factory


def error_of(values):
    """Return what submitting would say."""
    port = CalculationFactory('hdiff.pod_train').spec().inputs
    error = port.validate(port.pre_process(values))
    return None if error is None else error.message


def changed(dataset, index, **values):
    frames = list(dataset.frames())
    frames[index] = replace(frames[index], **values)
    return LabelledDataset(LabelledFrames.from_frames(frames))


def test_valid_inputs(inputs, generate_dataset):
    assert error_of(inputs()) is None
    assert error_of(inputs(test=generate_dataset(3, seed=8), settings=orm.Dict({'elements': ['Cu', 'H']}))) is None


def test_data_that_are_refused(inputs, generate_dataset):
    train = generate_dataset(4)
    mixed = LabelledDataset(LabelledFrames.concatenate([train.frames(), generate_dataset(2, 9, 'pbe').frames()]))
    dead = LabelledDataset(
        LabelledFrames.from_frames([replace(one, forces=np.zeros_like(one.forces)) for one in train.frames()])
    )
    left = changed(train, 1, cell=-train.frames()[1].cell)
    for values, message in (
        ({'train': generate_dataset(1)}, '`train` has 1 frame(s)'),
        ({'train': mixed}, '`train` has labels of 2 levels (emt, pbe)'),
        ({'train': dead}, 'all forces of `train` are zero'),
        ({'train': changed(train, 2, pbc=(True, True, False))}, 'frame 2 of `train` is not periodic'),
        ({'train': left}, 'the cell of frame 1 of `train` is left-handed'),
        ({'test': generate_dataset(2, 5, 'pbe')}, '`test` was labelled with pbe, but `train` with emt'),
        (
            {'settings': orm.Dict({'elements': ['Cu', 'H', 'Ni']})},
            '`settings.elements` has Ni, of which `train` has no',
        ),
        ({'settings': orm.Dict({'elements': ['Cu']})}, '`train` has H, which `settings.elements` has not'),
        ({'settings': orm.Dict({'preset': 'huge'})}, "`preset` is 'huge'"),
    ):
        assert message in error_of(inputs(**values))


def test_files(generate_calc_job, inputs, generate_dataset, file_regression):
    train = generate_dataset(4)
    outside = changed(train, 0, positions=train.frames()[0].positions + train.frames()[0].cell[0])
    values = inputs(train=outside, test=generate_dataset(2, seed=8), settings=orm.Dict({'preset': 'small'}))
    folder, info = generate_calc_job('hdiff.pod_train', values)
    written = {str(path.relative_to(folder)) for path in folder.rglob('*') if path.is_file()}
    own = {script.PARAM_FILE, script.DATA_FILE, files.INPUT_FILE}
    assert written == own | set(info.provenance_exclude_list)
    assert sorted(info.provenance_exclude_list) == [*(f'frames/{n}.data' for n in range(1, 7)), files.TRAINING_FILE]
    (code,) = info.codes_info
    assert code.cmdline_params == ['-in', 'in.fitpod', '-log', 'fitpod.log', '-screen', 'none']
    assert pod.COEFFICIENTS_FILE in info.retrieve_temporary_list
    texts = [(folder / name).read_text() for name in (files.INPUT_FILE, script.PARAM_FILE, script.DATA_FILE)]
    file_regression.check('\n'.join(texts), basename='pod_train_input')
    header = (folder / files.TRAINING_FILE).read_text().splitlines()[1]
    assert 'Properties=species:S:1:pos:R:3:forces:R:3 energy=' in header
    first = np.array(
        [line.split()[1:4] for line in (folder / files.TRAINING_FILE).read_text().splitlines()[2:4]], float
    )
    scaled = first @ np.linalg.inv(outside.frames()[0].cell)
    assert ((scaled >= 0.0) & (scaled < 1.0)).all()


def test_types_of_a_pod_potential_are_those_of_its_file(tmp_path):
    """The pair style does not match names: it takes the n-th type for the n-th species of the file."""
    param, coefficients = tmp_path / 'param.pod', tmp_path / 'coefficients.pod'
    param.write_text('species H Ni\nrcut 5.0\n')
    coefficients.write_text('model_coefficients: 1 0 0\n1.0\n')
    node = PotentialData.from_lammps([param, coefficients], pair_style='pod')
    assert node.elements == ['H', 'Ni']
    assert node.lammps_types(['Ni']) == ['H', 'Ni']
    assert node.pair_commands(['H', 'Ni'])[1] == 'pair_coeff * * potential.0 potential.1 H Ni'
    with pytest.raises(ValueError, match='the atom types must be H Ni, in this order'):
        node.pair_commands(['Ni', 'H'])
    with pytest.raises(ValueError, match='`elements` is Mg, H, but the potential is of H, Ni'):
        PotentialData.from_lammps([param, coefficients], pair_style='pod', elements=['Mg', 'H'])
    with pytest.raises(ValueError, match='has no line `species`'):
        PotentialData.from_lammps([coefficients, param], pair_style='pod')


def test_molecular_dynamics_takes_the_types_of_the_potential(generate_calc_job, fake_code, generate_structure):
    """Nickel comes first in the structure, hydrogen in the potential."""
    potential = PotentialData(
        architecture='lammps', elements=['H', 'Ni'], files=[b'species H Ni', b'x'], pair_style='pod', cutoff_A=5.0
    ).store()
    parameters = {
        'ensemble': 'nve', 'temperature_K': 300.0, 'steps': 10, 'timestep_fs': 1.0, 'output_interval': 1, 'seed': 1,
    }  # fmt: skip
    folder, _ = generate_calc_job(
        'hdiff.lammps_md',
        {
            'code': fake_code(),
            'structure': generate_structure(1, 1),
            'potential': potential,
            'parameters': orm.Dict(parameters),
        },
    )
    data = (folder / 'start.data').read_text()
    atoms = data.split('Atoms # atomic')[1].split('Velocities')[0].split('\n')
    assert [line.split()[1] for line in atoms if line.strip()] == ['2'] * 4 + ['1']
    masses = [float(line.split()[1]) for line in data.split('Masses')[1].split('Atoms')[0].split('\n') if line.strip()]
    assert masses == pytest.approx([1.008, 58.6934])
    text = next(path.read_text() for path in folder.iterdir() if 'pair_coeff' in path.read_text())
    assert 'pair_coeff * * potential.0 potential.1 H Ni\nmass 1 1.008\n' in text
