"""What the stand-in refuses, and how it is called."""

import os
import subprocess
import sys

import pytest

from aiida_hdiff.standin import StandinError
from aiida_hdiff.standin.cli import main
from aiida_hdiff.standin.incar import read_settings
from tests.standin import cases
from tests.vasp_fixtures import fake_potcar

ARGON = {'LANGEVIN_GAMMA': 10}


def refused(folder, tags, match, atoms=None, files=None, environment=cases.LJ):
    with pytest.raises(StandinError, match=match):
        cases.run(folder, tags, environment, cases.argon() if atoms is None else atoms, files)


def test_refuses_contradictory_inputs(tmp_path):
    train = cases.TRAIN | ARGON
    refused(tmp_path / '1', train, 'ICONST', files={'ICONST': None})
    wrong = cases.iconst_text(cases.argon().cell.array).replace('S 0 0 0 5.3', 'S 0 0 0 6.3')
    refused(tmp_path / '2', train, 'ICONST', files={'ICONST': wrong})
    refused(tmp_path / '3', train | {'LANGEVIN_GAMMA': '10 10'}, 'LANGEVIN_GAMMA has 2 values')
    refused(tmp_path / '4', train | {'ML_ISTART': 0}, 'deprecated')
    refused(tmp_path / '5', train | {'ML_MODE': 'Train'}, 'upper or all lower case')
    refused(tmp_path / '6', cases.REFIT, 'needs ML_AB')
    refused(tmp_path / '7', cases.RUN | {'NSW': 2}, 'needs ML_FF')
    refused(tmp_path / '8', train | {'MDALGO': 2}, 'MDALGO = 3 only')
    refused(tmp_path / '9', cases.STATIC, 'no DFT in the stand-in', environment={})
    refused(tmp_path / '10', cases.STATIC, 'does not exist', environment={'HDIFF_STANDIN_REFERENCE': 'eam:nowhere'})
    refused(tmp_path / '11', train | {'IBRION': 2}, 'IBRION')
    refused(tmp_path / '12', cases.STATIC, 'POTCAR', files={'POTCAR': None})


def test_refuses_species_out_of_order(tmp_path):
    atoms = cases.nickel_hydride()
    wrong = fake_potcar('H') + fake_potcar('Ni')
    refused(tmp_path / '1', cases.STATIC, 'species order', atoms, {'POTCAR': wrong})
    text = cases.poscar_text(atoms).replace('Ni H\n32 2\n', 'Ni H Ni\n16 2 16\n')
    refused(tmp_path / '2', cases.STATIC, 'each species once', atoms, {'POSCAR': text})


def test_refuses_a_force_field_of_vasp(tmp_path):
    """Binary files of 6.3, and files of 6.4 with a header that does not say EMULATED."""
    header = 'ML_FF 0.2.2 binary { "types" : ["Ar"], "training_structures" : 3, "ML_LFAST" : true }'
    for number, content in enumerate((b'\0\1' * 4000, header.ljust(4096).encode() + b'\0' * 999)):
        refused(
            tmp_path / str(number),
            cases.RUN | {'NSW': 2},
            'not written by hdiff-vasp-standin',
            files={'ML_FF': content},
        )


def test_refuses_a_limit_below_the_training_set(tmp_path):
    tags = cases.TRAIN | ARGON | {'ML_CTIFOR': '1E-9', 'NSW': 4}
    cases.run(tmp_path / 'a', tags, cases.LJ, cases.argon())
    files = {'ML_AB': tmp_path / 'a' / 'ML_ABN'}
    refused(tmp_path / 'b', tags | {'ML_MCONF': 2}, 'smaller than the', files=files)
    damaged = (tmp_path / 'a' / 'ML_ABN').read_bytes()[:-2000]
    refused(tmp_path / 'c', tags, 'ML_AB cannot be read', files={'ML_AB': damaged})


def test_reads_incar_as_vasp_does():
    settings = read_settings(
        '# comment\nml_lmlff = T ; ml_mode = RUN ! comment\nNSW = 5\nNSW = 6\nIBRION=0\nLANGEVIN_GAMMA = 2*5.0 \\\n 7\n'
        'MDALGO = 3\nPOTIM = .5D0\n'
    )
    assert (settings.mode, settings.nsw, settings.potim) == ('run', 5, 0.5)
    assert settings.langevin_gamma == (5.0, 5.0, 7.0)
    assert (settings.outblock, settings.output_mode, settings.nblock) == (10, 0, 10)
    for text, match in (('NSW = many', 'no number'), ('NSW = 1.5', 'no whole number'), ('nonsense', 'no tag')):
        with pytest.raises(StandinError, match=match):
            read_settings(text)


def test_refuses_to_be_called_vasp(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', [str(tmp_path / 'vasp_std')])
    assert main([]) == 2
    assert 'not VASP' in capsys.readouterr().err


def test_help_and_errors_of_the_executable(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(['--help'])
    printed = capsys.readouterr().out
    for word in ('NOT VASP', 'HDIFF_STANDIN_REFERENCE', 'HDIFF_STANDIN_CONTROL', 'crash-at-step', 'STOPCAR', '.done'):
        assert word in printed
    command = [sys.executable, '-m', 'aiida_hdiff.standin.cli']
    done = subprocess.run(command, cwd=tmp_path, env=dict(os.environ), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert 'INCAR is not there' in done.stderr
    assert 'EMULATED' in done.stdout


def test_imports_no_aiida():
    code = 'import sys, aiida_hdiff.standin.run; sys.exit("aiida" in sys.modules)'
    assert subprocess.run([sys.executable, '-c', code], check=False).returncode == 0
