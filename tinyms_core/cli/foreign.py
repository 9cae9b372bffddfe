"""``tinyms-optim check --peer``: other libraries' optimizers, held to the semantics of ours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import click

from tinyms_core.cli.errors import CommandError
from tinyms_core.cli.output import progress_bar, tables_console
from tinyms_core.registry.api import list_optimizers

if TYPE_CHECKING:
    from tinyms_core.conformance import CheckResult

LIBRARIES: Final = ("mindspore",)

peer_option = click.option(
    "--peer",
    type=click.Choice(LIBRARIES),
    help="Check mindspore.nn's optimizers of the same names in place of ours.",
)


def check_foreign(
    names: Sequence[str],
    patterns: Sequence[str],
    modes: Sequence[str],
    dtypes: Sequence[str],
    *,
    verbose: bool,
    json_file: str | None,
) -> list[CheckResult]:
    """Check the optimizers of MindSpore that have the names of ours, and print what is wrong with them.

    Args:
        names: Names of ours; all that MindSpore has as well where there are none.
        patterns: Wildcards that the names of checks and probes must match; all where there are none.
        modes: Modes; all where there are none.
        dtypes: Dtypes; all where there are none.
        verbose: Whether a check that passed has a line too.
        json_file: Where JSON goes to; tables make room for it on the standard output.

    Returns:
        The results.

    Raises:
        CommandError: If MindSpore has no such optimizer.
        click.BadParameter: If a pattern matches nothing.
    """
    from tinyms_core.conformance import print_report
    from tinyms_core.conformance.foreign.report import foreign_table
    from tinyms_core.conformance.foreign.run import run_foreign_checks

    asked = _asked(names)
    _require_known(asked, patterns)
    screen = tables_console(json_file)
    found: dict[str, list[CheckResult]] = {}
    for name in asked:
        with progress_bar() as bar:
            # How many cases there will be is known when the probes have run.
            task = bar.add_task(f"checking mindspore.nn's {name}", total=None, note="")

            def advance(result: CheckResult) -> None:
                bar.update(task, advance=1, note=f"{result.check} {result.mode} {result.dtype}")  # noqa: B023

            found[name] = run_foreign_checks(
                name, checks=patterns or None, modes=modes or None, dtypes=dtypes or None, progress=advance
            )
        print_report(found[name], verbose=verbose, console=screen)
    screen.print(foreign_table(found))
    return [result for results in found.values() for result in results]


def _asked(names: Sequence[str]) -> list[str]:
    from tinyms_core.conformance.foreign.peers import foreign_names, foreign_optimizer

    if not list_optimizers():
        raise CommandError("no optimizers are installed, to whose semantics others could be held")
    for name in names:
        if foreign_optimizer(name) is None:
            raise CommandError(f"mindspore.nn has no optimizer like {name!r}; it has {', '.join(foreign_names())}")
    return list(dict.fromkeys(names)) or foreign_names()


def _require_known(names: Sequence[str], patterns: Sequence[str]) -> None:
    from fnmatch import fnmatchcase

    from tinyms_core.conformance.foreign.cases import ForeignCases

    known: set[str] = set()
    for name in names:
        known |= {case.check.name for case in ForeignCases(name).all(())}
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in known):
            raise click.BadParameter(
                f"no check is like {pattern!r}; there are {', '.join(sorted(known))}", param_hint="-k"
            )
