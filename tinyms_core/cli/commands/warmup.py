"""``tinyms-optim warmup``: compiles kernels ahead of time, as for an image."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import click
from rich.console import Group
from rich.text import Text

from tinyms_core.cli.around import around_option, refuse_around
from tinyms_core.cli.bench.setting import DTYPES
from tinyms_core.cli.centralization import centralizes, require_centralization
from tinyms_core.cli.choices import choices, completions
from tinyms_core.cli.errors import Command, CommandError, ExitStatus
from tinyms_core.cli.names import OPTIMIZER, distinct
from tinyms_core.cli.output import json_file_option, plain_table, progress_bar, tables_console, write_json
from tinyms_core.cli.training_options import numbers, require_hyperparameters
from tinyms_core.cli.versions import versions
from tinyms_core.registry.api import list_optimizers, optimizer_info

if TYPE_CHECKING:
    from tinyms_core.cli.warmup.compilation import Warmed

_ALL: Final = "all"


@click.command(cls=Command, short_help="Compile kernels into the cache on disk.")
@click.argument("names", metavar="[NAME]...", nargs=-1, type=OPTIMIZER)
@click.option(
    "--dtype",
    "dtypes",
    metavar="DTYPE",
    callback=choices(DTYPES, every=_ALL),
    shell_complete=completions(DTYPES, _ALL),
    multiple=True,
    default=DTYPES[:1],
    show_default=True,
    help="float32, float16, bfloat16, float64, or all: of parameters and gradients; a list with commas for several.",
)
@click.option(
    "--set",
    "given",
    metavar="NAME=VALUE",
    multiple=True,
    callback=numbers,
    help="A hyperparameter of training, as use_nesterov=true; kernels may differ with it.",
)
@click.option("--centralize", is_flag=True, help="For training that centralizes gradients of convolutions.")
@around_option
@json_file_option
@click.pass_context
def warmup(
    ctx: click.Context,
    names: tuple[str, ...],
    dtypes: tuple[str, ...],
    given: Mapping[str, Any],
    centralize: bool,
    around: str,
    json_file: str | None,
) -> None:
    """Compile the kernels of optimizers NAME, of all that are installed without one, into the cache on disk.

    The first step of an optimizer on a machine compiles its kernels, which takes seconds. Whoever builds an image for
    many processes compiles them there: after this command a new process finds them. The cache is the folder that
    TINYMS_OPTIM_CACHE names, and it serves Pythons, processors and versions like those that filled it. The
    libraries that all optimizers share, for steps in graphs and for addresses of tensors, are compiled with them.

    \b
    Examples:
      tinyms-optim warmup
      tinyms-optim warmup adam lamb --dtype float32,bfloat16
      tinyms-optim warmup adam --set use_nesterov=true
      tinyms-optim warmup sgd momentum --centralize
      TINYMS_OPTIM_CACHE=/opt/kernels tinyms-optim warmup --dtype all --json kernels.json
    """
    asked = distinct(names or list_optimizers())
    if not asked:
        raise CommandError("no optimizers are installed; install one, such as: pip install tinyms-adam")
    refuse_around(ctx, asked)
    specs = {name: optimizer_info(name) for name in asked}
    require_hyperparameters(given, specs)
    if centralize:
        require_centralization(names)
    # An optimizer's kernels are for the dtypes that it declares.
    work = [(name, dtype) for name, spec in specs.items() for dtype in dtypes if dtype in spec.capabilities.dtypes]
    skipped = [
        f"{name}: no parameters in {dtype}"
        for name, spec in specs.items()
        for dtype in dtypes
        if dtype not in spec.capabilities.dtypes
    ]

    centralizing = [name for name in asked if centralize and centralizes(name)]
    skipped += [f"{name}: does not centralize" for name in asked if centralize and name not in centralizing]

    from tinyms_core.cli.warmup.compilation import LIBRARIES, switched_off, warm_library, warm_optimizer

    libraries = [library for library in LIBRARIES if not switched_off(library)]
    skipped += [f"{library}: {switched_off(library)}" for library in LIBRARIES if library not in libraries]
    done = []
    began = time.perf_counter()
    with progress_bar() as bar:
        task = bar.add_task("compiling", total=len(libraries) + len(work), note="")
        for library in libraries:
            bar.update(task, note=library)
            done.append(warm_library(library))
            bar.advance(task)
        for name, dtype in work:
            bar.update(task, note=f"{name}, {dtype}")
            done.append(warm_optimizer(name, dtype, around, given, centralize=name in centralizing))
            bar.advance(task)
    _show(done, skipped, time.perf_counter() - began, json_file)
    if any(warmed.error for warmed in done):
        raise click.exceptions.Exit(ExitStatus.FAILED)


def _show(done: Sequence[Warmed], skipped: Sequence[str], seconds: float, json_file: str | None) -> None:
    from tinyms_core.cli.warmup.compilation import cached_files
    from tinyms_core.kernels.generated import cache_directory

    folder, size = cache_directory(), sum(size for size, _ in cached_files().values())
    table = plain_table("Kernels in the cache")
    table.add_column("optimizer")
    table.add_column("dtype", no_wrap=True)
    table.add_column("kernels", no_wrap=True)
    for heading in ("new files", "new KiB", "seconds"):
        table.add_column(heading, justify="right")
    for warmed in done:
        table.add_row(
            Text(warmed.what),
            warmed.dtype,
            warmed.outcome,
            str(warmed.new_files),
            f"{warmed.new_bytes / 2**10:.0f}",
            f"{warmed.seconds:.2f}",
        )
    failures = [Text(f"{warmed.what} {warmed.dtype}: {warmed.error}") for warmed in done if warmed.error]
    summary = Text(f"{folder}: {size / 2**20:.1f} MiB, filled in {seconds:.1f} seconds")
    screen = tables_console(json_file)
    screen.print(Group(table, *(Text(line) for line in skipped), *failures, summary))
    if json_file is not None:
        report = {
            "versions": versions(),
            "folder": str(folder),
            "bytes": size,
            "seconds": seconds,
            "skipped": list(skipped),
            "results": [warmed.to_dict() for warmed in done],
        }
        write_json(report, json_file)
