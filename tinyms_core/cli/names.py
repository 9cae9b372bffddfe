"""Names of optimizers on the command line, which shells complete."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import click
from click.shell_completion import CompletionItem

from tinyms_core.registry.api import list_optimizers, optimizer_info
from tinyms_core.registry.errors import TinymsOptimError

if TYPE_CHECKING:
    _ParamType = click.ParamType[str]
else:
    # Generic in newer versions of click alone.
    _ParamType = click.ParamType


class OptimizerName(_ParamType):
    """The name of an optimizer, as the registry takes it; the registry is asked when the command runs."""

    name = "optimizer"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Names that begin like what was typed, each with its summary, without those that are there already."""
        given = ctx.params.get(param.name or "")
        there = given if isinstance(given, tuple) else ()
        with warnings.catch_warnings():
            # Of a broken plugin `doctor` tells, not a line in the middle of what is being typed.
            warnings.simplefilter("ignore")
            names = [name for name in list_optimizers(f"{_literal(incomplete)}*") if name not in there]
        return [CompletionItem(name, help=_summary(name)) for name in names]


OPTIMIZER: Final = OptimizerName()


def distinct(names: Iterable[str]) -> list[str]:
    """Leave out names of optimizers that are there already, by whatever name.

    Args:
        names: Names as the user gave them.

    Returns:
        For each optimizer the first of its names, in their order.

    Raises:
        TinymsOptimError: If there is no such optimizer, or its plugin is broken.
    """
    found: dict[tuple[str, str], str] = {}
    for name in names:
        spec = optimizer_info(name)
        found.setdefault((spec.distribution, spec.name), name)
    return list(found.values())


def _literal(text: str) -> str:
    """A wildcard that matches a text and nothing else."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in text)


def _summary(name: str) -> str:
    try:
        return optimizer_info(name).summary
    except TinymsOptimError:
        return ""
