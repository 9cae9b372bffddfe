"""What commands that train have in common: values on the command line, folders, extras, and how steps are launched."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import click

from tinyms_core.cli.errors import CommandError
from tinyms_core.cli.output import can_write
from tinyms_core.registry.specs import OptimizerSpec

_EXTRAS: Final = {"sklearn": "scikit-learn", "matplotlib": "matplotlib"}
_WORDS: Final = {"true": True, "false": False}


def numbers(_: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, Any]:
    """Read NAME=NUMBER, NAME=true and NAME=false."""
    found: dict[str, Any] = {}
    for text in values:
        name, separator, value = text.partition("=")
        try:
            found[name] = _WORDS[value.lower()] if value.lower() in _WORDS else float(value)
        except ValueError:
            separator = ""
        if not separator or not name:
            raise click.BadParameter(f"{text!r} is not NAME=NUMBER or NAME=true or NAME=false", param=parameter)
    return found


def require_hyperparameters(given: Iterable[str], specs: Mapping[str, OptimizerSpec]) -> None:
    """Refuse a hyperparameter that no optimizer has.

    Args:
        given: The names of hyperparameters.
        specs: The optimizers, by name.

    Raises:
        CommandError: If one is unknown; the message says what there is.
    """
    for key in given:
        if not any(key in spec.defaults for spec in specs.values()):
            there = "; ".join(f"{name} has {', '.join(spec.defaults)}" for name, spec in specs.items())
            raise CommandError(f"--set: none of {', '.join(specs)} has a hyperparameter {key!r}: {there}")


def require_extras(command: str) -> None:
    """Refuse to begin without the libraries of the extra ``train``.

    Raises:
        CommandError: If one is missing; the message says how to install it.
    """
    missing = [name for module, name in _EXTRAS.items() if find_spec(module) is None]
    if missing:
        raise CommandError(f'{command} needs {" and ".join(missing)}: pip install "tinyms-core[train]"')


def make_folder(folder: Path, option: str = "--output") -> Path:
    """Make the folder of an option, where it is missing, and see that files can be made in it.

    Raises:
        CommandError: If it cannot be made, or not be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(f"{option}: the folder {str(folder)!r} cannot be made: {error.strerror}") from error
    if not can_write(folder):
        # Found out before minutes of work, not after.
        raise CommandError(f"{option}: {str(folder)!r} is a folder that no file can be written to; name another")
    return folder


def launch_in_turn(mode: str) -> None:
    """Let operators run where they are called, in PyNative.

    Operators as small as those of these networks are done sooner than they are handed to the threads that PyNative
    queues them for: five times as fast on two cores. Losses are the same to the last digit.
    """
    import mindspore

    if mode == "pynative":
        mindspore.runtime.launch_blocking()
