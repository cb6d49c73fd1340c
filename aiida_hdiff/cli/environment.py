"""The profile, computer, codes and potentials that `setup` and `quickstart` make; doing it again changes nothing."""

from __future__ import annotations

import os
import shutil
import sys
import warnings
from pathlib import Path
from typing import Any

from aiida_hdiff.cli.session import fail, load_profile, require_aiida

PROFILE = 'hdiff'
COMPUTER = 'localhost'
CACHED = ['aiida.calculations:hdiff.*']


def ensure_profile(name: str | None = None) -> tuple[str, bool]:
    """Load or make a profile of our own, without touching others; return its name and whether it is new.

    A new one has SQLite storage and the ZeroMQ broker, so it needs no service, and becomes the default only where
    there was none.
    """
    require_aiida()
    from aiida.common.exceptions import ConfigurationError
    from aiida.manage.configuration import create_profile, get_config
    from aiida.plugins import BrokerFactory

    name = name or PROFILE
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings('ignore', message='Creating AiiDA configuration folder')
            config = get_config(create=True)
    except (ConfigurationError, OSError, ValueError) as error:
        raise fail(
            f'the AiiDA configuration cannot be read or made: {error}. Set AIIDA_PATH to a folder of yours.'
        ) from error
    if name in config.profile_names:
        load_profile(name)
        return name, False
    first = not config.profile_names
    try:
        create_profile(
            config,
            name=name,
            email='aiida@localhost',
            storage_backend='core.sqlite_dos',
            storage_config={},
            broker_backend='core.zeromq',
            broker_config=BrokerFactory('core.zeromq').get_default_config(),
        )
        config.set_option('runner.poll.interval', 1, scope=name)
        config.set_option('daemon.timeout', 15, scope=name)
        config.set_option('caching.enabled_for', CACHED, scope=name)
        if first:
            config.set_default_profile(name, overwrite=True)
        config.store()
    except OSError as error:
        raise fail(f'the profile cannot be made: {error.strerror}. Set AIIDA_PATH to a folder of yours.') from error
    load_profile(name)
    return name, True


def ensure_computer() -> Any:
    """Return the computer of this machine, made if it is not there."""
    from aiida import orm
    from aiida.common.exceptions import NotExistent
    from aiida.manage.configuration import get_config
    from aiida.manage.manager import get_manager

    try:
        computer = orm.load_computer(COMPUTER)
    except NotExistent:
        profile = get_manager().get_profile()
        assert profile is not None
        computer = orm.Computer(
            label=COMPUTER,
            hostname='localhost',
            description='This machine, set up by aiida-hdiff',
            transport_type='core.local',
            scheduler_type='core.direct',
            workdir=str(Path(get_config().dirpath) / 'scratch' / profile.name),
        ).store()
        computer.set_default_mpiprocs_per_machine(1)
    if not computer.is_configured:
        # Login shells that set up conda or pyenv cost half a second at each look at the queue.
        computer.configure(safe_interval=0, use_login_shell=False)
        computer.set_minimum_job_poll_interval(2)
    return computer


def find_executable(name: str) -> Path | None:
    """Return an executable of the environment that Python runs in, or on the PATH."""
    beside = Path(sys.executable).parent / name
    if beside.is_file() and os.access(beside, os.X_OK):
        return beside
    found = shutil.which(name)
    return Path(found) if found else None


CODES = {
    'lmp': ('lmp', 'hdiff.lammps_md', 'LAMMPS', 'lammps'),
    'hdiff-engine': ('hdiff-engine', 'hdiff.md', 'the ASE engine', None),
}


def ensure_code(label: str, executable: str | None = None) -> Any:
    """Return a code on this machine, made if it is not there or points to an executable that is gone.

    Raises
    ------
    click.ClickException
        If the executable is not there.
    """
    from aiida import orm
    from aiida.common.exceptions import NotExistent

    command, plugin, what, extra = CODES[label]
    path = Path(executable).absolute() if executable else find_executable(command)
    if path is None or not path.is_file():
        hint = f'run `pip install "aiida-hdiff[{extra}]"`' if extra else 'install aiida-hdiff again'
        raise fail(f'{what} is not installed ({path or command} does not exist): {hint}, or give its path.')
    if not os.access(path, os.X_OK):
        raise fail(f'{what} at {path} is not executable: run `chmod +x` on it, or give another path.')
    computer = ensure_computer()
    try:
        code = orm.load_code(f'{label}@{computer.label}')
        if Path(str(code.filepath_executable)) == path:
            return code
        code.label = f'{label}-{code.pk}'
    except NotExistent:
        pass
    return orm.InstalledCode(
        label=label, computer=computer, filepath_executable=str(path), default_calc_job_plugin=plugin
    ).store()


def diagnose() -> list[tuple[str, bool, str]]:
    """Return what is set up: name, whether it works, and what to do if not."""
    from importlib.util import find_spec

    from aiida import orm
    from aiida.common.exceptions import NotExistent

    from aiida_hdiff.workflows.validation import code_error

    rows = []
    try:
        computer = orm.load_computer(COMPUTER)
        rows.append(('computer localhost', computer.is_configured, 'run `aiida-hdiff setup`'))
    except NotExistent:
        rows.append(('computer localhost', False, 'run `aiida-hdiff setup`'))
    for label, (_, _, what, extra) in CODES.items():
        try:
            error = code_error(orm.load_code(f'{label}@{COMPUTER}'))
        except NotExistent:
            install = f'`pip install "aiida-hdiff[{extra}]"`, then ' if extra else ''
            error = f'{install}`aiida-hdiff setup`'
        rows.append((f'code {label} ({what})', error is None, error or ''))
    for module, extra in (('aiida_lammps', 'lammps'), ('matplotlib', 'report'), ('chgnet', 'chgnet'), ('mace', 'mace')):
        there = find_spec(module) is not None
        rows.append((f'package {module}', there, f'optional: `pip install "aiida-hdiff[{extra}]"`'))
    return rows
