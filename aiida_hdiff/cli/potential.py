"""`aiida-hdiff potential import|check|trust`, beside `list`, `show` and `export`."""

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
