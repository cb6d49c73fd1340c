"""The fast evaluation of CHGNet against the stock calculator of its package."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from aiida_hdiff.engine.calculators import build_calculator
from aiida_hdiff.engine.implementations import NotApplicableError, calculator_record, replaced_if_wrong
from aiida_hdiff.engine.md_input import Potential
from tests.model_files import genuine_model

pytestmark = pytest.mark.integration
pytest.importorskip('chgnet', reason='chgnet is not installed')


def hydride(displacement, repeat=(2, 2, 1), seed=1, strain=0.0):
    """Return magnesium with a hydrogen atom on a tetrahedral site."""
    atoms = bulk('Mg', 'hcp', a=3.21, c=5.21) * repeat
    atoms += Atoms('H', positions=[atoms.positions[0] + [0, 0, 0.625 * 5.21]])
    rng = np.random.default_rng(seed)
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain * rng.standard_normal((3, 3))), scale_atoms=True)
    atoms.positions += displacement * rng.standard_normal(atoms.positions.shape)
    return atoms


def calculators(**options):
    return [
        build_calculator(Potential('chgnet', None, options, implementation=name), with_stress=True, threads=1)
        for name in ('fast', 'stock')
    ]


def results(atoms, calculator):
    copy = atoms.copy()
    copy.calc = calculator
    return copy.get_potential_energy() / len(atoms), copy.get_forces(), copy.get_stress()


def in_float64(model_name):
    """Return the stock calculator with its weights and its graphs in double precision."""
    import torch
    from chgnet.model import model as of_model

    calculator = calculators(model_name=model_name)[1]
    network = calculator.model.double()
    of_composition = network.composition_model.float()
    energy = of_composition._get_energy
    of_composition._get_energy = lambda features: energy(features.float())
    return calculator, [(of_model, 'TORCH_DTYPE', torch.float64)]


@pytest.mark.parametrize('model_name', ['0.2.0', '0.3.0', 'r2scan'])
def test_equal_to_the_stock_calculator(model_name):
    fast, stock = calculators(model_name=model_name)
    assert calculator_record(fast)['implementation'] == 'fast_chgnet'
    assert calculator_record(stock) == {'implementation': 'chgnet'}
    for atoms in (hydride(0.05), hydride(0.05, seed=2, strain=0.02), hydride(0.03, (1, 1, 1), strain=0.01)):
        for found, expected, limit in zip(results(atoms, fast), results(atoms, stock), (2e-6, 1e-5, 1e-6), strict=True):
            np.testing.assert_allclose(found, expected, atol=limit, rtol=0)


def test_closer_to_double_precision_than_the_stock_calculator(monkeypatch):
    """Where bonds are nearly in line the stock calculator loses digits, and so it is compared in double precision."""
    import torch
    from chgnet.graph import converter

    fast, stock = calculators()
    atoms = hydride(0.15, (3, 3, 2), seed=4)
    forces, stock_forces = results(atoms, fast)[1], results(atoms, stock)[1]
    double, changes = in_float64('0.3.0')
    for module, name, value in [*changes, (converter, 'TORCH_DTYPE', torch.float64)]:
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(torch, 'get_default_dtype', torch.get_default_dtype)
    torch.set_default_dtype(torch.float64)
    try:
        exact = results(atoms, double)[1]
    finally:
        torch.set_default_dtype(torch.float32)
    assert exact.dtype == np.float64
    assert np.abs(forces - exact).max() < 1e-5
    assert np.abs(forces - exact).max() < np.abs(stock_forces - exact).max()


def test_forces_and_stress_are_derivatives_of_the_energy():
    fast, _ = calculators()
    atoms, step = hydride(0.1), 1e-2
    _, forces, stress = results(atoms, fast)
    for index, axis in ((0, 2), (8, 0), (8, 1)):
        energies = []
        for sign in (1, -1):
            moved = atoms.copy()
            moved.positions[index, axis] += sign * step
            energies.append(results(moved, fast)[0] * len(atoms))
        assert -(energies[0] - energies[1]) / (2 * step) == pytest.approx(forces[index, axis], abs=5e-3)
    energies = []
    for sign in (1, -1):
        moved = atoms.copy()
        moved.set_cell(atoms.cell.array @ (np.eye(3) + sign * 1e-3 * np.diag([1, 0, 0])), scale_atoms=True)
        energies.append(results(moved, fast)[0] * len(atoms))
    assert (energies[0] - energies[1]) / 2e-3 / atoms.get_volume() == pytest.approx(stress[0], abs=2e-4)


def test_atoms_without_neighbours_and_molecules():
    fast, stock = calculators()
    for atoms in (
        Atoms('H', cell=[9.0] * 3, pbc=True),
        Atoms('H2', positions=[[0, 0, 0], [0, 0, 0.8]], cell=[9.0] * 3, pbc=False),
        Atoms('Mg2', positions=[[0, 0, 0], [0, 0, 5.5]], cell=[20.0] * 3, pbc=[True, False, True]),
    ):
        for found, expected in zip(results(atoms, fast), results(atoms, stock), strict=True):
            np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_trained_file_and_its_check(tmp_path):
    path = tmp_path / 'potential.0'
    path.write_bytes(genuine_model('chgnet'))
    atoms = hydride(0.1)
    atoms.calc = build_calculator(Potential('chgnet', str(path), {}), with_stress=True, threads=1)
    atoms.get_forces()
    assert not replaced_if_wrong(atoms, 'auto')
    record = calculator_record(atoms.calc)
    assert record['implementation'] == 'fast_chgnet'
    assert record['check']['forces_eV_A'] < 1e-4


def test_builds_that_are_not_known():
    from chgnet.model import CHGNet

    from aiida_hdiff.engine.fast_chgnet import FastCHGNetCalculator

    small = {'atom_fea_dim': 4, 'bond_fea_dim': 4, 'angle_fea_dim': 4, 'atom_conv_hidden_dim': 4,
             'bond_conv_hidden_dim': 4, 'mlp_hidden_dims': (4,)}  # fmt: skip
    with pytest.raises(NotApplicableError, match='`mlp_first: False`'):
        FastCHGNetCalculator(CHGNet(**small, mlp_first=False))
    with pytest.raises(NotApplicableError, match='not float32'):
        FastCHGNetCalculator(CHGNet(**small).double())


def test_the_model_of_a_training_stays_trainable():
    stock = calculators()[1]
    assert any(one.requires_grad for one in stock.model.parameters())
