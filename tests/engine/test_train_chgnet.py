"""Fine-tuning of CHGNet, with the package itself: units, shift, restart, the best epoch, and the ends of a training."""

import json
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk

from aiida_hdiff.engine.cli import main
from aiida_hdiff.engine.exit_codes import (
    BAD_INPUT,
    DIVERGED,
    ENERGY_SHIFT,
    FINISHED,
    INTERRUPTED,
    MODEL_REFUSED,
)
from aiida_hdiff.engine.train_chgnet_input import ARRAYS, ChgnetTrainingInput
from aiida_hdiff.engine.train_chgnet_settings import ChgnetTrainingSettings, chgnet_settings_error
from aiida_hdiff.formats import LabelledFrame, LabelledFrames

GPA = 160.2176634


def magnesium_hydride(n_frames, seed):
    """Return rattled and strained magnesium with no, one or two hydrogen atoms."""
    rng, frames = np.random.default_rng(seed), []
    for index in range(n_frames):
        atoms = bulk('Mg', 'hcp', a=3.2, c=5.2)
        for place in ((0.0, 0.0, 0.25), (0.6, 0.4, 0.0))[: index % 3]:
            atoms.append('H')
            atoms.positions[-1] = np.array(place) @ atoms.cell.array
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + rng.normal(0.0, 0.01, (3, 3))), scale_atoms=True)
        atoms.positions += rng.normal(0.0, 0.05, atoms.positions.shape)
        frames.append(atoms)
    return frames


def labelled(images, calculator, stress=True):
    """Label structures."""
    frames = []
    for atoms in images:
        atoms.calc = calculator
        atoms.get_potential_energy()
        atoms.get_forces()
        if stress:
            atoms.get_stress()
        atoms.calc.results = dict(atoms.calc.results)
        frames.append(LabelledFrame.from_ase(atoms))
    return LabelledFrames.from_frames(frames)


@pytest.fixture(scope='module')
def chgnet():
    """Give the package, or skip."""
    pytest.importorskip('chgnet', reason='chgnet is not installed')
    import torch

    torch.set_num_threads(1)
    return pytest.importorskip('chgnet.model')


@pytest.fixture(scope='module')
def weights(chgnet):
    """Give the files of weights in the package."""
    folder = Path(chgnet.__file__).parents[1] / 'pretrained'
    return {name: next((folder / name).glob('*.pth.tar')) for name in ('0.3.0', 'r2scan')}


@pytest.fixture(scope='module')
def r2scan(chgnet):
    """Label by another functional."""
    from chgnet.model.dynamics import CHGNetCalculator

    return CHGNetCalculator(chgnet.CHGNet.load(model_name='r2scan', use_device='cpu', verbose=False), use_device='cpu')


@pytest.fixture(scope='module')
def sets(r2scan):
    """Give a training, a validation and a test set."""
    sizes = {'train': (12, 1), 'valid': (6, 2), 'test': (3, 3)}
    return {name: labelled(magnesium_hydride(*size), r2scan) for name, size in sizes.items()}


def save(path, frames, **more):
    np.savez(path, **{name: getattr(frames, name) for name in ARRAYS}, **more)


@pytest.fixture
def job(tmp_path, monkeypatch, weights, sets):
    """Give a function that runs a training in a folder and returns its exit code."""

    def run(name='job', change=None, magmoms=None, foundation=None, **values):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        frames = {**sets, **(change or {})}
        for kind, one in frames.items():
            more = {'magmoms': magmoms[kind]} if magmoms and kind in magmoms else {}
            save(folder / f'{kind}.npz', one, **more)
        (folder / 'potential.0').write_bytes(foundation or weights['0.3.0'].read_bytes())
        settings = {'epochs': 2, 'batch_size': 3, **values.pop('settings', {})}
        content = {
            'model': 'potential.0',
            'sets': {kind: f'{kind}.npz' for kind in frames},
            'settings': settings,
            **values,
        }
        (folder / 'train.json').write_text(json.dumps(content))
        monkeypatch.chdir(folder)
        return main(['train-chgnet', 'train.json'])

    return run


def read(name):
    return json.loads(Path(name).read_text())


def stored_state(name='model.pth.tar'):
    import torch

    return torch.load(name, weights_only=True)['model']['state_dict']


@pytest.mark.integration
def test_fine_tuning_beats_the_foundation(job, r2scan):
    from aiida_hdiff.engine.calculators import build_calculator
    from aiida_hdiff.engine.md_input import Potential

    sizes = {'train': (45, 11), 'valid': (9, 12), 'test': (9, 13)}
    sets = {name: labelled(magnesium_hydride(*size), r2scan) for name, size in sizes.items()}
    assert job(change=sets, settings={'epochs': 8, 'batch_size': 5}) == FINISHED, read('status.json')
    errors, training = read('errors.json'), read('training.json')
    assert training['epoch'] == len(training['history']) == 8
    before, best = errors['before'], errors['best']
    assert best['valid']['force_meV_A']['rmse'] < 0.8 * before['valid']['force_meV_A']['rmse']
    assert best['test']['force_meV_A']['rmse'] < 0.8 * before['test']['force_meV_A']['rmse']
    # The shift of the functional is more than an eV per atom, and gone before the first epoch.
    assert training['shift']['rmse_before_meV_per_atom'] > 1000.0
    assert before['valid']['energy_meV_per_atom']['rmse'] < 100.0

    calculator = build_calculator(Potential('chgnet', 'model.pth.tar', {}), with_stress=True, threads=1)
    squares, energies = [], []
    for frame in sets['test']:
        atoms = frame.to_ase()
        atoms.calc = calculator
        squares.append(((atoms.get_forces() - frame.forces) ** 2).ravel())
        energies.append((atoms.get_potential_energy() - frame.energy) / len(atoms))
    assert np.sqrt(np.concatenate(squares).mean()) * 1e3 == pytest.approx(best['test']['force_meV_A']['rmse'], rel=1e-4)
    assert np.sqrt(np.mean(np.square(energies))) * 1e3 == pytest.approx(
        best['test']['energy_meV_per_atom']['rmse'], rel=1e-2, abs=1e-2
    )


@pytest.mark.integration
def test_best_model_is_that_of_the_best_epoch(job):
    """The best epoch is not the last where the rate is too high, and the model is really of it."""
    import torch

    assert job(settings={'epochs': 4, 'learning_rate': 0.02}) == FINISHED, read('status.json')
    training = read('training.json')
    scores = [record['score'] for record in training['history']]
    best = training['best_epoch']
    last = torch.load('checkpoint.pt', weights_only=True)
    if best:
        assert scores[best - 1] == min(scores)
    assert best < 4
    model = stored_state()
    assert any(not torch.equal(model[key], last['model'][key]) for key in model)
    assert all(torch.equal(model[key], last['best']['state'][key]) for key in model)


@pytest.mark.integration
def test_a_stopped_training_ends_as_one_that_was_not(job, tmp_path):
    import torch

    assert job('whole', settings={'epochs': 3}) == FINISHED
    whole, history = stored_state(), read('training.json')['history']
    from aiida_hdiff.engine import train_chgnet

    original = train_chgnet.ChgnetTraining._train_one_epoch

    def stops(self):
        if self.epoch == 1:
            from aiida_hdiff.engine.interruption import Interruption

            raise Interruption('SIGTERM')
        original(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train_chgnet.ChgnetTraining, '_train_one_epoch', stops)
        assert job('stopped', settings={'epochs': 3}) == INTERRUPTED
    assert 'stopped by SIGTERM after 1 of 3 epochs' in read('status.json')['message']
    assert not Path('model.pth.tar').exists()
    checkpoint = Path('checkpoint.pt').read_bytes()

    (tmp_path / 'next').mkdir()
    (tmp_path / 'next' / 'continued.pt').write_bytes(checkpoint)
    assert job('next', settings={'epochs': 3}, checkpoint='continued.pt') == FINISHED, read('status.json')
    resumed = read('training.json')['history']
    assert [record['epoch'] for record in resumed] == [1, 2, 3]
    for one, other in zip(history, resumed, strict=True):
        assert {**one, 'seconds': 0} == {**other, 'seconds': 0}
    found = stored_state()
    assert all(torch.equal(found[key], whole[key]) for key in whole)

    (tmp_path / 'other').mkdir()
    (tmp_path / 'other' / 'continued.pt').write_bytes(checkpoint)
    assert job('other', settings={'epochs': 3, 'seed': 2}, checkpoint='continued.pt') == BAD_INPUT
    assert 'of a training with other settings' in read('status.json')['message']


@pytest.mark.integration
def test_time_limit_and_early_stop(job):
    assert job('late', max_seconds=0.01) == INTERRUPTED
    settings = {'epochs': 9, 'patience': 1, 'learning_rate': 0.05, 'stress_weight': 0.0}
    assert job('patience', settings=settings) == FINISHED
    training = read('training.json')
    assert training['stopped_early']
    assert training['epoch'] == training['best_epoch'] + 1 < 9
    assert training['targets'] == 'ef'


@pytest.mark.integration
def test_freezing(job):
    import torch

    assert job(settings={'epochs': 1, 'freeze': 'all_but_last', 'composition': 'shift'}) == FINISHED
    training, state = read('training.json'), stored_state()
    assert 0 < training['n_trained_parameters'] < 0.2 * training['n_parameters']
    foundation = torch.load('potential.0', map_location='cpu', weights_only=True)['model']['state_dict']
    changed = {key.partition('.')[0] for key in state if not torch.equal(state[key], foundation[key])}
    assert 'composition_model' in changed
    assert changed <= {'composition_model', 'atom_conv_layers', 'mlp', 'readout_norm'}
    layers = [
        key for key in state if key.startswith('atom_conv_layers') and not torch.equal(state[key], foundation[key])
    ]
    assert {key.split('.')[1] for key in layers} == {'3'}


@pytest.mark.integration
def test_magnetic_moments(job, sets):
    moments = {name: np.full(len(sets[name].numbers), 0.5) for name in ('train', 'valid')}
    moments['train'][: sets['train'].offsets[1]] = np.nan
    settings = {'epochs': 2, 'magmom_weight': 1.0}
    assert job(magmoms=moments, settings=settings) == FINISHED, read('status.json')
    training = read('training.json')
    assert training['targets'] == 'efsm'
    found = [record['train_magmom_mae_muB'] for record in training['history']]
    assert found[1] < found[0]


@pytest.mark.integration
def test_labels_of_another_level_without_shift(job):
    assert job(settings={'composition': 'keep'}) == ENERGY_SHIFT
    assert 'eV/atom before the training' in read('status.json')['message']


@pytest.mark.integration
def test_divergence(job):
    code = job(settings={'epochs': 6, 'learning_rate': 1.0, 'optimizer': 'SGD', 'energy_weight': 1e6})
    assert code != FINISHED
    assert code in (DIVERGED, 44), read('status.json')


@pytest.mark.integration
def test_sets_that_are_refused(job, sets, r2scan):
    no_stress = sets['valid'].stresses.copy()
    no_stress[1] = np.nan
    from dataclasses import replace

    assert job('stress', change={'valid': replace(sets['valid'], stresses=no_stress)}) == BAD_INPUT
    assert 'frame 1 of `valid` has no stress' in read('status.json')['message']
    lonely = bulk('Mg', 'sc', a=9.0)
    frame = LabelledFrame(
        lonely.numbers.astype(np.int64), lonely.positions, lonely.cell.array, 0.0, np.zeros((1, 3)), np.zeros(6)
    )
    both = LabelledFrames.concatenate([sets['train'], LabelledFrames.from_frames([frame])])
    assert job('lonely', change={'train': both}) == BAD_INPUT
    assert 'frame 12 of `train` has an atom without neighbours' in read('status.json')['message']


@pytest.mark.integration
def test_units_and_sign_of_the_stress(chgnet, sets, r2scan):
    """The target of the stress is the strain derivative of the energy, by finite differences of the labels' model."""
    from ase.stress import voigt_6_to_full_3x3_stress

    from aiida_hdiff.engine.train_chgnet_data import FramesOfChgnet, stress_matrix, voigt

    model = r2scan.model
    frames = sets['valid']
    found = FramesOfChgnet('valid', frames, model, 'efs')
    for index in range(2):
        atoms = frames[index].to_ase()
        numerical, step = np.zeros((3, 3)), 2e-3
        for row in range(3):
            for column in range(3):
                energies = []
                for sign in (1, -1):
                    strained, strain = atoms.copy(), np.eye(3)
                    strain[row, column] += sign * step / 2
                    strain[column, row] += sign * step / 2
                    strained.set_cell(atoms.cell.array @ strain, scale_atoms=True)
                    strained.calc = r2scan
                    energies.append(float(strained.get_potential_energy()))
                numerical[row, column] = (energies[0] - energies[1]) / (2 * step) / atoms.get_volume() * GPA
        graph, targets = found[index]
        np.testing.assert_allclose(targets['s'].numpy(), numerical, atol=0.15)
        assert np.abs(numerical).max() > 1.0
        np.testing.assert_allclose(model.predict_graph(graph, task='efs')['s'], targets['s'].numpy(), atol=1e-3)
        np.testing.assert_allclose(
            stress_matrix(frames[index].stress), voigt_6_to_full_3x3_stress(frames[index].stress)
        )
        np.testing.assert_allclose(voigt(stress_matrix(frames[index].stress)), frames[index].stress)


@pytest.mark.integration
def test_files_that_are_no_foundation(job):
    from tests.model_files import hostile_model

    assert job('code', foundation=hostile_model()) == MODEL_REFUSED
    assert not Path('code_was_run').exists()


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        ({'epoch': 3}, 'unknown setting `epoch`: did you mean `epochs`?'),
        ({'nonsense': 3}, 'unknown setting `nonsense`: known are'),
        ({'epochs': 0}, '`epochs` is 0: give a whole number of at least 1'),
        ({'batch_size': 2.5}, '`batch_size` is 2.5'),
        ({'learning_rate': 0.0}, '`learning_rate` is 0.0: give a number above 0'),
        ({'energy_weight': 0.0}, '`energy_weight` is 0: a potential for molecular dynamics needs'),
        ({'stress_weight': -1}, '`stress_weight` is -1: give a number of at least 0'),
        ({'composition': 'fit'}, "`composition` is 'fit': give one of shift, shift_and_train, keep"),
        ({'freeze': 5}, '`freeze` is 5: give one of none, embeddings, all_but_last'),
        ({'seed': -1}, '`seed` is -1'),
        ({'max_energy_shift_eV_per_atom': 0}, '`max_energy_shift_eV_per_atom` is 0'),
    ],
)
def test_settings_that_are_refused(values, message):
    assert message in chgnet_settings_error(values)
    with pytest.raises(ValueError, match='`'):
        ChgnetTrainingSettings.from_dict(values)


def test_settings_that_are_not():
    assert chgnet_settings_error({'patience': None, 'stress_weight': 0, 'max_energy_shift_eV_per_atom': None}) is None
    assert ChgnetTrainingSettings.from_dict({'epochs': 3}).as_dict()['epochs'] == 3


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'nonsense': 1}, 'unknown key `nonsense`'),
        ({'threads': 0}, '`threads` is 0'),
        ({'max_seconds': -1}, '`max_seconds` is -1'),
        ({'model': None}, '`model` is missing'),
        ({'sets': {'train': 'a.npz'}}, '`sets` must name the files of `train`, `valid`'),
        ({'settings': {'epochs': 'x'}}, '`settings`: `epochs` is'),
    ],
)
def test_inputs_that_are_refused(change, message):
    from aiida_hdiff.engine.exit_codes import EngineError

    values = {'model': 'm', 'sets': {'train': 'a.npz', 'valid': 'b.npz'}, 'settings': {}, **change}
    with pytest.raises(EngineError) as caught:
        ChgnetTrainingInput.from_dict(values)
    assert message in str(caught.value)
    assert caught.value.exit_code == BAD_INPUT
