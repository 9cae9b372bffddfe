"""``tinyms-optim completion``: what a shell needs to complete commands, options and optimizers' names."""

from __future__ import annotations

from typing import Final

import click
from click.shell_completion import get_completion_class

from tinyms_core.cli.errors import Command
from tinyms_core.cli.output import STANDARD_OUTPUT, json_file_option, write_json

SHELLS: Final = ("bash", "zsh", "fish")
# Where each shell looks for what it is to read.
_PLACES: Final = {
    "bash": 'eval "$(tinyms-optim completion bash)" in ~/.bashrc',
    "zsh": 'eval "$(tinyms-optim completion zsh)" in ~/.zshrc, below compinit',
    "fish": "tinyms-optim completion fish > ~/.config/fish/completions/tinyms-optim.fish",
}
_VARIABLE: Final = "_TINYMS_OPTIM_COMPLETE"


@click.command(cls=Command, short_help="Print what a shell needs to complete this command line.")
@click.argument("shell", type=click.Choice(SHELLS))
@json_file_option
@click.pass_context
def completion(ctx: click.Context, shell: str, json_file: str | None) -> None:
    """Print the script that makes SHELL complete commands, options, their values, and names of optimizers.

    Each shell reads it when it starts, from one line of its own:

    \b
      bash  eval "$(tinyms-optim completion bash)" in ~/.bashrc; bash 4.4 or newer
      zsh   eval "$(tinyms-optim completion zsh)" in ~/.zshrc, below compinit
      fish  the output, as ~/.config/fish/completions/tinyms-optim.fish

    \b
    Examples:
      tinyms-optim completion bash
      tinyms-optim completion fish > ~/.config/fish/completions/tinyms-optim.fish
    """
    found = get_completion_class(shell)
    if found is None:
        raise click.BadParameter(f"this version of click knows no {shell!r}", ctx=ctx)
    group = ctx.find_root().command
    script = found(group, {}, "tinyms-optim", _VARIABLE)
    # `source()` would ask the bash on the path for its version, also where the script is written for another machine.
    text = (found.source_template % script.source_vars()).strip()
    if json_file is not None:
        write_json({"shell": shell, "script": text, "place": _PLACES[shell]}, json_file)
    if json_file != STANDARD_OUTPUT:
        click.echo(text)
