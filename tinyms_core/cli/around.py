"""An optimizer that is built around another one, in commands that build optimizers from parameters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import click

from tinyms_core.cli.errors import CommandError
from tinyms_core.cli.names import OPTIMIZER
from tinyms_core.cli.without_effect import refuse
from tinyms_core.registry.api import optimizer_info
from tinyms_core.registry.specs import OptimizerSpec

DEFAULT: Final = "momentum"

around_option = click.option(
    "--around",
    metavar="NAME",
    type=OPTIMIZER,
    default=DEFAULT,
    show_default=True,
    help="What an optimizer like lars is built around.",
)


def refuse_around(ctx: click.Context, names: Iterable[str]) -> None:
    """Refuse ``--around`` where none of the optimizers is built around another one.

    Raises:
        click.UsageError: If it was given all the same.
        TinymsOptimError: If there is no such optimizer, or its plugin is broken.
    """
    if not any(optimizer_info(name).capabilities.wraps_optimizer for name in names):
        refuse(ctx, "for optimizers of which none is built around another one", "around")


def together(name: str, around: str) -> OptimizerSpec:
    """Find an optimizer as one of parameters.

    Args:
        name: The optimizer's name.
        around: The name of the other one, for an optimizer that is built around one.

    Returns:
        The optimizer; for one around another one, the two together.

    Raises:
        CommandError: If the other one cannot be wrapped.
    """
    spec = optimizer_info(name)
    if not spec.capabilities.wraps_optimizer:
        return spec
    other = optimizer_info(around)
    if other.capabilities.wraps_optimizer or other.capabilities.consumes_network:
        raise CommandError(f"--around: {around!r} is not built from parameters; name another optimizer")

    from tinyms_core.conformance import CheckFailure
    from tinyms_core.conformance.composite import compose

    try:
        return compose(spec, other)
    except CheckFailure as failure:
        raise CommandError(f"--around: {failure}") from failure
