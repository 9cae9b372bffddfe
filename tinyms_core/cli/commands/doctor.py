"""``tinyms-optim doctor``: what is installed, what is broken, and why."""

from __future__ import annotations

from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tinyms_core.cli.errors import Command, ExitStatus
from tinyms_core.cli.output import STANDARD_OUTPUT, console, json_file_option, plain_table, write_json
from tinyms_core.cli.versions import versions
from tinyms_core.kernels import runner, trampoline
from tinyms_core.kernels.backends import unusable
from tinyms_core.kernels.buffers import GPU
from tinyms_core.kernels.generated import CACHE_VARIABLE, cache_directory
from tinyms_core.kernels.threads import thread_count
from tinyms_core.optimizer import tensor_reader
from tinyms_core.registry.api import active_switches, diagnose
from tinyms_core.registry.devices import simulated
from tinyms_core.registry.specs import CONTRACT_VERSION

# What a user has to act upon; a plugin that was switched off is as the user wanted it.
_TROUBLE = ("broken", "conflict")


@click.command(cls=Command, short_help="Report on this installation, and what to repair.")
@json_file_option
@click.pass_context
def doctor(ctx: click.Context, json_file: str | None) -> None:
    """Report on this installation: versions, contract, plugins and where they are, kernels, switches, threads.

    It works whatever plugins are broken, and ends with exit status 1 where something has to be repaired.

    \b
    Examples:
      tinyms-optim doctor
      tinyms-optim doctor --json
    """
    report = examine()
    if json_file is not None:
        write_json(report, json_file)
    if json_file != STANDARD_OUTPUT:
        _print(console(), report)
    ctx.exit(ExitStatus.FINE if report["healthy"] else ExitStatus.FAILED)


def examine() -> dict[str, Any]:
    """Gather the report.

    Returns:
        What the command prints, as data; ``healthy`` is whether nothing has to be repaired.
    """
    found = versions()
    cache = _cache()
    plugins = [report.to_dict() for report in diagnose()]
    healthy = cache["writable"] and None not in found.values()
    return {
        "healthy": healthy and not any(plugin["status"] in _TROUBLE for plugin in plugins),
        "versions": found,
        "contract": CONTRACT_VERSION,
        "cache": cache,
        "threads": thread_count(),
        "kernel_threads": _kernel_threads(),
        "steps_in_graphs": _steps_in_graphs(),
        "addresses": _addresses(),
        "gpu": _gpu(),
        "switches": active_switches(),
        "plugins": plugins,
    }


def _kernel_threads() -> dict[str, Any]:
    reason = runner.unavailable()
    return {"compiled": not reason, "reason": reason}


def _steps_in_graphs() -> dict[str, Any]:
    reason = trampoline.unavailable()
    return {"kernels": not reason, "reason": reason}


def _addresses() -> dict[str, Any]:
    reason = tensor_reader.obstacle()
    return {"compiled": not reason, "reason": reason}


def _gpu() -> dict[str, Any]:
    reason = unusable(GPU)
    return {"usable": not reason, "simulated": simulated(), "reason": reason}


def _cache() -> dict[str, Any]:
    try:
        return {"folder": str(cache_directory()), "writable": True, "reason": "", "variable": CACHE_VARIABLE}
    except OSError as error:
        return {"folder": None, "writable": False, "reason": str(error), "variable": CACHE_VARIABLE}


def _print(screen: Console, report: dict[str, Any]) -> None:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for name, version in report["versions"].items():
        grid.add_row(name, Text(version or "not installed", style="" if version else "red"))
    grid.add_row("contract", report["contract"])
    cache = report["cache"]
    grid.add_row("kernel cache", Text(f"{cache['folder']} (writable)" if cache["writable"] else cache["reason"]))
    grid.add_row("threads", str(report["threads"]))
    own = report["kernel_threads"]
    grid.add_row("kernel threads", Text("those of the C library" if own["compiled"] else f"Python's: {own['reason']}"))
    graphs = report["steps_in_graphs"]
    grid.add_row("steps in graphs", Text("kernels" if graphs["kernels"] else f"operators: {graphs['reason']}"))
    addresses = report["addresses"]
    grid.add_row("addresses", Text("compiled reader" if addresses["compiled"] else f"Python: {addresses['reason']}"))
    gpu = report["gpu"]
    usable = "simulated by numba" if gpu["simulated"] else "usable"
    grid.add_row("GPU kernels", Text(usable if gpu["usable"] else f"not here: {gpu['reason']}"))
    switches = ", ".join(f"{name}={value}" for name, value in report["switches"].items())
    grid.add_row("off switches", Text(switches or "none in force"))
    screen.print(grid)
    screen.print()
    screen.print(_plugins(report["plugins"]))
    screen.print(_places(report["plugins"]))
    screen.print(_kernels(report["plugins"]))


def _plugins(plugins: list[dict[str, Any]]) -> Table:
    table = plain_table("Plugins" if plugins else "Plugins: none installed")
    for heading in ("distribution", "version", "entry point", "contract", "status", "optimizers", "reason"):
        table.add_column(heading)
    for plugin in plugins:
        stage = f"at stage {plugin['stage']}: " if plugin["stage"] else ""
        style = "red" if plugin["status"] in _TROUBLE else ""
        table.add_row(
            Text(plugin["distribution"]),
            Text(plugin["version"]),
            Text(f"{plugin['entry_point']} = {plugin['value']}"),
            Text(", ".join(plugin["contracts"])),
            Text(plugin["status"], style=style),
            Text(", ".join(plugin["names"])),
            Text(f"{stage}{plugin['reason']}"),
        )
    return table


def _places(plugins: list[dict[str, Any]]) -> Table:
    """Folders by themselves: beside everything else they would fold every line."""
    table = plain_table("Places")
    for heading in ("distribution", "found in"):
        table.add_column(heading, overflow="fold")
    for plugin in plugins:
        table.add_row(Text(plugin["distribution"]), Text(plugin["location"] or "not found"))
    return table


def _kernels(plugins: list[dict[str, Any]]) -> Table:
    table = plain_table("Kernels")
    for heading in ("optimizer", "device", "implementation", "distribution", "status"):
        table.add_column(heading)
    for plugin in plugins:
        for status in plugin["kernels"]:
            kernel = status["spec"]
            table.add_row(
                Text(kernel["optimizer"]),
                Text(kernel["device"]),
                Text(kernel["implementation"]),
                Text(kernel["distribution"]),
                Text("available" if status["available"] else f"not available: {status['reason']}"),
            )
    return table
