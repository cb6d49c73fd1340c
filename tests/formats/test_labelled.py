"""Labelled configurations as arrays, as frames of ASE, in extended xyz and as ML_AB files."""

import io

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.io import read, write

from aiida_hdiff.formats import (
    MLAB,
    LabelledFrame,
    LabelledFrames,
    check_labels,
    iter_extxyz,
    labelled_from_ml_ab,
    ml_ab_from_labelled,
    read_extxyz,
    read_ml_ab,
    write_extxyz,
)
from aiida_hdiff.formats.labelled_ml_ab import stress_from_kbar, stress_to_kbar
from tests.formats.test_ml_ab import make_frame, make_set, text_of

ARRAYS = (
    'numbers',
    'positions',
    'forces',
    'offsets',
    'cells',
    'pbc',
    'energies',
    'stresses',
    'ctifors',
    'scf_converged',
)
TEXTS = ('origins', 'references', 'config_types')


def make_frames(seed=0, **changes):
    """Return frames of one to six atoms, with and without stress, threshold and convergence."""
    rng = np.random.default_rng(seed)
    frames = []
    for i, n_atoms in enumerate((6, 1, 3, 2)):
        fields = {
            'numbers': rng.choice([1, 12, 28], n_atoms),
            'positions': rng.normal(size=(n_atoms, 3)),
            'cell': 5.0 * np.eye(3) + 0.1 * rng.normal(size=(3, 3)),
            'energy': float(rng.normal()),
            'forces': rng.normal(size=(n_atoms, 3)),
            'stress': rng.normal(size=6) if i % 2 else None,
            'pbc': (True, True, i < 2),
            'origin': f'training 300 K:{i}',
            'reference': 'PBE, 600 eV',
            'config_type': ('bulk', '', 'T', '12')[i],
            'ctifor': (None, 0.02, 1e-16, None)[i],
            'scf_converged': (None, True, False, True)[i],
        }
        frames.append(LabelledFrame(**{**fields, **changes}))
    return frames


def assert_equal(one, other):
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    for name in TEXTS:
        assert getattr(one, name) == getattr(other, name)


def test_frames_come_back():
    frames = make_frames()
    together = LabelledFrames.from_frames(frames)
    assert len(together) == 4
    assert together.n_atoms.tolist() == [6, 1, 3, 2]
    assert_equal(LabelledFrames.from_frames(together), together)
    for one, other in zip(together, frames, strict=True):
        assert (one.energy, one.pbc, one.ctifor, one.scf_converged) == (
            other.energy, other.pbc, other.ctifor, other.scf_converged
        )  # fmt: skip
        assert (one.stress is None) == (other.stress is None)
    np.testing.assert_array_equal(together[-1].forces, frames[3].forces)
    with pytest.raises(IndexError):
        together[4]
    assert '4 frames of H Mg Ni, 12 atoms' in repr(together)


def test_selecting_and_joining():
    together = LabelledFrames.from_frames(make_frames())
    assert_equal(together.select([2, 0]), LabelledFrames.from_frames([together[2], together[0]]))
    assert_equal(together.select(together.energies < 0), together.select(np.flatnonzero(together.energies < 0)))
    assert_equal(together[1:], together.select([1, 2, 3]))
    assert_equal(LabelledFrames.concatenate([together[:1], together[1:]]), together)
    assert len(together.select([])) == 0
    assert_equal(LabelledFrames.concatenate([together[:0], together]), together)
    with pytest.raises(ValueError, match='no sets to join'):
        LabelledFrames.concatenate([])


def test_net_forces():
    together = LabelledFrames.from_frames(make_frames())
    expected = [frame.forces.sum(axis=0) for frame in together]
    np.testing.assert_allclose(together.net_forces, expected, atol=1e-14)


def test_through_ase():
    together = LabelledFrames.from_frames(make_frames())
    assert_equal(LabelledFrames.from_frames(LabelledFrame.from_ase(frame.to_ase()) for frame in together), together)
    with pytest.raises(ValueError, match='H2 has no energy: attach a calculation'):
        LabelledFrame.from_ase(Atoms('H2'))


@pytest.mark.parametrize('prefix', ['', 'REF_'])
def test_through_extended_xyz(tmp_path, prefix):
    together = LabelledFrames.from_frames(make_frames())
    path = tmp_path / 'set.xyz'
    write_extxyz(together, path, prefix=prefix)
    assert_equal(read_extxyz(path, prefix=prefix), together)
    stream = io.StringIO()
    write_extxyz(together, stream, prefix=prefix)
    assert stream.getvalue() == path.read_text()


def test_ase_reads_the_same_labels(tmp_path):
    together = LabelledFrames.from_frames(make_frames())
    write_extxyz(together, tmp_path / 'set.xyz')
    for atoms, frame in zip(read(tmp_path / 'set.xyz', index=':'), together, strict=True):
        assert atoms.get_potential_energy() == frame.energy
        np.testing.assert_array_equal(atoms.get_forces(), frame.forces)
        np.testing.assert_array_equal(atoms.cell, frame.cell)
        assert atoms.info.get('config_type', '') == frame.config_type
        if frame.stress is not None:
            np.testing.assert_array_equal(atoms.get_stress(), frame.stress)


def test_files_of_ase_are_read(tmp_path):
    atoms = bulk('Cu', cubic=True)
    atoms.rattle(0.1, seed=1)
    atoms.calc = EMT()
    atoms.get_potential_energy(), atoms.get_stress()
    write(tmp_path / 'ase.xyz', [atoms, atoms], format='extxyz')
    found = read_extxyz(tmp_path / 'ase.xyz')
    np.testing.assert_allclose(found.forces[:4], atoms.get_forces(), atol=1e-7)
    np.testing.assert_allclose(found.stresses[1], atoms.get_stress(), atol=1e-7)


@pytest.mark.parametrize(
    'text', ['a b', 'T', '12', '1e5', '1 2 3', 'x="y"', "it's", 'a\nb', 'back\\slash', '[1]', '{', 'é', '_JSON 1', ' ', '1,2', 'a=b', '"']
)  # fmt: skip
def test_any_text_survives_extended_xyz(tmp_path, text):
    frames = LabelledFrames.from_frames(make_frames(origin=text, reference=f'x {text}'))
    write_extxyz(frames, tmp_path / 'set.xyz')
    assert_equal(read_extxyz(tmp_path / 'set.xyz'), frames)


def test_damaged_extended_xyz(tmp_path):
    path = tmp_path / 'set.xyz'
    write_extxyz(make_frames(), path)
    lines = path.read_text().splitlines()
    for damaged in (lines[:-1], [*lines[:3], 'Ni ****', *lines[4:]], ['x', *lines[1:]]):
        path.write_text('\n'.join(damaged) + '\n')
        with pytest.raises(ValueError, match=r'set.xyz, frame \d: '):
            read_extxyz(path)
    path.write_text('')
    with pytest.raises(ValueError, match=r'set\.xyz'):
        read_extxyz(path)
    write_extxyz(make_frames(), path, prefix='REF_')
    with pytest.raises(ValueError, match=r'frame 0: .* has no energy: .* set the prefix'):
        next(iter_extxyz(path))
    with pytest.raises(FileNotFoundError):
        read_extxyz(tmp_path / 'absent.xyz')


def test_stress_is_that_of_a_potential():
    """A compressed crystal wants to expand: positive in VASP, negative in ASE; shear goes to its own place."""
    atoms = bulk('Cu', cubic=True)
    atoms.set_cell(atoms.cell @ np.array([[0.95, 0.02, 0.0], [0.0, 0.96, 0.05], [0.0, 0.0, 0.97]]), scale_atoms=True)
    atoms.calc = EMT()
    tensor = atoms.get_stress(voigt=False)
    kbar = -1602.1766208 * np.array([tensor[i] for i in ((0, 0), (1, 1), (2, 2), (0, 1), (1, 2), (2, 0))])
    assert kbar[:3].min() > 0.0
    np.testing.assert_allclose(stress_from_kbar(kbar), atoms.get_stress(), rtol=1e-7)
    np.testing.assert_allclose(stress_to_kbar(stress_from_kbar(kbar)), kbar, rtol=1e-15)


def test_from_and_to_ml_ab():
    ml_ab = make_set(digits=15)
    frames = labelled_from_ml_ab(ml_ab, origins='branch 300 K', reference='PBE')
    assert frames.origins == ('branch 300 K:1', 'branch 300 K:2', 'branch 300 K:3')
    assert frames.config_types[0] == 'Mg2 H'
    np.testing.assert_array_equal(frames.ctifors, 0.02)
    assert (frames.scf_converged == -1).all()
    assert frames.pbc.all()
    np.testing.assert_array_equal(frames.energies, [frame.energy for frame in ml_ab])
    back = ml_ab_from_labelled(frames)
    for one, other in zip(back, ml_ab, strict=True):
        assert sorted(zip(one.elements, one.counts, strict=True)) == sorted(
            zip(other.elements, other.counts, strict=True)
        )
        np.testing.assert_allclose(one.stress_kbar, other.stress_kbar, rtol=1e-15)
    np.testing.assert_array_equal(back[0].positions, ml_ab[0].positions)
    assert [frame.name for frame in back] == [frame.name for frame in ml_ab]
    named = labelled_from_ml_ab(ml_ab, origins=['a', 'b', 'c'], config_type='bulk')
    assert (named.origins, named.config_types) == (('a', 'b', 'c'), ('bulk',) * 3)


def test_atoms_are_sorted_for_vasp():
    rng = np.random.default_rng(1)
    frames = LabelledFrames.from_frames(
        LabelledFrame(
            numbers=np.array(numbers),
            positions=rng.normal(size=(3, 3)),
            cell=np.eye(3),
            energy=0.0,
            forces=rng.normal(size=(3, 3)),
            stress=np.zeros(6),
            config_type='x' * 50,
        )
        for numbers in ((12, 1, 12), (1, 12, 12), (12, 12, 12), (1, 1, 12), (12, 12, 1))
    )
    ml_ab = ml_ab_from_labelled(frames)
    assert [(frame.elements, frame.counts) for frame in ml_ab] == [(('Mg', 'H'), (2, 1))] * 3 + [
        (('Mg',), (3,)), (('Mg', 'H'), (1, 2))
    ]  # fmt: skip
    np.testing.assert_array_equal(ml_ab[0].positions, frames[0].positions[[0, 2, 1]])
    np.testing.assert_array_equal(ml_ab[1].forces, frames[1].forces[[1, 2, 0]])
    np.testing.assert_array_equal(ml_ab[2].forces, frames[4].forces)
    assert ml_ab[0].name == 'x' * 40
    assert len(read_ml_ab(io.StringIO(text_of(ml_ab)))) == 5


def test_what_ml_ab_cannot_say():
    periodic = {'pbc': (True, True, True), 'stress': np.ones(6)}
    with pytest.raises(ValueError, match='frame 0 has no stress, which a ML_AB file cannot say'):
        ml_ab_from_labelled(LabelledFrames.from_frames(make_frames(pbc=(True,) * 3, ctifor=None)))
    with pytest.raises(ValueError, match='frame 2 has open boundaries'):
        ml_ab_from_labelled(LabelledFrames.from_frames(make_frames(stress=np.ones(6), ctifor=0.1)))
    mixed = LabelledFrames.from_frames(make_frames(**periodic))
    with pytest.raises(ValueError, match=r'frame 0 has no ctifor but others have: .*drop_ctifor=True'):
        ml_ab_from_labelled(mixed)
    assert {frame.ctifor for frame in ml_ab_from_labelled(mixed, drop_ctifor=True)} == {None}
    strange = MLAB.from_frames([make_frame(np.random.default_rng(0), ('D',), (1,))], masses={'D': 2.014})
    with pytest.raises(ValueError, match=r"configuration 1 has the type 'D', .* symbols=\{'D': \"H\"\}"):
        labelled_from_ml_ab(strange)
    assert labelled_from_ml_ab(strange, symbols={'D': 'H'}).numbers.tolist() == [1]
    with pytest.raises(ValueError, match='2 origins for 1 frames'):
        labelled_from_ml_ab(strange, origins=['a', 'b'])


def test_arrays_that_contradict_one_another():
    together = LabelledFrames.from_frames(make_frames())

    def changed(name, value):
        return LabelledFrames(**{**vars(together), name: value})

    for name, value, message in (
        ('offsets', np.array([0, 5, 12]), 'offsets must go from 0 to the 12 atoms in 4 steps'),
        ('offsets', np.array([0, 6, 6, 10, 12]), 'frame 1 has no atoms'),
        ('forces', np.zeros((11, 3)), r'forces have shape \(11, 3\), not \(12, 3\)'),
        ('origins', ('a',), '1 origins for 4 frames'),
        ('numbers', np.where(np.arange(12) == 7, 0, together.numbers), 'frame 2 has the atomic number 0'),
        ('positions', np.where(np.arange(36).reshape(12, 3) == 20, np.nan, 1.0), 'positions of frame 1 are not finite'),
        ('energies', np.array([0.0, 0.0, np.inf, 0.0]), 'energies of frame 2 are not finite'),
        ('stresses', np.where(np.arange(24).reshape(4, 6) == 8, np.nan, 1.0), 'NaN in all six components'),
    ):
        with pytest.raises(ValueError, match=message):
            changed(name, value)
    with pytest.raises(ValueError, match=r'forces have shape \(2, 3\), not \(1, 3\) as 1 atoms need'):
        LabelledFrame(np.array([1]), np.zeros((1, 3)), np.eye(3), 0.0, np.zeros((2, 3)))


def balanced(n_atoms, error, seed=0, **fields):
    """Return a frame whose exact forces add up to zero, with independent errors of the given size."""
    rng = np.random.default_rng(seed)
    forces = rng.normal(size=(n_atoms, 3))
    forces -= forces.mean(axis=0)
    forces += error / np.sqrt(3.0) * rng.normal(size=(n_atoms, 3))
    return LabelledFrame(np.full(n_atoms, 12), np.zeros((n_atoms, 3)), np.eye(3), 0.0, forces, **fields)


@pytest.mark.parametrize('n_atoms', [2, 16, 400])
def test_net_force_tells_the_error_of_forces_in_cells_of_any_size(n_atoms):
    frames = LabelledFrames.from_frames(balanced(n_atoms, 0.05, seed) for seed in range(300))
    errors = [decision.force_error_eV_A for decision in check_labels(frames)]
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(0.05, rel=0.1)


def test_decisions_are_recorded():
    frames = LabelledFrames.from_frames(
        [
            balanced(100, 0.01, origin='good'),
            balanced(100, 2.0, origin='bad'),
            balanced(100, 0.01, origin='unconverged', scf_converged=False),
            balanced(100, 0.01, origin='converged', scf_converged=True),
        ]
    )
    decisions = check_labels(frames)
    assert [(d.index, d.origin, d.kept, d.reasons, d.scf_converged) for d in decisions] == [
        (0, 'good', True, (), None),
        (1, 'bad', False, ('net force',), None),
        (2, 'unconverged', False, ('scf not converged',), False),
        (3, 'converged', True, (), True),
    ]
    kept = frames.select([decision.kept for decision in decisions])
    assert kept.origins == ('good', 'converged')
    assert decisions[1].to_dict()['reasons'] == ['net force']
    assert decisions[1].net_force_eV_A == pytest.approx(np.linalg.norm(frames[1].forces.sum(axis=0)))
    lenient = check_labels(frames, max_force_error_eV_A=None, keep_unconverged=True)
    assert all(decision.kept for decision in lenient)
    strict = check_labels(frames, max_force_eV_A=1e-3)
    assert [decision.reasons[-1] for decision in strict] == [
        'largest force',
        'largest force',
        'scf not converged',
        'largest force',
    ]
    assert check_labels(frames[:0]) == ()
    with pytest.raises(ValueError, match='max_force_eV_A must be positive or None, not 0'):
        check_labels(frames, max_force_eV_A=0)
