"""Published values as nodes."""

import pytest
from aiida import orm
from aiida.plugins import DataFactory

from aiida_hdiff.data.literature import LiteratureData
from aiida_hdiff.literature import load_literature

VALUES = load_literature()


@pytest.mark.parametrize('value', VALUES[::11], ids=lambda value: value.key)
def test_a_value_survives_the_database(value):
    node = LiteratureData.from_value(value).store()
    loaded = orm.load_node(node.pk)
    assert type(loaded) is DataFactory('hdiff.literature')
    assert loaded.published == value
    assert loaded.label == value.key
    assert value.citation in str(loaded)


def test_equal_values_are_one_node():
    first, second = VALUES[0], VALUES[1]
    node = LiteratureData.get_or_create(first)
    assert node.is_stored
    assert LiteratureData.get_or_create(first).uuid == node.uuid
    assert LiteratureData.get_or_create(second).uuid != node.uuid


def test_a_corrected_value_is_a_new_node():
    node = LiteratureData.get_or_create(VALUES[0])
    corrected = LiteratureData({**node.get_dict(), 'note': 'looked up again'}).published
    other = LiteratureData.get_or_create(corrected)
    assert other.uuid != node.uuid
    assert other.label == node.label
    assert LiteratureData.get_or_create(VALUES[0]).uuid == node.uuid


def test_the_hash_is_that_of_the_content():
    one, other = LiteratureData.from_value(VALUES[2]), LiteratureData.from_value(VALUES[2])
    other.description = 'something else'
    assert one.store().base.caching.get_hash() == other.store().base.caching.get_hash()
    different = LiteratureData.from_value(VALUES[3]).store()
    assert different.base.caching.get_hash() != one.base.caching.get_hash()


def test_flat_attributes_are_found_by_queries():
    value = next(one for one in VALUES if one.key == 'ni-louthan-1975')
    node = LiteratureData.get_or_create(value)
    filters = {'attributes.host': 'Ni', 'attributes.doi': value.doi}
    assert node.uuid in [
        uuid for (uuid,) in orm.QueryBuilder().append(LiteratureData, filters=filters, project='uuid').all()
    ]
    assert str(node) == 'H in fcc Ni: Ea = 0.409 eV, D0 = 7.00e-07 m²/s (Louthan et al. 1975)'


def test_wrong_fields_are_refused():
    good = LiteratureData.from_value(VALUES[0]).get_dict()
    with pytest.raises(ValueError, match='activation_energy_eV is -1'):
        LiteratureData({**good, 'activation_energy_eV': -1.0})
    with pytest.raises(ValueError, match='key must be a text'):
        LiteratureData()
