"""The page on Ascend: operators of each optimizer's step, and what MindSpore declares of them.

``python -m tests.ascend.page`` compiles the steps and writes the page anew.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.ascend.declarations import STRUCTURE, declaration
from tinyms_core.registry.api import list_optimizers

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "ascend.md"

# For each optimizer its operators, and for each of these the dtypes of their tensors.
Steps = Mapping[str, Mapping[str, list[str]]]

# MindSpore's fused operators for an optimizer's whole step.
FUSED = {
    "adafactor": ("FusedAdaFactor",),
    "adagrad": ("ApplyAdagrad", "ApplyAdagradV2"),
    "adam": ("Adam", "FusedSparseAdam"),
    "adam_offload": ("AdamNoUpdateParam",),
    "adam_weight_decay": ("AdamWeightDecay",),
    "adamw": ("AdamW", "ApplyAdamWithAmsgradV2"),
    "ftrl": ("ApplyFtrl", "FusedSparseFtrl"),
    "lars": ("LARSUpdate",),
    "lazy_adam": ("Adam", "FusedSparseLazyAdam"),
    "momentum": ("ApplyMomentum",),
    "proximal_adagrad": ("ApplyProximalAdagrad",),
    "rmsprop": ("ApplyRMSProp", "ApplyCenteredRMSProp"),
    "sgd": ("SGD",),
}

_TEXT = """\
# Ascend

MindSpore steps on Ascend with operators. The step of each optimizer here is a graph of them, made from the same rule as
the kernels of the CPU; there is no kernel of our own for Ascend.

**Nothing here has been run on an Ascend device, nor on a GPU.** What was run, and where:

| what | CPU | GPU | Ascend |
|---|---|---|---|
| kernels made from rules | run, against float64 references | in the simulator, and compiled to PTX | {none} |
| steps of MindSpore's operators | run in graph mode, against float64 references | {none} | declared, not run |
| state in the host's memory | run: the plain step | in the simulator | refused, with an error |

The simulator is numba's, of CUDA. The kit's check `operators_follow_oracle` holds the graph of operators to the float64
references on the CPU, kernels withheld. On Ascend the same graph has its scalars in float32, not in float64. That takes
Adam's first step astray by about 1e-5 of its length, as measured on the CPU.

A test compiles the step of every optimizer so, in all that it can do: flags off and on, groups, decay, a loss scale,
centralized gradients, listed rates, parameters of float32, float16 and bfloat16, and rows where they are taken. It
reads the operators from the graph as MindSpore has it after its last pass that knows of no device, and looks each one
up in what MindSpore {version} declares:

- its documentation: that of the operator, its function, or the Tensor's method that it is the kernel of names Ascend
  among the platforms;
- the registry of the AI CPU's kernels in MindSpore's package, which has dtypes too.

An operator that neither names makes the test fail. So does one with tensors of float64, unless the AI CPU has a kernel
for these. No other declaration in the package speaks of dtypes; bfloat16 in particular is not spoken of.

## Operators of each optimizer

| optimizer | operators |
|---|---|
{optimizers}

Of thor these are the operators of its own part of a step of training. `Custom` is code of the host: thor runs where
MindSpore's device is the CPU.

adam_offload is refused where MindSpore's device is not the CPU: there it would be Adam, without what its name says.

## What is declared

| operator | tensors of | documented for Ascend by | kernel of the AI CPU |
|---|---|---|---|
{operators}

Beside these a graph has words of the compiler's own, which are no kernels on any device: {structure}.

## Fused operators

MindSpore has operators for the whole step of some optimizers. None is used:

| optimizer | operators | MindSpore {version} says |
|---|---|---|
{fused}

Those that are deprecated are left out for that. The others would stand in place of what is checked element by element
on the CPU. There some have kernels that differ from the algorithm ([MindSpore's
optimizers](mindspore-optimizers.md)), and nobody here could see what theirs for Ascend do. `ApplyMomentum` and the two
of RMSProp want state of the parameter's dtype; it is float32 here for parameters of 16 bits. And gradients would be
scaled, decayed and centralized by operators all the same.
"""


def compiled_steps() -> Steps:
    """The operators of all optimizers' steps, compiled in two other processes."""
    names = list_optimizers()
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.ascend.graphs", *half],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        )
        for half in (names[::2], names[1::2])
    ]  # fmt: skip
    found: dict[str, dict[str, list[str]]] = {}
    for process in running:
        output, errors = process.communicate()
        if process.returncode:
            raise RuntimeError(f"the steps do not compile: {errors[-2000:]}")
        found.update(json.loads(line) for line in output.splitlines() if line.startswith("["))
    return dict(sorted(found.items()))


def page(steps: Steps) -> str:
    """The page, in Markdown."""
    from importlib.metadata import version

    none = "\N{EN DASH}"
    dtypes: dict[str, set[str]] = {}
    for own in steps.values():
        for operator, kinds in own.items():
            dtypes.setdefault(operator, set()).update(kinds)
    optimizers = [
        f"| {name} | {', '.join(f'`{operator}`' for operator in own if operator not in STRUCTURE)} |"
        for name, own in steps.items()
    ]
    operators = []
    for operator, kinds in sorted(dtypes.items()):
        if operator in STRUCTURE:
            continue
        said = declaration(operator)
        own = none if said.dtypes is None else ", ".join(sorted(kinds & said.dtypes)) or "for other dtypes"
        operators.append(f"| `{operator}` | {', '.join(sorted(kinds))} | `{said.documented}` | {own} |")
    fused = []
    for name, chosen in FUSED.items():
        words = [f"`{operator}` {declaration(operator).platforms or 'nothing of platforms'}" for operator in chosen]
        fused.append(f"| {name} | {', '.join(f'`{operator}`' for operator in chosen)} | {'; '.join(words)} |")
    structure = ", ".join(f"`{word}` ({what})" for word, what in STRUCTURE.items())
    return _TEXT.format(
        none=none, version=version("mindspore"), optimizers="\n".join(optimizers), operators="\n".join(operators),
        structure=structure, fused="\n".join(fused),
    )  # fmt: skip


if __name__ == "__main__":
    PAGE.write_text(page(compiled_steps()), encoding="utf-8")
