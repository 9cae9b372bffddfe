"""The entry point of ``tinyms-optim``."""

from __future__ import annotations

import os

import click

from tinyms_core import __version__
from tinyms_core.cli.commands.bench import bench
from tinyms_core.cli.commands.check import check
from tinyms_core.cli.commands.compare import compare
from tinyms_core.cli.commands.completion import completion
from tinyms_core.cli.commands.doctor import doctor
from tinyms_core.cli.commands.gallery import gallery
from tinyms_core.cli.commands.info import info
from tinyms_core.cli.commands.listing import list_command
from tinyms_core.cli.commands.new import new
from tinyms_core.cli.commands.train import train
from tinyms_core.cli.commands.warmup import warmup
from tinyms_core.cli.errors import Group

# MindSpore's log level: errors only. Its warnings are about the host's name and its own deprecated modules.
_QUIET = "3"


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tinyms-optim")
def cli() -> None:
    """Look at, check, time and try the optimizers for MindSpore that are installed, and begin one of your own.

    \b
    Examples:
      tinyms-optim list "adam*"
      tinyms-optim info lamb
      tinyms-optim train adam lamb
      tinyms-optim compare momentum thor
      tinyms-optim bench adam --shapes large
      tinyms-optim warmup
      tinyms-optim new my_optimizer
      tinyms-optim completion bash

    \b
    Exit status:
      0    fine
      1    a check or a goal failed, a training diverged, a kernel did not compile,
           or doctor found something to repair
      2    bad usage, or an error that the message explains
      3    an unexpected error; --traceback shows where
      130  interrupted
    """


for _command in (list_command, info, check, train, compare, gallery, bench, warmup, new, doctor, completion):
    cli.add_command(_command)


def main() -> None:
    """Run the command that the process's arguments name, and end the process with its exit status."""
    os.environ.setdefault("GLOG_v", _QUIET)
    cli(prog_name="tinyms-optim")
