"""Every bad input is refused before anything is submitted, by a message that names it and the remedy."""

from __future__ import annotations

import copy
import shutil
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiida import orm
from ase import Atoms
from ase.io import write

from aiida_hdiff.workflows.diffusion import DiffusionWorkChain
from aiida_hdiff.workflows.study import study_builder

STUDY: dict[str, Any] = {
    'structure': {'host': 'Ni', 'lattice': 'fcc', 'supercell': [3, 3, 3]},
    'hydrogen': {'n_hydrogen': 4, 'sites': 'octahedral', 'seed': 1},
    'potentials': {'eam': {'pair_style': 'eam/alloy', 'files': ['NiAlH_jea.eam.alloy']}},
    'temperatures_K': [800, 1000],
    'protocol': 'fast',
}


def changed(*path_and_value: Any) -> dict[str, Any]:
    """Return the study with one value changed; ``None`` removes the key."""
    *path, value = path_and_value
    study = copy.deepcopy(STUDY)
    target = study
    for key in path[:-1]:
        target = target.setdefault(key, {})
    if value is None:
        del target[path[-1]]
    else:
        target[path[-1]] = value
    return study


def validate(builder: Any) -> None:
    """Run the validators that `submit` runs."""
    error = DiffusionWorkChain.spec().inputs.validate(builder._inputs(prune=True))
    if error is not None:
        raise ValueError(error.message)


@pytest.fixture
def lmp(aiida_profile, aiida_localhost, lammps_code, monkeypatch):
    """Make the codes of a study those of the test profile, and return LAMMPS."""
    monkeypatch.setattr(
        'aiida_hdiff.workflows.study.DEFAULT_CODES',
        {'lammps': lammps_code.full_label, 'engine': lammps_code.full_label},
    )
    return lammps_code


def refusal(study: Any, folder: Path = Path()) -> str:
    before = orm.QueryBuilder().append(orm.ProcessNode, filters={'process_type': {'like': '%workflows%'}}).count()
    with pytest.raises(ValueError) as caught:
        validate(study_builder(study, folder))
    after = orm.QueryBuilder().append(orm.ProcessNode, filters={'process_type': {'like': '%workflows%'}}).count()
    assert after == before
    return str(caught.value)


def test_the_study_itself_is_good(lmp):
    validate(study_builder(STUDY, Path()))


CASES = {
    'no hydrogen': (changed('hydrogen', None), ['no hydrogen', 'insert']),
    'cell below twice the cutoff': (
        {**changed('structure', 'supercell', [2, 2, 2]), 'hydrogen': {'n_hydrogen': 1, 'seed': 1}},
        ['7.04', 'twice the cutoff', 'larger supercell'],
    ),
    'RDF range too long': (
        changed('settings', 'analysis', {'rdf_r_max_A': 80.0}),
        ['rdf_r_max_A', '80.0', 'from 1 to 30'],
    ),
    'pair cutoff of the wrong type': (
        changed('settings', 'analysis', {'pair_cutoff_A': 'near'}),
        ['pair_cutoff_A', 'near'],
    ),
    'negative van Hove lag': (
        changed('settings', 'analysis', {'van_hove_lags_ps': [1, -1]}),
        ['van_hove_lags_ps', '-1'],
    ),
    'unknown strategy': (changed('settings', 'convergence', {'strategy': 'hope'}), ['hope', 'extend or replicas']),
    'target of no sense': (
        changed('settings', 'convergence', {'relative_error': 5}),
        ['relative_error', '5', 'fraction'],
    ),
    'budget below the run': (
        changed('settings', 'convergence', {'relative_error': 0.1, 'max_production_ps': 10.0}),
        ['max_production_ps', '10.0', 'with all its extensions'],
    ),
    'negative temperature': (changed('temperatures_K', [800, -5]), ['-5', 'positive']),
    'zero temperature': (changed('temperatures_K', [800, 0]), ['0', 'positive']),
    'temperature that is no number': (changed('temperatures_K', [800, 'hot']), ['hot', 'positive']),
    'temperature twice': (changed('temperatures_K', [800, 900, 800]), ['800', 'twice', 'replicas']),
    'one temperature': (changed('temperatures_K', [800]), ['800', 'at least two']),
    'zero time step': (changed('settings', 'timestep_fs', 0), ['timestep_fs', '0', 'positive']),
    'negative time step': (changed('settings', 'timestep_fs', -1.0), ['timestep_fs', '-1.0', 'positive']),
    'time step above 2 fs': (changed('settings', 'timestep_fs', 2.5), ['timestep_fs', '2.5', 'at most 2']),
    'potential lacks an element': (changed('structure', 'host', 'Pd'), ['Pd', 'eam', 'all elements']),
    'unknown pair style': (changed('potentials', 'eam', 'pair_style', 'eam/aloy'), ['eam/aloy']),
    'output interval longer than the run': (
        changed('settings', 'nvt', {'output_interval_fs': 50000.0}),
        ['nvt.output_interval_fs', '50000', 'reduce'],
    ),
    'NVE too short for the window': (changed('settings', 'nve', {'time_ps': 50.0}), ['50.0', '100', 'window_ps']),
    'misspelt top-level key': (
        changed('temperature_K', [800, 900]),
        ['temperature_K', 'Did you mean `temperatures_K`'],
    ),
    'misspelt setting': (changed('settings', 'nve', {'time_pss': 500}), ['time_pss', 'Did you mean', 'nve.time_ps']),
    'misspelt potential key': (
        changed('potentials', 'eam', {'pairstyle': 'eam/alloy', 'files': []}),
        ['pairstyle', 'Did you mean `pair_style`'],
    ),
    'unknown protocol': (changed('protocol', 'fats'), ['fats', 'Did you mean `fast`']),
    'unknown host': (changed('structure', 'host', 'Xx'), ['Xx', 'fcc Ni']),
    'missing potential file': (changed('potentials', 'eam', 'files', ['no.eam.alloy']), ['no.eam.alloy', 'not exist']),
    'window reversed': (changed('settings', 'analysis', {'window_ps': [10.0, 2.0]}), ['window_ps', 'increasing']),
    'no replica': (changed('replicas', 0), ['replicas', '0']),
    'negative seed': (changed('seed', -3), ['seed', '-3']),
    'too much hydrogen': (changed('hydrogen', 'n_hydrogen', 5000), ['5000']),
    'ratio and number': (changed('hydrogen', 'ratio', 0.1), ['n_hydrogen', 'ratio']),
    'code that is not set up': (changed('codes', {'lammps': 'nothing@nowhere'}), ['nothing@nowhere', 'setup']),
    'not a mapping': (['structure'], ['mapping']),
    'empty': ({}, ['structure']),
}


@pytest.mark.parametrize('name', CASES)
def test_bad_study(name, lmp):
    study, words = CASES[name]
    message = refusal(study)
    for word in words:
        assert word in message, message


@pytest.mark.parametrize(
    ('content', 'word'),
    [(b'', 'empty'), (b'not a potential\n' * 10, 'not a setfl file'), (None, 'truncated')],
    ids=['empty', 'corrupt', 'truncated'],
)
def test_bad_potential_file(content, word, lmp, tmp_path, setfl_path):
    (tmp_path / 'bad.eam.alloy').write_bytes(setfl_path.read_bytes()[:-9000] if content is None else content)
    message = refusal(changed('potentials', 'eam', 'files', ['bad.eam.alloy']), tmp_path)
    assert word in message
    assert 'bad.eam.alloy' in message
    assert str(tmp_path) not in message


def structure_file(tmp_path: Path, atoms: Atoms) -> dict[str, Any]:
    write(tmp_path / 'structure.extxyz', atoms)
    return {**changed('hydrogen', None), 'structure': {'file': 'structure.extxyz'}}


def nickel(**changes: Any) -> Atoms:
    from ase.build import bulk

    atoms = bulk('Ni', 'fcc', a=3.52, cubic=True) * (3, 3, 3)
    atoms += Atoms('H', positions=[[1.76, 0, 0]])
    for name, value in changes.items():
        setattr(atoms, name, value)
    return atoms


def test_hydrogen_too_close(lmp, tmp_path):
    atoms = nickel()
    atoms.positions[-1] = atoms.positions[0] + [0.3, 0, 0]
    message = refusal(structure_file(tmp_path, atoms), tmp_path)
    assert '0.30 Å' in message
    assert 'at least 0.5' in message


def test_structure_of_hydrogen_only(lmp, tmp_path):
    atoms = Atoms('H8', positions=np.arange(24).reshape(8, 3), cell=[30, 30, 30], pbc=True)
    assert 'no host' in refusal(structure_file(tmp_path, atoms), tmp_path)


def test_structure_without_periodicity(lmp, tmp_path):
    assert 'periodic' in refusal(structure_file(tmp_path, nickel(pbc=[True, True, False])), tmp_path)


def test_code_that_is_not_executable(lmp, aiida_localhost, tmp_path):
    program = tmp_path / 'lmp'
    program.write_text('#!/bin/sh\n')
    program.chmod(stat.S_IRUSR)
    code = orm.InstalledCode(
        label='broken',
        computer=aiida_localhost,
        filepath_executable=str(program),
        default_calc_job_plugin='hdiff.lammps_md',
    ).store()
    if program.stat().st_mode & stat.S_IXUSR:
        pytest.skip('the file system has no execute bits')
    message = refusal(changed('codes', {'lammps': code.full_label}))
    assert 'not executable' in message
    program.unlink()
    assert 'does not exist' in refusal(changed('codes', {'lammps': code.full_label}))


def test_full_disk(monkeypatch, tmp_path):
    from collections import namedtuple

    from aiida_hdiff.cli.session import free_space_error

    usage = namedtuple('usage', 'total used free')
    monkeypatch.setattr(shutil, 'disk_usage', lambda _: usage(10**9, 10**9 - 5 * 10**6, 5 * 10**6))
    message = free_space_error(tmp_path / 'not' / 'yet', 200e6)
    assert message is not None
    assert '5 MB left' in message
    assert '200 MB' in message
    assert 'AIIDA_PATH' in message
    assert free_space_error(tmp_path, 1e6) is None


@pytest.fixture
def other_profile(tmp_path):
    """Return a function that runs a command with its own AIIDA_PATH."""
    import os
    import subprocess
    import sys

    def run(*arguments: str, module: str = 'aiida_hdiff.cli') -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, 'AIIDA_PATH': str(tmp_path / 'aiida'), 'PYTHONWARNINGS': 'ignore'}
        command = [sys.executable, '-m', module, *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)

    (tmp_path / 'aiida').mkdir()
    return run


@pytest.mark.integration
def test_corrupt_and_read_only_profile(other_profile, tmp_path):
    """A damaged database is named with the remedy; an archive as a profile can be read, and nothing is submitted."""
    study = tmp_path / 'study.yaml'
    study.write_text(
        'structure: {host: Ni, lattice: fcc, supercell: [3, 3, 3]}\nhydrogen: {n_hydrogen: 4, seed: 1}\n'
        'potentials: {eam: {pair_style: eam/alloy, files: [NiAlH_jea.eam.alloy]}}\ntemperatures_K: [800, 1000]\n'
    )
    assert other_profile('setup').returncode == 0
    (database,) = (tmp_path / 'aiida').rglob('database.sqlite')
    good = database.read_bytes()
    database.write_bytes(b'no database at all' * 1000)
    for path in database.parent.glob('database.sqlite-*'):
        path.unlink()
    result = other_profile('launch', str(study))
    assert result.returncode != 0
    assert 'Traceback' not in result.stderr, result.stderr
    assert '-p' in result.stderr

    database.write_bytes(good)
    archive = str(tmp_path / 'all.aiida')
    assert other_profile('-p', 'hdiff', 'archive', 'create', '--all', archive, module='aiida').returncode == 0
    options = '-n -p paper --broker none --email a@b --first-name A --last-name B --institution C --filepath'.split()
    assert other_profile('profile', 'setup', 'core.sqlite_zip', *options, archive, module='aiida').returncode == 0
    result = other_profile('-p', 'paper', 'launch', str(study))
    assert result.returncode != 0
    assert 'read-only' in result.stderr, result.stderr
    assert 'nothing was submitted' in result.stderr

    result = other_profile('-p', 'nothing', 'launch', str(study))
    assert result.returncode != 0
    assert 'Traceback' not in result.stderr, result.stderr
    assert 'setup' in result.stderr
