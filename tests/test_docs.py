"""What the documentation says, run: its query snippets, its commands and the keys of its study files."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / 'README.md', *(ROOT / 'docs').rglob('*.md')])


def blocks(path, language):
    return re.findall(rf'^```{language}\n(.*?)^```', path.read_text(encoding='utf-8'), re.MULTILINE | re.DOTALL)


def documented_commands():
    found = []
    for page in PAGES:
        for block in (*blocks(page, 'console'), *blocks(page, 'bash')):
            for line in block.replace('\\\n', ' ').splitlines():
                for part in line.removeprefix('$ ').split(' && '):
                    match = re.match(r'(?:\.venv/bin/)?aiida-hdiff\s+(.*)', part.strip())
                    if match:
                        found.append((page.name, match.group(1).split('  #')[0].strip()))
    return found


@pytest.mark.parametrize(('page', 'line'), documented_commands())
def test_commands_and_their_options_exist(page, line):
    import shlex

    import click

    from aiida_hdiff.cli import main

    words, command, context = shlex.split(line), main, click.Context(main, info_name='aiida-hdiff')
    while words and isinstance(command, click.Group):
        word = words.pop(0)
        if word in ('-p', '--profile'):
            words.pop(0)
        elif not word.startswith('-'):
            command = command.get_command(context, word)
            assert command is not None, f'{page}: no command {word!r}'
    known = {option for parameter in command.params for option in parameter.opts} | {'--help'}
    unknown = [word for word in words if re.match(r'--?[a-zA-Z]', word) and word.split('=')[0] not in known]
    assert not unknown, f'{page}: {command.name} has no {unknown}'


def study_blocks():
    found = []
    for page in PAGES:
        for index, block in enumerate(blocks(page, 'yaml')):
            content = yaml.safe_load(block)
            if isinstance(content, dict) and 'temperatures_K' in content:
                found.append(pytest.param(content, id=f'{page.stem}-{index}'))
    return found


@pytest.mark.parametrize('study', study_blocks())
def test_documented_studies_are_valid(study):
    from aiida_hdiff.workflows.settings import DiffusionProtocols
    from aiida_hdiff.workflows.study import study_error
    from aiida_hdiff.workflows.validation import settings_error, temperatures_error

    assert study_error(study) is None
    assert temperatures_error(study['temperatures_K']) is None
    assert (
        settings_error(DiffusionProtocols.get_protocol_settings(study.get('protocol'), study.get('settings'))) is None
    )


def test_links_between_pages_and_images_exist():
    for page in PAGES:
        for target in re.findall(r'\]\(([^)#\s]+?)(?:#[^)]*)?\)', page.read_text(encoding='utf-8')):
            if '://' not in target and not target.startswith('<'):
                assert (page.parent / target).exists(), f'{page.relative_to(ROOT)} links to {target}'


@pytest.mark.parametrize('name', ['quickstart', 'tests'])
def test_the_readme_has_its_one_line_commands(name):
    import subprocess

    result = subprocess.run(['bash', ROOT / '.ci' / 'readme-command', name], capture_output=True, text=True, check=True)
    assert result.stdout.count('\n') == 1
    assert result.stdout.startswith('python3 -m venv ')


@pytest.fixture
def small_history():
    """A study as the workchains leave it, in a profile in memory; only the molecular dynamics is made up."""
    from aiida.manage.configuration import profile_context
    from aiida.storage.sqlite_temp import SqliteTempBackend

    with profile_context(SqliteTempBackend.create_profile('docs-snippets'), allow_switch=True):
        yield make_history()


def make_history():
    import io

    from aiida import orm
    from aiida.common.links import LinkType
    from ase.build import bulk

    from aiida_hdiff.calculations.arrhenius import arrhenius_from_diffusivities
    from aiida_hdiff.calculations.diffusion import diffusivity_from_trajectory
    from aiida_hdiff.calculations.stages import stage_parameters
    from aiida_hdiff.data.potential import PotentialData
    from aiida_hdiff.workflows.settings import DiffusionProtocols

    atoms = bulk('Ni', cubic=True)
    atoms.append('H')
    structure = orm.StructureData(ase=atoms).store()
    potential = PotentialData(
        architecture='lammps', elements=['Ni', 'H'], files=[b'content'], pair_style='eam/alloy', cutoff_A=5.0
    )
    potential.label = 'made up'
    potential.store()
    settings = orm.Dict(DiffusionProtocols.get_protocol_settings('fast', {'analysis': {'window_ps': [1.0, 4.0]}}))
    study = orm.WorkChainNode(process_type='aiida.workflows:hdiff.diffusion', label='a study')
    for name, node in (('structure', structure), ('potentials__eam', potential), ('settings', settings.store())):
        study.base.links.add_incoming(node, LinkType.INPUT_WORK, name)
    study.store()
    found = {}
    for temperature in (1000.0, 1400.0):
        run = orm.WorkChainNode(process_type='aiida.workflows:hdiff.diffusivity')
        run.base.links.add_incoming(study, LinkType.CALL_WORK, f'eam_{temperature:g}K_0')
        run.store()
        stage = orm.WorkChainNode(process_type='aiida.workflows:hdiff.md_stage')
        stage.base.links.add_incoming(run, LinkType.CALL_WORK, 'nve')
        stage.store()
        parameters = stage_parameters(
            settings, orm.Str('nve'), orm.Float(temperature), orm.Int(1), orm.Dict({'replica': 0, 'attempt': 0})
        )
        job = orm.CalcJobNode(process_type='aiida.calculations:hdiff.lammps_md')
        job.set_process_label('LammpsMDCalculation')
        job.base.repository.put_object_from_filelike(io.BytesIO(b'run 1000\n'), 'input.in')
        for name, node in (('structure', structure), ('potential', potential), ('parameters', parameters)):
            job.base.links.add_incoming(node, LinkType.INPUT_CALC, name)
        job.base.links.add_incoming(stage, LinkType.CALL_CALC, 'iteration_01')
        job.set_exit_status(0)
        job.store()
        trajectory = make_trajectory(atoms.numbers, temperature)
        trajectory.base.links.add_incoming(job, LinkType.CREATE, 'trajectory')
        trajectory.store()
        check = orm.Dict(
            {'mean_temperature_K': temperature, 'temperature_error_K': 1.0, 'drift_meV_per_atom_per_ns': 0.0}
        )
        outputs = diffusivity_from_trajectory(trajectory, orm.Float(temperature), check, settings)
        found[f'eam_{temperature:g}K_0'] = outputs['diffusivity']
    fit = arrhenius_from_diffusivities(missing=orm.Dict({}), **found)
    fit.base.links.add_incoming(study, LinkType.RETURN, 'arrhenius__eam')
    return {'study': study, 'potential': potential, 'fit': fit, 'diffusivities': found}


def make_trajectory(numbers, temperature_K):
    import tempfile

    import numpy as np

    from aiida_hdiff.data.trajectory import MDTrajectory
    from aiida_hdiff.formats.trajectory import OBSERVABLES, TrajectoryWriter

    rng, n_frames = np.random.default_rng(1), 2000
    positions = np.zeros((n_frames, len(numbers), 3))
    positions[:, -1] = np.cumsum(rng.normal(scale=0.4 * temperature_K / 1000.0, size=(n_frames, 3)), axis=0)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / MDTrajectory.DEFAULT_FILENAME
        with TrajectoryWriter(path, numbers, timestep_fs=1.0) as writer:
            writer.append(
                np.arange(n_frames) * 50,
                positions,
                np.broadcast_to(10.0 * np.eye(3), (n_frames, 3, 3)),
                dict.fromkeys(OBSERVABLES, np.ones(n_frames)),
            )
        return MDTrajectory(path)


def run_snippets(page):
    names = {}
    for block in blocks(ROOT / 'docs' / page, 'python'):
        exec(compile(block, page, 'exec'), names)
    return names


def test_query_snippets(small_history, capsys):
    names = run_snippets('howto/query.md')
    hot = small_history['diffusivities']['eam_1400K_0']
    assert [row[0] for row in names['diffusivities']] == ['made up']
    assert [row[2] for row in names['diffusivities']] == [hot.uuid]
    assert [row[0] for row in names['energies']] == [small_history['fit'].uuid]
    assert list(names['potentials']) == [small_history['potential'].uuid]
    assert len(names['jobs']) == len(names['study_jobs']) == 2
    assert names['raw_input'] == {'input.in': 'run 1000\n'}
    assert [row[0] for row in names['studies']] == [small_history['study'].uuid]
    assert names['positions'].shape == (100, 1, 3)
    assert small_history['potential'].sha256 in capsys.readouterr().out
