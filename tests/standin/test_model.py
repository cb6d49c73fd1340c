"""The force field of the stand-in: derivatives, regression and its errors."""

import numpy as np
import pytest

from aiida_hdiff.standin.features import Features
from aiida_hdiff.standin.ml_files import labels_of, read_force_field
from aiida_hdiff.standin.model import Model
from aiida_hdiff.standin.reference import Labels, Reference
from tests.standin import cases

RNG = np.random.default_rng(2)


def structure(n_hydrogen=2, amplitude=0.1, strain=0.0):
    atoms = cases.nickel_hydride(n_hydrogen)
    cell = atoms.cell.array @ (np.eye(3) + strain * RNG.normal(size=(3, 3)))
    positions = atoms.get_scaled_positions() @ cell + amplitude * RNG.normal(size=atoms.positions.shape)
    return np.array([0] * 32 + [1] * n_hydrogen), cell, positions


@pytest.mark.parametrize('cutoff_A', [3.0, 5.7])
def test_forces_and_stress_are_derivatives(cutoff_A):
    features = Features(('Ni', 'H'), cutoff_A)
    kinds, cell, positions = structure(3, strain=0.02)
    weights = 0.01 * RNG.normal(size=features.n_features)
    energy, forces, virial = features.evaluate(kinds, cell, positions, weights)
    for atom, axis in ((0, 0), (17, 1), (33, 2)):
        moved = []
        for sign in (1.0, -1.0):
            shifted = positions.copy()
            shifted[atom, axis] += sign * 1e-5
            moved.append(features.evaluate(kinds, cell, shifted, weights)[0])
        assert forces[atom, axis] == pytest.approx(-(moved[0] - moved[1]) / 2e-5, abs=2e-6)
    for i, j in ((0, 0), (0, 1), (2, 1)):
        moved = []
        for sign in (1.0, -1.0):
            strain = np.eye(3)
            strain[j, i] += sign * 1e-5
            moved.append(features.evaluate(kinds, cell @ strain, positions @ strain, weights)[0])
        assert virial[i, j] == pytest.approx((moved[0] - moved[1]) / 2e-5, abs=1e-4)
    np.testing.assert_allclose(forces.sum(axis=0), 0.0, atol=1e-10)
    np.testing.assert_allclose(virial, virial.T, atol=1e-9)
    rows = features.rows(kinds, cell, positions)
    assert rows.energy @ weights + rows.base_energy == pytest.approx(energy, abs=1e-10)
    np.testing.assert_allclose(rows.forces @ weights + rows.base_forces.ravel(), forces.ravel(), atol=1e-10)


def test_energy_does_not_depend_on_orientation_or_order():
    features = Features(('Ni', 'H'), 5.0)
    kinds, cell, positions = structure(2)
    weights = RNG.normal(size=features.n_features)
    rotation = np.linalg.qr(RNG.normal(size=(3, 3)))[0]
    order = RNG.permutation(len(kinds))
    energy, forces, _ = features.evaluate(kinds, cell, positions, weights)
    turned = features.evaluate(kinds[order], cell @ rotation, (positions @ rotation)[order], weights)
    assert turned[0] == pytest.approx(energy, rel=1e-12)
    np.testing.assert_allclose(turned[1], (forces @ rotation)[order], atol=1e-9)


def test_atoms_that_meet_repel():
    """The fixed repulsion, with no data at all."""
    features = Features(('Ni', 'H'), 5.7)
    cell, weights = 12.0 * np.eye(3), np.zeros(features.n_features)
    for kinds, distances in (((0, 0), (2.0, 1.0, 0.3)), ((0, 1), (1.3, 0.8, 0.3)), ((1, 1), (1.0, 0.5, 0.2))):
        positions = np.zeros((2, 3))
        energies = []
        for distance in distances:
            positions[1, 0] = distance
            energy, forces, _ = features.evaluate(np.array(kinds), cell, positions, weights)
            energies.append(energy)
            assert forces[1, 0] > 0.0
        assert energies == sorted(energies)
        assert energies[-1] > 5.0


@pytest.fixture(scope='module')
def trained(setfl_path):
    """A model of random structures in the EAM potential, and structures that it has not seen."""
    reference = Reference(f'eam:{setfl_path}')
    symbols = cases.nickel_hydride().get_chemical_symbols()
    frames = [structure(2, 0.12, 0.01) for _ in range(24)]
    labelled = [(*frame, reference(symbols, *frame[1:])) for frame in frames]
    model = Model(Features(('Ni', 'H'), 5.7))
    for frame in labelled[:16]:
        model.add(*frame)
    model.train()
    return model, labelled[16:]


def test_learns_the_potential(trained):
    model, unseen = trained
    errors, spreads, energies, stresses = [], [], [], []
    for kinds, cell, positions, labels in unseen:
        predicted, error = model.predict_rows(kinds, cell, model.features.rows(kinds, cell, positions))
        errors.append(predicted.forces - labels.forces)
        spreads.append(error.forces)
        energies.append((predicted.energy - labels.energy) / 34)
        stresses.append(predicted.stress_kbar - labels.stress_kbar)
        quick = model.predict(kinds, cell, positions)
        np.testing.assert_allclose(quick.forces, predicted.forces, atol=1e-8)
        assert quick.energy == pytest.approx(predicted.energy, abs=1e-8)
        np.testing.assert_allclose(quick.stress_kbar, predicted.stress_kbar, atol=1e-7)
    force_scale = np.std([labels.forces for *_, labels in unseen])
    rmse = np.sqrt(np.mean(np.square(errors)))
    assert rmse < 0.03
    assert rmse < 0.03 * force_scale
    assert np.sqrt(np.mean(np.square(energies))) < 2e-3
    assert np.sqrt(np.mean(np.square(stresses))) < 5.0
    # The posterior tells of the size of the error, within a factor of a few.
    assert 0.1 < np.sqrt(np.mean(np.square(spreads))) / rmse < 3.0


def test_posterior_variance_is_largest_where_nothing_was_seen(trained):
    model, unseen = trained
    kinds, cell, positions, _ = unseen[0]
    near = model.predict_rows(kinds, cell, model.features.rows(kinds, cell, positions))[1]
    moved = positions.copy()
    moved[33] += 0.8 * (positions[32] - positions[33]) * (1.0 - 1.6 / np.linalg.norm(positions[32] - positions[33]))
    far = model.predict_rows(kinds, cell, model.features.rows(kinds, cell, moved))[1]
    assert far.forces[33] > 5.0 * near.forces[33]
    assert np.argmax(far.forces) in (32, 33)


def test_posterior_of_a_known_linear_law():
    """Labels from the model's own features and noise: coefficients are found, the variance is that of the theory."""
    features = Features(('Ni',), 4.5)
    true = np.random.default_rng(3).normal(size=features.n_features) * 0.01
    model, noise = Model(features), 0.02
    rng = np.random.default_rng(4)
    errors, spreads = [], []
    for number in range(14):
        kinds, cell, positions = (one[:32] if i != 1 else one for i, one in enumerate(structure(2, 0.15, 0.02)))
        energy, forces, virial = features.evaluate(kinds, cell, positions, true)
        stress = -virial / np.linalg.det(cell) * 1602.1766208
        if number < 10:
            noisy = forces + noise * rng.normal(size=forces.shape)
            model.add(kinds, cell, positions, Labels(energy, noisy, stress))
            continue
        if number == 10:
            fit = model.train()
            assert fit.rmse[1] == pytest.approx(noise, rel=0.15)
        predicted, error = model.predict_rows(kinds, cell, features.rows(kinds, cell, positions))
        errors.append(predicted.forces - forces)
        spreads.append(error.forces)
    ratio = np.sqrt(np.mean(np.square(errors))) / np.sqrt(np.mean(np.square(spreads)))
    assert 0.4 < ratio < 2.5
    assert np.sqrt(np.mean(np.square(errors))) < 0.5 * noise


def test_refit_gives_the_same_coefficients_without_variance(training):
    from aiida_hdiff.formats import read_ml_ab

    features, fit, fast = read_force_field(training['refit'] / 'ML_FFN')
    assert fast
    assert fit.spread is None
    assert not read_force_field(training['train'] / 'ML_FFN')[2]
    frame = read_ml_ab(training['train'] / 'ML_ABN')[-1]
    kinds = np.array([features.elements.index(symbol) for symbol in frame.symbols])
    energy, forces, _ = features.evaluate(kinds, frame.cell, frame.positions, fit.weights)
    labels = labels_of(frame)
    assert np.sqrt(np.mean((forces - labels.forces) ** 2)) < 0.03
    assert energy + fit.atom_energies[kinds].sum() == pytest.approx(labels.energy, abs=0.05)


def test_training_set_of_several_compositions(tmp_path, setfl_path):
    """Without, with one and with two hydrogen atoms, also where the POSCAR of the refit lacks hydrogen."""
    from aiida_hdiff.formats import read_ml_ab, write_ml_ab
    from aiida_hdiff.formats.ml_ab import MLAB
    from aiida_hdiff.formats.ml_reg import read_ml_reg

    environment, frames = cases.eam(setfl_path), []
    for number in (2, 1, 0):
        tags = cases.TRAIN | {'NSW': 2, 'ISIF': 2, 'LANGEVIN_GAMMA': '10 10' if number else '10', 'ML_CTIFOR': '1E-9'}
        folder = tmp_path / f'train{number}'
        assert cases.run(folder, tags, environment, cases.nickel_hydride(number))[0] == 0
        frames += read_ml_ab(folder / 'ML_ABN')
    write_ml_ab(MLAB.from_frames(frames), tmp_path / 'ML_AB')
    for mode, number in (('refit', 0), ('select', 2)):
        tags, files = cases.REFIT | {'ML_MODE': mode}, {'ML_AB': tmp_path / 'ML_AB'}
        assert cases.run(tmp_path / mode, tags, environment, cases.nickel_hydride(number), files)[0] == 0
        fit = read_ml_reg(tmp_path / mode / 'ML_REG')
        assert len(fit.energies) == len(frames)
        assert fit.rmse_forces < 0.03
        assert fit.rmse_energy < 0.2
    for number in (0, 2):
        files = {'ML_FF': tmp_path / 'refit' / 'ML_FFN'}
        folder = tmp_path / f'run{number}'
        assert cases.run(folder, cases.RUN | {'NSW': 10}, {}, cases.nickel_hydride(number), files)[0] == 0
