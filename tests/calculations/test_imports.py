"""Calcfunctions that read files of VASP and ASE: what they keep, and what never enters a node."""

import gzip
import io

import numpy as np
import pytest
from aiida import orm
from ase.db import connect

from aiida_hdiff.calculations.imports import import_ase_db, import_vasprun
from tests.formats.test_labelled_ase_db import labelled
from tests.formats.test_vasp_labels import vasprun


@pytest.mark.parametrize('packed', [False, True])
def test_import_vasprun(tmp_path, aiida_profile, packed):
    steps = vasprun(tmp_path / 'vasprun.xml')
    content = (tmp_path / 'vasprun.xml').read_bytes()
    file = orm.SinglefileData(io.BytesIO(gzip.compress(content) if packed else content), filename='vasprun.xml')
    node = import_vasprun(file, orm.Dict({'origin': 'run', 'config_type': 'NVT 600 K'}))
    frames = node.frames()
    assert frames.origins == ('run:step 1', 'run:step 4')
    assert set(frames.config_types) == {'NVT 600 K'}
    assert node.references[0].startswith('vasp:')
    np.testing.assert_allclose(frames.energies, [step.energy for step in steps], atol=1e-7)
    assert node.creator.inputs.file.uuid == file.uuid
    assert node.base.extras.all.get('emulated') is None
    again = import_vasprun(file, orm.Dict({'reference': 'PBE'}))
    assert again.references == ['PBE']
    assert again.frames().origins[0] == 'vasprun.xml:step 1'


def test_labels_of_the_stand_in_are_marked(tmp_path, aiida_profile):
    vasprun(tmp_path / 'vasprun.xml')
    text = (tmp_path / 'vasprun.xml').read_text().replace('6.3.0', '6.3.0 EMULATED').replace('vasp ', 'EMULATED vasp ')
    file = orm.SinglefileData(io.BytesIO(text.encode()), filename='vasprun.xml')
    assert import_vasprun(file, orm.Dict({})).base.extras.get('emulated') is True


def test_an_outcar_is_refused(aiida_profile):
    file = orm.SinglefileData(io.BytesIO(b' vasp.6.3.0'), filename='OUTCAR')
    with pytest.raises(ValueError, match='OUTCAR is an OUTCAR, which repeats the POTCARs'):
        import_vasprun(file, orm.Dict({}))


@pytest.mark.parametrize('name', ['set.db', 'set.json'])
def test_import_ase_db(tmp_path, aiida_profile, name):
    database = connect(tmp_path / name)
    for index, atoms in enumerate(labelled(4)):
        database.write(atoms, part='train' if index else 'test')
    file = orm.SinglefileData(tmp_path / name)
    node = import_ase_db(file, orm.Dict({'selection': 'part=train', 'reference': 'EMT', 'origin': 'mine'}))
    assert node.frames().origins == ('mine:2', 'mine:3', 'mine:4')
    assert node.references == ['EMT']
    assert node.label == '3 frames of H Cu'
    with pytest.raises(ValueError, match='unknown setting `select`: did you mean `selection`'):
        import_ase_db(file, orm.Dict({'select': 'x'}))
    assert str(tmp_path) not in str(file.base.attributes.all)


def test_files_that_cannot_be_imported(aiida_profile):
    file = orm.SinglefileData(io.BytesIO(b'hello'), filename='vasprun.xml')
    with pytest.raises(ValueError, match=r'vasprun\.xml, line'):
        import_vasprun(file, orm.Dict({}))
    file = orm.SinglefileData(io.BytesIO(b'hello'), filename='set.db')
    with pytest.raises(ValueError, match='no SQLite file'):
        import_ase_db(file, orm.Dict({}))
