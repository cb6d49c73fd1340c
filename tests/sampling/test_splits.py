"""Properties that every split and every selection must have, against independent calculations."""

from collections import Counter

import numpy as np
import pytest
from scipy.stats import multivariate_hypergeom

from aiida_hdiff.formats import LabelledFrame, LabelledFrames
from aiida_hdiff.formats.origins import formulas, parse_origins, places
from aiida_hdiff.sampling import Choice, SplitSettings, split_frames, strata, subsample
from aiida_hdiff.sampling.blocks import blocks, join_equal, nearness, steps_to
from aiida_hdiff.sampling.splits import apportion, leave_gap, part_sizes, split_groups

RUNS = {'a_300K': 60, 'b_600K': 40, 'c_900K': 20}


def make_frames(runs=None, spacing=10, n_hydrogen=None, origins=None, config_type='', seed=0):
    """Return random frames of runs given by name and number of frames, in the order of a shuffled deck."""
    rng = np.random.default_rng(seed)
    found = []
    for name, count in (RUNS if runs is None else runs).items():
        hydrogen = 1 if n_hydrogen is None else n_hydrogen[name]
        numbers = np.array([12] * 2 + [1] * hydrogen)
        for index in range(count):
            found.append(
                LabelledFrame(
                    numbers=numbers,
                    positions=rng.random((len(numbers), 3)) * 6.0,
                    cell=6.0 * np.eye(3),
                    energy=float(rng.normal()),
                    forces=rng.normal(size=(len(numbers), 3)),
                    origin=f'{name}:{spacing * index}' if origins is None else origins[len(found)],
                    config_type=config_type,
                )
            )
    order = rng.permutation(len(found))
    return LabelledFrames.from_frames([found[index] for index in order])


def counts_of(frames, split, name):
    return Counter(frames.origins[index].split(':')[0] for index in split.indices(name))


# Every split


@pytest.mark.parametrize('by', ['random', 'blocks'])
@pytest.mark.parametrize('stratify', [(), ('temperature',), ('temperature', 'composition')])
@pytest.mark.parametrize('sizes', [{}, {'valid': 0}, {'test': 17, 'valid': 0.25}, {'train': 30, 'test': 10}])
def test_every_frame_is_in_one_part_or_left_out_with_a_reason(by, stratify, sizes):
    frames = make_frames()
    split = split_frames(frames, SplitSettings(seed=4, by=by, stratify=stratify, **sizes))
    indices = np.concatenate([split.indices(name) for name in split.wanted])
    assert len(set(indices.tolist())) == len(indices)
    left_out = np.flatnonzero(split.parts < 0)
    np.testing.assert_array_equal(np.sort(np.concatenate([indices, left_out])), np.arange(120))
    assert (split.reasons[left_out] > 0).all()
    assert (split.reasons[indices] == 0).all()
    assert len(left_out) == 0 or 'train' in sizes
    for name in split.wanted:
        assert len(split.indices(name)) > 0
        if by == 'random':
            assert len(split.indices(name)) == split.wanted[name]
    summary = split.summary()
    assert sum(summary['n_frames'].values()) + sum(summary['left_out'].values()) == 120
    for name in split.wanted:
        assert sum(row[name] for row in summary['strata']) == summary['n_frames'][name]


def test_the_seed_decides():
    frames = make_frames()
    first, again, other = (split_frames(frames, SplitSettings(seed=seed)).parts for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_a_known_split_stays_the_same():
    parts = split_groups(np.arange(20), np.zeros(20, dtype=int), {'train': 14, 'valid': 2, 'test': 4}, seed=1)
    np.testing.assert_array_equal(np.flatnonzero(parts == 2), [1, 10, 16, 18])
    np.testing.assert_array_equal(np.flatnonzero(parts == 1), [7, 11])


def test_the_test_set_does_not_depend_on_the_size_of_the_others():
    frames = make_frames()
    one = split_frames(frames, SplitSettings(seed=3, test=12, valid=0.1, stratify=('temperature',)))
    other = split_frames(frames, SplitSettings(seed=3, test=12, valid=0.4, stratify=('temperature',)))
    np.testing.assert_array_equal(one.indices('test'), other.indices('test'))


def test_every_frame_of_a_kind_is_drawn_equally_often():
    n, n_seeds = 30, 1000
    kinds = np.repeat([0, 1, 2], [15, 9, 6])
    drawn = np.zeros(n)
    for seed in range(n_seeds):
        drawn += split_groups(np.arange(n), kinds, {'train': 24, 'test': 6}, seed=seed) == 2
    # The shares of 3, 1.8 and 1.2 frames are rounded to 3, 2 and 1; 4.5 standard deviations of a binomial.
    expected = np.array([3 / 15, 2 / 9, 1 / 6])[kinds]
    assert (np.abs(drawn / n_seeds - expected) < 4.5 * np.sqrt(expected * (1.0 - expected) / n_seeds)).all()


# Sizes


@pytest.mark.parametrize(
    ('n', 'sizes', 'expected'),
    [
        (100, {}, {'train': 80, 'valid': 10, 'test': 10}),
        (25, {}, {'train': 19, 'valid': 3, 'test': 3}),
        (100, {'valid': 0, 'test': 7}, {'train': 93, 'test': 7}),
        (100, {'valid': None, 'test': 0.05}, {'train': 95, 'test': 5}),
        (10, {'train': 0.75, 'valid': 0.15, 'test': 0.1}, {'train': 7, 'valid': 2, 'test': 1}),
        (100, {'train': 0.5, 'valid': 10, 'test': 10}, {'train': 50, 'valid': 10, 'test': 10}),
        (100, {'train': 80, 'valid': 10, 'test': 10}, {'train': 80, 'valid': 10, 'test': 10}),
        (3, {'valid': 1, 'test': 1}, {'train': 1, 'valid': 1, 'test': 1}),
    ],
)
def test_sizes(n, sizes, expected):
    assert part_sizes(n, **sizes) == expected


@pytest.mark.parametrize(
    ('sizes', 'message'),
    [
        ({'test': 1.5}, '`test` is 1.5: a fraction is between 0 and 1'),
        ({'test': 1.0}, '`test` is 1.0: a fraction is between 0 and 1'),
        ({'test': -0.1}, '`test` is -0.1: a fraction is between 0 and 1'),
        ({'test': float('nan')}, '`test` is nan: a fraction'),
        ({'test': -3}, '`test` is -3: give a fraction such as 0.1, or a positive number'),
        ({'test': True}, '`test` is True: give a fraction'),
        ({'test': '0.1'}, "`test` is '0.1': give a fraction"),
        ({'test': 0.6, 'valid': 0.6}, 'the fractions 0.6, 0.6 add up to more than 1: reduce them'),
        ({'train': 0.9}, 'the fractions 0.9, 0.1, 0.1 add up to more than 1'),
        ({'test': 0.01}, '`test` is 0.01 of 20 frames, which is none: give more, or 0'),
        ({'test': 30}, 'valid 2, test 30 of 20 frames leave too few for train'),
        ({'test': 18}, 'valid 2, test 18 of 20 frames leave too few for train'),
        ({'train': 17, 'test': 2}, 'train 17, valid 2, test 2 of 20 frames leave too few'),
        ({'train': 0.4, 'valid': 30, 'test': 0}, 'train 8, valid 30 of 20 frames leave too few'),
        ({'train': 0}, '`train` is 0: leave it out'),
        ({'valid': 0, 'test': None}, 'neither `valid` nor `test` is given'),
    ],
)
def test_sizes_that_cannot_be(sizes, message):
    with pytest.raises(ValueError) as caught:
        part_sizes(20, **sizes)
    assert message in str(caught.value)


def test_a_single_frame_cannot_be_split():
    with pytest.raises(ValueError, match='which is none'):
        split_frames(make_frames({'a': 1}), SplitSettings(seed=1))


# Shares of kinds


@pytest.mark.parametrize('seed', range(5))
def test_shares_are_the_likeliest_of_a_random_draw(seed):
    """The largest remainders are the mode of the multivariate hypergeometric distribution, or next to it."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 60, size=4)
    total = int(rng.integers(1, counts.sum()))
    shares = apportion(counts, total, rng)
    assert shares.sum() == total
    assert (np.abs(shares - counts * total / counts.sum()) < 1.0).all()
    assert ((shares >= 0) & (shares <= counts)).all()
    best = multivariate_hypergeom.pmf(shares, counts, total)
    for up in range(4):
        for down in range(4):
            moved = shares.copy()
            moved[up] += 1
            moved[down] -= 1
            if up != down and (moved >= 0).all() and (moved <= counts).all():
                assert multivariate_hypergeom.pmf(moved, counts, total) <= best * 1.6


def test_shares_by_hand():
    rng = np.random.default_rng(0)
    # Exact shares 2.5, 1.667, 0.833: floors 2, 1, 0 and two more to the largest remainders.
    np.testing.assert_array_equal(apportion([15, 10, 5], 5, rng), [2, 2, 1])
    np.testing.assert_array_equal(apportion([15, 10, 5], 0, rng), [0, 0, 0])
    np.testing.assert_array_equal(apportion([15, 10, 5], 30, rng), [15, 10, 5])
    ties = {tuple(apportion([1, 1, 1], 1, np.random.default_rng(seed)).tolist()) for seed in range(40)}
    assert ties == {(1, 0, 0), (0, 1, 0), (0, 0, 1)}
    with pytest.raises(ValueError, match='31 of 30 frames are wanted'):
        apportion([15, 10, 5], 31, rng)


@pytest.mark.parametrize('seed', range(3))
def test_strata_keep_their_shares_in_every_part(seed):
    frames = make_frames()
    split = split_frames(frames, SplitSettings(seed=seed, test=0.2, valid=0.1, stratify=('temperature',)))
    for name, size in split.wanted.items():
        found = counts_of(frames, split, name)
        for run, count in RUNS.items():
            assert abs(found[run] - size * count / 120) < 1.0, (name, run)


def test_strata_are_kept_by_blocks_too():
    frames = make_frames()
    split = split_frames(frames, SplitSettings(seed=1, by='blocks', test=0.2, valid=0.2, stratify=('temperature',)))
    assert counts_of(frames, split, 'test') == {'a_300K': 12, 'b_600K': 8, 'c_900K': 4}


def test_a_kind_with_large_blocks_gives_its_share_elsewhere():
    """Two frames of each run are wanted but blocks have ten: whole blocks of some runs make up the size."""
    frames = make_frames({f'r{number}': 10 for number in range(10)})
    settings = SplitSettings(seed=1, by='blocks', blocks_per_run=1, test=0.2, valid=0, stratify=('run',))
    split = split_frames(frames, settings)
    assert sorted(counts_of(frames, split, 'test').values()) == [10, 10]


def test_kinds_of_frames():
    frames = make_frames({'a_300K': 2, 'b_600K': 1}, n_hydrogen={'a_300K': 1, 'b_600K': 2}, seed=5)
    runs = ['b_600K' if 'b' in origin else 'a_300K' for origin in frames.origins]
    kinds = strata(frames, ('temperature', 'composition'))
    expected = {'a_300K': '300 K, HMg2', 'b_600K': '600 K, H2Mg2'}
    assert [kinds.labels[number] for number in kinds.numbers] == [expected[run] for run in runs]
    assert strata(frames, ()).labels == ('',)
    assert kinds.counts.sum() == 3
    assert [strata(frames, ('run',)).labels[n] for n in strata(frames, ('run',)).numbers] == runs


def test_temperatures_of_the_moment_are_binned():
    origins = ['step 1 210 K', 'step 2 290.5 K', 'step 3 300 K', 'step 4 399.9 K']
    frames = make_frames({'a': 4}, origins=origins)
    assert {frames.origins[i]: strata(frames, ('temperature',)).labels[n]
            for i, n in enumerate(strata(frames, ('temperature',)).numbers)} == dict(
        zip(origins, ['200-300 K', '200-300 K', '300-400 K', '300-400 K'], strict=True)
    )  # fmt: skip
    assert set(strata(frames, ('temperature',), bin_K=50.0).labels) == {
        '200-250 K',
        '250-300 K',
        '300-350 K',
        '350-400 K',
    }


def test_kinds_that_cannot_be_told():
    frames = make_frames({'hot': 3})
    with pytest.raises(ValueError, match=r'3 of 3 frames tell no temperature, the first is frame 0 with the origin'):
        split_frames(frames, SplitSettings(seed=1, stratify=('temperature',), test=1, valid=0))
    with pytest.raises(ValueError, match="'pressure' is nothing to stratify by: give temperature, composition"):
        strata(frames, ('pressure',))
    with pytest.raises(ValueError, match='must be positive, not 0'):
        strata(make_frames({'a_300K': 2}), ('temperature',), bin_K=0)


# Blocks of trajectories


def where_of(frames):
    return places(parse_origins(frames), formulas(frames))


def brute_force_distance(frames, one, other):
    """Return the smallest difference of steps between two sets of frames of one run, by looking at all pairs."""
    places_ = [origin.rsplit(':', 1) for origin in frames.origins]
    distances = [
        abs(int(places_[i][1]) - int(places_[j][1])) for i in one for j in other if places_[i][0] == places_[j][0]
    ]
    return min(distances, default=None)


@pytest.mark.parametrize('gap_steps', [0, 10, 25, 40])
@pytest.mark.parametrize('seed', range(3))
def test_no_neighbours_in_time_leak_across_blocks(gap_steps, seed):
    frames = make_frames()
    split = split_frames(frames, SplitSettings(seed=seed, by='blocks', gap_steps=gap_steps))
    for one in split.nearness:
        members = [split.indices(name) for name in one.parts]
        expected = brute_force_distance(frames, *members)
        assert one.smallest_distance_steps == expected
        assert expected is None or expected >= max(gap_steps, 10)
        if expected is not None:
            assert brute_force_distance(frames, [one.frames[0]], [one.frames[1]]) == expected
            assert {one.frames[0]} <= set(members[0].tolist())
            assert {one.frames[1]} <= set(members[1].tolist())
            assert frames.origins[one.frames[0]].startswith(one.run)
    for block in np.unique(split.groups):
        assert len(set(split.parts[(split.groups == block) & (split.reasons == 0)].tolist())) <= 1
    if gap_steps > 10:
        assert (split.reasons == 2).sum() > 0
        assert all(one.n_neighbours == 0 for one in split.nearness)


def test_random_splits_leak_more_than_blocks():
    frames = make_frames()
    random = split_frames(frames, SplitSettings(seed=1))
    by_blocks = split_frames(frames, SplitSettings(seed=1, by='blocks'))
    neighbours = [sum(one.n_neighbours for one in split.nearness) for split in (random, by_blocks)]
    assert neighbours[0] > 1.5 * neighbours[1] > 0


def test_neighbours_and_distances_by_hand():
    frames = make_frames({'a': 6, 'b': 2}, seed=2)
    index = {origin: place for place, origin in enumerate(frames.origins)}
    pick = lambda *names: np.array([index[name] for name in names])  # noqa: E731
    where = where_of(frames)
    found = nearness(where, pick('a:0', 'a:10', 'b:0'), pick('a:20', 'a:50'), ('train', 'test'))
    assert (found.smallest_distance_steps, found.n_neighbours, found.run) == (10, 1, 'a')
    assert found.frames == (index['a:10'], index['a:20'])
    found = nearness(where, pick('a:0'), pick('a:20', 'a:50'), ('train', 'test'))
    assert (found.smallest_distance_steps, found.n_neighbours) == (20, 0)
    found = nearness(where, pick('a:0'), pick('b:0'), ('train', 'test'))
    assert (found.smallest_distance_steps, found.frames, found.run, found.n_neighbours) == (None, None, None, 0)
    distances, nearest = steps_to(where, pick('a:30', 'b:10', 'a:0'), pick('a:10', 'a:50'))
    np.testing.assert_array_equal(distances, [20, -1, 10])
    assert nearest.tolist() == [index['a:10'], -1, index['a:10']]


@pytest.mark.parametrize('settings', [{'blocks_per_run': 4}, {'block_steps': 100}])
def test_blocks_are_contiguous_in_time(settings):
    frames = make_frames()
    where = where_of(frames)
    found = blocks(where, **settings)
    for run, count in enumerate(np.bincount(where.runs)):
        members = np.flatnonzero(where.runs == run)
        ordered = found[members[np.argsort(where.steps[members])]]
        assert (np.diff(ordered) >= 0).all()
        sizes = np.bincount(ordered)[np.unique(ordered)]
        if 'block_steps' in settings:
            assert (sizes == 10).all()
        else:
            assert len(sizes) == 4
            assert np.ptp(sizes) <= 1
        assert sizes.sum() == count
    assert set(found.tolist()) == set(range(found.max() + 1))


def test_frames_of_one_step_stay_together_and_short_runs_have_fewer_blocks():
    frames = make_frames({'a': 6}, origins=['a:0', 'a:0', 'a:5', 'a:5', 'a:9', 'a:9'])
    where = where_of(frames)
    found = blocks(where, blocks_per_run=10)
    assert len(set(found.tolist())) == 3
    for step in (0, 5, 9):
        assert len(set(found[where.steps == step].tolist())) == 1


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({}, 'give one of'),
        ({'blocks_per_run': 1, 'block_steps': 1}, 'give one of'),
        ({'blocks_per_run': 0}, '`blocks_per_run` is 0: give 1 or more'),
        ({'block_steps': -5}, '`block_steps` is -5: give 1 or more'),
    ],
)
def test_blocks_that_cannot_be_made(settings, message):
    with pytest.raises(ValueError, match=message):
        blocks(where_of(make_frames({'a': 3})), **settings)


def test_blocks_that_are_too_large_are_refused():
    settings = SplitSettings(seed=1, by='blocks', blocks_per_run=1, test=0.1, valid=0)
    with pytest.raises(ValueError, match=r'test would get no frames: its 10 of 100 .* \(of up to 100 frames\)'):
        split_frames(make_frames({'a': 100}), settings)
    with pytest.raises(ValueError, match='a gap of 5000 steps leaves no frame for valid'):
        split_frames(make_frames({'a': 100}), SplitSettings(seed=1, by='blocks', gap_steps=5000))


def test_gaps_are_cut_into_the_part_to_train_on_first():
    where = where_of(make_frames({'a': 5}, origins=[f'a:{step}' for step in range(5)], seed=0))
    order = np.argsort(where.steps)
    parts = np.zeros(5, dtype=np.int64)
    parts[order] = [2, 0, 0, 0, 1]
    np.testing.assert_array_equal(leave_gap(parts, where, 2)[order], [2, -1, 0, -1, 1])
    np.testing.assert_array_equal(leave_gap(parts, where, 1)[order], [2, 0, 0, 0, 1])


@pytest.mark.parametrize(('unplaced', 'n_left_out'), [('alone', 0), ('leave_out', 5)])
def test_frames_without_a_step(unplaced, n_left_out):
    origins = [f'a:{step}' for step in range(20)] + [f'structure {letter}' for letter in 'bcdef']
    frames = make_frames({'a': 25}, origins=origins)
    settings = {'seed': 2, 'by': 'blocks', 'valid': 0, 'test': 0.2}
    with pytest.raises(ValueError, match=r'5 of 25 frames do not tell their step .* set `unplaced` to alone'):
        split_frames(frames, SplitSettings(**settings))
    split = split_frames(frames, SplitSettings(**settings, unplaced=unplaced))
    assert (split.parts < 0).sum() == n_left_out
    assert split.summary()['left_out']['step not told'] == n_left_out
    assert split.nearness[0].n_unplaced == 5 - n_left_out
    if unplaced == 'alone':
        lonely = [index for index, origin in enumerate(frames.origins) if 'structure' in origin]
        assert len({split.groups[index] for index in lonely}) == 5


# Equal structures


def test_equal_structures_never_go_to_different_parts():
    frames = make_frames({'a': 40, 'b': 40})
    doubled = LabelledFrames.concatenate([frames, frames.select(np.arange(0, 80, 3))])
    relabelled = np.concatenate([np.arange(80), np.arange(0, 80, 3)])
    for seed in range(5):
        for by in ('random', 'blocks'):
            split = split_frames(doubled, SplitSettings(seed=seed, test=0.2, by=by))
            for frame in range(0, 80, 3):
                assert len(set(split.parts[relabelled == frame].tolist())) == 1
            if by == 'random':
                assert len(split.indices('test')) == split.wanted['test']


def test_groups_with_a_structure_in_common_are_joined():
    found = join_equal(np.array([0, 0, 1, 1, 2, 3]), ['a', 'b', 'c', 'b', 'd', 'c'])
    np.testing.assert_array_equal(found, [0, 0, 0, 0, 1, 0])
    np.testing.assert_array_equal(join_equal(np.array([7, 3, 7]), ['x', 'y', 'z']), [0, 1, 0])


# Settings


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({'by': 'block'}, "`by` is 'block': give random or blocks"),
        ({'seed': -1}, '`seed` is -1: give a whole number of at least 0'),
        ({'seed': 1.5}, '`seed` is 1.5'),
        ({'gap_steps': 5}, '`gap_steps` belongs to `by: blocks`'),
        ({'blocks_per_run': 5}, '`blocks_per_run` belongs to `by: blocks`'),
        ({'unplaced': 'alone'}, '`unplaced` belongs to `by: blocks`'),
        ({'by': 'blocks', 'unplaced': 'x'}, "`unplaced` is 'x': give refuse or alone or leave_out"),
        ({'by': 'blocks', 'gap_steps': -5}, '`gap_steps` is -5'),
        ({'by': 'blocks', 'blocks_per_run': 0}, '`blocks_per_run` is 0'),
        ({'by': 'blocks', 'blocks_per_run': 4, 'block_steps': 3}, 'give one of `blocks_per_run` and `block_steps`'),
    ],
)
def test_settings_that_cannot_be(settings, message):
    with pytest.raises(ValueError) as caught:
        SplitSettings(**{'seed': 1, **settings})
    assert message in str(caught.value)


# Subsampling


def test_every_nth_frame():
    np.testing.assert_array_equal(subsample(np.zeros(10, dtype=int), Choice(stride=4)), [0, 4, 8])
    np.testing.assert_array_equal(subsample(np.zeros(10, dtype=int), Choice(stride=4, start=9)), [9])


@pytest.mark.parametrize('choice', [Choice(n_random=24), Choice(fraction=0.2)])
def test_random_frames_keep_the_shares(choice):
    frames = make_frames()
    kinds = strata(frames, ('temperature',))
    first, again, other = (subsample(kinds.numbers, choice, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert first.tolist() != other.tolist()
    assert first.tolist() == sorted(set(first.tolist()))
    found = Counter(frames.origins[index].split(':')[0] for index in first)
    assert found == {'a_300K': 12, 'b_600K': 8, 'c_900K': 4}


@pytest.mark.parametrize(
    ('choice', 'message'),
    [
        (Choice(), 'give exactly one of `n_random`, `fraction` and `stride`, not none'),
        (Choice(n_random=2, stride=2), 'not n_random, stride'),
        (Choice(n_random=11), '`n_random` is 11, but there are 10 frames: reduce it'),
        (Choice(n_random=0), '`n_random` is 0'),
        (Choice(fraction=1.2), '`fraction` is 1.2: a fraction is between 0 and 1'),
        (Choice(fraction=0.01), '`fraction` is 0.01 of 10 frames, which is none'),
        (Choice(stride=0), 'every 0th frame'),
        (Choice(stride=2, start=10), '`start` 0 to 9'),
    ],
)
def test_choices_that_cannot_be_made(choice, message):
    with pytest.raises(ValueError) as caught:
        subsample(np.zeros(10, dtype=int), choice)
    assert message in str(caught.value)
