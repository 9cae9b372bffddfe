"""``tinyms-optim check``: does an optimizer keep the contract."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click
from rich.text import Text

from tinyms_core.cli.errors import Command, CommandError, ExitStatus
from tinyms_core.cli.foreign import check_foreign, peer_option
from tinyms_core.cli.names import OPTIMIZER, distinct
from tinyms_core.cli.output import json_file_option, plain_table, progress_bar, tables_console, write_json
from tinyms_core.cli.without_effect import refuse
from tinyms_core.registry.api import list_optimizers, optimizer_info
from tinyms_core.registry.specs import DTYPES, MODES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tinyms_core.conformance import Check, CheckResult

_WILDCARDS: Final = "*?["
# What says which checks are run, and how.
_OF_RUNS: Final = ("names", "every", "modes", "dtypes", "examples", "seed", "expectations", "jobs", "verbose", "peer")


@click.command(cls=Command, short_help="Hold optimizers to the contract, point by point.")
@click.argument("names", metavar="[NAME]...", nargs=-1, type=OPTIMIZER)
@click.option("--all", "every", is_flag=True, help="Every optimizer that is installed.")
@click.option(
    "-k", "patterns", metavar="PATTERN", multiple=True, help="Only checks like this, or about it; may be repeated."
)
@click.option("--mode", "modes", type=click.Choice(MODES), multiple=True, help="Only in this mode.")
@click.option("--dtype", "dtypes", type=click.Choice(DTYPES), multiple=True, help="Only with this dtype.")
@click.option("--fuzz", "examples", metavar="N", type=click.IntRange(1), help="Play N random scenarios instead.")
@click.option("--seed", type=int, help="Of the random scenarios; without it they are always the same.")
@click.option(
    "--expect-failure",
    "expectations",
    metavar="CHECK=REASON",
    multiple=True,
    help="A check, or a case of it, that is to fail; one that passes is a failure. May be repeated.",
)
@click.option(
    "--jobs",
    type=click.IntRange(1),
    metavar="N",
    help="Processes that share the work; without it, as many as the processors and the checks are worth.",
)
@click.option("--list", "only_list", is_flag=True, help="List the checks, and run none.")
@click.option("-v", "--verbose", is_flag=True, help="A line also for each check that passed.")
@peer_option
@json_file_option
@click.pass_context
def check(
    ctx: click.Context,
    names: tuple[str, ...],
    every: bool,
    patterns: tuple[str, ...],
    modes: tuple[str, ...],
    dtypes: tuple[str, ...],
    examples: int | None,
    seed: int | None,
    expectations: tuple[str, ...],
    jobs: int | None,
    only_list: bool,
    verbose: bool,
    peer: str | None,
    json_file: str | None,
) -> None:
    """Hold each optimizer NAME to the contract, point by point.

    A PATTERN is part of a check's name, or has wildcards and matches it whole; or it is a subject, such as sparse
    or groups_and_rates, for all checks about it. --list shows both. Of several optimizers a table in the end has a
    row each, with the number of checks and the largest errors against float64. The exit status is 1 when a check
    fails.

    A check that is known to fail is named with the reason by --expect-failure, for all its cases, or for one as
    check-mode-dtype, with wildcards where they help. It counts as kept; when it passes, it counts as failed, so that
    the reason does not outlive its cause.

    With --fuzz no check is run. Optimizers of random shapes, dtypes, groups, options and rates are stepped, and
    their rates and parameters changed, checkpoints loaded and bad gradients refused in between, in PyNative unless
    --mode says otherwise; each step is compared with float64. Of what fails the smallest scenario is shown. It
    needs hypothesis.

    With --peer the optimizers of another library are held to the semantics of ours, each in processes of its own:
    first every option, dtype and mode by itself, then the checks with what has passed. Without a NAME these are all
    that it has as well.

    \b
    Examples:
      tinyms-optim check adam
      tinyms-optim check adam -k group -k "golden_*" --mode graph --dtype float32
      tinyms-optim check adam -k numbers --expect-failure "tail_shapes-*-float16=rounded twice"
      tinyms-optim check lamb --json lamb.json
      tinyms-optim check --all -k golden
      tinyms-optim check adam --fuzz 500 --seed 7
      tinyms-optim check --list
      tinyms-optim check momentum ftrl --peer mindspore
    """
    if only_list:
        refuse(ctx, "with --list, which runs no checks", *_OF_RUNS)
    if examples is not None:
        refuse(ctx, "with --fuzz", "jobs", "peer")
    if peer is not None:
        refuse(ctx, "with --peer", "jobs", "seed")
    expected = _expected(expectations)
    if expected and (examples is not None or peer is not None):
        raise click.UsageError("--expect-failure is for the checks of ours; leave it out with --fuzz and --peer", ctx)
    if peer is not None:
        if every and names:
            raise click.UsageError(f"--all is for every optimizer; leave out {', '.join(names)}, or --all", ctx)
        foreign = check_foreign(
            [optimizer_info(name).name for name in names],
            [_wildcard(pattern) for pattern in patterns],
            modes,
            dtypes,
            verbose=verbose,
            json_file=json_file,
        )
        _finish(ctx, foreign, json_file)
    from tinyms_core import conformance

    _check_fuzzing(ctx, examples, seed, patterns, dtypes)
    _require_known(expected)
    chosen = _chosen(conformance.list_checks(), patterns)
    if only_list:
        _print_checks(chosen, json_file)
        return
    results: list[CheckResult] = []
    asked = _asked(ctx, names, every)
    for name in asked:
        began = time.perf_counter()
        if examples is None:
            found = _run_checks(name, chosen, modes, dtypes, expected, jobs)
        else:
            found = _run_scenarios(name, examples, modes, seed)
        seconds = time.perf_counter() - began
        conformance.print_report(found, verbose=verbose, console=tables_console(json_file), seconds=seconds)
        results += found
    if len(asked) > 1:
        tables_console(json_file).print(conformance.overview_table(results))
    _finish(ctx, results, json_file)


def _finish(ctx: click.Context, results: Sequence[CheckResult], json_file: str | None) -> NoReturn:
    from tinyms_core.conformance import to_json

    if json_file is not None:
        write_json(to_json(results), json_file)
    ctx.exit(ExitStatus.FAILED if any(result.failed for result in results) else ExitStatus.FINE)


def _check_fuzzing(
    ctx: click.Context, examples: int | None, seed: int | None, patterns: Sequence[str], dtypes: Sequence[str]
) -> None:
    from importlib.util import find_spec

    if examples is None:
        if seed is not None:
            raise click.UsageError("--seed is for --fuzz; the checks have no other random numbers", ctx)
        return
    if patterns or dtypes:
        raise click.UsageError("--fuzz runs no checks and draws dtypes at random; leave out -k and --dtype", ctx)
    if find_spec("hypothesis") is None:
        raise CommandError("--fuzz needs hypothesis: pip install hypothesis")


def _expected(given: Sequence[str]) -> dict[str, str]:
    """Reasons by check, from arguments such as ``tail_shapes=why``."""
    expected: dict[str, str] = {}
    for text in given:
        check_name, _, reason = (part.strip() for part in text.partition("="))
        if not check_name or not reason:
            raise click.BadParameter(f"{text!r} is no CHECK=REASON", param_hint="--expect-failure")
        if check_name in expected:
            raise click.BadParameter(f"{check_name!r} is there twice", param_hint="--expect-failure")
        expected[check_name] = reason
    return expected


def _require_known(expected: Mapping[str, str]) -> None:
    from tinyms_core.conformance.runner import check_expectations

    for check_name, reason in expected.items():
        try:
            check_expectations({check_name: reason})
        except ValueError as error:
            raise click.BadParameter(
                f"{check_name!r} is no check's name, nor one of its cases such as golden_state-graph-float32; "
                "--list shows their names",
                param_hint="--expect-failure",
            ) from error


def _run_checks(
    name: str,
    chosen: Sequence[Check],
    modes: Sequence[str],
    dtypes: Sequence[str],
    expected: Mapping[str, str],
    jobs: int | None,
) -> list[CheckResult]:
    from tinyms_core import conformance

    arguments: dict[str, Any] = {
        "checks": [entry.name for entry in chosen],
        "modes": modes or None,
        "dtypes": dtypes or None,
    }
    total = len(conformance.cases_for(optimizer_info(name).capabilities, **arguments))
    with _progress(name, total) as progress:
        return conformance.run_checks(name, progress=progress, expected_failures=expected, jobs=jobs, **arguments)


def _run_scenarios(name: str, examples: int, modes: Sequence[str], seed: int | None) -> list[CheckResult]:
    from tinyms_core import conformance

    found = []
    with _progress(name, len(modes) or 1) as progress:
        for mode in modes or MODES[:1]:
            result = conformance.fuzz(name, examples=examples, mode=mode, seed=seed)
            progress(result)
            found.append(result)
    return found


def _asked(ctx: click.Context, names: Sequence[str], every: bool) -> list[str]:
    if every and names:
        raise click.UsageError(f"--all is for every optimizer; leave out {', '.join(names)}, or --all", ctx)
    if not every and not names:
        raise click.UsageError("name an optimizer, such as: tinyms-optim check adam; or --all", ctx)
    # Asked first: an unknown name costs no start of MindSpore.
    asked = distinct(list_optimizers() if every else names)
    if not asked:
        raise CommandError("no optimizers are installed; install one, such as: pip install tinyms-adam")
    return asked


def _chosen(checks: Sequence[Check], patterns: Sequence[str]) -> list[Check]:
    if not patterns:
        return list(checks)
    for pattern in patterns:
        if not any(_is_like(entry, pattern) for entry in checks):
            raise click.BadParameter(
                f"no check is like {pattern!r}; --list shows their names and subjects", param_hint="-k"
            )
    return [entry for entry in checks if any(_is_like(entry, pattern) for pattern in patterns)]


def _is_like(entry: Check, pattern: str) -> bool:
    """Whether a pattern is for a check: by its name, or by its subject in any spelling."""
    from fnmatch import fnmatchcase

    subject = pattern.lower().replace(" ", "_")
    return fnmatchcase(entry.name, _wildcard(pattern)) or fnmatchcase(entry.subject.lower().replace(" ", "_"), subject)


def _wildcard(pattern: str) -> str:
    """What a name must match whole, from what the user gives: a part of it, or wildcards."""
    return pattern if set(pattern) & set(_WILDCARDS) else f"*{pattern}*"


@contextmanager
def _progress(name: str, total: int) -> Iterator[Callable[[CheckResult], None]]:
    with progress_bar() as bar:
        task = bar.add_task(f"checking {name}", total=total, note="")

        def advance(result: CheckResult) -> None:
            bar.update(task, advance=1, note=f"{result.check} {result.mode} {result.dtype}")

        yield advance


def _print_checks(checks: Sequence[Check], json_file: str | None) -> None:
    described: list[dict[str, Any]] = [entry.to_dict() for entry in checks]
    table = plain_table()
    for heading in ("check", "subject", "what it requires", "modes", "dtypes"):
        table.add_column(heading)
    for row in described:
        cells = (row["name"], row["subject"], row["summary"], ", ".join(row["modes"]), ", ".join(row["dtypes"]))
        table.add_row(*(Text(cell) for cell in cells))
    tables_console(json_file).print(table)
    if json_file is not None:
        write_json({"checks": described}, json_file)
