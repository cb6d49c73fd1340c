"""The foundation model of a MACE training: scanned, opened, and of the precision of the training."""

from __future__ import annotations

from typing import Any

from aiida_hdiff.engine.exit_codes import BAD_INPUT, MODEL_NOT_LOADED, EngineError
from aiida_hdiff.engine.mace_input import MaceInput
from aiida_hdiff.engine.model_load import load_mace_model, require_safe_model

CONVERTED = 'foundation_converted.model'


def prepare_foundation(job: MaceInput) -> tuple[str | None, dict[str, Any]]:
    """Scan and open the foundation model of a job before mace does; mace fails on one of another precision.

    Parameters
    ----------
    job
        The input.

    Returns
    -------
    tuple
        Name of the file for mace, or ``None`` without a foundation; ``foundation_E0s`` and ``foundation_dtype``.

    Raises
    ------
    EngineError
        If the file could run code and is not trusted, is no MACE model, or has several heads and none is chosen.
    """
    if job.foundation is None:
        return None, {}
    if not job.trusted:
        require_safe_model(job.foundation, 'mace')
    try:
        model = load_mace_model(job.foundation, device=str(job.config.get('device', 'cpu')), trusted=job.trusted)
        names, energies = heads(model), isolated_energies(model)
        name, dtype = _converted(model, job)
    except EngineError:
        raise
    except Exception as error:
        raise EngineError(
            MODEL_NOT_LOADED, f'the foundation model {job.foundation} is no MACE model: {type(error).__name__}: {error}'
        ) from error
    if len(names) > 1 and job.config.get('foundation_head') not in names:
        raise EngineError(
            BAD_INPUT, f'the foundation model has the heads {", ".join(names)}: name one by `foundation_head`.'
        )
    return name, {'foundation_E0s': energies, 'foundation_dtype': dtype}


def _converted(model: Any, job: MaceInput) -> tuple[str | None, str]:
    import torch

    wanted = {'float32': torch.float32, 'float64': torch.float64}[job.config.get('default_dtype', 'float64')]
    found = next(model.parameters()).dtype
    if found == wanted:
        return job.foundation, str(found).removeprefix('torch.')
    torch.save(model.to(wanted), CONVERTED)
    return CONVERTED, str(found).removeprefix('torch.')


def heads(model: Any) -> list[str]:
    """Return the names of the heads of a model."""
    return [str(head) for head in getattr(model, 'heads', None) or ['Default']]


def isolated_energies(model: Any) -> dict[str, dict[str, float]]:
    """Return the energies of the isolated atoms (eV) by head and atomic number."""
    numbers = [str(int(number)) for number in model.atomic_numbers]
    energies = model.atomic_energies_fn.atomic_energies.detach().cpu().reshape(-1, len(numbers)).tolist()
    return {head: dict(zip(numbers, row, strict=True)) for head, row in zip(heads(model), energies, strict=False)}
