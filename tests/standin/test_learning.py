"""The decisions of on-the-fly learning, by the tags of VASP."""

import numpy as np
import pytest

from aiida_hdiff.standin.incar import Settings
from aiida_hdiff.standin.learning import Learning, local_references


def learning(**values):
    values = {'tags': {}, 'mode': 'train', 'ctifor': 0.1} | values
    return Learning(Settings(**values), values['ctifor'])


def test_states():
    state = learning(cdouble=2.0, nmdint=10, mconf_new=3)
    first = state.decide(1, None, False)
    assert (first.state, first.label, first.train) == ('threshold', True, False)
    state.labelled(1)
    assert state.decide(2, None, False).train
    state.labelled(2)
    state.trained(0.05)
    assert state.decide(3, 0.09, True) == state.decide(3, 0.1, True)
    assert not state.decide(3, 0.1, True).label
    # Above the threshold, but within ML_NMDINT of the last label.
    assert not state.decide(11, 0.15, True).label
    assert state.decide(12, 0.15, True).label
    assert not state.decide(12, 0.15, True).train
    # Far above: at once, and trained at once.
    critical = state.decide(3, 0.2001, True)
    assert (critical.state, critical.label, critical.train) == ('critical', True, True)


def test_trains_when_enough_candidates_wait():
    state = learning(mconf_new=3, nmdint=1)
    for step, trained in ((1, False), (2, False), (3, True)):
        decision = state.decide(step, 0.15, True)
        assert decision.label
        assert decision.train is trained
        state.labelled(step)
        if trained:
            state.trained(0.1)
    assert state.n_waiting == 0


def test_threshold_follows_the_history():
    state = learning(mhis=4, cx=-0.1)
    for error in (0.030, 0.032, 0.029):
        assert state.trained(error) is None
    update = state.trained(0.033)
    assert update.before == 0.1
    assert update.after == pytest.approx(0.9 * np.mean([0.030, 0.032, 0.029, 0.033]))
    assert update.spread == pytest.approx(np.std([0.030, 0.032, 0.029, 0.033]) / 0.031)
    assert state.threshold == update.after
    # Noisy or drifting errors do not move it, except with ML_ICRITERIA = 2; with 0 and 3 nothing does.
    assert state.trained(0.3) is None
    moving = learning(mhis=2, icriteria=2)
    moving.trained(0.01)
    assert moving.trained(0.3).after == pytest.approx(0.155)
    for fixed in (0, 3):
        state = learning(mhis=1, icriteria=fixed)
        assert state.trained(0.01) is None
        assert state.threshold == 0.1
    assert not learning(icriteria=3).decide(9, 1.0, True).train


def test_local_references():
    errors = np.array([0.1, 0.5, 0.3, 0.01, 0.02])
    kinds = np.array([0, 0, 0, 1, 1])
    assert local_references(errors, kinds, 0.2) == [[1, 2], [4]]
