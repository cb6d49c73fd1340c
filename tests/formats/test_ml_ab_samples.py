"""Files that VASP wrote, if there are any here: set HDIFF_VASP_SAMPLES to their folder."""

import gzip
import io
import os
import random
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

from aiida_hdiff.formats import (
    check_labels,
    labelled_from_ml_ab,
    merge_ml_ab,
    ml_ab_from_labelled,
    read_extxyz,
    read_ml_ab,
    write_extxyz,
)
from aiida_hdiff.formats.labelled_ml_ab import stress_from_kbar
from tests.formats.test_ml_ab import assert_same, assert_same_frames, text_of

SAMPLES = os.environ.get('HDIFF_VASP_SAMPLES')
pytestmark = pytest.mark.skipif(
    not SAMPLES, reason='HDIFF_VASP_SAMPLES does not name a folder of files written by VASP'
)

FILES = sorted(path for path in Path(SAMPLES or '.').rglob('*ML_AB*') if path.is_file()) if SAMPLES else []
GENUINE = [path for path in FILES if 'malformed' not in path.name]


def sample(name):
    path = Path(SAMPLES, name)
    if not path.exists():
        pytest.skip(f'{name} is not among the samples')
    return path


@pytest.mark.parametrize('path', GENUINE, ids=lambda path: path.name)
def test_words_and_bytes_come_back(path):
    """Every word of the file, in its spelling; and every byte of the lines that nobody has edited."""
    original = path.read_bytes()
    ml_ab = read_ml_ab(path)
    assert ml_ab.float_layout in {'intel', 'nvidia', 'gnu'}
    written = text_of(ml_ab).encode()
    assert written.split() == original.split()
    differing = [one for one, other in zip(original.split(b'\n'), written.split(b'\n'), strict=True) if one != other]
    assert len(differing) <= (4 if 'small' in path.name else 0)  # that one was shortened by hand
    again = read_ml_ab(io.BytesIO(written))
    assert_same(again, ml_ab)


@pytest.mark.parametrize('path', GENUINE, ids=lambda path: path.name)
def test_without_thresholds_and_in_other_layouts(path):
    ml_ab = read_ml_ab(path)
    bare = re.sub(rb'=+\n +CTIFOR\n-+\n[^=]+', b'', path.read_bytes())
    found = read_ml_ab(io.BytesIO(bare))
    assert {frame.ctifor for frame in found} == {None}
    assert text_of(found).encode().split() == bare.split()
    short = text_of(type(ml_ab)(**{**vars(ml_ab), 'float_layout': None}))
    assert_same_frames(read_ml_ab(io.StringIO(short)), ml_ab)


@pytest.mark.parametrize('path', GENUINE, ids=lambda path: path.name)
def test_through_arrays_and_extended_xyz(path, tmp_path):
    ml_ab = read_ml_ab(path)
    frames = labelled_from_ml_ab(ml_ab, reference='PBE')
    write_extxyz(frames, tmp_path / 'frames.xyz')
    back = ml_ab_from_labelled(read_extxyz(tmp_path / 'frames.xyz'), float_layout=ml_ab.float_layout)
    assert back.elements == ml_ab.elements
    for one, other in zip(back, ml_ab, strict=True):
        assert (one.name, one.elements, one.counts, one.energy, one.ctifor) == (
            other.name, other.elements, other.counts, other.energy, other.ctifor
        )  # fmt: skip
        for field in ('cell', 'positions', 'forces'):
            np.testing.assert_array_equal(getattr(one, field), getattr(other, field))
        np.testing.assert_allclose(one.stress_kbar, other.stress_kbar, rtol=1e-15)


def dft_steps(text):
    """Return energy, positions, forces and `in kB` of the steps of an OUTCAR that were calculated by DFT."""
    steps = []
    for part in re.split(r'Iteration +\d+\( +1\)', text)[1:]:
        stress = re.search(r'in kB +(.*)', part)
        table = re.search(r'TOTAL-FORCE \(eV/Angst\)\n -+\n(.*?)\n -+\n', part, re.S)
        energy = re.search(r'free  energy   TOTEN  = +(\S+) eV', part)
        if energy:
            rows = np.array([line.split() for line in table[1].splitlines()], dtype=float)
            steps.append((float(energy[1]), rows[:, :3], rows[:, 3:], np.array(stress[1].split(), dtype=float)))
    return steps


@pytest.mark.parametrize('outcar', ['OUTCAR.istart0', 'OUTCAR.istart1'])
def test_labels_are_those_of_the_outcar(outcar):
    """Energy, forces, positions and the order and sign of the stress of the same steps in the run's own log."""
    ml_ab = read_ml_ab(sample('vasp-interactive/ML_AB.H2'))
    steps = dft_steps(sample(f'vasp-interactive/{outcar}').read_text())
    n_found = 0
    for energy, positions, forces, in_kb in steps:
        frames = [frame for frame in ml_ab if abs(frame.energy - energy) < 6e-9]
        for frame in frames[:1]:
            n_found += 1
            np.testing.assert_allclose(frame.forces, forces, atol=6e-7)
            np.testing.assert_allclose(frame.stress_kbar, in_kb, atol=6e-6)
            shift = (frame.positions - positions) / 8.0
            np.testing.assert_allclose(shift, np.round(shift), atol=1e-6)
    assert n_found >= {'OUTCAR.istart0': 1, 'OUTCAR.istart1': 5}[outcar]


def test_stress_has_the_sign_and_order_of_ase():
    """ASE converts the stress of vasprun.xml, which has the sign of ML_AB files, on its own."""
    from ase.io import read

    path = sample('pymatgen-core/vasprun.md.xml.gz')
    with gzip.open(path) as stream:
        root = ElementTree.parse(stream).getroot()
    raw = [
        np.array([row.text.split() for row in step.find("varray[@name='stress']")], dtype=float)
        for step in root.iter('calculation')
    ]
    kbar = np.array([[s[0, 0], s[1, 1], s[2, 2], s[0, 1], s[1, 2], s[2, 0]] for s in raw])
    expected = np.array([atoms.get_stress() for atoms in read(path, index=':', format='vasp-xml')])
    assert len(expected) == 10
    np.testing.assert_allclose(
        stress_from_kbar(kbar), expected, rtol=1e-7, atol=2e-9
    )  # the tensor of the file is symmetric to 1e-6 kbar


def test_known_numbers():
    ml_ab = read_ml_ab(sample('vasp-interactive/ML_AB.H2'))
    assert (len(ml_ab), ml_ab.elements, ml_ab.float_layout) == (43, ('H',), 'nvidia')
    assert ml_ab[0].energy == -6.698149439246976
    assert ml_ab[0].ctifor == 2e-3
    assert ml_ab.basis_sets[0].tolist() == [[35, 2], [32, 1], [18, 1]]
    large = read_ml_ab(sample('FPdataViewer/ML_AB_BiO_small'))
    assert (len(large), large.elements, large[0].counts, large.float_layout) == (15, ('Bi', 'O'), (64, 96), 'intel')
    assert all(decision.kept for decision in check_labels(labelled_from_ml_ab(large)))


def test_branches_with_a_common_past():
    ml_ab = read_ml_ab(sample('vasp-interactive/ML_AB.H2'))
    merged = merge_ml_ab([ml_ab[:30], ml_ab[:5], ml_ab])
    assert_same_frames(merged.ml_ab, ml_ab)
    assert len(merged.duplicates) == 5 + 30
    assert merged.origins[29:31] == ((0, 29), (2, 30))


def test_malformed_file():
    with pytest.raises(
        ValueError, match=r'line 20: the header should have "The maximum number of atoms per atom type"'
    ):
        read_ml_ab(sample('ML_AB_handmade_malformed'))


@pytest.mark.parametrize('path', GENUINE, ids=lambda path: path.name)
def test_damaged_samples(path):
    original = path.read_bytes()
    chance = random.Random(11)
    n_trials = min(300, 10 + 10_000_000 // len(original))
    for trial in range(n_trials):
        data = bytearray(original)
        place = chance.randrange(len(data))
        if trial % 2:
            data[place] = chance.randrange(256)
        else:
            del data[place:]
        try:
            read_ml_ab(io.BytesIO(bytes(data)))
        except ValueError:
            continue
        assert trial % 2, f'cut at byte {place} of {len(original)} and not noticed'
