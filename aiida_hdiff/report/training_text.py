"""How the potentials of a study were trained and judged, as sentences for a methods section."""

from __future__ import annotations

from aiida_hdiff.report.models import ModelRecord, SetErrors, Training
from aiida_hdiff.report.study import Study
from aiida_hdiff.report.text import digits, plural

_TRAINED = {
    'fine_tuned': 'was fine-tuned',
    'from_scratch': 'was trained from scratch',
    'distilled': 'was distilled from a teacher potential',
    'vasp_mlff': 'was trained on the fly',
}
_JUDGED_ON = (('test', 'the test set'), ('held_out', 'frames of its teacher that were held out'))


def training_sentences(study: Study) -> list[str]:
    """Return sentences on the training, the errors and the check of each potential, as far as they are known.

    Parameters
    ----------
    study : Study
        The study.

    Returns
    -------
    list of str
        Sentences with their full stops; none for a study without trained or evaluated potentials.
    """
    sentences = []
    for potential in study.potentials:
        model = potential.model
        if model is None:
            continue
        if model.training is not None or model.kind in _TRAINED:
            sentences.append(_trained(potential.label, model))
        elif model.kind == 'pretrained':
            sentences.append(f'{potential.label} is a pretrained model and was used as it is.')
        sentences += [
            _judged(potential.label, model.errors[name], where) for name, where in _JUDGED_ON if name in model.errors
        ]
        if model.left_out and model.gate is not None:
            reasons = '; '.join(model.gate.reasons) or 'it did not pass its check'
            sentences.append(f'{potential.label} was left out of the molecular dynamics: {reasons}.')
        elif model.only_judged:
            sentences.append(f'{potential.label} ran no molecular dynamics.')
    return sentences


def _trained(label: str, model: ModelRecord) -> str:
    training = model.training or Training()
    text = f'{label} {_TRAINED.get(model.kind, "was trained")}'
    if frames := _frames(training):
        text += f' {frames}'
    details = [training.split] if training.split else []
    details += [f'{name}: {what}' for name, what in training.datasets.items() if name == 'train']
    if training.epochs is not None:
        kept = '' if training.best_epoch is None else f', the best of which ({training.best_epoch}) was kept'
        details.append(f'{plural(training.epochs, "epoch")}{kept}')
    if training.seed is not None:
        details.append(f'seed {training.seed}')
    details += [f'{name} {version}' for name, version in training.versions.items()]
    return f'{text} ({"; ".join(details)}).' if details else f'{text}.'


def _frames(training: Training) -> str:
    sizes = training.n_frames
    if 'train' not in sizes:
        return ''
    others = [
        f'{sizes[name]} to {why}' for name, why in (('valid', 'stop by'), ('test', 'test against')) if name in sizes
    ]
    return f'on {plural(sizes["train"], "configuration")}' + (f', with {" and ".join(others)}' if others else '')


def _judged(label: str, errors: SetErrors, where: str) -> str:
    parts = [
        f'{digits(value)} {unit}{what}'
        for value, unit, what in (
            (errors.best_energy_meV_per_atom, 'meV/atom', ' for the energy'),
            (errors.force_meV_A, 'meV/Å', ' for the forces'),
            (errors.stress_GPa, 'GPa', ' for the stress'),
        )
        if value is not None
    ]
    frames = '' if errors.n_frames is None else f' ({plural(errors.n_frames, "configuration")})'
    return f'The root mean square errors of {label} on {where}{frames} are {", ".join(parts) or "not known"}.'
