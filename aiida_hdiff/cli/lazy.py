"""A click group that imports a command only when it is called."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click


class LazyGroup(click.Group):
    """Group with commands given as ``name: (module:attribute, help)``."""

    def __init__(self, *args: Any, commands_by_name: dict[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.commands_by_name = commands_by_name

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Return the names in the order given."""
        return list(self.commands_by_name)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        """Import and return a command."""
        if name not in self.commands_by_name:
            return None
        module, attribute = self.commands_by_name[name][0].split(':')
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[Any, Any, Any]:
        """Return the command of the first argument, or fail with the nearest name."""
        from difflib import get_close_matches

        if args and args[0] not in self.commands_by_name:
            near = get_close_matches(args[0], self.commands_by_name, n=1)
            hint = f' Did you mean {near[0]!r}?' if near else ''
            ctx.fail(f'No such command {args[0]!r}.{hint}')
        return super().resolve_command(ctx, args)

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        with formatter.section('Commands'):
            formatter.write_dl([(name, text) for name, (_, text) in self.commands_by_name.items()])
