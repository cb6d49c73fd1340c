"""What all node types have in common: entry points, hashes, archives, no paths."""

import pytest
from aiida import orm
from aiida.plugins import DataFactory

KINDS = {
    'potential': 'hdiff.potential',
    'state': 'hdiff.md_state',
    'trajectory': 'hdiff.trajectory',
    'dataset': 'hdiff.dataset',
    'configurations': 'hdiff.configurations',
    'diffusivity': 'hdiff.diffusivity',
    'arrhenius': 'hdiff.arrhenius',
    'literature': 'hdiff.literature',
}
kinds = pytest.mark.parametrize('kind', KINDS)


@kinds
def test_node_is_stored_and_loaded_as_its_type(make_node, kind):
    node = make_node(kind).store()
    assert type(node) is DataFactory(KINDS[kind])
    assert type(orm.load_node(node.pk)) is DataFactory(KINDS[kind])
    assert node.base.caching.is_valid_cache


@kinds
def test_equal_content_has_an_equal_hash(make_node, kind):
    one, other = make_node(kind), make_node(kind)
    assert one.uuid != other.uuid
    other.label, other.description = 'another label', 'another description'
    assert one.store().base.caching.get_hash() == other.store().base.caching.get_hash()


@kinds
def test_hash_survives_a_clone(make_node, kind):
    node = make_node(kind).store()
    clone = node.clone()
    assert clone.uuid != node.uuid
    assert clone.store().base.caching.get_hash() == node.base.caching.get_hash()


def repository_files(node):
    for root, _, files in node.base.repository.walk():
        for name in files:
            yield root / name, node.base.repository.get_object_content(str(root / name), mode='rb')


@kinds
def test_no_path_of_this_machine_is_stored(make_node, kind, tmp_path):
    node = make_node(kind).store()
    needles = [str(tmp_path), str(tmp_path.parent), '/home/', '/tmp/']
    assert not any(needle in str(node.base.attributes.all) for needle in needles)
    assert not any(needle in str(node.base.extras.all) for needle in needles)
    for name, content in repository_files(node):
        assert not name.is_absolute()
        assert node.uuid not in str(name)
        assert not any(needle.encode() in content for needle in needles)


def test_hashes_and_content_survive_an_archive(make_node, tmp_path, aiida_config, aiida_profile_factory):
    from aiida.tools.archive import create_archive, import_archive

    nodes = {kind: make_node(kind).store() for kind in KINDS}
    hashes = {kind: node.base.caching.get_hash() for kind, node in nodes.items()}
    uuids = {kind: node.uuid for kind, node in nodes.items()}
    files = {kind: dict(repository_files(node)) for kind, node in nodes.items()}
    archive = tmp_path / 'nodes.aiida'
    create_archive(list(nodes.values()), filename=archive)
    with aiida_profile_factory(aiida_config):
        assert orm.QueryBuilder().append(orm.Data).count() == 0
        import_archive(archive)
        for kind, uuid in uuids.items():
            node = orm.load_node(uuid)
            assert type(node) is DataFactory(KINDS[kind])
            assert node.base.caching.compute_hash() == hashes[kind]
            assert dict(repository_files(node)) == files[kind]


def test_an_archive_is_read_without_import(make_node, tmp_path):
    from aiida.manage.configuration import profile_context
    from aiida.storage.sqlite_zip.backend import SqliteZipBackend
    from aiida.tools.archive import create_archive

    node = make_node('trajectory').store()
    uuid, expected = node.uuid, node.get_positions()
    create_archive([node], filename=tmp_path / 'a.aiida')
    with profile_context(SqliteZipBackend.create_profile(str(tmp_path / 'a.aiida')), allow_switch=True):
        found = orm.load_node(uuid)
        assert found.get_positions().tolist() == expected.tolist()
        assert found.get_positions([1], slice(3, 5)).shape == (2, 1, 3)
