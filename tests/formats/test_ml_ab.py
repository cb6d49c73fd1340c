"""ML_AB files that we write ourselves: every field, every layout of numbers, every header."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from aiida_hdiff.formats import MLAB, MLABFrame, read_ml_ab, write_ml_ab
from aiida_hdiff.formats.fortran_floats import LAYOUTS, detect_layout, format_floats, parse_float, parse_floats

FIELDS = ('name', 'elements', 'counts', 'energy', 'ctifor')
ARRAYS = ('cell', 'positions', 'forces', 'stress_kbar')


def make_frame(rng, elements=('Mg', 'H'), counts=(4, 2), *, name='Mg2 H', ctifor=0.02, digits=None):
    """Return a frame with numbers of all sizes, as a compiler's layout can hold them if digits are given."""
    n_atoms = sum(counts)

    def numbers(*shape):
        values = rng.normal(size=shape) * 10.0 ** rng.integers(-9, 3, size=shape)
        return values if digits is None else np.vectorize(lambda value: float(f'%.{digits - 1}e' % value))(values)

    return MLABFrame(
        name=name,
        elements=tuple(elements),
        counts=tuple(counts),
        cell=numbers(3, 3),
        positions=numbers(n_atoms, 3),
        energy=numbers(1).item(),
        forces=numbers(n_atoms, 3),
        stress_kbar=numbers(6),
        ctifor=ctifor,
    )


def make_set(seed=0, *, ctifor=0.02, digits=None, **options):
    """Return five types, more than fit in a line, and varying numbers of atoms."""
    rng = np.random.default_rng(seed)
    frames = [
        make_frame(rng, ctifor=ctifor, digits=digits),
        make_frame(rng, ('Pb', 'I', 'C', 'N', 'H'), (1, 3, 1, 1, 6), name='', ctifor=ctifor, digits=digits),
        make_frame(rng, ('H',), (1,), name='  one * atom = 1 - é', ctifor=ctifor, digits=digits),
    ]
    return MLAB.from_frames(frames, **options)


def text_of(ml_ab):
    stream = io.StringIO()
    write_ml_ab(ml_ab, stream)
    return stream.getvalue()


def assert_same_frames(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        for field in FIELDS:
            assert getattr(one, field) == getattr(other, field)
        for field in ARRAYS:
            np.testing.assert_array_equal(getattr(one, field), getattr(other, field))


def assert_same(found, expected):
    assert_same_frames(found, expected)
    for field in ('elements', 'max_atoms', 'max_atoms_per_element', 'float_layout'):
        assert getattr(found, field) == getattr(expected, field)
    np.testing.assert_array_equal(found.masses, expected.masses)
    np.testing.assert_array_equal(found.reference_energies, expected.reference_energies)
    for one, other in zip(found.basis_sets, expected.basis_sets, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize('ctifor', [None, 1e-16])
@pytest.mark.parametrize(('layout', 'digits'), [(None, None), ('intel', 15), ('nvidia', 15), ('gnu', 15)])
def test_round_trip_of_every_field_and_byte(tmp_path, layout, digits, ctifor):
    ml_ab = make_set(
        ctifor=ctifor, digits=digits, float_layout=layout, reference_energies={'H': -1.1202027, 'Mg': -0.5}
    )
    write_ml_ab(ml_ab, tmp_path / 'ML_AB')
    found = read_ml_ab(tmp_path / 'ML_AB')
    assert_same(found, ml_ab)
    write_ml_ab(found, tmp_path / 'again')
    assert (tmp_path / 'again').read_bytes() == (tmp_path / 'ML_AB').read_bytes()
    assert text_of(found).encode() == (tmp_path / 'ML_AB').read_bytes()


def test_streams(tmp_path):
    ml_ab = make_set()
    write_ml_ab(ml_ab, tmp_path / 'ML_AB')
    with (tmp_path / 'ML_AB').open(encoding='utf-8') as text:
        assert_same(read_ml_ab(text), ml_ab)
    with (tmp_path / 'ML_AB').open('rb') as binary:
        assert_same(read_ml_ab(binary), ml_ab)
    assert_same(read_ml_ab(io.StringIO(text_of(ml_ab))), ml_ab)
    assert_same(read_ml_ab(str(tmp_path / 'ML_AB')), ml_ab)


def test_columns_of_vasp():
    """The lines that must not differ by a blank, for tools that count columns."""
    rng = np.random.default_rng(1)
    ml_ab = MLAB.from_frames(
        [make_frame(rng, ('Mg', 'H'), (4, 12), name='MgH', digits=15)],
        float_layout='intel',
        masses={'Mg': 24.305, 'H': 1.0},
    )
    lines = text_of(ml_ab).splitlines()
    assert lines[:9] == [
        ' 1.0 Version',
        '*' * 50,
        '     The number of configurations',
        '-' * 50,
        '          1',
        '*' * 50,
        '     The maximum number of atom type',
        '-' * 50,
        '       2',
    ]
    assert '     Mg H ' in lines
    assert '             16' in lines
    assert '   24.3050000000000        1.00000000000000     ' in lines
    assert '  0.000000000000000E+000  0.000000000000000E+000' in lines
    assert '         1     1' in lines
    assert lines[lines.index('     Basis set for H ') + 2] == '          1      1'
    assert '     Configuration num.      1' in lines
    assert '     MgH' + 37 * ' ' in lines
    assert '     H      12' in lines
    assert '  2.000000000000000E-002' in lines


def test_types_wrap_at_three_in_a_line():
    lines = text_of(make_set()).splitlines()
    start = lines.index('     The atom types in the data file')
    assert lines[start + 2 : start + 4] == ['     Mg H  Pb', '     I  C  N ']
    start = lines.index('     Atomic mass')
    assert [len(line.split()) for line in lines[start + 2 : start + 4]] == [3, 3]


@pytest.mark.parametrize(
    ('layout', 'lines'),
    [
        ('intel', {8.0: '   8.00000000000000     ', -0.123: ' -0.123000000000000     ', 0.0: '  0.000000000000000E+000'}),
        ('intel', {-1.5e-7: ' -1.500000000000000E-007', 1e-120: '  1.000000000000000E-120', 0.0999: '  9.990000000000000E-002'}),
        ('nvidia', {8.0: '    8.000000000000000     ', 0.3685: '   0.3685000000000000     ', 0.0: '    0.000000000000000     '}),
        ('gnu', {8.0: '   8.0000000000000000     ', 0.5: '  0.50000000000000000     ', 0.0: '   0.0000000000000000     '}),
    ],
)  # fmt: skip
def test_layouts_of_numbers(layout, lines):
    for value, line in lines.items():
        assert format_floats(np.array([[value]]), layout).decode() == line + '\n'
        assert parse_floats(line.encode()).tolist() == [value]


def test_gnu_layout_against_its_own_library(tmp_path):
    """Numbers printed by GNU Fortran's run-time library, which numpy brings along, in a process of their own."""
    libraries = sorted(Path(np.__file__).parent.parent.joinpath('numpy.libs').glob('libgfortran*'))
    if not libraries:
        pytest.skip('this numpy brings no libgfortran along')
    script = (
        'import ctypes, sys\n'
        'import numpy as np\n'
        'library, state = ctypes.CDLL(sys.argv[1]), ctypes.create_string_buffer(4096)\n'
        'rng = np.random.default_rng(3)\n'
        'table = rng.normal(size=(300, 3)) * 10.0 ** rng.integers(-12, 7, size=(300, 3))\n'
        'table[0] = 0.0, 0.1, 1e-120\n'
        'np.save(sys.argv[2], table)\n'
        'for row in table:\n'
        '    ctypes.memset(state, 0, 4096)\n'
        '    numbers = ctypes.cast(state, ctypes.POINTER(ctypes.c_int32))\n'
        '    numbers[0], numbers[1] = 128, 6  # list-directed, unit 6\n'
        '    library._gfortran_st_write(state)\n'
        '    for value in row:\n'
        '        number = ctypes.c_double(value)\n'
        '        library._gfortran_transfer_real_write(state, ctypes.byref(number), 8)\n'
        '    library._gfortran_st_write_done(state)\n'
    )
    run = subprocess.run(
        [sys.executable, '-c', script, str(libraries[0]), str(tmp_path / 'table.npy')], capture_output=True, check=False
    )
    if run.returncode < 0:
        pytest.skip('this libgfortran cannot be called this way')
    assert run.returncode == 0, run.stderr
    table = np.load(tmp_path / 'table.npy')
    assert format_floats(table, 'gnu') == run.stdout
    assert detect_layout(run.stdout, table) == 'gnu'
    np.testing.assert_array_equal(parse_floats(run.stdout).reshape(-1, 3), table)


def test_layouts_never_lose_digits():
    """A number with more digits than the layout has is written with all of them."""
    table = np.random.default_rng(5).normal(size=(50, 3)) * 10.0 ** np.arange(-2, 1)
    for layout in LAYOUTS:
        np.testing.assert_array_equal(parse_floats(format_floats(table, layout.name)).reshape(-1, 3), table)
    with pytest.raises(ValueError, match='choose one of intel, nvidia, gnu'):
        format_floats(table, 'cray')


def test_other_spellings_of_fortran():
    spellings = {b'1.5D-03': 1.5e-3, b'-2.25-101': -2.25e-101, b'.5': 0.5, b'7.': 7.0, b'1.0d0': 1.0, b'+3E2': 300.0}
    assert {word: parse_float(word) for word in spellings} == spellings
    assert [parse_float(word) for word in (b'NaN', b'****', b'1.0-2.0', b'Infinity', b'1e999', b'0x10', b'1_0')] == [
        None
    ] * 7
    assert parse_floats(b'1.0-2.0 3.0') is None
    text = text_of(make_set(digits=15, float_layout='intel'))
    assert_same_frames(
        read_ml_ab(io.StringIO(text.replace('E-00', 'D-00').replace('E+00', 'd+0'))), make_set(digits=15)
    )


def test_columns_and_blank_space_do_not_matter():
    ml_ab = make_set()
    loose = '\n'.join('  ' + ' '.join(line.split()) for line in text_of(ml_ab).splitlines()) + '\n\n'
    assert_same_frames(
        read_ml_ab(io.StringIO(loose)),
        [MLABFrame(**{f: getattr(x, f) for f in FIELDS + ARRAYS} | {'name': x.name.strip()}) for x in ml_ab],
    )


def test_other_frames_get_a_header(tmp_path):
    frames = list(make_set())
    write_ml_ab(frames, tmp_path / 'ML_AB')
    found = read_ml_ab(tmp_path / 'ML_AB')
    assert_same_frames(found, frames)
    assert found.elements == ('Mg', 'H', 'Pb', 'I', 'C', 'N')
    assert (found.max_atoms, found.max_atoms_per_element) == (12, 6)
    assert found.masses[1] == pytest.approx(1.008)
    assert [basis.tolist() for basis in found.basis_sets] == [[[1, 1]]] * 6
    assert 'Mg H Pb I C N' in repr(found)


def test_selection_keeps_the_header_that_belongs_to_it():
    ml_ab = make_set(masses={'H': 2.0}, reference_energies={'H': -1.0})
    last = ml_ab[1:]
    assert_same_frames(last, list(ml_ab)[1:])
    assert last.elements == ('H', 'Pb', 'I', 'C', 'N')
    assert (last.masses[0], last.reference_energies[0]) == (2.0, -1.0)
    assert ml_ab[-1].symbols == ['H']


def test_basis_sets_are_kept():
    ml_ab = make_set()
    bases = (np.array([[1, 4], [1, 2]]), np.array([[3, 1], [2, 12], [1, 6]]), *ml_ab.basis_sets[2:])
    full = MLAB(**{**vars(ml_ab), 'basis_sets': bases, 'max_atoms': 20})
    assert_same(read_ml_ab(io.StringIO(text_of(full))), full)
    with pytest.raises(ValueError, match=r'basis set for Mg refers to atom 5 of configuration 4'):
        MLAB(**{**vars(ml_ab), 'basis_sets': (np.array([[4, 5]]), *ml_ab.basis_sets[1:])})


def test_frames_that_make_no_file():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match='no configurations'):
        MLAB.from_frames([])
    with pytest.raises(ValueError, match=r'configuration 2 has no CTIFOR, unlike the first'):
        MLAB.from_frames([make_frame(rng), make_frame(rng, ctifor=None)])
    with pytest.raises(ValueError, match=r"'Xq' is not an element: give its mass"):
        MLAB.from_frames([make_frame(rng, ('Xq',), (1,))])
    with pytest.raises(ValueError, match='list each element once'):
        make_frame(rng, ('H', 'H'), (1, 1))
    with pytest.raises(ValueError, match='leave out absent elements'):
        make_frame(rng, ('Mg', 'H'), (1, 0))
    with pytest.raises(ValueError, match='has a line end'):
        make_frame(rng, name='two\nlines')
    with pytest.raises(ValueError, match=r'shorten it to 40 characters'):
        write_ml_ab([make_frame(rng, name='x' * 41)], io.StringIO())
    good = make_frame(rng)
    fields = {field: getattr(good, field) for field in FIELDS + ARRAYS}
    with pytest.raises(ValueError, match=r'forces have shape \(5, 3\), not \(6, 3\)'):
        MLABFrame(**{**fields, 'forces': np.zeros((5, 3))})
    with pytest.raises(ValueError, match='forces have a value that is not finite'):
        MLABFrame(**{**fields, 'forces': np.full((6, 3), np.nan)})
    with pytest.raises(ValueError, match='energy nan'):
        MLABFrame(**{**fields, 'energy': np.nan})
