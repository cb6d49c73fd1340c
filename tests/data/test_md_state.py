"""MDState."""

import numpy as np
from aiida import orm
from ase import units

from aiida_hdiff.data.md_state import MDState
from tests.conftest import nickel_hydride


def test_round_trip(generate_state):
    atoms = nickel_hydride()
    node = orm.load_node(generate_state(step=40, checkpoint=b'\x00binary\xff').store().pk)
    np.testing.assert_array_equal(node.get_array('numbers'), atoms.numbers)
    np.testing.assert_array_equal(node.get_array('positions'), atoms.positions)
    np.testing.assert_array_equal(node.get_array('cell'), atoms.cell.array)
    assert node.velocities.shape == atoms.positions.shape
    assert (node.step, node.engine, node.checkpoint) == (40, 'lammps', b'\x00binary\xff')
    assert node.base.attributes.get('n_atoms') == len(atoms)
    assert set(node.get_arraynames()) == {'numbers', 'positions', 'cell', 'velocities'}


def test_without_velocities_and_checkpoint(generate_state):
    node = generate_state(velocities=False).store()
    assert node.velocities is None
    assert node.checkpoint is None
    assert node.engine is None
    assert not node.to_ase().has('momenta')


def test_lattice_velocities():
    plain = MDState(numbers=[1], positions=np.zeros((1, 3)), cell=np.eye(3))
    assert plain.lattice_velocities is None
    rates = 1e-5 * np.arange(9.0).reshape(3, 3)
    node = MDState(numbers=[1], positions=np.zeros((1, 3)), cell=np.eye(3), lattice_velocities=rates).store()
    np.testing.assert_array_equal(orm.load_node(node.pk).lattice_velocities, rates)
    assert node.base.caching.get_hash() != plain.store().base.caching.get_hash()


def test_the_engine_belongs_to_the_checkpoint():
    node = MDState(numbers=[1, 1], positions=np.zeros((2, 3)), cell=np.eye(3), engine='ase')
    assert node.engine is None


def test_to_ase(generate_state):
    node = generate_state()
    atoms = node.to_ase()
    assert all(atoms.pbc)
    assert atoms.get_chemical_formula() == 'HNi32'
    np.testing.assert_allclose(atoms.get_velocities() * units.fs, node.velocities, rtol=1e-12)


def test_everything_that_matters_is_in_the_hash(generate_state):
    nodes = [
        generate_state(),
        generate_state(step=1),
        generate_state(velocities=False),
        generate_state(checkpoint=b'a'),
        generate_state(checkpoint=b'b'),
    ]
    assert len({node.store().base.caching.get_hash() for node in nodes}) == len(nodes)


def test_states_are_found_by_step(generate_state):
    node = generate_state(step=987654).store()
    filters = {'attributes.step': {'>': 987000}, 'attributes.n_atoms': 33}
    assert orm.QueryBuilder().append(MDState, filters=filters, project='id').all() == [[node.pk]]
