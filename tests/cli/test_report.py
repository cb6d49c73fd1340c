"""`aiida-hdiff report` on a profile and on an archive."""

import csv
import json

import pytest
from aiida import orm

pytest.importorskip('jinja2')
pytest.importorskip('plotly')


@pytest.fixture
def make_study(generate_workchain, fake_code, generate_structure, generate_potential):
    """Give a factory of studies that ended without a result."""
    from plumpy import ProcessState

    from aiida_hdiff.workflows.settings import DiffusionProtocols

    def factory(label):
        inputs = {
            'structure': generate_structure(),
            'potentials': {'lj': generate_potential()},
            'codes': {'lammps': fake_code()},
            'temperatures': orm.List([800, 900]),
            'settings': orm.Dict(DiffusionProtocols.get_protocol_settings('fast')),
            'seed': orm.Int(1),
        }
        node = generate_workchain('hdiff.diffusion', inputs).node
        node.label = label
        node.set_process_state(ProcessState.FINISHED)
        node.set_exit_status(510)
        node.set_exit_message('nothing was resolved')
        node.seal()
        return node

    return factory


def test_report_with_figures_and_data(run_command, make_study, tmp_path):
    node = make_study('<script>alert(1)</script>')
    output = run_command('report', node.pk, '-o', tmp_path / 'new' / 'a.html', '--figures', 'f', '--data', 'd')
    assert 'wrote ' in output
    page = (tmp_path / 'new' / 'a.html').read_text(encoding='utf-8')
    assert '&lt;script&gt;alert(1)&lt;/script&gt;' in page
    assert 'nothing was resolved' in page
    folder = tmp_path / 'working_directory'
    assert {path.suffix for path in (folder / 'f').iterdir()} == {'.pdf', '.png', '.svg'}
    with (folder / 'd' / 'arrhenius.csv').open(encoding='utf-8') as handle:
        assert [row['status'] for row in csv.DictReader(handle)] == ['failed', 'failed']


def test_option_for_archives_is_refused_on_a_profile(run_command, make_study):
    assert 'give the archive as STUDY' in run_command('report', make_study('a').pk, '--study', 1, code=1)


def test_report_of_an_archive_leaves_the_profile_alone(run_command, make_study, tmp_path):
    from aiida.manage import get_manager
    from aiida.tools.archive import create_archive

    studies = [make_study('first'), make_study('second')]
    uuids = [node.uuid for node in studies]
    path = tmp_path / 'two.aiida'
    create_archive(studies, filename=path)
    before = get_manager().get_profile().name
    output = run_command('report', path)
    assert 'two.aiida holds 2 studies' in output
    assert uuids[0] in output
    assert '<h1>second</h1>' in (tmp_path / 'working_directory' / 'report.html').read_text(encoding='utf-8')
    assert get_manager().get_profile().name == before
    results = json.loads(run_command('show', path, '--json', '--study', uuids[0]))
    assert results['title'] == 'first'
    assert results['provenance']['workchain_uuid'] == uuids[0]
    assert 'no node' in run_command('show', path, '--study', 'nonsense', code=1)
    assert get_manager().get_profile().name == before


def test_archives_that_cannot_be_read(run_command, tmp_path, aiida_profile):
    from aiida.manage import get_manager
    from aiida.tools.archive import create_archive

    before = get_manager().get_profile().name
    assert "archive 'no.aiida' does not exist" in run_command('report', 'no.aiida', code=1)
    broken = tmp_path / 'broken.aiida'
    broken.write_bytes(b'PK\x03\x04broken')
    assert "archive 'broken.aiida' cannot be opened" in run_command('report', broken, code=1)
    create_archive([orm.Int(1).store()], filename=tmp_path / 'none.aiida')
    assert "archive 'none.aiida' holds no study" in run_command('report', tmp_path / 'none.aiida', code=1)
    assert get_manager().get_profile().name == before
