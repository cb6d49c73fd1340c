"""The kinds of potentials in a plan, and their order."""

import pytest

from aiida_hdiff.workflows.train_plan import (
    KINDS,
    entry_architecture,
    entry_error,
    teachers_error,
    training_levels,
)


def test_complete_entries():
    assert entry_error('pretrained', ['potential'], 'chgnet') is None
    assert entry_error('given', ['potential'], 'lammps') is None
    assert entry_error('fine_tuned', ['foundation', 'replay', 'config', 'seed'], 'mace') is None
    assert entry_error('fine_tuned', ['foundation', 'magmoms', 'settings'], 'chgnet') is None
    assert entry_error('from_scratch', ['config', 'architecture'], 'mace') is None
    assert entry_error('distilled', ['teacher'], 'lammps') is None
    assert entry_error('vasp_mlff', ['settings', 'kpoints'], 'vasp-mlff') is None


@pytest.mark.parametrize(
    ('kind', 'given', 'architecture', 'message'),
    [
        ('finetuned', [], 'mace', f"`kind` is 'finetuned': choose one of {', '.join(KINDS)}."),
        ('fine_tuned', [], 'mace', '`foundation` is missing: a potential of the kind fine_tuned needs the model to'),
        ('given', [], 'mace', '`potential` is missing: a potential of the kind given needs the potential itself'),
        ('distilled', ['settings'], 'lammps', '`teacher` is missing: '),
        ('given', ['potential', 'config'], 'mace', '`config` is of no use for a potential of the kind given, which'),
        ('from_scratch', ['foundation'], 'mace', '`foundation` is of no use for a potential of the kind from_scratch'),
        ('from_scratch', [], 'chgnet', "`architecture` is 'chgnet': only MACE is trained from scratch; CHGNet is"),
        ('fine_tuned', ['foundation'], 'lammps', "`foundation` is a potential of 'lammps': only mace and chgnet"),
        ('fine_tuned', ['foundation', 'config'], 'chgnet', '`config` is for mace, but the potential is of the'),
        ('fine_tuned', ['foundation', 'replay'], 'chgnet', '`replay` is for mace'),
        ('fine_tuned', ['foundation', 'magmoms'], 'mace', '`magmoms` is for chgnet'),
    ],
)
def test_bad_entries(kind, given, architecture, message):
    assert entry_error(kind, given, architecture).startswith(message)


def test_architectures():
    nothing = {'foundation': None, 'potential': None, 'named': None}
    assert entry_architecture('from_scratch', **nothing) == 'mace'
    assert entry_architecture('from_scratch', **{**nothing, 'named': 'chgnet'}) == 'chgnet'
    assert entry_architecture('fine_tuned', **{**nothing, 'foundation': 'chgnet'}) == 'chgnet'
    assert entry_architecture('given', **{**nothing, 'potential': 'emt'}) == 'emt'
    assert entry_architecture('distilled', **nothing) == 'lammps'
    assert entry_architecture('vasp_mlff', **nothing) == 'vasp-mlff'


def test_students_wait_for_their_teachers():
    teachers = {'student': 'teacher', 'grandchild': 'student', 'other': 'given'}
    labels = ['grandchild', 'student', 'teacher', 'other', 'alone']
    assert training_levels(labels, teachers) == [['teacher', 'other', 'alone'], ['student'], ['grandchild']]
    assert training_levels([], {}) == []
    assert teachers_error(teachers, [*labels, 'given']) is None


@pytest.mark.parametrize(
    ('teachers', 'message'),
    [
        (
            {'a': 'nobody'},
            "potential 'a': `teacher` is 'nobody', which is no potential of this study: give one of b, c.",
        ),
        ({'a': 'a'}, "potential 'a': its `teacher` 'a' is itself, or learns from it"),
        ({'a': 'b', 'b': 'a'}, "potential 'a': its `teacher` 'b' is itself, or learns from it"),
        ({'a': 'b', 'b': 'c', 'c': 'b'}, "potential 'a': its `teacher` 'b' is itself, or learns from it"),
    ],
)
def test_bad_teachers(teachers, message):
    assert teachers_error(teachers, ['a', 'b', 'c']).startswith(message)
