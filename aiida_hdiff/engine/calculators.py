"""The potentials that the engine can run, as ASE calculators."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiida_hdiff.engine.exit_codes import BAD_INPUT, MISSING_PACKAGE, MODEL_NOT_LOADED, EngineError
from aiida_hdiff.engine.fast_mace import symmetrix_calculator
from aiida_hdiff.engine.implementations import NotApplicableError, choose
from aiida_hdiff.engine.md_input import Potential
from aiida_hdiff.engine.model_load import load_checkpoint, load_mace_model, require_safe_model
from aiida_hdiff.engine.model_scan import PICKLED

_OLD_BIAS = 'atom_conv_layers.0.mlp_out.layers.1.bias'
LENNARD_JONES_KEYS = ('epsilon_eV', 'sigma_A', 'cutoff_A')


def _emt(potential: Potential, with_stress: bool) -> Any:
    from ase.calculators.emt import EMT

    return EMT()


def _lennard_jones(potential: Potential, with_stress: bool) -> Any:
    from ase.calculators.lj import LennardJones

    values = json.loads(_file(potential).read_text(encoding='utf-8'))
    if set(values) != set(LENNARD_JONES_KEYS):
        raise ValueError(f'the file must have exactly the keys {", ".join(LENNARD_JONES_KEYS)}')
    return LennardJones(
        epsilon=float(values['epsilon_eV']),
        sigma=float(values['sigma_A']),
        rc=float(values['cutoff_A']),
        smooth=True,
    )


def _eam(potential: Potential, with_stress: bool) -> Any:
    from ase.calculators.eam import EAM

    return EAM(potential=str(_file(potential)), form='alloy')


def _chgnet_model(potential: Potential) -> Any:
    from chgnet.model import CHGNet

    if potential.file is None:
        name = potential.options.get('model_name', '0.3.0')
        return CHGNet.load(model_name=name, use_device=potential.options.get('device', 'cpu'), verbose=False)
    content = load_checkpoint(_file(potential), trusted=potential.trusted)['model']
    # The weights of 0.2.0 were made before their arguments told of this bias.
    biased = {} if 'mlp_out_bias' in content['model_args'] else {'mlp_out_bias': _OLD_BIAS in content['state_dict']}
    return CHGNet.from_dict(content, **biased)


def _chgnet(potential: Potential, with_stress: bool) -> Any:
    from chgnet.model.dynamics import CHGNetCalculator

    device = potential.options.get('device', 'cpu')

    class ForcesCalculator(CHGNetCalculator):  # type: ignore[misc]
        """CHGNet without magnetic moments; the stress, a second gradient, only where it is needed."""

        def calculate(self, atoms: Any = None, properties: Any = None, system_changes: Any = None) -> None:
            task = 'efs' if with_stress else 'ef'
            super().calculate(atoms, properties, system_changes, task=task)

    def fast() -> Any:
        from aiida_hdiff.engine.fast_chgnet import FastCHGNetCalculator

        return FastCHGNetCalculator(_chgnet_model(potential), device)

    def stock() -> Any:
        return ForcesCalculator(_chgnet_model(potential), use_device=device)

    return choose(potential.implementation, fast, stock, 'chgnet')


def _mace(potential: Potential, with_stress: bool) -> Any:
    options = potential.options

    def fast() -> Any:
        dtype, head = options.get('dtype', 'float64'), options.get('head')
        if options.get('device', 'cpu') != 'cpu':
            raise NotApplicableError(f'the model is to run on {options["device"]}')
        return symmetrix_calculator(potential.converted, dtype=dtype, head=head)

    return choose(potential.implementation, fast, lambda: _stock_mace(potential), 'mace_torch')


def _stock_mace(potential: Potential) -> Any:
    from mace.calculators import MACECalculator

    device = potential.options.get('device', 'cpu')
    head = {'head': potential.options['head']} if 'head' in potential.options else {}
    return MACECalculator(
        models=load_mace_model(_file(potential), device=device, trusted=potential.trusted),
        device=device,
        default_dtype=potential.options.get('dtype', 'float64'),
        **head,
    )


ARCHITECTURES: dict[str, tuple[Callable[[Potential, bool], Any], tuple[str, ...], tuple[str, ...]]] = {
    'chgnet': (_chgnet, ('model_name', 'device'), ('torch', 'chgnet')),
    'eam': (_eam, (), ()),
    'emt': (_emt, (), ()),
    'lennard_jones': (_lennard_jones, (), ()),
    'mace': (_mace, ('dtype', 'head', 'device'), ('torch', 'mace-torch', 'symmetrix-xl')),
}
"""For each architecture the function that loads it, its options, and the packages it computes with."""


WITH_FAST = ('chgnet', 'mace')
"""What has a faster implementation beside the calculator of its package."""


def _file(potential: Potential) -> Path:
    if potential.file is None:
        raise FileNotFoundError(f'`file` is missing, which the architecture {potential.architecture} needs')
    return Path(potential.file)


def build_calculator(potential: Potential, *, with_stress: bool, threads: int) -> Any:
    """Load a potential.

    Parameters
    ----------
    potential
        Architecture, file and options.
    with_stress
        Whether the stress will be asked for.
    threads
        Threads of the neural networks.

    Returns
    -------
    ase.calculators.calculator.Calculator
        With energies in eV, forces in eV/Å and stresses in eV/Å³.

    Raises
    ------
    EngineError
        If the architecture or an option is unknown, its package is missing, the model cannot be read, or its file has
        in it what could run code.
    """
    name = potential.architecture
    if name not in ARCHITECTURES:
        known = ', '.join(ARCHITECTURES)
        raise EngineError(BAD_INPUT, f'no architecture `{name}`: choose one of {known}.')
    load, options, packages = ARCHITECTURES[name]
    if potential.implementation == 'fast' and name not in WITH_FAST:
        raise EngineError(BAD_INPUT, f'`calculator: fast` is for {" and ".join(WITH_FAST)}, not for {name}.')
    unknown = sorted(set(potential.options) - set(options))
    if unknown:
        known = ', '.join(options) or 'none'
        raise EngineError(BAD_INPUT, f'{name} has no option `{unknown[0]}`; known: {known}.')
    try:
        if name in PICKLED and not potential.trusted and Path(potential.file or '').is_file():
            require_safe_model(_file(potential), name)
        if 'torch' in packages:
            import torch

            torch.set_num_threads(threads)
        calculator = load(potential, with_stress)
    except ModuleNotFoundError as error:
        raise EngineError(
            MISSING_PACKAGE,
            f'the architecture {name} needs the package {error.name}, which is not installed '
            f'on this machine: pip install "aiida-hdiff[{name}]".',
        ) from error
    except EngineError:
        raise
    except Exception as error:
        model = potential.file or potential.options.get('model_name') or 'the default'
        raise EngineError(
            MODEL_NOT_LOADED, f'the {name} model {model} cannot be loaded: {type(error).__name__}: {error}'
        ) from error
    if with_stress and 'stress' not in calculator.implemented_properties:
        raise EngineError(BAD_INPUT, f'{name} gives no stress: run an `nvt` or `nve` stage, or use LAMMPS.')
    return calculator


def package_versions(architecture: str) -> dict[str, str]:
    """Return the versions of Python, this package and what it computes with, as installed."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    from aiida_hdiff import __version__

    versions = {'python': platform.python_version(), 'aiida-hdiff': __version__}
    packages = ARCHITECTURES[architecture][2] if architecture in ARCHITECTURES else ()
    for package in ('ase', 'numpy', 'scipy', *packages):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions
