"""Command line interface: thin click commands, no science."""

from __future__ import annotations

import click

from aiida_hdiff import __version__
from aiida_hdiff.cli.lazy import LazyGroup


@click.group(
    'hdiff',
    cls=LazyGroup,
    commands_by_name={
        'quickstart': ('aiida_hdiff.cli.quickstart:quickstart', 'From nothing to an Arrhenius plot in minutes.'),
        'setup': ('aiida_hdiff.cli.setup:setup', 'Set up the profile, computer, codes and potentials.'),
        'plan': ('aiida_hdiff.cli.plan:plan', 'Say how long the runs of a study must be, and what they cost.'),
        'launch': ('aiida_hdiff.cli.launch:launch', 'Launch a study from a YAML file or flags.'),
        'launch-training': (
            'aiida_hdiff.cli.launch_training:launch_training',
            'Launch the training of a VASP force field.',
        ),
        'status': ('aiida_hdiff.cli.status:status', 'Show the progress of a study, live.'),
        'show': ('aiida_hdiff.cli.inspect:show', 'Show the results of a study.'),
        'report': ('aiida_hdiff.cli.inspect:report', 'Write the interactive report of a study or an archive.'),
        'plot': ('aiida_hdiff.cli.inspect:plot', 'Write the figures of a study.'),
        'plot-training': (
            'aiida_hdiff.cli.launch_training:plot_training',
            'Write the figure of the training of a force field.',
        ),
        'export': ('aiida_hdiff.cli.archive:export', 'Write a study with its whole history into an archive.'),
        'import': ('aiida_hdiff.cli.archive:import_', 'Import an archive.'),
        'import-mlab': ('aiida_hdiff.cli.import_data:import_mlab', 'Make a data set of ML_AB files of VASP.'),
        'import-vasp': ('aiida_hdiff.cli.import_data:import_vasp', 'Import finished runs of VASP force fields.'),
        'potential': ('aiida_hdiff.cli.potential:potential', 'Import, check, list, show or export potentials.'),
        'dataset': ('aiida_hdiff.cli.dataset:dataset', 'Import, split, list, show or export labelled configurations.'),
        'trajectory': ('aiida_hdiff.cli.nodes:trajectory', 'List, show or export trajectories.'),
        'state': ('aiida_hdiff.cli.nodes:state', 'List, show or export states.'),
        'diffusivity': ('aiida_hdiff.cli.nodes:diffusivity', 'List, show or export diffusion coefficients.'),
        'arrhenius': ('aiida_hdiff.cli.nodes:arrhenius', 'List, show or export Arrhenius parameters.'),
        'literature': ('aiida_hdiff.cli.nodes:literature', 'List, show or export published values.'),
    },
)
def hdiff() -> None:
    """Hydrogen diffusion coefficients from molecular dynamics, with their whole history."""


@click.group('aiida-hdiff', cls=LazyGroup, commands_by_name=hdiff.commands_by_name)
@click.version_option(__version__, prog_name='aiida-hdiff')
@click.option('-p', '--profile', help='AiiDA profile to use instead of the default one.')
@click.pass_context
def main(ctx: click.Context, profile: str | None) -> None:
    """Hydrogen diffusion coefficients from molecular dynamics, with their whole history in AiiDA.

    Start with `aiida-hdiff quickstart`. The same commands are under `verdi data hdiff`.
    """
    ctx.meta['aiida_hdiff.profile'] = profile
