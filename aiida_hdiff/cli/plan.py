"""`aiida-hdiff plan`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from aiida_hdiff.cli.session import busy_database, fail, require_writable, with_profile

Guess = Callable[[str, float], float]


@click.command()
@click.argument('study', type=click.Path(path_type=Path))
@click.option('--error', type=float, help='Relative error of D to aim at; default: that of the study, else 0.1.')
@click.option('--arrhenius', nargs=2, type=float, metavar='EA D0', help='Guess of Ea (eV) and D0 (m²/s).')
@click.option('--from', 'earlier', metavar='PK', help='An earlier study that tells D, by PK or UUID.')
@click.option('--pilot', type=float, metavar='PS', help='Run the study first with NVE runs of so many ps.')
@with_profile
def plan(
    study: Path, error: float | None, arrhenius: tuple[float, float] | None, earlier: str | None, pilot: float | None
) -> None:
    """Say how long the runs of a study must be for a given error of D, and what that costs.

    D is guessed from Ea and D0, from an earlier study, from a pilot run of this one, or else from the recommended
    published value of the host. The speed is that of earlier jobs with the same potential, where there are any.
    """
    from aiida_hdiff.cli.launch import read_study
    from aiida_hdiff.workflows.plan import run_plans, study_speeds, total_seconds
    from aiida_hdiff.workflows.study import study_builder

    if sum(option is not None for option in (arrhenius, earlier, pilot)) > 1:
        raise fail('give only one of --arrhenius, --from and --pilot.')
    content, folder = read_study(study)
    require_writable()
    try:
        with busy_database():
            builder = study_builder(content, folder)
        source, guess = _guess(builder, content, folder, arrhenius, earlier, pilot)
        settings = builder.settings.get_dict()
        target = error if error is not None else settings['convergence']['relative_error'] or 0.1
        plans = run_plans(builder, guess, target)
    except ValueError as problem:
        raise fail(str(problem)) from problem
    click.echo(f'D guessed from {source}; a relative error of {target:g} is aimed at')
    click.echo(f'{"run":<18} {"D guess m²/s":>13} {"NVE ps":>8} {"error":>7} {"needed ps":>10} {"one core":>9}')
    for row in plans:
        label = f'{row.potential} {row.temperature_K:g} K'
        click.echo(
            f'{label:<18} {row.guess_m2_s:>13.2e} {row.production_ps:>8g} {row.expected_error:>7.1%} '
            f'{row.required_ps:>10.4g} {_duration(row.seconds):>9}'
        )
    for label, (steps_per_s, measured) in study_speeds(builder).items():
        kind = 'measured in this profile' if measured else 'a rough guess: nothing was run with it yet'
        click.echo(f'{label}: {steps_per_s:.4g} steps/s, {kind}')
    total = total_seconds(plans, builder.max_concurrent)
    click.echo(f'about {_duration(total)} with {builder.max_concurrent} runs at a time')
    budget = settings['convergence']['max_production_ps']
    short = [row for row in plans if row.required_ps > max(budget, row.production_ps)]
    if settings['convergence']['relative_error'] is None:
        click.echo(
            'note: the study does not extend its runs; set `settings.convergence.relative_error` and '
            '`max_production_ps` to have it do so.'
        )
    elif short:
        worst = max(row.required_ps for row in short)
        click.echo(
            f'note: {len(short)} runs need more than `settings.convergence.max_production_ps` ({budget:g} ps): raise '
            f'it to {worst:.4g}, or expect larger errors.'
        )


def _duration(seconds: float) -> str:
    return f'{seconds / 60:.1f} min' if seconds < 7200 else f'{seconds / 3600:.1f} h'


def _guess(
    builder: Any,
    content: Any,
    folder: Path,
    arrhenius: tuple[float, float] | None,
    earlier: str | None,
    pilot: float | None,
) -> tuple[str, Guess]:
    from aiida_hdiff.workflows.plan import arrhenius_law, pilot_guess

    if arrhenius is not None:
        if not arrhenius[1] > 0:
            raise ValueError(f'D0 of --arrhenius is {arrhenius[1]}: give a positive number in m²/s.')
        return f'Ea {arrhenius[0]:g} eV and D0 {arrhenius[1]:g} m²/s', arrhenius_law(*arrhenius)
    if earlier is not None:
        return f'study {earlier}', pilot_guess(_load_study(earlier))
    if pilot is not None:
        node = _run_pilot(content, folder, pilot)
        return f'the pilot, study {node.pk}', pilot_guess(node)
    return _published(builder)


def _load_study(identifier: str) -> Any:
    from aiida_hdiff.workflows.potentials import load_node

    node = load_node(identifier, '--from')
    if getattr(node, 'process_type', None) != 'aiida.workflows:hdiff.diffusion':
        raise ValueError(f'--from {identifier} is not a study (DiffusionWorkChain): give the PK or UUID of one.')
    return node


def _run_pilot(content: Any, folder: Path, pilot_ps: float) -> Any:
    from aiida_hdiff.cli.progress import run_study
    from aiida_hdiff.common.protocols import merge
    from aiida_hdiff.workflows.plan import pilot_overrides
    from aiida_hdiff.workflows.settings import DiffusionProtocols
    from aiida_hdiff.workflows.study import study_builder

    settings = DiffusionProtocols.get_protocol_settings(content.get('protocol'), content.get('settings'))
    overrides = merge(content.get('settings') or {}, pilot_overrides(pilot_ps, settings))
    builder = study_builder({**content, 'settings': overrides, 'replicas': 1}, folder)
    builder.metadata.label = f'pilot of {pilot_ps:g} ps: {builder.metadata.label}'
    return run_study(builder)


def _published(builder: Any) -> tuple[str, Guess]:
    from aiida_hdiff.literature import load_literature
    from aiida_hdiff.workflows.plan import arrhenius_law

    host = next(symbol for symbol in builder.structure.get_ase().get_chemical_symbols() if symbol != 'H')
    for value in load_literature(host):
        if value.isotope == 'H' and value.prefactor_m2_s and value.activation_energy_eV is not None:
            law = arrhenius_law(value.activation_energy_eV, value.prefactor_m2_s)
            return f'{value.citation} (H in {host})', law
    raise ValueError(f'no published D of H in {host} is shipped: give --arrhenius, --from or --pilot.')
