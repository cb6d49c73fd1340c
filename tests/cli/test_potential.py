"""`potential import|check|trust`: what is stored, what is refused, and that looking at a model runs nothing in it."""

import ast
import hashlib
from pathlib import Path

import pytest
from aiida import orm

import aiida_hdiff
from aiida_hdiff.data.model_trust import calculator_error, trust_potential, trust_record
from aiida_hdiff.data.potential import PotentialData
from tests.model_files import genuine_model, hostile_model

ELEMENTS = ('--element', 'Ni', '--element', 'H')


@pytest.fixture
def model(tmp_path):
    """Give a function that writes a model file."""

    def write(content, name='a.model'):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    yield write
    assert not list(tmp_path.rglob('code_was_run'))


@pytest.fixture
def fresh(aiida_profile_clean):
    """Use an empty profile."""


def potentials():
    return orm.QueryBuilder().append(PotentialData).all(flat=True)


def test_conversions_that_are_refused(fresh, run_command, model, fake_code, generate_structure):
    fake_code('hdiff.mace_convert', label='hdiff-engine')
    node = PotentialData.from_file(model(genuine_model('mace')), architecture='mace', elements=['Mg', 'H']).store()
    structure = generate_structure().store()
    output = run_command('potential', 'convert', node.pk, structure.pk, code=1)
    assert '`potential` does not cover Ni of `structure`' in output
    assert 'other-engine' in run_command(
        'potential', 'convert', node.pk, structure.pk, '--code', 'other-engine', code=1
    )


def test_import(fresh, run_command, model):
    content = genuine_model('mace')
    path = model(content)
    source = 'https://example.org/a.model'
    options = ('--architecture', 'mace', *ELEMENTS, '--cutoff-A', 4.0, '--source', source, '--label', 'tiny')
    digest = hashlib.sha256(content).hexdigest()
    assert f'mace for Ni H, SHA-256 of the file {digest}' in run_command('potential', 'import', path, *options)
    (node,) = potentials()
    assert (node.label, node.cutoff_A, node.elements) == ('tiny', 4.0, ['Ni', 'H'])
    assert node.source == {'uri': source, 'description': 'a.model', 'extras': {'sha256': digest}}
    assert node.base.repository.get_object_content('potential.0', mode='rb') == content
    run_command('potential', 'import', path, *options)
    assert len(potentials()) == 1
    shown = run_command('potential', 'show', node.pk)
    assert source in shown
    assert digest in shown
    output = run_command('potential', 'check', node.pk)
    assert 'potential.0 names __builtin__.set, _codecs.encode, collections.OrderedDict' in output
    assert 'has nothing in it that could run code' in output
    assert 'it needs no trust' in run_command('potential', 'trust', node.pk)


def test_import_of_a_hostile_file(fresh, run_command, model):
    path, options = model(hostile_model()), ('--architecture', 'chgnet', *ELEMENTS)
    output = run_command('potential', 'import', path, *options, code=1)
    assert 'is not loaded: it names `os.system`' in output
    assert 'Nothing was stored' in output
    assert potentials() == []
    output = run_command('potential', 'import', path, *options, '--trust')
    assert 'trusted in this profile: it can run any code where it is loaded' in output
    (node,) = potentials()
    assert trust_record(node)['note'] == 'imported from a.model'


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'', 'is empty'),
        (b'not a model', 'it is another format, not the zip archive that torch.save'),
        (genuine_model('chgnet')[:-9], 'cut off or damaged'),
    ],
)
def test_import_of_what_is_no_model(fresh, run_command, model, content, message):
    output = run_command('potential', 'import', model(content), '--architecture', 'chgnet', *ELEMENTS, code=1)
    assert message in ' '.join(output.split())
    assert potentials() == []
    assert 'does not exist' in run_command('potential', 'import', 'no', '--architecture', 'mace', *ELEMENTS, code=1)


@pytest.fixture
def stranger(tmp_path, aiida_config, aiida_profile_factory):
    """Return archive, UUID and key of a hostile model that is trusted in the profile it is from."""
    from aiida.tools.archive import create_archive

    path = tmp_path / 'stranger.aiida'
    with aiida_profile_factory(aiida_config, storage_backend='core.sqlite_temp', storage_config={}):
        node = PotentialData(architecture='mace', elements=['Ni', 'H'], files=[hostile_model()], cutoff_A=3.4)
        node.label = 'harmless'
        uuid, key = node.store().uuid, trust_potential(node, 'I made it')
        create_archive([node], filename=path)
    return path, uuid, key


def test_archive_of_a_stranger(stranger, fresh, run_command, model, tmp_path, fake_code, generate_structure):
    """Import, list, show, check and export it; launch it with and without the word."""
    path, uuid, key = stranger
    run_command('import', path)
    assert 'harmless' in run_command('potential', 'list')
    assert '"architecture": "mace"' in run_command('potential', 'show', uuid)
    run_command('potential', 'export', uuid, '-o', tmp_path / 'exported')
    assert 'it names `os.system`' in run_command('potential', 'check', uuid, code=1)
    code = fake_code('hdiff.md')
    structure = generate_structure(3, 4).store()
    study = tmp_path / 'study.yaml'
    study.write_text(
        f'structure: {{node: {structure.pk}}}\npotentials: {{m: {{node: {uuid}}}}}\ntemperatures_K: [800, 1000]\n'
        f'protocol: fast\ncodes: {{engine: "{code.full_label}"}}\noptions: {{trusted_models: ["{key}"]}}\n'
    )
    output = ' '.join(run_command('launch', study, '--dry-run', code=1).split())
    assert 'names it, but nobody has trusted it in this profile' in output
    assert 'dry run: nothing was submitted' in run_command('launch', study, '--trust', '--dry-run')
    assert 'trusted in this profile since' in run_command('potential', 'check', uuid, code=1)
    assert 'dry run: nothing was submitted' in run_command('launch', study, '--dry-run')
    assert 'not trusted any more' in run_command('potential', 'trust', uuid, '--revoke')
    run_command('launch', study, '--dry-run', code=1)


def test_trust_a_calculator(fresh, run_command):
    assert 'allow it in this profile' in calculator_error('some.module:Class')
    assert 'may import some.module:Class' in run_command('potential', 'trust-calculator', 'some.module:Class')
    assert calculator_error('some.module:Class') is None
    assert calculator_error('some.module:Other') is not None
    assert calculator_error('gpaw') is None


def test_only_one_module_opens_pickles():
    """Everything else reads what cannot run code: `torch.load` of tensors only, NumPy without objects."""
    root = Path(aiida_hdiff.__file__).parent
    wrong = []
    for path in root.rglob('*.py'):
        if path.name in ('inert_pickle.py', 'model_load.py'):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            if isinstance(node, ast.Import) and {alias.name for alias in node.names} & {'pickle', 'dill', 'joblib'}:
                wrong.append(f'{path.name}:{node.lineno}')
            if isinstance(node, ast.Call):
                settings = {word.arg: ast.unparse(word.value) for word in node.keywords}
                if ast.unparse(node.func) == 'torch.load' and settings.get('weights_only') != 'True':
                    wrong.append(f'{path.name}:{node.lineno}')
                if settings.get('allow_pickle', 'False') != 'False':
                    wrong.append(f'{path.name}:{node.lineno}')
    assert wrong == []
