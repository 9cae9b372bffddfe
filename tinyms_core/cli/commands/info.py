"""``tinyms-optim info``: one optimizer on one page."""

from __future__ import annotations

from collections.abc import Iterable

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tinyms_core.cli.docstring import docstring, formulas
from tinyms_core.cli.errors import Command
from tinyms_core.cli.names import OPTIMIZER
from tinyms_core.cli.output import STANDARD_OUTPUT, console, json_file_option, plain_table, write_json
from tinyms_core.cli.plain_math import plain_math
from tinyms_core.registry.api import optimizer_info
from tinyms_core.registry.plain import implementation_name
from tinyms_core.registry.specs import Capabilities, Hyperparameter, OptimizerSpec


@click.command(cls=Command, short_help="Show all that is known of one optimizer.")
@click.argument("name", type=OPTIMIZER)
@json_file_option
def info(name: str, json_file: str | None) -> None:
    """Show what is known of the optimizer NAME, without importing it.

    Formula, paper, hyperparameters with their defaults and ranges, state and its bytes, capabilities, and kernels
    with their devices. In JSON the formulas are TeX.

    \b
    Examples:
      tinyms-optim info adam
      tinyms-optim info tinyms-adam:adam --json
    """
    spec = optimizer_info(name)
    found = formulas(docstring(spec))
    if json_file is not None:
        page = {**spec.to_dict(), "state_bytes_per_element": spec.state_bytes_per_element(), "formulas": found}
        write_json(page, json_file)
    if json_file != STANDARD_OUTPUT:
        _print_page(console(), spec, found)


def _print_page(screen: Console, spec: OptimizerSpec, tex: Iterable[str]) -> None:
    screen.print(Text(spec.name, style="bold"))
    facts = (
        ("summary", spec.summary),
        ("paper", spec.reference),
        ("aliases", ", ".join(spec.aliases)),
        ("distribution", spec.distribution),
        ("class", spec.implementation_name),
        ("contract", spec.contract),
    )
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for label, value in facts:
        grid.add_row(Text(label), Text(value or "-"))
    screen.print(grid)
    screen.print()
    screen.print(_formulas(screen, tex))
    screen.print(_hyperparameters(spec))
    screen.print(_state(spec))
    screen.print(_capabilities(spec.capabilities))
    screen.print(_kernels(spec))


def _formulas(screen: Console, tex: Iterable[str]) -> Text:
    """The formulas, one to a line; as TeX where the output has no signs for them."""
    plain = screen.encoding.lower().startswith("utf")
    lines = [line for formula in tex for line in (plain_math(formula) if plain else formula.splitlines()) if line]
    return Text("".join(f"  {line}\n" for line in lines))


def _filled(title: str, headings: Iterable[str], rows: Iterable[Iterable[object]]) -> Table:
    table = plain_table(title)
    for heading in headings:
        table.add_column(heading)
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    return table


def _hyperparameters(spec: OptimizerSpec) -> Table:
    rows = [
        (item.name, _default(item), "" if item.kind == "flag" else item.interval, item.kind, item.inert)
        for item in spec.hyperparameters
    ]
    return _filled("Hyperparameters", ("name", "default", "range", "kind", "without effect"), rows)


def _default(item: Hyperparameter) -> str:
    if item.required:
        return "required"
    return implementation_name(item.default) if callable(item.default) else repr(item.default)


def _state(spec: OptimizerSpec) -> Table:
    shapes = {
        "like": "like the parameter",
        "rows": "one number for each row",
        "columns": "one number for each column",
        "unfactored": "like the parameter, of fewer than two dimensions",
        "scalar": "one number",
        "singleton": "one number, shape (1,)",
    }
    rows = []
    for slot in spec.state:
        only = f", only with {slot.given}" if slot.given else ""
        only += f"; without {slot.shaped_with} like the parameter" if slot.shaped_with else ""
        rows.append((slot.name, slot.prefix, slot.initial, shapes[slot.shape] + only))
    size = f"{spec.state_bytes_per_element():g} bytes for each element of a float32 parameter"
    if any(slot.per_parameter and slot.shape != "like" for slot in spec.state):
        size = f"{spec.state_bytes((1024, 1024)):,} bytes for a float32 parameter of 1024 x 1024"
    title = f"State ({size})"
    if spec.capabilities.consumes_network:
        title = f"State ({size}, beside what is kept of each layer)"
    if spec.capabilities.wraps_optimizer:
        title = "State (beside that of the optimizer that it is around)"
    return _filled(title, ("name", "in checkpoints", "starts at", "shape"), rows)


def _capabilities(capabilities: Capabilities) -> Table:
    rows = []
    for name, value in capabilities.to_dict().items():
        text = ", ".join(value) if isinstance(value, list) else {True: "yes", False: "no"}.get(value, str(value))
        rows.append((name.replace("_", " "), text))
    return _filled("Capabilities", ("what", "how"), rows)


def _kernels(spec: OptimizerSpec) -> Table:
    rows = [
        (
            status.spec.device,
            status.spec.implementation_name,
            status.spec.distribution,
            status.spec.priority,
            ", ".join(status.spec.dtypes),
            "available" if status.available else status.reason,
        )
        for status in spec.kernels
    ]
    headings = ("device", "implementation", "distribution", "priority", "dtypes", "here")
    return _filled("Kernels", headings, rows)
