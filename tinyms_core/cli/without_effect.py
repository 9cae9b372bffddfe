"""Refusing options that would change nothing beside others."""

from __future__ import annotations

import click
from click.core import ParameterSource


def refuse(ctx: click.Context, because: str, *names: str) -> None:
    """Refuse parameters of a command that the user gave and that nothing would come of.

    Args:
        ctx: The command's context.
        because: What leaves them without effect, such as ``"with --list"``.
        names: The parameters' names in Python.

    Raises:
        click.UsageError: If one was given; the message names all of them.
    """
    parameters = {parameter.name: parameter for parameter in ctx.command.params}
    given = [_shown(parameters[name]) for name in names if _is_given(ctx, name)]
    if given:
        raise click.UsageError(f"{', '.join(given)} would change nothing {because}; leave out one or the other", ctx)


def _is_given(ctx: click.Context, name: str) -> bool:
    # An argument that may be left out counts as given also where it was not.
    return ctx.get_parameter_source(name) == ParameterSource.COMMANDLINE and ctx.params[name] not in (None, (), False)


def _shown(parameter: click.Parameter) -> str:
    return max(parameter.opts, key=len) if isinstance(parameter, click.Option) else parameter.human_readable_name
