"""Every way in which a ML_AB file can be wrong ends in a readable ValueError."""

import contextlib
import gzip
import io
import random

import numpy as np
import pytest

from aiida_hdiff.formats import MLAB, read_ml_ab, write_ml_ab
from tests.formats.test_ml_ab import assert_same_frames, make_frame, make_set, text_of

POSCAR = 'Mg4 H2\n1.0\n5 0 0\n0 5 0\n0 0 5\nMg H\n4 2\nDirect\n0 0 0\n'


@pytest.fixture(scope='module')
def text():
    return text_of(make_set(digits=15, float_layout='intel'))


def read(text):
    return read_ml_ab(io.StringIO(text))


def edited(text, section, offset, line, number=1):
    """Return the text with another line at an offset from a title, and its number from 1."""
    lines = text.split('\n')
    place = [i for i, one in enumerate(lines) if section in one][number - 1] + offset
    lines[place : place + 1] = [] if line is None else [line]
    return '\n'.join(lines), place + 1


def test_every_truncation():
    rng = np.random.default_rng(2)
    frames = [make_frame(rng, ('Mg', 'H'), (1, 1), digits=15) for _ in range(2)]
    data = text_of(MLAB.from_frames(frames, float_layout='intel')).encode()
    second = data.index(b'Configuration num.      2')
    for end in range(len(data)):
        cut = io.BytesIO(data[:end])
        with pytest.raises(ValueError, match=r'is truncated: it ends at line \d+|is empty'):
            read_ml_ab(cut)
        if end >= second and end % 16 == 0:
            assert_same_frames(read_ml_ab(io.BytesIO(data[:end]), allow_truncated=True), frames[:1])
    with pytest.raises(ValueError, match='has no complete configuration'):
        read_ml_ab(io.BytesIO(data[: second - 200]), allow_truncated=True)


@pytest.mark.parametrize('n_trials', [2000, pytest.param(20_000, marks=pytest.mark.slow)])
def test_flipped_bytes(text, n_trials):
    """Damaged files: an error that is meant, or a file of the same shape."""
    chance = random.Random(n_trials)
    original = text.encode()
    values = [frame.n_atoms for frame in read(text)]
    refused = 0
    for _ in range(n_trials):
        data = bytearray(original)
        for _ in range(chance.choice((1, 1, 3))):
            place = chance.randrange(len(data))
            kind = chance.randrange(3)
            if kind == 0:
                data[place] = chance.randrange(256)
            elif kind == 1:
                del data[place : place + chance.randrange(1, 90)]
            else:
                data[place:place] = original[(start := chance.randrange(len(original))) : start + 30]
        found = None
        with contextlib.suppress(ValueError):
            found = read_ml_ab(io.BytesIO(bytes(data)))
        refused += found is None
        assert found is None or [frame.n_atoms for frame in found] == values
    assert refused > n_trials / 2


@pytest.mark.parametrize(
    ('section', 'offset', 'line', 'message'),
    [
        ('The number of configurations', 2, '          4', r'is truncated: it ends at line \d+ in configuration 4'),
        ('The number of configurations', 2, '          2', 'more follows after the 2 configurations'),
        ('The number of configurations', 2, '      three', 'the header should have an integer here, not \'three\''),
        ('The maximum number of atom type', 2, '       5', '6 atom types instead of 5'),
        ('The atom types in the data file', 2, '     Mg H  I ', 'the atom types .* repeat'),
        ('The atom types in the data file', 2, '     Mg H  Pt', 'should have "Basis set for Pt" here, not'),
        ('The maximum number of atoms per system', 2, '              7', 'says at most 7 atoms and 6 of one element'),
        ('The maximum number of atoms per atom type', 1, '=' * 50, r'should have a line of 50 "-" here'),
        ('Reference atomic energy (eV)', 2, '   1.0 2.0', '5 reference energies instead of 6'),
        ('Atomic mass', 2, '   NaN 1.0 2.0', 'masses should be finite numbers'),
        ('The numbers of basis sets', 2, '         2     1     1', r'1 lines follow instead of 2'),
        ('The numbers of basis sets', 2, '     *****     1     1', r'should have a line of 50 "\*" here'),
        ('Basis set for Mg', 2, '          9      1', 'refers to atom 1 of configuration 9, which does not exist'),
        ('Basis set for Mg', 2, '          1      7', 'refers to atom 7 of configuration 1'),
        ('Basis set for Mg', 2, '        1.5      1', 'pairs of integers'),
        ('Basis set for H', 0, '     Basis set for He', 'should have "Basis set for H" here, not \'Basis set for He\''),
        ('Configuration num.', 0, '     Configuration num.      2', 'configuration 1 has the number 2'),
        ('Configuration num.', 0, '     Configuration num.*******', '"Configuration num." and its number'),
        ('The number of atom types', 2, '       3', 'announces 3 types and 6 atoms, but lists 2 types with 6 atoms'),
        ('The number of atoms', 2, '          7', 'announces 2 types and 7 atoms'),
        ('Atom types and atom numbers', 2, '     Mg      5', 'lists 2 types with 7 atoms'),
        ('Atom types and atom numbers', 2, '     Mg      0', 'lists 2 types with 2 atoms'),
        ('Atom types and atom numbers', 2, '     H       4', 'list each element once'),
        ('Atom types and atom numbers', 2, '     Fe      4', 'has Fe, which is not among the types'),
        ('CTIFOR', 0, '     CTIF', 'should have "Primitive lattice vectors .* not \'CTIF\''),
        ('CTIFOR', 2, '   *************', "1 finite numbers should be here, not '\\*+'"),
        ('Primitive lattice', 2, None, '2 lines follow instead of 3'),
        ('Atomic positions', 3, '   1.0   2.0', "3 finite numbers should be here, not '1.0   2.0'"),
        ('Atomic positions', 3, '   1.0   2.0   nan', "not '1.0   2.0   nan'"),
        ('Atomic positions', 3, '   1.0   2.0-3.0', "not '1.0   2.0-3.0'"),
        ('Atomic positions', 3, None, '5 lines follow instead of 6'),
        ('Total energy', 2, '   -Infinity', "not '-Infinity'"),
        ('Total energy', 2, '   ******', r'did not fit its columns; leave this configuration out'),
        ('Total energy', 0, '     Total enthalpy (eV)', 'should have "Total energy \\(eV\\)" here'),
        ('Forces', 4, '   ****   0.0   0.0', 'did not fit its columns'),
        ('Forces', 4, '   0.1 0.2 0.3 0.4', "not '0.1 0.2 0.3 0.4'"),
        ('XX YY ZZ', 2, '    ', "3 finite numbers should be here, not ''"),
        ('XY YZ ZX', 2, '   0.1 0.2', "not '0.1 0.2'"),
        ('XX YY ZZ', 0, '     YY XX ZZ', 'should have "XX YY ZZ" here'),
    ],
)  # fmt: skip
def test_wrong_lines_are_named(text, section, offset, line, message):
    damaged, number = edited(text, section, offset, line)
    with pytest.raises(ValueError, match=message) as caught:
        read(damaged)
    named = int(str(caught.value).split('line ')[1].split(':')[0].split()[0])
    sections = ('The number of configurations', 'The numbers of basis sets', 'The atom types in the data file')
    if section not in (*sections, 'Atom types and atom numbers'):
        assert abs(named - number) <= 8, str(caught.value)


def test_two_and_four_numbers_are_not_three_and_three(text):
    """Fortran would read across the lines, so that the right number of words is not enough."""
    damaged, number = edited(text, 'Atomic positions', 2, '   1.0   2.0')
    damaged, _ = edited(damaged, 'Atomic positions', 3, '   3.0   1.0   2.0   3.0')
    with pytest.raises(ValueError, match=f"line {number}: 3 finite numbers should be here, not '1.0   2.0'"):
        read(damaged)


def test_numbers_missing_here_and_too_many_there(text):
    damaged, number = edited(text, 'Total energy', 2, '   1.0   2.0')
    damaged, _ = edited(damaged, 'XX YY ZZ', 2, '   1.0   2.0')
    with pytest.raises(ValueError, match=f"line {number}: 1 finite numbers should be here, not '1.0   2.0'"):
        read(damaged)


def test_ctifor_in_some_configurations_only(text):
    lines = text.split('\n')
    place = [i for i, line in enumerate(lines) if line.strip() == 'CTIFOR'][1]
    del lines[place - 1 : place + 3]
    with pytest.raises(ValueError, match='configuration 2 has no CTIFOR, unlike the first'):
        read('\n'.join(lines))


def test_other_files(tmp_path, text):
    path = tmp_path / 'ML_AB'
    for content, message in (
        (b'', 'ML_AB is empty: no VASP run has written'),
        (b' \n\n', 'ML_AB is empty'),
        (gzip.compress(text.encode()), 'ML_AB is compressed: unpack it with gunzip'),
        (text.replace('\n', '\r\n').encode(), 'ML_AB, line 1: it has Windows line ends: convert it with dos2unix'),
        (text.replace('CTIFOR\n', 'CTIFOR\r\n').encode(), r'ML_AB, line \d\d+: it has Windows line ends'),
        (POSCAR.encode(), r'line 1: a ML_AB file begins with "1\.0 Version", not .Mg4 H2.: this is another file'),
        (text.replace('1.0 Version', '2.0 Version').encode(), r'line 1: .* not .2\.0 Version.'),
        (np.random.default_rng(0).bytes(5000), 'line 1: .* this is another file'),
        (text.encode('utf-16'), 'line 1: .* this is another file'),
        (b'\x89HDF\r\n\x1a\n' + bytes(500), 'line 1: .* this is another file'),
    ):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=message):
            read_ml_ab(path)
    with pytest.raises(FileNotFoundError):
        read_ml_ab(tmp_path / 'absent')


def test_huge_counts_allocate_nothing(text):
    damaged, _ = edited(text, 'The number of configurations', 2, '999999999999')
    with pytest.raises(ValueError, match='truncated'):
        read(damaged)
    damaged, _ = edited(text, 'The number of atoms', 2, '999999999999', number=1)
    damaged, _ = edited(damaged, 'Atom types and atom numbers', 2, '     Mg 999999999997')
    with pytest.raises(ValueError, match='6 lines follow instead of 999999999999'):
        read(damaged)


def test_truncated_file_loses_its_basis_sets_only():
    full = make_set(masses={'H': 2.5})
    bases = (np.array([[1, 4], [1, 2]]), np.array([[3, 1]]), *full.basis_sets[2:])
    text = text_of(MLAB(**{**vars(full), 'basis_sets': bases}))
    kept = read_ml_ab(io.StringIO(text[:-300]), allow_truncated=True)
    assert_same_frames(kept, list(full)[:2])
    assert kept.elements == full.elements
    assert kept.masses[1] == 2.5
    assert [basis.tolist() for basis in kept.basis_sets] == [[[1, 1]]] * 6
    assert_same_frames(read(text_of(kept)), kept)


def test_broken_target_leaves_a_file_that_is_refused(tmp_path):
    class Full(io.StringIO):
        def write(self, text):
            if self.tell() > 2000:
                raise OSError(28, 'No space left on device')
            return super().write(text)

    target = Full()
    with pytest.raises(OSError, match='No space left'):
        write_ml_ab(make_set(), target)
    with pytest.raises(ValueError, match='truncated'):
        read(target.getvalue())
