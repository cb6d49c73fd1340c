"""Faults on demand, limits, and what a run leaves that did not end regularly."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from aiida_hdiff.formats import read_ml_ab
from aiida_hdiff.formats.oszicar import read_oszicar
from aiida_hdiff.formats.outcar import iter_outcar
from aiida_hdiff.formats.vasp_messages import read_outcar_end, scan_messages
from aiida_hdiff.formats.vasprun import iter_vasprun
from aiida_hdiff.standin.inputs import read_poscar
from tests.standin import cases

TRAIN = cases.TRAIN | {'LANGEVIN_GAMMA': 10, 'TEBEG': 40, 'TEEND': 40, 'ML_CTIFOR': '1E-4'}


def steps_of(folder, **options):
    stream = iter_outcar(folder / 'OUTCAR', **options)
    return list(stream), stream.end.truncated


def messages(folder):
    return scan_messages((folder / 'vasp_output').read_bytes().splitlines(keepends=True))


def test_kill_leaves_what_was_done(tmp_path):
    control = tmp_path / 'control'
    control.mkdir()
    (control / 'crash-at-step-6').write_text('ML_MODE = train\n')
    folder = cases.write_inputs(tmp_path / 'run', TRAIN, cases.argon())
    environment = os.environ | cases.LJ | {'HDIFF_STANDIN_CONTROL': str(control)}
    command = [sys.executable, '-m', 'aiida_hdiff.standin.cli']
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL
    assert [path.name for path in control.iterdir()] == ['crash-at-step-6.done']
    steps, truncated = steps_of(folder, allow_truncated=True)
    assert truncated
    assert len(steps) == 5
    assert len(list(iter_vasprun(folder / 'vasprun.xml', allow_truncated=True))) == 5
    with pytest.raises(ValueError, match='truncated'):
        list(iter_vasprun(folder / 'vasprun.xml'))
    assert len(read_oszicar(folder / 'OSZICAR', allow_truncated=True).steps) == 5
    assert not read_outcar_end(folder / 'OUTCAR').finished
    frames = read_ml_ab(folder / 'ML_ABN')
    assert 2 <= len(frames) <= sum(step.source == 'dft' for step in steps) + 1
    # CONTCAR is the structure of the step that was cut: the run goes on from there.
    contcar = read_poscar(folder / 'CONTCAR')
    again = {'POSCAR': folder / 'CONTCAR', 'ML_AB': folder / 'ML_ABN'}
    status, _ = cases.run(tmp_path / 'again', TRAIN | {'NSW': 4}, dict(environment), cases.argon(), again)
    assert status == 0
    first = next(iter_vasprun(tmp_path / 'again' / 'vasprun.xml'))
    np.testing.assert_allclose(first.positions, contcar.scaled @ contcar.cell, atol=1e-6)
    assert len(read_ml_ab(tmp_path / 'again' / 'ML_ABN')) >= len(frames)


def test_continuation_keeps_all_configurations(tmp_path):
    cases.run(tmp_path / 'first', TRAIN, cases.LJ, cases.argon())
    files = {'POSCAR': tmp_path / 'first' / 'CONTCAR', 'ML_AB': tmp_path / 'first' / 'ML_ABN'}
    cases.run(
        tmp_path / 'second', TRAIN | {'ML_CTIFOR': '1E-9', 'TEBEG': 80, 'TEEND': 80}, cases.LJ, cases.argon(), files
    )
    before, after = (read_ml_ab(tmp_path / name / 'ML_ABN') for name in ('first', 'second'))
    assert len(after) > len(before)
    for one, other in zip(before, after, strict=False):
        np.testing.assert_array_equal(one.positions, other.positions)
        assert one.energy == other.energy
        assert one.ctifor == other.ctifor
    # A force field exists from the first step on.
    first = next(iter_outcar(tmp_path / 'second' / 'OUTCAR'))
    assert first.source == 'ml' or first.prediction is not None


@pytest.mark.parametrize('how', ['walltime', 'control', 'STOPCAR'])
def test_stops_softly(tmp_path, how):
    environment, files = dict(cases.LJ), {}
    control = tmp_path / 'control'
    control.mkdir()
    if how == 'walltime':
        environment['HDIFF_STANDIN_WALLTIME_S'] = '0'
    elif how == 'control':
        environment['HDIFF_STANDIN_CONTROL'] = str(control)
        (control / 'stop-at-step-1.first').touch()
    else:
        files['STOPCAR'] = 'LSTOP = .TRUE.\n'
    folder = tmp_path / 'run'
    status, printed = cases.run(folder, TRAIN, environment, cases.argon(), files)
    assert status == 0
    assert 'soft stop encountered!  aborting job' in printed
    assert messages(folder).stopped
    end = read_outcar_end(folder / 'OUTCAR')
    assert end.finished
    assert end.stopped
    steps, truncated = steps_of(folder)
    assert not truncated
    assert len(steps) == 1
    # What was labelled is trained on, and kept.
    assert len(read_ml_ab(folder / 'ML_ABN')) == 1
    if how == 'control':
        assert [path.name for path in control.iterdir()] == ['stop-at-step-1.first.done']
        assert cases.run(tmp_path / 'again', TRAIN | {'NSW': 3}, environment, cases.argon())[0] == 0
        assert len(steps_of(tmp_path / 'again')[0]) == 3


def test_electrons_that_do_not_converge_end_the_run(tmp_path):
    environment = cases.LJ | {'HDIFF_STANDIN_SCF_FAIL_AT_STEP': '2'}
    folder = tmp_path / 'run'
    status, printed = cases.run(folder, TRAIN | {'NELM': 12, 'ML_CTIFOR': '1E-9'}, environment, cases.argon())
    assert status == 1
    assert 'self-consistency was not achieved' in ' '.join(printed.replace('|', ' ').split())
    steps, truncated = steps_of(folder, allow_truncated=True)
    assert truncated
    assert [step.scf_converged for step in steps] == [True, False]
    assert steps[-1].scf_steps == 12
    xml = list(iter_vasprun(folder / 'vasprun.xml', allow_truncated=True))
    assert [step.scf_converged for step in xml] == [True, False]
    assert not (folder / 'ML_ABN').exists() or len(read_ml_ab(folder / 'ML_ABN')) == 1
    # A run that goes on from velocities is not hit again.
    again = {'POSCAR': folder / 'CONTCAR'}
    assert cases.run(tmp_path / 'again', TRAIN | {'NSW': 3}, environment, cases.argon(), again)[0] == 0


def test_static_calculation_without_convergence_ends_regularly(tmp_path):
    control = tmp_path / 'control'
    control.mkdir()
    (control / 'scf-fail-at-step-1').touch()
    environment = cases.LJ | {'HDIFF_STANDIN_CONTROL': str(control)}
    results = []
    for name in ('failed', 'good'):
        assert cases.run(tmp_path / name, cases.STATIC, environment, cases.argon())[0] == 0
        results += steps_of(tmp_path / name)[0]
    assert [step.scf_converged for step in results] == [False, True]
    assert np.abs(results[0].forces - results[1].forces).max() > 0.05


def test_fault_waits_for_its_tags(tmp_path):
    control = tmp_path / 'control'
    control.mkdir()
    (control / 'stop-at-step-1').write_text('ML_MODE = run\n')
    (control / 'stop-at-step-2').write_text('ML_AB = T\n')
    environment = cases.LJ | {'HDIFF_STANDIN_CONTROL': str(control)}
    cases.run(tmp_path / 'run', TRAIN | {'NSW': 3}, environment, cases.argon())
    assert len(steps_of(tmp_path / 'run')[0]) == 3
    files = {'ML_AB': tmp_path / 'run' / 'ML_ABN'}
    cases.run(tmp_path / 'next', TRAIN | {'NSW': 3}, environment, cases.argon(), files)
    assert len(steps_of(tmp_path / 'next')[0]) == 2
    assert sorted(path.name for path in control.iterdir()) == ['stop-at-step-1', 'stop-at-step-2.done']


def test_stops_when_the_training_set_is_full(tmp_path):
    folder = tmp_path / 'run'
    status, _ = cases.run(folder, TRAIN | {'ML_MCONF': 3, 'ML_CTIFOR': '1E-9'}, cases.LJ, cases.argon())
    assert status == 1
    assert len(read_ml_ab(folder / 'ML_ABN')) == 3
    assert messages(folder).limit == 'ML_MCONF'
    assert not read_outcar_end(folder / 'OUTCAR').finished
    files = {'POSCAR': folder / 'CONTCAR', 'ML_AB': folder / 'ML_ABN'}
    more = TRAIN | {'ML_MCONF': 20, 'NSW': 5}
    assert cases.run(tmp_path / 'more', more, cases.LJ, cases.argon(), files)[0] == 0


def test_local_configurations_are_discarded_or_end_the_run(tmp_path):
    assert cases.run(tmp_path / 'discard', TRAIN | {'ML_MB': 5}, cases.LJ, cases.argon())[0] == 0
    assert len(read_ml_ab(tmp_path / 'discard' / 'ML_ABN').basis_sets[0]) == 5
    tags = TRAIN | {'ML_MB': 5, 'ML_LBASIS_DISCARD': '.FALSE.'}
    assert cases.run(tmp_path / 'stop', tags, cases.LJ, cases.argon())[0] == 1
    assert messages(tmp_path / 'stop').limit == 'ML_MB'


def test_select_writes_new_local_configurations(tmp_path):
    cases.run(tmp_path / 'train', TRAIN, cases.LJ, cases.argon())
    tags = cases.REFIT | {'ML_MODE': 'select'}
    files = {'ML_AB': tmp_path / 'train' / 'ML_ABN'}
    assert cases.run(tmp_path / 'select', tags, cases.LJ, cases.argon(), files)[0] == 0
    before, after = (read_ml_ab(tmp_path / name / 'ML_ABN') for name in ('train', 'select'))
    assert len(before) == len(after)
    assert len(after.basis_sets[0]) >= len(after)


def test_killed_at_any_time_leaves_a_readable_training_set(tmp_path):
    """A kill from outside, wherever it hits."""
    folder = cases.write_inputs(tmp_path, TRAIN | {'NSW': 100000, 'ML_CTIFOR': '1E-7'}, cases.argon())
    process = subprocess.Popen(
        [sys.executable, '-m', 'aiida_hdiff.standin.cli'], cwd=folder, env=os.environ | cases.LJ,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        for _ in range(600):
            if (folder / 'ML_ABN').exists():
                break
            time.sleep(0.05)
        time.sleep(0.13)
    finally:
        process.kill()
        process.wait()
    assert len(read_ml_ab(folder / 'ML_ABN')) >= 1
    steps, _ = steps_of(folder, allow_truncated=True)
    assert len(steps) >= 1
    read_poscar(folder / 'CONTCAR')
