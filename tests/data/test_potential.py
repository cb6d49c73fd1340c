"""PotentialData."""

import hashlib

import pytest
from aiida import orm
from aiida.common.exceptions import ModificationNotAllowed

from aiida_hdiff.data.potential import ARCHITECTURES, PAIR_COEFF_TEMPLATES, PotentialData


def eam(path, **kwargs):
    return PotentialData.from_lammps([path], pair_style='eam/alloy', **kwargs)


def test_from_lammps_reads_the_file(setfl_path):
    node = eam(setfl_path)
    assert node.architecture == 'lammps'
    assert node.elements == ['Ni', 'Al', 'H']
    assert node.cutoff_A == pytest.approx(5.65)
    assert node.file_names == ['potential.0']
    assert node.base.repository.get_object_content('potential.0', mode='rb') == setfl_path.read_bytes()
    digest = hashlib.sha256(hashlib.sha256(setfl_path.read_bytes()).digest()).hexdigest()
    assert node.sha256 == digest
    assert node.label == setfl_path.name
    assert node.missing_elements(['H', 'Ni', 'Pd', 'Mg']) == ['Mg', 'Pd']


def test_the_range_depends_on_the_elements(setfl_path):
    node = eam(setfl_path)
    assert node.interaction_range_A(['Ni', 'H']) <= node.interaction_range_A(['Ni', 'Al', 'H']) <= node.cutoff_A
    assert node.interaction_range_A(['Ni', 'Pd']) == node.cutoff_A
    assert PotentialData(architecture='emt', elements=['Cu']).interaction_range_A(['Cu']) is None


def test_pair_commands_are_in_the_order_of_the_types(setfl_path):
    assert eam(setfl_path).pair_commands(['H', 'Ni']) == ['pair_style eam/alloy', 'pair_coeff * * potential.0 H Ni']


def test_files_may_be_named_in_the_style_and_the_coefficients():
    node = PotentialData(
        architecture='lammps',
        elements=['Ni', 'H'],
        files=[b'a', b'b'],
        pair_style='mliap model {file0} descriptor sna {file1}',
    )
    assert node.pair_commands(['Ni', 'H']) == [
        'pair_style mliap model potential.0 descriptor sna potential.1',
        'pair_coeff * * Ni H',
    ]


@pytest.mark.parametrize('style', PAIR_COEFF_TEMPLATES)
def test_default_coefficients_name_all_files(style):
    number = sum(f'{{file{i}}}' in PAIR_COEFF_TEMPLATES[style][0] for i in range(3))
    node = PotentialData(architecture='lammps', elements=['Ni'], files=[b'x'] * number, pair_style=style)
    assert node.pair_commands(['Ni'])[1].startswith('pair_coeff * * ')


def test_the_name_of_the_file_does_not_matter(setfl_path, tmp_path):
    copy = tmp_path / 'another name.txt'
    copy.write_bytes(setfl_path.read_bytes())
    one, other = eam(setfl_path), eam(copy)
    assert one.label != other.label
    assert one.store().base.caching.get_hash() == other.store().base.caching.get_hash()
    assert eam(setfl_path, cutoff_A=4.0).store().base.caching.get_hash() != one.store().base.caching.get_hash()


@pytest.mark.parametrize(
    'change',
    [
        {'pair_style': 'lj/cut 5.0'},
        {'pair_coeff': ['* * 0.6 2.2']},
        {'elements': ('Ni', 'H', 'Al')},
        {'elements': ('H', 'Ni')},
        {'cutoff_A': 3.0},
        {'options': {'x': 1}},
        {'files': [b'a'], 'pair_coeff': ['* * {file0}']},
    ],
)
def test_another_setting_is_another_potential(generate_potential, change):
    one, other = generate_potential(), generate_potential(**change)
    assert one.store().base.caching.get_hash() != other.store().base.caching.get_hash()
    assert PotentialData.get_or_create(one).pk != PotentialData.get_or_create(other).pk


def test_the_order_of_the_files_matters(generate_potential):
    coefficients = ['* * {file0} {file1}']
    one = generate_potential(files=[b'a', b'b'], pair_coeff=coefficients)
    other = generate_potential(files=[b'b', b'a'], pair_coeff=coefficients)
    assert one.sha256 != other.sha256


@pytest.mark.usefixtures('aiida_profile_clean')
def test_get_or_create_stores_equal_potentials_once(setfl_path, tmp_path):
    copy = tmp_path / 'copy'
    copy.write_bytes(setfl_path.read_bytes())
    stored = PotentialData.get_or_create(eam(setfl_path))
    assert stored.is_stored
    assert PotentialData.get_or_create(eam(copy)).pk == stored.pk
    query = orm.QueryBuilder().append(PotentialData, filters={'attributes.sha256': stored.sha256})
    assert query.count() == 1


def test_queries_on_attributes(generate_potential):
    node = generate_potential('mace', files=[b'query'], elements=('Zr', 'H')).store()
    filters = {'attributes.architecture': 'mace', 'attributes.elements': {'contains': ['Zr']}}
    assert orm.QueryBuilder().append(PotentialData, filters=filters, project='id').all() == [[node.pk]]


def test_a_stored_potential_does_not_change(generate_potential):
    node = generate_potential().store()
    with pytest.raises(ModificationNotAllowed):
        node.base.attributes.set('pair_style', 'other')


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        ({'architecture': 'nequip'}, f"architecture 'nequip' is unknown: choose one of {', '.join(ARCHITECTURES)}"),
        ({'architecture': 'mace', 'elements': []}, '`elements` is empty: give the symbols'),
        ({'architecture': 'mace', 'files': [b'a', b'']}, 'file 1 of the potential is empty: give the complete file'),
        ({'architecture': 'lammps'}, 'needs its `pair_style`, for example "eam/alloy"'),
        (
            {'architecture': 'lammps', 'pair_style': 'no/such/style 3'},
            "`pair_coeff` has no default for pair style 'no/such/style': give its arguments",
        ),
        (
            {'architecture': 'lammps', 'pair_style': 'eam/alloy', 'files': []},
            'names {file0}, but only 0 file',
        ),
        (
            {'architecture': 'lammps', 'pair_style': 'eam/alloy', 'files': [b'a', b'b']},
            '{file1} occurs neither in `pair_style` nor in `pair_coeff`: name every file',
        ),
        (
            {'architecture': 'lammps', 'pair_style': 'x', 'pair_coeff': ['* * {file0} {element}'], 'files': [b'a']},
            '{element} in `pair_style` or `pair_coeff` is no placeholder: use {file0}',
        ),
        (
            {'architecture': 'lammps', 'pair_style': 'x', 'pair_coeff': ['* * {}'], 'files': []},
            '{} in `pair_style` or `pair_coeff` is no placeholder',
        ),
    ],
)
def test_construction_errors(kwargs, message):
    with pytest.raises(ValueError) as caught:
        PotentialData(**{'elements': ['Ni', 'H'], **kwargs})
    assert message in str(caught.value)


def broken(tmp_path, content):
    path = tmp_path / 'Ni-H.eam.alloy'
    path.write_bytes(content)
    return path


def test_bad_files_are_named_without_their_folder(setfl_path, tmp_path):
    content = setfl_path.read_bytes()
    lines = content.splitlines()
    lines[-5] = b'nonsense ' * 5
    for bad, message in (
        (b'', 'is empty: give the complete file'),
        (content[: len(content) // 2], 'truncated'),
        (b'<html>not found</html>\n' * 9, 'not a setfl file'),
        (b'\n'.join(lines), 'corrupt'),
    ):
        with pytest.raises(ValueError, match=f"potential file 'Ni-H.eam.alloy'.*{message}") as caught:
            eam(broken(tmp_path, bad))
        assert str(tmp_path) not in str(caught.value)
    with pytest.raises(ValueError, match=r"potential file 'nowhere.eam' does not exist: check its name"):
        eam(tmp_path / 'nowhere.eam')


def test_from_lammps_needs_elements_where_the_file_does_not_tell(tmp_path):
    path = broken(tmp_path, b'1 2 3')
    with pytest.raises(ValueError, match="`elements` is missing: pair style 'snap' does not tell"):
        PotentialData.from_lammps([path, path], pair_style='snap')


def test_from_file(tmp_path):
    path = broken(tmp_path, b'weights')
    node = PotentialData.from_file(path, architecture='mace', elements=['Pd', 'H'], cutoff_A=5.0)
    assert (node.architecture, node.cutoff_A, node.label) == ('mace', 5.0, path.name)
    with pytest.raises(ValueError, match=r"potential file 'none.model' does not exist"):
        PotentialData.from_file(tmp_path / 'none.model', architecture='mace', elements=['Pd'])


def test_chgnet_is_asked_for_where_it_is_missing(monkeypatch):
    monkeypatch.setattr('importlib.util.find_spec', lambda _: None)
    with pytest.raises(ValueError, match=r'chgnet is not installed: run `pip install "aiida-hdiff\[chgnet\]"`'):
        PotentialData.from_chgnet()


def test_chgnet_weights_are_found_without_importing_the_package(monkeypatch, tmp_path):
    import sys
    from importlib.machinery import ModuleSpec

    for name in ('0.2.0', '0.3.0'):
        folder = tmp_path / 'pretrained' / name
        folder.mkdir(parents=True)
        (folder / 'weights.pth.tar').write_bytes(name.encode())
    spec = ModuleSpec('chgnet', None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr('importlib.util.find_spec', lambda _: spec)
    node = PotentialData.from_chgnet()
    assert node.base.repository.get_object_content('potential.0', mode='rb') == b'0.3.0'
    assert {'H', 'Mg', 'Ti', 'Pu'} <= set(node.elements)
    assert len(node.elements) == 89 + 5
    assert 'chgnet' not in sys.modules or sys.modules['chgnet'] is not None
    with pytest.raises(ValueError, match=r"no weights named '9.9': choose one of 0.2.0, 0.3.0"):
        PotentialData.from_chgnet('9.9')


def test_from_vasp_mlff(tmp_path):
    from tests.vasp_fixtures import fake_force_field

    content = fake_force_field(('Mg', 'H'))
    node = PotentialData.from_vasp_mlff(content).store()
    assert (node.architecture, node.elements, node.cutoff_A) == ('vasp-mlff', ['Mg', 'H'], 8.0)
    assert node.options == {'version': '0.2.2', 'lfast': True, 'emulated': False}
    assert node.base.repository.get_object_content('potential.0', mode='rb') == content
    path = tmp_path / 'ML_FFN'
    path.write_bytes(content)
    assert PotentialData.get_or_create(PotentialData.from_vasp_mlff(path, elements=['Mg', 'H'])).pk == node.pk
    emulated = PotentialData.from_vasp_mlff(fake_force_field(EMULATED=True), options={'training': 'x'})
    assert emulated.options == {'version': '0.2.2', 'lfast': True, 'emulated': True, 'training': 'x'}


def test_from_vasp_mlff_without_a_header():
    node = PotentialData.from_vasp_mlff(b'\x00\x01' * 3000, elements=['Mg', 'H'])
    assert (node.elements, node.options, node.cutoff_A) == (['Mg', 'H'], {}, None)


@pytest.mark.parametrize(
    ('content', 'elements', 'message'),
    [
        (b'', None, 'the force field is empty: give the complete ML_FF or ML_FFN file'),
        (b'\x00\x01' * 3000, None, r'no header with its elements \(VASP before 6.4\): give `elements`'),
        (b'ML_FF 0.2.2 binary {"types": [', None, 'cannot be read'),
        (None, ['H', 'Mg'], '`elements` is H, Mg, but the force field is of Mg, H: leave `elements` out'),
    ],
)
def test_force_fields_that_cannot_be_used(content, elements, message):
    from tests.vasp_fixtures import fake_force_field

    with pytest.raises(ValueError, match=message):
        PotentialData.from_vasp_mlff(fake_force_field(('Mg', 'H')) if content is None else content, elements=elements)
    with pytest.raises(ValueError, match="force field 'nowhere' does not exist: check its name"):
        PotentialData.from_vasp_mlff('nowhere')
