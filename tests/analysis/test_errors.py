"""Errors of predictions, against sums written out by hand and against a fit by another method."""

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from scipy.optimize import lsq_linear

from aiida_hdiff.analysis.error_summary import error_summary
from aiida_hdiff.analysis.errors import Predictions, compositions, element_offsets
from aiida_hdiff.formats import LabelledFrame, LabelledFrames

GPA = 160.2176634


def labelled(counts, seed=0, origins=None, config_types=None):
    """Return frames with random labels; ``counts`` are the numbers of Mg and H in each."""
    rng, frames = np.random.default_rng(seed), []
    for index, (n_mg, n_h) in enumerate(counts):
        atoms = Atoms(f'Mg{n_mg}' + (f'H{n_h}' if n_h else ''), cell=np.eye(3) * 5.0, pbc=True)
        n_atoms = len(atoms)
        frames.append(
            LabelledFrame(
                numbers=atoms.numbers.astype(np.int64),
                positions=rng.uniform(0.0, 5.0, (n_atoms, 3)),
                cell=np.eye(3) * 5.0,
                energy=float(rng.normal(-1.5 * n_mg - 3.0 * n_h, 0.1)),
                forces=rng.normal(0.0, 1.0, (n_atoms, 3)),
                stress=None if index == 1 else rng.normal(0.0, 0.01, 6),
                origin=origins[index] if origins else f'md:{index}',
                config_type=config_types[index] if config_types else '',
            )
        )
    return LabelledFrames.from_frames(frames)


COUNTS = [(4, 0), (4, 1), (4, 2), (4, 1), (3, 2), (4, 2), (4, 2)]


def predicted(frames, seed=5, energies=None):
    rng = np.random.default_rng(seed)
    return Predictions(
        frames=frames,
        energies=frames.energies + rng.normal(0.0, 0.02, len(frames)) if energies is None else energies,
        forces=frames.forces + rng.normal(0.0, 0.05, frames.forces.shape),
        stresses=frames.stresses + rng.normal(0.0, 0.001, frames.stresses.shape),
    )


@pytest.fixture
def predictions():
    """Return predictions with errors of all three kinds."""
    return predicted(labelled(COUNTS))


def test_whole_set_by_hand(predictions):
    frames, summary = predictions.frames, error_summary(predictions)
    squares, absolutes, largest = 0.0, 0.0, 0.0
    for index, frame in enumerate(frames):
        error = (predictions.energies[index] - frame.energy) / len(frame.numbers) * 1000.0
        squares, absolutes, largest = squares + error**2, absolutes + abs(error), max(largest, abs(error))
    energy = summary['energy_meV_per_atom']
    assert energy['rmse'] == pytest.approx((squares / len(frames)) ** 0.5, rel=1e-12)
    assert energy['mae'] == pytest.approx(absolutes / len(frames), rel=1e-12)
    assert energy['max'] == pytest.approx(largest, rel=1e-12)

    components = [
        (float(predictions.forces[atom, axis]) - float(frames.forces[atom, axis])) * 1000.0
        for atom in range(len(frames.numbers))
        for axis in range(3)
    ]
    force = summary['force_meV_A']
    assert force['rmse'] == pytest.approx((sum(one**2 for one in components) / len(components)) ** 0.5, rel=1e-12)
    assert force['mae'] == pytest.approx(sum(map(abs, components)) / len(components), rel=1e-12)
    assert force['mean'] == pytest.approx(sum(components) / len(components), rel=1e-9)

    stresses = [
        predictions.stresses[index, axis] - frames.stresses[index, axis]
        for index in range(len(frames))
        if index != 1
        for axis in range(6)
    ]
    rms = (sum(one**2 for one in stresses) / len(stresses)) ** 0.5
    assert summary['stress_GPa']['rmse'] == pytest.approx(rms * GPA, rel=1e-12)
    assert summary['stress_meV_A3']['rmse'] == pytest.approx(rms * 1000.0, rel=1e-12)
    assert (summary['n_with_stress'], summary['n_frames'], summary['n_atoms']) == (6, 7, len(frames.numbers))


def test_by_element_and_by_hydrogen(predictions):
    frames, summary = predictions.frames, error_summary(predictions)
    for symbol, number in (('H', 1), ('Mg', 12)):
        errors = (predictions.forces - frames.forces)[frames.numbers == number]
        found = summary['by_element'][symbol]
        assert found['force_meV_A']['rmse'] == pytest.approx(1000.0 * np.sqrt(np.mean(errors**2)))
        assert found['n_atoms'] == int(sum(frames.numbers == number))
    rows = {row['value']: row for row in summary['by_n_hydrogen']}
    assert [row['value'] for row in summary['by_n_hydrogen']] == [0, 1, 2]
    assert [rows[n]['n_frames'] for n in (0, 1, 2)] == [1, 2, 4]
    chosen = [1, 3]
    expected = [(predictions.energies[i] - frames.energies[i]) / 5 * 1000.0 for i in chosen]
    assert rows[1]['energy_meV_per_atom']['rmse'] == pytest.approx(np.sqrt(np.mean(np.square(expected))))
    forces = np.concatenate([(predictions.forces - frames.forces)[slice(*frames.offsets[i : i + 2])] for i in chosen])
    assert rows[1]['force_meV_A']['mae'] == pytest.approx(1000.0 * np.abs(forces).mean())
    assert rows[0]['force_meV_A']['rmse'] != pytest.approx(rows[1]['force_meV_A']['rmse'])


def test_temperatures_of_runs_and_of_moments():
    origins = ['a_300K:0', 'a_300K:10', 'step 5 712.0 K', 'step 6 688.0 K', 'unknown', 'a_600K:0', 'a_600K:1']
    rows = error_summary(predicted(labelled(COUNTS, origins=origins)))['by_temperature']
    assert [(row['value'], row['n_frames']) for row in rows] == [
        (300.0, 2),
        (600.0, 2),
        (650.0, 1),
        (750.0, 1),
        (None, 1),
    ]


def test_offsets_of_the_elements_are_found_and_removed():
    frames = labelled(COUNTS)
    n_h = np.array([h for _, h in COUNTS], dtype=float)
    n_mg = np.array([mg for mg, _ in COUNTS], dtype=float)
    noise = np.random.default_rng(2).normal(0.0, 0.003, len(COUNTS)) * (n_h + n_mg)
    predictions = predicted(frames, energies=frames.energies + 0.7 * n_h - 2.3 * n_mg + noise)
    fit = element_offsets(frames, predictions.energy_errors)
    assert fit.numbers == (1, 12)
    independent = lsq_linear(
        np.stack([n_h, n_mg], axis=1) / (n_h + n_mg)[:, None], predictions.energy_errors, tol=1e-14
    ).x
    np.testing.assert_allclose(fit.offsets_eV, independent, atol=1e-10)
    np.testing.assert_allclose(fit.offsets_eV, [0.7, -2.3], atol=0.02)
    summary = error_summary(predictions)
    assert summary['energy_meV_per_atom']['rmse'] > 1000.0
    shifted = summary['energy_meV_per_atom_without_element_offsets']
    assert shifted['rmse'] < 4.0
    assert shifted['offsets_eV']['H'] == pytest.approx(independent[0])
    assert (shifted['n_constants'], shifted['offsets_unique']) == (2, True)


def test_offsets_of_one_composition_are_not_unique_but_remove_its_mean():
    frames = labelled([(4, 2)] * 5)
    predictions = predicted(frames, energies=frames.energies + 12.0)
    fit = element_offsets(frames, predictions.energy_errors)
    assert fit.rank == 1
    np.testing.assert_allclose(fit.errors, 0.0, atol=1e-12)
    assert not error_summary(predictions)['energy_meV_per_atom_without_element_offsets']['offsets_unique']


def test_offsets_of_compositions_are_their_mean_errors(predictions):
    frames, summary = predictions.frames, error_summary(predictions)
    found = summary['energy_meV_per_atom_without_composition_offsets']
    errors = (predictions.energies - frames.energies) / frames.n_atoms * 1000.0
    groups = [errors[[1, 3]], errors[[2, 5, 6]]]
    left = np.concatenate([group - group.mean() for group in groups])
    assert found['rmse'] == pytest.approx(np.sqrt((left**2).mean()))
    assert (found['n_frames'], found['n_constants']) == (5, 2)
    assert found['offsets_meV_per_atom'] == {
        'HMg4': pytest.approx(groups[0].mean()),
        'H2Mg4': pytest.approx(groups[1].mean()),
    }
    alone = predicted(labelled([(4, 0), (4, 1)]))
    assert error_summary(alone)['energy_meV_per_atom_without_composition_offsets'] == {
        'n_frames': 0,
        'n_constants': 0,
        'offsets_meV_per_atom': {},
    }


def test_worst_frames(predictions):
    frames = predictions.frames
    forces = frames.forces.copy()
    forces[slice(*frames.offsets[4:6])] += 3.0
    energies = frames.energies.copy()
    energies[2] -= 9.0
    summary = error_summary(replace(predictions, forces=forces, energies=energies), n_worst=2)
    assert summary['worst_by_force'][0]['frame'] == 4
    worst = summary['worst_by_force'][0]
    assert worst['origin'] == 'md:4'
    assert worst['force_rmse_meV_A'] == pytest.approx(3000.0)
    assert worst['force_max_meV_A'] == pytest.approx(3000.0)
    assert summary['worst_by_energy'][0]['frame'] == 2
    assert summary['worst_by_energy'][0]['energy_error_meV_per_atom'] == pytest.approx(-1500.0)
    assert len(summary['worst_by_force']) == 2


def test_perfect_predictions_have_no_error():
    frames = labelled(COUNTS)
    summary = error_summary(Predictions(frames, frames.energies, frames.forces, frames.stresses))
    for name in ('energy_meV_per_atom', 'force_meV_A', 'stress_GPa'):
        assert summary[name] == {'rmse': 0.0, 'mae': 0.0, 'mean': 0.0, 'max': 0.0}


def test_sets_without_stress():
    frames = labelled(COUNTS)
    summary = error_summary(Predictions(frames, frames.energies, frames.forces, np.full((len(frames), 6), np.nan)))
    assert summary['stress_GPa'] is None
    assert summary['by_n_hydrogen'][0]['stress_GPa'] is None


def test_shares_of_elements():
    numbers, shares = compositions(labelled([(4, 0), (3, 1)]))
    assert numbers == (1, 12)
    np.testing.assert_array_equal(shares, [[0.0, 1.0], [0.25, 0.75]])


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'energies': np.zeros(3)}, r'predicted energies have shape \(3,\), not \(7,\)'),
        ({'forces': np.zeros((1, 3))}, 'predicted forces have shape'),
        ({'energies': np.array([0, 0, np.nan, 0, 0, 0, 0.0])}, 'the predicted energy of frame 2 is not finite'),
    ],
)
def test_bad_predictions(predictions, change, message):
    with pytest.raises(ValueError, match=message):
        replace(predictions, **change)


def test_forces_that_are_not_finite(predictions):
    forces = predictions.forces.copy()
    forces[predictions.frames.offsets[3]] = np.inf
    with pytest.raises(ValueError, match='predicted forces of frame 3 are not finite'):
        replace(predictions, forces=forces)


def test_no_frames_and_negative_numbers(predictions):
    with pytest.raises(ValueError, match='no frames to compare'):
        Predictions(predictions.frames.select([]), np.empty(0), np.empty((0, 3)), np.empty((0, 6)))
    with pytest.raises(ValueError, match='n_worst is -1'):
        error_summary(predictions, n_worst=-1)
