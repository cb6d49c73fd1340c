"""MACE by the kernels of Symmetrix-XL against mace-torch: conversion, comparison, runs, and where it does not apply.

The kernels are those that need no compiler; compiling others for a model takes minutes.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from aiida_hdiff.engine.cli import main
from aiida_hdiff.engine.exit_codes import (
    BAD_INPUT,
    CONVERSION_DIFFERS,
    FINISHED,
    MISSING_PACKAGE,
    MODEL_NOT_LOADED,
    MODEL_REFUSED,
    NOT_CONVERTIBLE,
)
from tests.model_files import genuine_model, hostile_model

STAGE = {
    'ensemble': 'npt', 'temperature_K': 300.0, 'steps': 4, 'timestep_fs': 0.5, 'output_interval': 2, 'seed': 1,
}  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Work in a folder with a structure, without a compiler."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('CXX', '/no/such/compiler')
    atoms = bulk('Mg', 'hcp', a=3.21, c=5.21).repeat((2, 2, 1))
    atoms += Atoms('H', positions=[atoms.positions[0] + [0, 0, 0.625 * 5.21]])
    atoms.rattle(0.05, seed=1)
    np.savez('start.npz', numbers=atoms.numbers, positions=atoms.positions, cell=atoms.cell.array, pbc=atoms.pbc)
    return tmp_path


def write_model(path='potential.0', *, irreps='4x0e', max_ell=3, correlation=3, seed=1, scale=30.0):
    """Write a small MACE with random weights."""
    import mace  # noqa: F401  (lets e3nn load its constants)
    import torch
    from e3nn import o3
    from mace import modules

    torch.manual_seed(seed)
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        model = modules.ScaleShiftMACE(
            r_max=4.0, num_bessel=4, num_polynomial_cutoff=5, max_ell=max_ell,
            interaction_cls=modules.interaction_classes['RealAgnosticResidualInteractionBlock'],
            interaction_cls_first=modules.interaction_classes['RealAgnosticInteractionBlock'],
            num_interactions=2, num_elements=2, hidden_irreps=o3.Irreps(irreps), MLP_irreps=o3.Irreps('4x0e'),
            gate=torch.nn.functional.silu, atomic_energies=np.array([-3.4, -1.7]), avg_num_neighbors=20.0,
            atomic_numbers=[1, 12], correlation=correlation, radial_type='bessel', radial_MLP=[8, 8],
            atomic_inter_scale=scale, atomic_inter_shift=0.1,
        )  # fmt: skip
        torch.save(model, path)
    finally:
        torch.set_default_dtype(default)


def run(command, file='potential.0', converted='converted.json', dtype='float64', **values):
    """Run the engine in this folder; return its exit code and status."""
    potential = {'architecture': 'mace', 'file': file, 'options': {'dtype': dtype}}
    if command == 'md':
        values = {'parameters': {**STAGE, **values}}
        potential |= {} if converted is None else {'converted': converted}
    values = {'potential': potential, 'start': 'start.npz', 'threads': 1, **values}
    Path('input.json').write_text(json.dumps(values))
    code = main([command, 'input.json'])
    return code, json.loads(Path('status.json').read_text())


def energies():
    from aiida_hdiff.formats.frame_stream import read_frame_stream

    return read_frame_stream(Path('frames.bin'))['potential_energy']


@pytest.mark.integration
class TestWithSymmetrix:
    @pytest.fixture(autouse=True)
    def _needs(self, folder):
        pytest.importorskip('symmetrix', reason='symmetrix-xl is not installed')
        pytest.importorskip('mace', reason='mace-torch is not installed')

    @pytest.mark.parametrize(
        ('irreps', 'dtype'), [('4x0e', 'float64'), ('4x0e + 4x1o', 'float64'), ('4x0e', 'float32')]
    )
    def test_conversion_and_run(self, irreps, dtype):
        write_model(irreps=irreps)
        code, status = run('convert-mace', dtype=dtype)
        assert code == FINISHED, status
        assert 'symmetrix-xl' in status['versions']
        comparison = json.loads(Path('comparison.json').read_text())
        assert comparison['calculator']['variant'] == 'non-compiled'
        assert 'kernels were not compiled' in comparison['calculator']['warning']
        assert len(comparison['frames']) == 3
        for frame in comparison['frames']:
            assert frame['largest_force_eV_A'] > 0.1
            assert frame['forces_eV_A'] < (1e-5 if dtype == 'float64' else 1e-4) * frame['largest_force_eV_A']
        found = {}
        for calculator in ('auto', 'fast', 'stock'):
            code, status = run('md', dtype=dtype, calculator=calculator)
            assert code == FINISHED, status
            found[calculator] = energies()
            name = 'mace_torch' if calculator == 'stock' else 'symmetrix'
            assert status['calculator']['implementation'] == name
            assert ('check' in status['calculator']) == (name == 'symmetrix')
        np.testing.assert_allclose(found['auto'], found['fast'], rtol=1e-12)
        np.testing.assert_allclose(found['auto'], found['stock'], atol=1e-5 if dtype == 'float64' else 1e-3)

    def test_other_conversions_of_the_same_name(self):
        """A file made from another model is found out on the first structure."""
        write_model('other.0', seed=2)
        code, status = run('convert-mace', file='other.0')
        assert code == FINISHED, status
        write_model()
        code, status = run('md', calculator='fast')
        assert code == MODEL_NOT_LOADED
        assert 'does not give what the model does' in status['message']
        code, status = run('md')
        assert code == FINISHED
        assert 'was not used' in status['calculator']['warning']
        found = energies()
        run('md', calculator='stock')
        np.testing.assert_array_equal(found, energies())

    def test_a_conversion_that_differs_is_refused(self, monkeypatch):
        from symmetrix import extract_mace_data

        def wrong(*arguments, **options):
            data = right(*arguments, **options)
            return {**data, 'readout_1_weights': [1.1 * one for one in data['readout_1_weights']]}

        right = extract_mace_data.extract_mace_data
        monkeypatch.setattr(extract_mace_data, 'extract_mace_data', wrong)
        write_model()
        code, status = run('convert-mace')
        assert code == CONVERSION_DIFFERS
        assert 'differs by' in status['message']

    def test_converted_files_that_symmetrix_does_not_read(self):
        write_model()
        Path('converted.json').write_text('{"model_type": "MACE"}')
        code, status = run('md')
        assert code == FINISHED
        assert status['calculator']['implementation'] == 'mace_torch'
        assert 'cannot run the converted model here' in status['calculator']['warning']

    def test_models_that_cannot_be_converted(self):
        write_model(max_ell=2)
        code, status = run('convert-mace')
        assert code == NOT_CONVERTIBLE
        assert 'l_max=3' in status['message']
        assert '`max_ell: 3`' in status['message']
        write_model(correlation=2)
        code, status = run('convert-mace')
        assert code == NOT_CONVERTIBLE
        assert '`correlation: 3`' in status['message']

    def test_hostile_files_are_not_opened(self, folder):
        (folder / 'potential.0').write_bytes(hostile_model(f'touch {folder / "ran"}'))
        assert run('convert-mace')[0] == MODEL_REFUSED
        write_model()
        (folder / 'converted.json').write_bytes(hostile_model(f'touch {folder / "ran"}'))
        code, status = run('md')
        assert code == MODEL_REFUSED
        assert 'it is no JSON' in status['message']
        assert not (folder / 'ran').exists()


@pytest.mark.integration
def test_without_conversion_mace_torch_runs(folder):
    pytest.importorskip('mace', reason='mace-torch is not installed')
    write_model()
    code, status = run('md', converted=None)
    assert code == FINISHED, status
    assert status['calculator']['implementation'] == 'mace_torch'
    assert 'has not been converted' in status['calculator']['warning']
    code, status = run('md', converted=None, calculator='fast')
    assert code == BAD_INPUT
    assert 'has not been converted' in status['message']


def test_without_the_packages(folder):
    from importlib.util import find_spec

    if find_spec('torch') is not None:
        pytest.skip('torch is installed here')
    (folder / 'potential.0').write_bytes(genuine_model('mace'))
    code, status = run('convert-mace')
    assert code == MISSING_PACKAGE
    assert 'pip install "aiida-hdiff[mace]"' in status['message']


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'potential': {'architecture': 'emt'}}, '`potential` must be of architecture mace, with its `file`'),
        ({'potential': {'architecture': 'mace'}}, '`potential` must be of architecture mace, with its `file`'),
        ({'start': None}, '`start` is missing'),
        ({'nonsense': 1}, 'unknown key `nonsense`'),
        ({'threads': 0}, '`threads` is 0'),
    ],
)
def test_inputs_that_are_refused(folder, change, message):
    code, status = run('convert-mace', **change)
    assert code == BAD_INPUT
    assert message in status['message']
