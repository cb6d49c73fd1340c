"""Frames that a killed job has calculated and not yet written to ML_ABN."""

from dataclasses import replace

import pytest

pytest.importorskip('aiida_vasp', reason='aiida-vasp is not installed')

from aiida_hdiff.parsers.vasp_learning import with_missing
from tests.workflows.training_fixtures import labelled_frames


def test_steps_that_ML_ABN_lacks_are_added():
    calculated = labelled_frames([1, 5, 9, 12])
    known = calculated.select([0, 2])
    rounded = replace(calculated, energies=calculated.energies + 1e-8)
    found = with_missing(known, rounded, known.energies)
    assert [origin.split()[1] for origin in found.origins] == ['1', '9', '5', '12']
    assert found.energies[:2].tolist() == known.energies.tolist()


def test_nothing_is_added_twice():
    calculated = labelled_frames([1, 5])
    assert with_missing(calculated, calculated, calculated.energies) is calculated
    assert with_missing(calculated, None, calculated.energies) is calculated
    assert with_missing(None, None, []) is None


def test_without_a_training_set_all_steps_count():
    calculated = labelled_frames([1, 5])
    assert with_missing(None, calculated, []).energies.tolist() == calculated.energies.tolist()


def test_steps_that_were_read_are_not_new():
    calculated = labelled_frames([1, 5])
    new = calculated.select([1])
    assert with_missing(new, calculated, calculated.energies) is new
