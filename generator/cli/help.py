"""How `reelshelf --help` lists the commands: in groups, in the order in which people need them."""

from typing import Any

import typer
from typer.core import TyperGroup
from typing_extensions import override

from generator.cli.terminal import err

START, SERVE, PUBLISH, LOOK, CARE = "Start", "Serve", "Publish", "Look", "Care"
_GROUPS = (START, SERVE, PUBLISH, LOOK, CARE)
_WHOLE = 1000  # characters of a command's first sentence: all of it
_INDENT = 2


class GroupedCommands(TyperGroup):
    """The commands, each listed under its `rich_help_panel`, with its whole first sentence."""

    @override
    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write one list of commands for each group."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        width = max(len(name) for name, _ in commands)
        for group in _GROUPS:
            rows = [
                (name.ljust(width), command.get_short_help_str(_WHOLE))
                for name, command in commands
                if command is not None and getattr(command, "rich_help_panel", None) == group
            ]
            with formatter.section(group):
                formatter.write_dl(rows, col_max=width + _INDENT)


def renamed_flag(old: str, new: str, *, old_value: bool, new_value: bool) -> bool:
    """Return whether a flag is set by either of its names; advise whoever used the old one."""
    if old_value:
        err.print(
            f"reelshelf: {old} was renamed to {new}; the old name works until the next release"
        )
    return old_value or new_value


def hidden_option(name: str) -> Any:  # noqa: ANN401 (what typer.Option returns)
    """Return an option under the name that it had before."""
    return typer.Option(name, hidden=True)
