"""The ASE calculators that label configurations."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from aiida_hdiff.engine.calculators import ARCHITECTURES, build_calculator
from aiida_hdiff.engine.evaluate_lammps import lammps_calculator
from aiida_hdiff.engine.exit_codes import BAD_INPUT, MISSING_PACKAGE, MODEL_NOT_LOADED, EngineError
from aiida_hdiff.engine.label_settings import WITH_POTENTIAL, LabelSettings
from aiida_hdiff.engine.md_input import Potential

INSTALL = {'gpaw': 'pip install gpaw gpaw-data, as the page "Label configurations with DFT" of the documentation says'}
"""How to install what is no extra of this package."""
_CLASSES = {
    'gpaw': 'gpaw:GPAW',
    'emt': 'ase.calculators.emt:EMT',
    'lennard_jones': 'ase.calculators.lj:LennardJones',
}


def build_labeller(settings: LabelSettings, *, model: str | None, threads: int, trusted: bool = False) -> Any:
    """Return a new calculator.

    Parameters
    ----------
    settings
        Which one, and its parameters.
    model
        Name of the model file in the working directory, or ``None``.
    threads
        Threads of the neural networks.
    trusted
        Load the model file whatever is in it.

    Returns
    -------
    ase.calculators.calculator.Calculator
        With energies in eV, forces in eV/Å and stresses in eV/Å³.

    Raises
    ------
    EngineError
        If its package is missing, it refuses the parameters, or it gives no forces or no stress.
    """
    name = settings.calculator
    if name == 'lammps':
        return lammps_calculator(settings.parameters)
    if name in WITH_POTENTIAL:
        potential = Potential(name, model, dict(settings.parameters), trusted)
        return build_calculator(potential, with_stress=settings.stress, threads=threads)
    module, _, attribute = _CLASSES.get(name, name).partition(':')
    parameters = dict(settings.parameters)
    if name == 'gpaw':
        parameters = {'txt': 'gpaw.txt', **parameters}
    try:
        calculator = getattr(import_module(module), attribute)(**parameters)
    except ModuleNotFoundError as error:
        install = INSTALL.get(name, f'pip install {error.name}')
        raise EngineError(
            MISSING_PACKAGE,
            f'the calculator {name} needs the package {error.name}, which is not installed on this machine: {install}.',
        ) from error
    except AttributeError as error:
        raise EngineError(BAD_INPUT, f'the calculator {name} cannot be made: {error}.') from error
    except Exception as error:
        raise EngineError(
            MODEL_NOT_LOADED, f'{name} refuses its parameters: {type(error).__name__}: {error}'
        ) from error
    wanted = ('energy', 'forces', 'stress') if settings.stress else ('energy', 'forces')
    lacks = [label for label in wanted if label not in getattr(calculator, 'implemented_properties', ())]
    if lacks:
        remedy = 'set `stress: false`' if lacks == ['stress'] else 'take another calculator'
        raise EngineError(BAD_INPUT, f'{name} gives no {lacks[0]}: {remedy}.')
    return calculator


def labeller_versions(calculator: str) -> dict[str, str]:
    """Return the versions of Python, this package and what it computes with, as installed."""
    from importlib.metadata import PackageNotFoundError, version

    from aiida_hdiff.engine.calculators import package_versions

    versions = package_versions(calculator if calculator in ARCHITECTURES else '')
    package = calculator.partition(':')[0].partition('.')[0]
    for name in (package, 'gpaw-data') if package == 'gpaw' else (package,):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions
