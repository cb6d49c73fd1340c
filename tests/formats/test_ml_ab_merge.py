"""Training sets of parallel branches become one."""

import io

import numpy as np
import pytest

from aiida_hdiff.formats import MLAB, merge_ml_ab, read_ml_ab
from tests.formats.test_ml_ab import assert_same, assert_same_frames, make_frame, text_of


def branch(seed, n_frames=3, elements=('Mg', 'H'), counts=(4, 2), **options):
    rng = np.random.default_rng(seed)
    return MLAB.from_frames([make_frame(rng, elements, counts, digits=15) for _ in range(n_frames)], **options)


def test_branches_of_one_past():
    """Two branches continued from the same ramp: its frames come once, all others stay in order."""
    past, one, two = branch(0, 4), branch(1), branch(2)
    left, right = (MLAB.from_frames([*past, *new], float_layout='intel') for new in (one, two))
    merged = merge_ml_ab([left, right])
    assert_same_frames(merged.ml_ab, [*past, *one, *two])
    assert merged.origins == tuple((0, i) for i in range(7)) + tuple((1, i) for i in range(4, 7))
    assert merged.duplicates == tuple(((1, i), (0, i)) for i in range(4))
    assert merged.ml_ab.float_layout == 'intel'
    assert_same(read_ml_ab(io.StringIO(text_of(merged.ml_ab))), merged.ml_ab)


def test_compositions_are_grouped_and_types_joined():
    hydride, metal, oxide = branch(0), branch(1, 2, ('Mg',), (4,)), branch(2, 2, ('O', 'Mg'), (1, 1))
    mixed = MLAB.from_frames([hydride[0], metal[0], hydride[1]])
    merged = merge_ml_ab([mixed, oxide, metal[1:], hydride[2:]]).ml_ab
    assert merged.elements == ('Mg', 'H', 'O')
    assert [frame.counts for frame in merged] == [(4, 2)] * 3 + [(4,)] * 2 + [(1, 1)] * 2
    assert_same_frames(merged, [*hydride, *metal, *oxide])
    assert [basis.tolist() for basis in merged.basis_sets] == [[[1, 1]]] * 3


def test_one_set_stays_as_it_is_with_its_repeated_frames():
    """A run may sample a structure twice; that is the weight VASP gave it."""
    one = branch(0)
    repeated = MLAB.from_frames([*one, one[0]])
    merged = merge_ml_ab([repeated])
    assert_same_frames(merged.ml_ab, repeated)
    assert merged.duplicates == ()


def test_a_frame_that_differs_in_the_last_bit_is_another_frame():
    one = branch(0, 1)
    frame = one[0]
    fields = {**vars(frame), 'energy': float(np.nextafter(frame.energy, 1e9))}
    assert len(merge_ml_ab([one, MLAB.from_frames([type(frame)(**fields)])]).ml_ab) == 2


def test_thresholds_in_all_frames_or_in_none():
    rng = np.random.default_rng(0)
    bare = MLAB.from_frames([make_frame(rng, ctifor=None)])
    with pytest.raises(ValueError, match=r'source 1 has no CTIFOR .* drop_ctifor=True'):
        merge_ml_ab([branch(0), bare])
    merged = merge_ml_ab([branch(0), bare], drop_ctifor=True).ml_ab
    assert [frame.ctifor for frame in merged] == [None] * 4


def test_masses_and_reference_energies_must_agree():
    """A raised mass of hydrogen is usual in training; which one counts is the user's to say."""
    heavy, light = branch(0, masses={'H': 8.0}), branch(1)
    with pytest.raises(
        ValueError, match=r"masses of H differ: 1.008 in source 1, 8.0 before: .*masses=\{'H': \.\.\.\}"
    ):
        merge_ml_ab([heavy, light])
    merged = merge_ml_ab([heavy, light], masses={'H': 1.008}).ml_ab
    assert merged.masses.tolist() == pytest.approx([24.305, 1.008])
    with pytest.raises(ValueError, match='reference_energies of Mg differ'):
        merge_ml_ab([branch(0, reference_energies={'Mg': -1.0}), light])
    assert merge_ml_ab([branch(0, reference_energies={'Mg': -1.0})]).ml_ab.reference_energies.tolist() == [-1.0, 0.0]


def test_nothing_to_merge():
    with pytest.raises(ValueError, match='no training sets to merge'):
        merge_ml_ab([])


def test_different_layouts_lose_no_digits():
    one, two = branch(0, float_layout='intel'), branch(1, float_layout='nvidia')
    merged = merge_ml_ab([one, two]).ml_ab
    assert merged.float_layout is None
    assert_same_frames(read_ml_ab(io.StringIO(text_of(merged))), [*one, *two])
