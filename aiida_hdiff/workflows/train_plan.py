"""The kinds of potentials in a training plan: what each needs, and which waits for which. No AiiDA."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

PRETRAINED, GIVEN, FINE_TUNED, FROM_SCRATCH, DISTILLED, VASP_MLFF = KINDS = (
    'pretrained',
    'given',
    'fine_tuned',
    'from_scratch',
    'distilled',
    'vasp_mlff',
)
UNTRAINED = (PRETRAINED, GIVEN)
TRAINED_ON_A_SET = (FINE_TUNED, FROM_SCRATCH, VASP_MLFF)
FINE_TUNABLE = ('mace', 'chgnet')


@dataclass(frozen=True)
class KindInputs:
    """What a kind of potential is made from, beside the data sets.

    Attributes
    ----------
    needs, takes
        Names of inputs that it must have, and those that it may have.
    """

    needs: tuple[str, ...]
    takes: tuple[str, ...] = ()


INPUTS = {
    PRETRAINED: KindInputs(('potential',)),
    GIVEN: KindInputs(('potential',)),
    FINE_TUNED: KindInputs(('foundation',), ('replay', 'magmoms', 'config', 'settings', 'seed')),
    FROM_SCRATCH: KindInputs((), ('config', 'settings', 'seed', 'architecture')),
    DISTILLED: KindInputs(('teacher',), ('settings', 'seed', 'training_cell', 'label_settings')),
    VASP_MLFF: KindInputs(('settings',), ('seed', 'kpoints')),
}
"""Inputs by kind."""

_WHAT = {
    'potential': 'the potential itself',
    'foundation': 'the model to start from',
    'teacher': 'the potential that labels the frames of the student',
    'settings': 'the settings of VASP, as a protocol of `hdiff.on_the_fly` gives them',
}
_ONLY_FOR = {'config': 'mace', 'replay': 'mace', 'magmoms': 'chgnet'}


def entry_error(kind: str, given: Collection[str], architecture: str) -> str | None:
    """Return what is wrong with the description of one potential, or ``None``.

    Parameters
    ----------
    kind
        One of :data:`KINDS`.
    given
        Names of its inputs.
    architecture
        Of the potential that comes out, as :func:`entry_architecture` says.
    """
    if kind not in KINDS:
        return f'`kind` is {kind!r}: choose one of {", ".join(KINDS)}.'
    inputs = INPUTS[kind]
    for name in inputs.needs:
        if name not in given:
            return f'`{name}` is missing: a potential of the kind {kind} needs {_WHAT[name]}.'
    for name in given:
        if name not in (*inputs.needs, *inputs.takes):
            known = ', '.join((*inputs.needs, *inputs.takes))
            return f'`{name}` is of no use for a potential of the kind {kind}, which takes {known}: leave it out.'
    if kind == FROM_SCRATCH and architecture != 'mace':
        return (
            f'`architecture` is {architecture!r}: only MACE is trained from scratch; CHGNet is fine-tuned, '
            'with `kind: fine_tuned` and `foundation`.'
        )
    if kind == FINE_TUNED and architecture not in FINE_TUNABLE:
        return f'`foundation` is a potential of {architecture!r}: only {" and ".join(FINE_TUNABLE)} are fine-tuned.'
    for name, only in _ONLY_FOR.items():
        if name in given and architecture != only:
            return f'`{name}` is for {only}, but the potential is of the architecture {architecture}: leave it out.'
    return None


def entry_architecture(kind: str, *, foundation: str | None, potential: str | None, named: str | None) -> str:
    """Return the architecture of the potential that comes out of an entry.

    Parameters
    ----------
    kind
        One of :data:`KINDS`.
    foundation, potential
        Architectures of these inputs, if there are any.
    named
        The input ``architecture``, if it is given.
    """
    if kind == DISTILLED:
        return 'lammps'
    if kind == VASP_MLFF:
        return 'vasp-mlff'
    return potential or foundation or named or 'mace'


def teachers_error(teachers: Mapping[str, str], labels: Collection[str]) -> str | None:
    """Return why the teachers of a plan do not suit, or ``None``.

    Parameters
    ----------
    teachers
        Label of the teacher by label of the student.
    labels
        All potentials of the study.
    """
    for student, first in teachers.items():
        if first not in labels:
            return (
                f'potential {student!r}: `teacher` is {first!r}, which is no potential of this study: give one of '
                f'{", ".join(label for label in labels if label != student) or "its labels"}.'
            )
        seen = [student]
        while seen[-1] in teachers:
            teacher = teachers[seen[-1]]
            if teacher in seen:
                return (
                    f'potential {student!r}: its `teacher` {first!r} is itself, or learns from it: give one that does '
                    'not.'
                )
            seen.append(teacher)
    return None


def training_levels(labels: Collection[str], teachers: Mapping[str, str]) -> list[list[str]]:
    """Return the potentials of a plan in groups, of which each waits for those before: students for their teachers.

    Parameters
    ----------
    labels
        The potentials of the plan, in order.
    teachers
        Label of the teacher by label of the student; a teacher may be outside of the plan.
    """
    depths: dict[str, int] = {}

    def depth(label: str) -> int:
        if label not in depths:
            teacher = teachers.get(label)
            depths[label] = 0 if teacher is None or teacher not in labels else 1 + depth(teacher)
        return depths[label]

    for label in labels:
        depth(label)
    return [[label for label in labels if depths[label] == level] for level in sorted(set(depths.values()))]
