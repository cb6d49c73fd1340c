"""`aiida-hdiff potential import|check|convert|trust`, beside `list`, `show` and `export`."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import click

from aiida_hdiff.cli.nodes import _load, potential
from aiida_hdiff.cli.session import busy_database, fail, require_writable, with_profile

MODELS = ('chgnet', 'mace', 'lennard_jones', 'eam')
SHOWN_NAMES = 20


@potential.command('import')
@click.argument('file', type=click.Path(path_type=Path))
@click.option('--architecture', type=click.Choice(MODELS), required=True)
@click.option('--element', 'elements', multiple=True, required=True, help='Element that it covers; again for more.')
@click.option('--cutoff-A', 'cutoff_A', type=float, help='Interaction cutoff in Å.')
@click.option('--source', help='Where the file is from: a URL or DOI.')
@click.option('--label', help='Label of the node.  [default: the name of the file]')
@click.option('--trust', is_flag=True, help='Take it although it could run code: you know who made it.')
@with_profile
def import_(
    file: Path,
    architecture: str,
    elements: tuple[str, ...],
    cutoff_A: float | None,
    source: str | None,
    label: str | None,
    trust: bool,
) -> None:
    """Store a model file with its digest and source, after a scan for code in it."""
    from aiida_hdiff.data.model_trust import code_in_potential
    from aiida_hdiff.data.potential import PotentialData

    require_writable()
    try:
        node = PotentialData.from_file(file, architecture=architecture, elements=elements, cutoff_A=cutoff_A)
    except (ValueError, OSError) as error:
        raise fail(str(error)) from error
    node.label = label or node.label
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    node.source = {'description': file.name, 'extras': {'sha256': digest}, **({'uri': source} if source else {})}
    found = code_in_potential(node)
    if found and not trust:
        raise fail(f'{found} Nothing was stored.')
    with busy_database():
        node = PotentialData.get_or_create(node)
        click.echo(f'potential {node.pk}: {architecture} for {" ".join(node.elements)}, SHA-256 of the file {digest}')
        if found:
            _trust(node, f'imported from {file.name}')


@potential.command('check')
@click.argument('node')
@with_profile
def check(node: str) -> None:
    """Scan a potential for what could run code; nothing in it is run. Ends with 1 if there is such a thing."""
    from aiida_hdiff.data.model_trust import code_in_potential, trust_key, trust_record
    from aiida_hdiff.engine.model_scan import PICKLED, scan_model

    one = _load('hdiff.potential', node)
    if one.content_sha256() != one.sha256:
        click.echo('its files are not those that its attribute `sha256` names: it was changed outside AiiDA')
    if one.architecture in PICKLED:
        for name in one.file_names:
            names = scan_model(one.base.repository.get_object_content(name, mode='rb'), one.architecture).names
            more = f' and {len(names) - SHOWN_NAMES} more' if len(names) > SHOWN_NAMES else ''
            click.echo(f'{name} names {", ".join(names[:SHOWN_NAMES]) or "nothing"}{more}')
    found = code_in_potential(one)
    if found is None:
        click.echo(f'potential {one.pk} has nothing in it that could run code')
        return
    record = trust_record(one)
    if record:
        click.echo(f'trusted in this profile since {record["time"]} under {trust_key(one)} ({record["note"]})')
    raise fail(found)


@potential.command('convert')
@click.argument('node')
@click.argument('structure')
@click.option('--dtype', type=click.Choice(('float64', 'float32')), default='float64', show_default=True)
@click.option('--code', default='hdiff-engine', show_default=True, help='An engine that has symmetrix-xl installed.')
@with_profile
def convert(node: str, structure: str, dtype: str, code: str) -> None:
    """Convert a MACE model for faster runs, compare the result with the model on STRUCTURE, and wait for it.

    STRUCTURE is a node, or a file that ASE reads, of the elements that are to run.
    """
    from aiida import orm
    from aiida.common.exceptions import NotExistent
    from aiida.engine import run_get_node
    from aiida.plugins import CalculationFactory

    from aiida_hdiff.data.model_trust import trusted_options

    require_writable()
    model = _load('hdiff.potential', node)
    if Path(structure).is_file():
        from ase.io import read

        atoms = orm.StructureData(ase=read(structure))
    else:
        atoms = _load('core.structure', structure)
    try:
        inputs = {'code': orm.load_code(code), 'potential': model, 'structure': atoms, 'dtype': orm.Str(dtype)}
        options = trusted_options([model])
        outputs, job = run_get_node(CalculationFactory('hdiff.mace_convert'), **inputs, metadata={'options': options})
    except (NotExistent, ValueError) as error:
        raise fail(str(error)) from error
    if not job.is_finished_ok:
        raise fail(f'job {job.pk} ended with {job.exit_status}: {job.exit_message}')
    frames = outputs['results']['frames']
    largest = max(frame['forces_eV_A'] for frame in frames)
    ratio = frames[-1]['cpu_s'][1] / frames[-1]['cpu_s'][0]
    click.echo(
        f'potential {outputs["potential"].pk}: forces within {largest:.1g} eV/Å of mace-torch, {ratio:.1f}x as fast'
    )


@potential.command('trust')
@click.argument('node')
@click.option('--note', default='', help='Why: who made it, where it is from.')
@click.option('--revoke', is_flag=True, help='Take it back.')
@with_profile
def trust(node: str, note: str, revoke: bool) -> None:
    """Vouch for a potential that could run code, in this profile only.

    Jobs load it if they, too, name it: `aiida-hdiff launch` does that for them.
    """
    from aiida_hdiff.data.model_trust import code_in_potential, revoke_trust

    require_writable()
    one = _load('hdiff.potential', node)
    with busy_database():
        if revoke:
            revoke_trust(one)
            click.echo(f'potential {one.pk} is not trusted any more')
        elif code_in_potential(one) is None:
            click.echo(f'potential {one.pk} has nothing in it that could run code: it needs no trust')
        else:
            _trust(one, note)


@potential.command('trust-calculator')
@click.argument('name')
@click.option('--note', default='', help='Why.')
@with_profile
def trust_calculator_(name: str, note: str) -> None:
    """Let labelling jobs of this profile import a calculator class, given as `module:Class`."""
    from aiida_hdiff.data.model_trust import trust_calculator

    require_writable()
    with busy_database():
        trust_calculator(name, note)
    click.echo(f'jobs of this profile may import {name}, with whatever code is there')


def _trust(node: Any, note: str) -> None:
    from aiida_hdiff.data.model_trust import trust_potential

    click.echo(f'trusted in this profile: it can run any code where it is loaded. Key {trust_potential(node, note)}')
