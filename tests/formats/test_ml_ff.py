"""Headers of force fields of VASP."""

import json
import os
from pathlib import Path

import pytest

from aiida_hdiff.formats.ml_ff import read_ml_ff_header

ENTRIES = {
    'date': '2026-01-02T03:04:05.678',
    'ML_LFAST': True,
    'ML_DESC_TYPE': 0,
    'types': ['Mg', 'H'],
    'training_structures': 3700,
    'local_reference_cfgs': [1200, 2100],
    'ML_RCUT1': 8.0,
}


def header(entries=ENTRIES, version='0.2.2', logical=json.dumps):
    text = json.dumps(entries)
    if logical is str:
        text = text.replace('true', 'True').replace('false', 'False')
    return f'ML_FF {version} binary {text}'.ljust(4095).encode() + b'\n'


@pytest.mark.parametrize('logical', [json.dumps, str])
def test_header(tmp_path, logical):
    content = header(logical=logical) + bytes(range(256)) * 99
    (tmp_path / 'ML_FFN').write_bytes(content)
    for file in (content, content[:4096], tmp_path / 'ML_FFN', str(tmp_path / 'ML_FFN')):
        found = read_ml_ff_header(file)
        assert (found.version, found.types, found.lfast) == ('0.2.2', ('Mg', 'H'), True)
        assert (found.n_training, found.n_local, found.emulated) == (3700, (1200, 2100), False)
        assert found.date == ENTRIES['date']
        assert found.settings['ML_RCUT1'] == 8.0


def test_stand_in_says_so():
    assert read_ml_ff_header(header(ENTRIES | {'EMULATED': True})).emulated


def test_no_header():
    assert read_ml_ff_header(b'\0\0\1\0 binary') is None


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'', 'is empty: the force field was not written'),
        (header()[:60], 'cannot be read: the file is damaged or incomplete'),
        (header().replace(b'"types"', b'"typos"'), 'lacks types'),
        (header(ENTRIES | {'ML_LFAST': 1}), 'lacks types, ML_LFAST'),
        (header(ENTRIES | {'local_reference_cfgs': ['a']}), 'lacks types, ML_LFAST'),
        (header([1]), 'cannot be read'),
    ],
)
def test_damage(content, message):
    with pytest.raises(ValueError, match=message):
        read_ml_ff_header(content)


def test_file_of_vasp_without_header():
    folder = os.environ.get('HDIFF_VASP_SAMPLES')
    path = Path(folder or '', 'vasp-interactive/ML_FF.H2')
    if not folder or not path.exists():
        pytest.skip('HDIFF_VASP_SAMPLES does not name a folder of files written by VASP with ML_FF.H2')
    assert read_ml_ff_header(path) is None
