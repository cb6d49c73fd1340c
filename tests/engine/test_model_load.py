"""The unpickler that opens MACE files: a second line behind the scan."""

import contextlib
import io
import pickle

import pytest

from aiida_hdiff.engine.calculators import build_calculator
from aiida_hdiff.engine.exit_codes import MODEL_REFUSED, EngineError
from aiida_hdiff.engine.md_input import Potential
from aiida_hdiff.engine.model_load import ModelRefusedError, _MaceUnpickler, load_checkpoint, load_mace_model
from tests.engine.test_model_scan import PICKLES, SOURCES, raw
from tests.model_files import FILES, Made, Name, encode, genuine_model, hostile_model, pickled

NAMING = [
    name for name in PICKLES if name.split('_')[0] in 'system popped stack memo inst obj newobj hub proxy'.split()
]


NO_GRAPH = (
    'as_value',
    'getattr_as_value',
    'positional',
    'module_with_arguments',
    'called_value',
    'state_of_function',
    'bytes',
)
GRAPHS = [name for name in SOURCES if name not in NO_GRAPH]


@pytest.fixture(autouse=True)
def nothing_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield
    assert list(tmp_path.glob('code_was_run')) == []


def unpickle(content):
    return _MaceUnpickler(io.BytesIO(content)).load()


@pytest.mark.parametrize('name', [name for name in PICKLES if name != 'tuple_key'])
def test_nothing_runs_without_the_scan(name):
    with contextlib.suppress(Exception):
        unpickle(PICKLES[name])


@pytest.mark.parametrize('name', NAMING)
def test_names_are_refused(name):
    with pytest.raises(ModelRefusedError, match='no MACE model needs'):
        unpickle(PICKLES[name])


def test_bytes_and_getattr():
    assert unpickle(pickled(b'\x00\xffPK')) == b'\x00\xffPK'
    assert unpickle(pickle.dumps({'a': {1, 2}, 'b': b'x'}, protocol=2)) == {'a': {1, 2}, 'b': b'x'}
    with pytest.raises(ModelRefusedError, match="encodes bytes as 'rot13'"):
        unpickle(pickled(Made(Name('_codecs', 'encode'), 'x', 'rot13')))
    with pytest.raises((ModelRefusedError, ModuleNotFoundError)):
        unpickle(pickled(Made(Name('__builtin__', 'getattr'), 'x', 'join')))


@pytest.mark.integration
@pytest.mark.parametrize('name', GRAPHS)
def test_hostile_sources_are_refused_when_loaded(name):
    pytest.importorskip('mace')
    with pytest.raises(ModelRefusedError):
        unpickle(SOURCES[name])


@pytest.mark.integration
@pytest.mark.parametrize('name', FILES)
def test_genuine_models_are_loaded(tmp_path, name):
    """With and without the checks they give the same numbers."""
    architecture = name.split('-')[0]
    pytest.importorskip(architecture)
    import numpy as np
    from ase import Atoms

    path = tmp_path / 'model'
    path.write_bytes(genuine_model(name))
    atoms = Atoms(
        'Ni2H' if name == 'mace-trained' else 'Mg2H',
        positions=[[0, 0, 0], [1.5, 1.6, 1.4], [1.4, 0.2, 0.1]],
        cell=[3.1, 3.2, 3.0],
        pbc=True,
    )
    found = []
    for trusted in (False, True):
        atoms.calc = build_calculator(
            Potential(architecture, str(path), {}, trusted=trusted), with_stress=True, threads=1
        )
        found.append([atoms.get_potential_energy(), *atoms.get_forces().ravel(), *atoms.get_stress()])
    assert np.array_equal(*found)
    assert np.ptp(found[0]) > 0


@pytest.mark.integration
@pytest.mark.parametrize(('load', 'package'), [(load_mace_model, 'mace'), (load_checkpoint, 'chgnet')])
def test_hostile_models_are_refused(tmp_path, load, package):
    pytest.importorskip(package)
    path = tmp_path / 'model'
    path.write_bytes(hostile_model())
    with pytest.raises(EngineError, match='`os') as caught:
        load(path)
    assert caught.value.exit_code == MODEL_REFUSED
    assert not (tmp_path / 'code_was_run').exists()
    load(path, trusted=True)
    assert (tmp_path / 'code_was_run').exists()
    (tmp_path / 'code_was_run').unlink()


def test_popped_names_are_not_imported():
    with pytest.raises(ModelRefusedError, match='this'):
        unpickle(raw(encode(Name('this_module', 'x')) + b'0N'))
