"""Exit statuses, and how errors reach the user: one line, and the traceback for who asks for it."""

from __future__ import annotations

import enum
import traceback
import warnings
from typing import Any, Final

import click

from tinyms_core.registry.errors import PluginWarning, TinymsOptimError, describe

_SHOW_TRACEBACK: Final = "tinyms_core.cli.traceback"
# What a shell reports of a program that Ctrl-C ended.
_INTERRUPTED: Final = 130


class ExitStatus(enum.IntEnum):
    """What a command ends with."""

    FINE = 0
    FAILED = 1
    ERROR = 2
    UNEXPECTED = 3


class CommandError(Exception):
    """An error that a command foresees; its message says what would be right."""


class Command(click.Command):
    """A command with ``--traceback``, so that the option may stand where the user thinks of it: also at the end."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.params.append(_traceback_option())


class Group(click.Group):
    """The group of all commands; turns errors into messages and exit statuses."""

    command_class = Command

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.params.append(_traceback_option())

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command.

        Args:
            ctx: The context of the group.

        Returns:
            What the command returns.

        Raises:
            click.ClickException: If the usage is bad.
            click.exceptions.Exit: If the command ended with an error or chose its exit status.
        """
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning(warnings.showwarning)
            try:
                return super().invoke(ctx)
            except (click.ClickException, click.exceptions.Exit, click.Abort):
                raise
            except KeyboardInterrupt:
                click.echo("interrupted", err=True)
                ctx.exit(_INTERRUPTED)
            except Exception as error:
                _report(error, with_traceback=ctx.meta.get(_SHOW_TRACEBACK, False))
                known = isinstance(error, (CommandError, TinymsOptimError))
                ctx.exit(ExitStatus.ERROR if known else ExitStatus.UNEXPECTED)


def _traceback_option() -> click.Option:
    return click.Option(
        ["--traceback"],
        is_flag=True,
        expose_value=False,
        callback=_remember_traceback,
        help="Show where an error arose.",
    )


def _remember_traceback(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    # Before the command or behind it: the context's `meta` is that of both.
    ctx.meta[_SHOW_TRACEBACK] = value or ctx.meta.get(_SHOW_TRACEBACK, False)


def _report(error: Exception, *, with_traceback: bool) -> None:
    if with_traceback:
        click.echo("".join(traceback.format_exception(error)), err=True, nl=False)
        return
    if isinstance(error, (CommandError, TinymsOptimError)):
        click.echo(f"error: {error}", err=True)
    else:
        click.echo(f"unexpected error: {describe(error)}", err=True)
        click.echo("--traceback shows where it arose.", err=True)


def _show_warning(default: Any) -> Any:
    def show(message: Any, category: type[Warning], *rest: Any, **named: Any) -> None:
        if issubclass(category, PluginWarning):
            click.echo(f"warning: {message}", err=True)
        else:
            default(message, category, *rest, **named)

    return show
