"""Loading the profile and failing with a readable message."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, TypeVar

import click

STUDY = 'aiida.workflows:hdiff.diffusion'
TRAINED_STUDY = 'aiida.workflows:hdiff.trained_diffusion'

F = TypeVar('F', bound=Callable[..., Any])


def fail(message: str) -> click.ClickException:
    """Return the error that ends a command with a message."""
    return click.ClickException(message)


def require_aiida() -> None:
    """Check that AiiDA can be imported, for which it makes its folder.

    Raises
    ------
    click.ClickException
        If the folder cannot be made.
    """
    try:
        import aiida  # noqa: F401
    except Exception as error:
        # The class cannot be named: it is part of what failed to import.
        if type(error).__name__ != 'ConfigurationError':
            raise
        raise fail(f'AiiDA cannot start: {error}. Set AIIDA_PATH to a folder of yours.') from error


def load_profile(name: str | None = None) -> str:
    """Load a profile: the one given, the one of `-p`, the one already loaded, or the default; return its name.

    Raises
    ------
    click.ClickException
        If there is none, or it cannot be opened.
    """
    require_aiida()
    from aiida.common.exceptions import (
        ConfigurationError,
        CorruptStorage,
        IncompatibleStorageSchema,
        LockedProfileError,
        ProfileConfigurationError,
        UnreachableStorage,
    )
    from aiida.manage import get_manager
    from sqlalchemy.exc import DatabaseError

    context = click.get_current_context(silent=True)
    name = name or (context.meta.get('aiida_hdiff.profile') if context else None)
    if name is None and context is not None and getattr(context.obj, 'profile', None):
        name = context.obj.profile.name
    manager = get_manager()
    if name is None and manager.get_profile() is not None:
        return str(manager.get_profile().name)
    try:
        profile = manager.load_profile(name, allow_switch=True)
        manager.get_profile_storage()
    except (ProfileConfigurationError, ConfigurationError) as error:
        raise fail(
            f'no AiiDA profile can be loaded ({error}). Run `aiida-hdiff setup`, or give one with -p.'
        ) from error
    except (CorruptStorage, UnreachableStorage, IncompatibleStorageSchema, LockedProfileError, DatabaseError) as error:
        reason = str(error).split('\n', 1)[0]
        raise fail(
            f'the storage of the profile cannot be opened ({reason}). Check it with `verdi storage info`, or give '
            'another profile with -p.'
        ) from error
    return str(profile.name)


def require_writable() -> None:
    """Check that the loaded profile can store nodes.

    Raises
    ------
    click.ClickException
        If it is read-only: an archive opened as a profile, or files without write permission.
    """
    import os
    from pathlib import Path

    from aiida.manage import get_manager

    profile = get_manager().get_profile()
    if profile is None:
        return
    storage = get_manager().get_profile_storage()
    if storage.is_closed or getattr(storage, 'read_only', False) or profile.storage_backend == 'core.sqlite_zip':
        raise fail(f'profile {profile.name!r} is read-only: choose another one with -p, nothing was submitted.')
    folder = profile.storage_config.get('filepath')
    on_disk = folder and profile.storage_backend == 'core.sqlite_dos'
    if on_disk and not os.access(Path(folder) / 'database.sqlite', os.W_OK):
        raise fail(
            f'the files of profile {profile.name!r} are not writable: check their owner, or give -p another one.'
        )


def with_profile(function: F) -> F:
    """Load the profile before the command."""

    @wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        load_profile()
        return function(*args, **kwargs)

    return wrapper  # type: ignore[return-value]


@contextmanager
def busy_database() -> Iterator[None]:
    """Turn the error of an SQLite database that another process keeps locked into a readable one."""
    from sqlalchemy.exc import OperationalError

    try:
        yield
    except OperationalError as error:
        if 'locked' not in str(error):
            raise
        raise fail('the database of the profile is busy (locked by the daemon): give the command again.') from error


def load_study(identifier: str, kinds: Collection[str] = (STUDY,)) -> Any:
    """Return the node of a study with this PK or UUID, by default a DiffusionWorkChain.

    Of a training and study in one, the study is returned, unless the whole is among the ``kinds``.

    Raises
    ------
    click.ClickException
        If there is none, or it is another process.
    """
    from aiida import orm
    from aiida.common.exceptions import MultipleObjectsError, NotExistent

    try:
        node = orm.load_node(identifier)
    except (NotExistent, MultipleObjectsError, ValueError) as error:
        raise fail(f'no node {identifier!r} in this profile: {error}') from error
    if getattr(node, 'process_type', None) == TRAINED_STUDY and TRAINED_STUDY not in kinds:
        studies = node.base.links.get_outgoing(link_label_filter='diffusion').all_nodes()
        if not studies:
            raise fail(f'process {identifier} is still training: see `aiida-hdiff status {identifier}`.')
        node = studies[0]
    if getattr(node, 'process_type', None) not in kinds:
        label = getattr(node, 'process_label', None) or type(node).__name__
        raise fail(f'node {identifier} is a {label}, not a DiffusionWorkChain: give the PK that `launch` printed.')
    return node


def free_space_error(path: Any, needed_bytes: float) -> str | None:
    """Return that a disk is too full for what will be written, or ``None``."""
    import shutil
    from pathlib import Path

    folder = Path(path)
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free >= needed_bytes:
        return None
    return (
        f'the disk has {free / 1e6:.0f} MB left and about {needed_bytes / 1e6:.0f} MB are needed: free some space, or '
        'set AIIDA_PATH (and --output) to another disk. Nothing was submitted.'
    )
