"""A committee that watches over whole runs of ``hdiff-engine md``: Lennard-Jones potentials that differ."""

import json

import numpy as np
import pytest
from ase.calculators.lj import LennardJones

from aiida_hdiff.analysis.committee import force_deviations
from aiida_hdiff.engine import exit_codes, md
from aiida_hdiff.engine.committee_settings import CommitteeSettings
from aiida_hdiff.engine.parameters import MDParameters, parameters_error

from .conftest import DEFAULTS, copper

EPSILONS = (0.40, 0.41, 0.38)
"""Of the potential that moves the atoms, and of the further members (eV)."""
SETTINGS = {'every_steps': 5, 'threshold_eV_A': 1e-9}


def hydride():
    atoms = copper((2, 1, 1))
    atoms.numbers[3] = 1
    return atoms


@pytest.fixture
def watched(engine, tmp_path):
    """Give a function that runs a stage with a committee; ``committee=None`` without."""
    for index, epsilon in enumerate(EPSILONS):
        model = {'epsilon_eV': epsilon, 'sigma_A': 2.3, 'cutoff_A': 5.0}
        (tmp_path / f'lj{index}.json').write_text(json.dumps(model))

    def run(atoms=None, committee=SETTINGS, copy=(), job=None, members=2, **parameters):
        potentials = [
            {'architecture': 'lennard_jones', 'file': f'lj{index}.json', 'options': {}}
            for index in range(len(EPSILONS))
        ]
        return engine(
            hydride() if atoms is None else atoms,
            potential=potentials[0],
            copy=[*((tmp_path / f'lj{index}.json', f'lj{index}.json') for index in range(len(EPSILONS))), *copy],
            job={'committee': potentials[1 : 1 + members] if committee else [], **(job or {})},
            committee=committee,
            **{'steps': 40, 'output_interval': 5, 'ensemble': 'nvt', **parameters},
        )

    return run


def record_of(run, name='final.npz'):
    return {key[10:]: value for key, value in run.arrays(name).items() if key.startswith('committee_')}


@pytest.mark.parametrize('ensemble', ['nvt', 'npt'])
def test_deviations_are_those_of_the_frames(watched, ensemble):
    run = watched(ensemble=ensemble)
    assert run.code == exit_codes.FINISHED, run.status
    record, frames = record_of(run), run.frames
    assert record['steps'].tolist() == frames['step'].tolist() == list(range(0, 41, 5))
    atoms = hydride()
    for index, frame in enumerate(frames):
        atoms.set_cell(frame['cell'])
        atoms.positions[:] = frame['positions']
        forces = []
        for epsilon in EPSILONS:
            atoms.calc = LennardJones(epsilon=epsilon, sigma=2.3, rc=5.0, smooth=True)
            forces.append(atoms.get_forces())
        expected = force_deviations(forces)
        assert record['deviations'][index] == pytest.approx(expected.max(), rel=1e-4, abs=1e-7)
        assert record['hydrogen_deviations'][index] == pytest.approx(expected[3], rel=1e-4, abs=1e-7)
        if index:
            assert record['atoms'][index] == expected.argmax()
            assert record['frame_positions'][-len(frames) + index] == pytest.approx(frame['positions'])


def test_the_committee_does_not_disturb_the_run(watched):
    alone, run = watched(committee=None), watched()
    assert np.array_equal(alone.frames['positions'], run.frames['positions'])
    assert not record_of(alone)


def test_uncertain_frames_stay_spread_over_the_run(watched):
    record = record_of(watched(committee={**SETTINGS, 'every_steps': 1, 'max_frames': 6}))
    assert len(record['steps']) == 41
    assert record['n_flagged'] == 40
    assert record['frame_steps'].tolist() == [1, 9, 17, 25, 33]
    assert record['frame_positions'].shape == (5, 8, 3)
    assert record['frame_cells'].shape == (5, 3, 3)


def test_a_certain_committee_keeps_no_frames(watched):
    record = record_of(watched(committee={**SETTINGS, 'threshold_eV_A': 100.0}))
    assert record['n_flagged'] == 0
    assert record['frame_positions'].shape == (0, 8, 3)


def test_stop_at_the_first_uncertain_step(watched):
    seen = record_of(watched())
    threshold = 0.5 * (np.sort(seen['deviations'])[-1] + np.sort(seen['deviations'])[-2])
    step = int(seen['steps'][seen['deviations'] > threshold][0])
    assert 0 < step
    factor = 2.5
    settings = {'every_steps': 5, 'threshold_eV_A': factor * threshold, 'calibration_factor': factor, 'action': 'stop'}
    run = watched(committee=settings)
    assert run.code == exit_codes.UNCERTAIN
    assert run.status['state'] == 'uncertain'
    assert run.status['message'].startswith(f'step {step}: the committee expects an error of ')
    assert run.frames['step'].tolist() == list(range(0, step + 1, 5))
    record, final = record_of(run), run.arrays('final.npz')
    assert final['step'] == step
    assert record['steps'].tolist() == list(range(0, step + 1, 5))
    assert record['frame_steps'].tolist() == [step]
    assert record['frame_positions'][0] == pytest.approx(final['positions'])
    # What it stopped at can be gone on from, once the committee is better or the user bolder.
    copy, job = [(run.folder / 'final.npz', 'from.npz')], {'checkpoint': 'from.npz'}
    rest = watched(committee={**settings, 'action': 'flag'}, copy=copy, job=job)
    assert rest.code == exit_codes.FINISHED
    assert record_of(rest)['deviations'] == pytest.approx(seen['deviations'], rel=1e-6, abs=1e-9)


def test_stop_at_the_start(watched):
    atoms = hydride()
    atoms.rattle(0.05, seed=2)
    run = watched(atoms, committee={**SETTINGS, 'action': 'stop'})
    assert run.code == exit_codes.UNCERTAIN
    assert run.frames['step'].tolist() == [0]
    assert run.arrays('final.npz')['step'] == 0


def test_a_restart_keeps_the_record(watched, monkeypatch):
    settings = {**SETTINGS, 'every_steps': 3, 'max_frames': 4}
    whole = watched(committee=settings)
    calls = iter(range(1000))
    with monkeypatch.context() as patch:
        patch.setattr(md, 'stop_requests', lambda: lambda: 'SIGTERM' if next(calls) == 23 else None)
        first = watched(committee=settings)
    assert first.code == exit_codes.INTERRUPTED
    assert record_of(first, 'checkpoint.npz')['steps'].tolist() == list(range(0, 23, 3))
    copy, job = [(first.folder / 'checkpoint.npz', 'from.npz')], {'checkpoint': 'from.npz'}
    rest = watched(committee=settings, copy=copy, job=job)
    for name, value in record_of(whole).items():
        assert record_of(rest)[name] == pytest.approx(value, rel=1e-6, abs=1e-9), name


def test_a_member_that_fails(watched, tmp_path):
    (tmp_path / 'lj1.json').write_text('{"epsilon_eV": NaN, "sigma_A": 2.3, "cutoff_A": 5.0}')
    run = watched()
    assert run.code == exit_codes.EXPLODED
    assert 'not finite' in run.status['message']
    (tmp_path / 'lj1.json').write_text('{}')
    assert watched().code == exit_codes.MODEL_NOT_LOADED


@pytest.mark.parametrize('case', [{'members': 0}, {'committee': None, 'job': {'committee': [{'architecture': 'emt'}]}}])
def test_settings_and_models_belong_together(watched, case):
    run = watched(**case)
    assert run.code == exit_codes.BAD_INPUT
    assert 'both its models and `parameters.committee`' in run.status['message']


@pytest.mark.parametrize(
    ('committee', 'message'),
    [
        ('flag', "`committee` is 'flag': give a mapping"),
        ({'every_steps': 5}, '`committee.threshold_eV_A` is missing'),
        ({**SETTINGS, 'every_step': 5}, 'unknown setting `committee.every_step`. Did you mean `every_steps`?'),
        ({**SETTINGS, 'every_steps': 0}, '`committee.every_steps` is 0: give a whole number of at least 1'),
        ({**SETTINGS, 'every_steps': 50}, '`committee.every_steps` (50) is longer than the run'),
        ({**SETTINGS, 'threshold_eV_A': 0}, '`committee.threshold_eV_A` is 0: give a positive number'),
        ({**SETTINGS, 'calibration_factor': float('inf')}, '`committee.calibration_factor` is inf'),
        ({**SETTINGS, 'max_frames': 1.5}, '`committee.max_frames` is 1.5'),
        ({**SETTINGS, 'action': 'halt'}, "`committee.action` is 'halt': choose one of flag, stop"),
    ],
)
def test_settings_that_are_refused(committee, message):
    assert message in parameters_error({**DEFAULTS, 'committee': committee})


def test_settings_come_back():
    parameters = MDParameters.from_dict({**DEFAULTS, 'committee': SETTINGS})
    assert parameters.committee == CommitteeSettings(5, 1e-9)
    assert MDParameters.from_dict(parameters.as_dict()) == parameters
    assert 'committee' not in MDParameters.from_dict(DEFAULTS).as_dict()


def test_a_fast_member_that_is_wrong_is_replaced(watched, monkeypatch):
    """A committee must not see the difference between two calculators of one model."""
    from aiida_hdiff.engine import committee as module
    from aiida_hdiff.engine.implementations import REFERENCE

    seen, build = record_of(watched()), module.build_calculator

    def wrong(potential, **kwargs):
        calculator = LennardJones(epsilon=1.0, sigma=2.3, rc=5.0, smooth=True)
        setattr(calculator, REFERENCE, lambda: build(potential, **kwargs))
        return calculator

    monkeypatch.setattr(module, 'build_calculator', wrong)
    assert record_of(watched())['deviations'] == pytest.approx(seen['deviations'])
    run = watched(calculator='fast')
    assert run.code in (exit_codes.BAD_INPUT, exit_codes.MODEL_NOT_LOADED)
