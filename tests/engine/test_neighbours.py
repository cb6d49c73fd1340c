"""The pairs and angles that the fast CHGNet is evaluated on, against direct searches."""

from itertools import product

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from aiida_hdiff.engine.neighbours import Neighbours, bond_angles


def direct_pairs(atoms, cutoff, reach=4):
    """Return the vectors of all pairs closer than a cutoff, each once, by looking at all images."""
    found = []
    images = [
        image for image in product(range(-reach, reach + 1), repeat=3) if np.all(atoms.pbc | (np.array(image) == 0))
    ]
    for i, j in product(range(len(atoms)), repeat=2):
        for image in images:
            if (i, (0, 0, 0)) < (j, image) if i != j else image > (0, 0, 0):
                if i > j:
                    continue
                vector = atoms.positions[j] + image @ atoms.cell.array - atoms.positions[i]
                if np.linalg.norm(vector) < cutoff:
                    found.append((i, j, *np.round(vector, 9)))
    return sorted(found)


def found_pairs(pairs):
    return sorted(
        (int(i), int(j), *np.round(vector, 9))
        for i, j, vector in zip(pairs.first, pairs.second, pairs.vectors_A, strict=True)
    )


def oriented(rows):
    """Return pairs with vectors turned so that equal pairs are equal rows."""
    turned = []
    for i, j, *row in rows:
        vector = np.array(row)
        turn = -1 if i == j and tuple(vector) < tuple(-vector) else 1
        turned.append((i, j, *(turn * vector + 0.0)))
    return sorted(turned)


@pytest.mark.parametrize('pbc', [True, [True, True, False], False])
def test_pairs_of_small_skewed_cells(pbc):
    """Cells smaller than the cutoff pair atoms with their own images."""
    atoms = Atoms(
        'Mg2H',
        positions=[[0.1, 0.2, 0.0], [1.5, 1.9, 2.4], [0.4, 2.0, 1.0]],
        cell=[[3.2, 0, 0], [-1.6, 2.8, 0], [0.5, 0.3, 5.2]],
        pbc=pbc,
    )
    expected = direct_pairs(atoms, 5.0)
    assert oriented(found_pairs(Neighbours(5.0).update(atoms))) == oriented(expected)
    assert any(i == j for i, j, *_ in expected) == bool(np.any(pbc))


def test_list_is_complete_while_atoms_and_cell_move(monkeypatch):
    atoms = bulk('Mg', 'hcp', a=3.2, c=5.2) * (2, 2, 2)
    searches, build = [], Neighbours._build
    monkeypatch.setattr(Neighbours, '_build', lambda self, atoms: (searches.append(1), build(self, atoms))[1])
    neighbours, rng = Neighbours(4.5), np.random.default_rng(5)
    velocities = rng.standard_normal(atoms.positions.shape)
    steps = 40
    for step in range(steps):
        if step > 20:
            atoms.set_cell(atoms.cell.array @ (np.eye(3) + 0.002 * rng.standard_normal((3, 3))), scale_atoms=True)
        atoms.positions += 0.02 * velocities
        fresh = Neighbours(4.5, skin_A=0.0)
        assert oriented(found_pairs(neighbours.update(atoms))) == oriented(found_pairs(fresh.update(atoms)))
    assert 2 < len(searches) - steps < steps / 2


def test_another_periodicity_is_searched_anew():
    atoms = Atoms('H2', positions=[[0, 0, 0], [0, 0, 1.0]], cell=[4.0, 4.0, 4.0], pbc=True)
    neighbours = Neighbours(3.5)
    assert len(neighbours.update(atoms).first) == 2
    atoms.pbc = False
    assert len(neighbours.update(atoms).first) == 1


def test_angles_are_all_ordered_pairs_of_bonds_of_an_atom():
    atoms = bulk('Mg', 'hcp', a=3.2, c=5.2) * (2, 1, 1)
    atoms.rattle(0.3, seed=2)
    pairs = Neighbours(5.0).update(atoms)
    angles = bond_angles(pairs, 3.3)
    bonds = [k for k in range(len(pairs.first)) if pairs.lengths_A[k] < 3.3]
    ends = [(pairs.first[k], k, 1.0) for k in bonds] + [(pairs.second[k], k, -1.0) for k in bonds]
    expected = sorted(
        (int(ci), ki, kj, si * sj)
        for number, (ci, ki, si) in enumerate(ends)
        for other, (cj, kj, sj) in enumerate(ends)
        if ci == cj and number != other
    )
    found = zip(angles.centers, angles.bonds[angles.left], angles.bonds[angles.right], angles.signs, strict=True)
    assert sorted((int(c), int(i), int(j), float(s)) for c, i, j, s in found) == expected
    assert len(expected) > 20


def test_no_bonds_no_angles():
    pairs = Neighbours(5.0).update(bulk('Mg', 'hcp', a=3.2, c=5.2))
    assert len(bond_angles(pairs, 1.0).left) == 0
