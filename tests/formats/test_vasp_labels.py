"""Labels from vasprun.xml and OUTCAR: steps of DFT alone, with the level of theory that they tell."""

import gzip
import os
import re
from pathlib import Path

import numpy as np
import pytest

from aiida_hdiff.formats.incar import dft_settings_hash
from aiida_hdiff.formats.vasp_labels import find_vasp_output, read_vasp_labels
from tests.formats.vasp_writer import random_steps, write_outcar, write_vasprun

SAMPLES = os.environ.get('HDIFF_VASP_SAMPLES')
SYMBOLS = ('Mg', 'Mg', 'H')
TITLES = ('PAW_PBE Mg 13Apr2007', 'PAW_PBE H 15Jun2001')
MESH = (
    '<generation param="{scheme}">\n<v type="int" name="divisions">  {mesh} </v>\n'
    '<v name="usershift"> {shift} </v>\n</generation>\n'
)


def vasprun(path, pattern='dmmd', tags='', scheme='Gamma', mesh='4 4 2', shift='0 0 0', titles=TITLES):
    """Write a vasprun.xml with k-points, titles and further tags; return the steps of DFT."""
    steps = random_steps(pattern)
    write_vasprun(path, steps, SYMBOLS)
    rows = ''.join(f'<rc><c>   1</c><c>Xx</c><c> 1.0</c><c> 2.0</c><c>  {title}   </c></rc>\n' for title in titles)
    text = path.read_text()
    text = text.replace('<kpoints>\n', f'<kpoints>\n{MESH.format(scheme=scheme, mesh=mesh, shift=shift)}')
    text = text.replace('<rc><c>   1</c><c>Xx</c><c> 1.0</c></rc>\n', rows)
    path.write_text(text.replace('</incar>', f'{tags}</incar>'))
    return [step for step in steps if not step.ml]


def test_only_the_steps_of_dft_are_taken(tmp_path):
    steps = vasprun(tmp_path / 'vasprun.xml')
    labels = read_vasp_labels(tmp_path / 'vasprun.xml', origin='run')
    assert not labels.emulated
    frames = labels.frames
    assert frames.origins == ('run:step 1', 'run:step 4')
    np.testing.assert_allclose(frames.energies, [step.energy for step in steps], atol=1e-7)
    for frame, step in zip(frames, steps, strict=True):
        np.testing.assert_allclose(frame.positions, step.positions, atol=1e-6)
        np.testing.assert_allclose(frame.forces, step.forces, atol=1e-7)
        assert frame.scf_converged
    outcar = tmp_path / 'OUTCAR'
    write_outcar(outcar, random_steps('dmmd'), SYMBOLS[1:], (2, 1))
    found = read_vasp_labels(outcar, origin='run', reference='PBE').frames
    assert found.origins == frames.origins
    assert set(found.references) == {'PBE'}
    np.testing.assert_allclose(found.forces, frames.forces, atol=1e-5)


DYNAMICS = '<i type="int" name="IBRION"> 0</i>\n<i name="TEBEG">   600.0</i>\n'


@pytest.mark.parametrize(
    ('tags', 'group', 'freedom'),
    [
        ('', '', None),
        (DYNAMICS, 'MD 600 K', 6),
        (DYNAMICS + '<i name="TEEND">   600.0</i>\n', 'MD 600 K', 6),
        (DYNAMICS + '<i name="TEEND">   900.0</i>\n', '', 6),
        (DYNAMICS + '<i type="int" name="MDALGO"> 3</i>\n', 'MD 600 K', 9),
    ],
)
def test_temperatures_of_dynamics(tmp_path, tags, group, freedom):
    steps = vasprun(tmp_path / 'vasprun.xml', tags=tags)
    frames = read_vasp_labels(tmp_path / 'vasprun.xml').frames
    assert set(frames.config_types) == {group}
    for origin, step in zip(frames.origins, steps, strict=True):
        told = re.search(r' ([\d.]+) K$', origin)
        assert (told is None) == (freedom is None)
        if told is not None:
            assert float(told[1]) == pytest.approx(2.0 * step.kinetic / (freedom * 8.617333e-5), abs=0.06)


@pytest.mark.parametrize(
    ('scheme', 'mesh', 'shift', 'offset'),
    [
        ('Gamma', '4 4 2', '0 0 0', [0.0, 0.0, 0.0]),
        ('Monkhorst-Pack', '4 3 2', '0 0 0', [0.5, 0.0, 0.5]),
        ('Gamma', '2 2 2', '0.5 0 0', [0.5, 0.0, 0.0]),
    ],
)
def test_the_level_of_theory_is_that_of_a_job_with_these_inputs(tmp_path, scheme, mesh, shift, offset):
    vasprun(tmp_path / 'vasprun.xml', scheme=scheme, mesh=mesh, shift=shift, tags='<i name="ENCUT">   400.0</i>\n')
    (reference,) = set(read_vasp_labels(tmp_path / 'vasprun.xml').frames.references)
    kpoints = {'mesh': [int(n) for n in mesh.split()], 'offset': offset}
    assert reference == dft_settings_hash({'prec': 'normal', 'encut': 400, 'nsw': 7}, TITLES, kpoints)
    assert reference != dft_settings_hash({'prec': 'normal', 'encut': 500, 'nsw': 7}, TITLES, kpoints)
    assert read_vasp_labels(tmp_path / 'vasprun.xml', reference='mine').frames.references[0] == 'mine'


def test_a_file_without_titles_tells_no_level(tmp_path):
    write_vasprun(tmp_path / 'vasprun.xml', random_steps('d'), SYMBOLS)
    assert read_vasp_labels(tmp_path / 'vasprun.xml').frames.references == ('',)


def test_files_that_have_no_labels(tmp_path):
    vasprun(tmp_path / 'vasprun.xml', 'mmm')
    with pytest.raises(ValueError, match=r'vasprun.xml has no step of DFT with a structure and forces'):
        read_vasp_labels(tmp_path / 'vasprun.xml')
    vasprun(tmp_path / 'vasprun.xml', 'ddd')
    text = (tmp_path / 'vasprun.xml').read_text()
    cut = tmp_path / 'cut.vasprun.xml'
    cut.write_text(text[: int(0.8 * len(text))])
    with pytest.raises(ValueError, match='is truncated'):
        read_vasp_labels(cut)
    assert len(read_vasp_labels(cut, allow_truncated=True).frames) == 2
    (tmp_path / 'OUTCAR').write_text('hello')
    with pytest.raises(ValueError, match='OUTCAR'):
        read_vasp_labels(tmp_path / 'OUTCAR')


def test_output_in_a_folder(tmp_path):
    with pytest.raises(ValueError, match=r'has neither vasprun[.]xml nor OUTCAR: give the folder'):
        find_vasp_output(tmp_path)
    (tmp_path / 'OUTCAR').touch()
    assert find_vasp_output(tmp_path).name == 'OUTCAR'
    (tmp_path / 'vasprun.xml.gz').touch()
    assert find_vasp_output(tmp_path).name == 'vasprun.xml.gz'


@pytest.mark.skipif(not SAMPLES, reason='HDIFF_VASP_SAMPLES does not name a folder of files written by VASP')
@pytest.mark.parametrize(
    ('name', 'n_frames', 'group'),
    [('pymatgen-core/vasprun.md.xml.gz', 10, 'MD 2000 K'), ('pymatgen-core/vasprun.ml_md.xml.gz', 20, 'MD 300 K')],
)
def test_output_of_vasp_against_ase(name, n_frames, group):
    from ase.io import read

    path = Path(SAMPLES, name)
    frames = read_vasp_labels(path).frames
    with gzip.open(path, 'rt') as stream:
        images = read(stream, index=':', format='vasp-xml')
    assert len(frames) == len(images) == n_frames
    assert set(frames.config_types) == {group}
    assert re.fullmatch('vasp:[0-9a-f]{16}', frames.references[0])
    for frame, atoms in zip(frames, images, strict=True):
        assert frame.energy == pytest.approx(atoms.get_potential_energy(force_consistent=True), abs=1e-8)
        np.testing.assert_allclose(frame.forces, atoms.get_forces(apply_constraint=False), atol=1e-10)
