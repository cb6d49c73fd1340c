"""Structures by calcfunctions."""

import numpy as np
import pytest
from aiida import orm

from aiida_hdiff.calculations.structures import create_host, create_supercell, insert_hydrogen


@pytest.mark.parametrize(
    ('parameters', 'formula', 'volume'),
    [
        ({'host': 'Ni', 'supercell': [3, 3, 3]}, 'Ni108', 27 * 3.52**3),
        ({'host': 'Fe', 'a_A': 2.8}, 'Fe2', 2.8**3),
        ({'host': 'Mg', 'lattice': 'hcp', 'supercell': [2, 2, 1]}, 'Mg8', 4 * 3.2094**2 * 5.2105 * np.sqrt(3) / 2),
    ],
)
def test_create_host(parameters, formula, volume):
    node = create_host(orm.Dict(parameters))
    assert node.get_formula() == node.label == formula
    assert node.get_cell_volume() == pytest.approx(volume)
    assert node.creator.process_type == 'aiida.calculations:hdiff.create_host'


def test_create_host_names_what_is_unknown():
    with pytest.raises(ValueError, match="no host 'Unobtainium'"):
        create_host(orm.Dict({'host': 'Unobtainium'}))


def test_create_supercell(generate_structure):
    node = create_supercell(generate_structure(1), orm.List([1, 2, 3]))
    assert node.get_formula() == 'H6Ni24'
    assert np.diag(node.cell).tolist() == pytest.approx([3.52, 7.04, 10.56])


def test_insert_hydrogen_is_reproducible():
    host = create_host(orm.Dict({'host': 'Ni', 'supercell': [2, 2, 2]}))

    def insert(seed):
        return insert_hydrogen(host, orm.Dict({'n_hydrogen': 2, 'sites': 'octahedral', 'seed': seed}))

    one, same, other = insert(1), insert(1), insert(2)
    assert one.get_formula() == 'H2Ni32'
    assert one.base.caching.compute_hash() == same.base.caching.compute_hash()
    assert one.base.caching.compute_hash() != other.base.caching.compute_hash()
    hydrogen = one.get_ase()[-2:]
    np.testing.assert_allclose((hydrogen.positions / 1.76) % 1.0, 0.0, atol=1e-6)


def test_insert_hydrogen_says_what_is_wrong():
    host = create_host(orm.Dict({'host': 'Ni'}))
    with pytest.raises(ValueError, match='give either `n_hydrogen` or `ratio`'):
        insert_hydrogen(host, orm.Dict({'seed': 1}))
