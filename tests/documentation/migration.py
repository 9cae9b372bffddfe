"""The tables of `docs/how-to/migrate.md`: other libraries' names and arguments beside ours.

MindSpore's signatures are read from the MindSpore that is installed, ours from our classes. What PyTorch and timm have
is written down here.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mindspore import nn
from mindspore.nn import optim

import tinyms_core
from tinyms_core.optimizers import NAMES
from tinyms_core.registry import optimizer_info

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "migrate.md"

_REQUIRED = "required"
_NONE = "\N{EN DASH}"


@dataclass(frozen=True)
class Foreign:
    """An optimizer of another library that is there here too.

    Attributes:
        ours: our name of it.
        arguments: what each of its arguments is here, in its order; an empty string where it is not there.
        defaults: its defaults that differ from ours, by its own names.
        differs: what it does otherwise, in a sentence; empty where the arithmetic is the same.
    """

    ours: str
    arguments: Mapping[str, str]
    defaults: Mapping[str, Any]
    differs: str = ""


_ADAM = {"lr": "learning_rate", "betas": "beta1 beta2", "eps": "eps", "weight_decay": "weight_decay"}
_MOMENTUM = {"lr": "learning_rate", "momentum": "momentum", "weight_decay": "weight_decay"}

TORCH: Mapping[str, Foreign] = {
    "SGD": Foreign(
        "sgd", {**_MOMENTUM, "dampening": "dampening", "nesterov": "nesterov", "maximize": ""}, {"lr": 1e-3}
    ),
    "Adam": Foreign(
        "adam", {**_ADAM, "amsgrad": "", "maximize": ""}, {}, "ε is added before the second moment is corrected here"
    ),
    "AdamW": Foreign("adamw", {**_ADAM, "amsgrad": "amsgrad", "maximize": ""}, {}),
    "SparseAdam": Foreign(
        "lazy_adam",
        {"lr": "learning_rate", "betas": "beta1 beta2", "eps": "eps", "maximize": ""},
        {},
        "dense gradients are taken too; ε as in Adam",
    ),
    "Adagrad": Foreign(
        "adagrad",
        {
            "lr": "learning_rate",
            "lr_decay": "",
            "weight_decay": "weight_decay",
            "initial_accumulator_value": "accum",
            "eps": "",
            "maximize": "",
        },
        {"lr": 1e-2, "initial_accumulator_value": 0},
        "no ε: where nothing has accumulated, the weight stays",
    ),
    "RMSprop": Foreign(
        "rmsprop",
        {
            "lr": "learning_rate",
            "alpha": "decay",
            "eps": "epsilon",
            "weight_decay": "weight_decay",
            "momentum": "momentum",
            "centered": "centered",
            "maximize": "",
        },
        {"lr": 1e-2, "alpha": 0.99, "eps": 1e-8},
        "ε is under the root here, the average begins at 1, and the rate is in the momentum",
    ),
    "Adafactor": Foreign(
        "adafactor",
        {
            "lr": "learning_rate",
            "beta2_decay": "decay_rate",
            "eps": "eps",
            "d": "clip_threshold",
            "weight_decay": "weight_decay",
            "maximize": "",
        },
        {"lr": 1e-2, "beta2_decay": -0.8, "eps": (None, 1e-3)},
        "`decay_rate` is `beta2_decay` with the other sign; without a rate the step finds its own here, there `lr` "
        "bounds it; ε₁ is added to the squares here",
    ),
    "Muon": Foreign(
        "muon",
        {
            "lr": "learning_rate",
            "weight_decay": "weight_decay",
            "momentum": "momentum",
            "nesterov": "nesterov",
            "ns_coefficients": "ns_coefficients",
            "eps": "",
            "ns_steps": "ns_steps",
            "adjust_lr_fn": "match_adamw",
        },
        {"lr": 1e-3, "weight_decay": 0.1, "adjust_lr_fn": None},
        '`adjust_lr_fn="match_rms_adamw"` is `match_adamw=True`; other parameters than matrices take AdamW\'s step '
        "here, there they are refused; products are in bfloat16 there",
    ),
}
"""Of `torch.optim`, without what says how a step is run: foreach, fused, capturable, differentiable."""

TORCH_ABSENT = ("Adadelta", "Adamax", "ASGD", "LBFGS", "NAdam", "RAdam", "Rprop")

# timm's names of optimizers: ours, and what it means there.
TIMM: Mapping[str, tuple[str, str]] = {
    "sgd": ("momentum", "`use_nesterov=True`, which timm sets; `momentum=0.9`"),
    "momentum": ("momentum", "`momentum=0.9`"),
    "adam": ("adam", "as `torch.optim.Adam`"),
    "adamw": ("adamw", "as `torch.optim.AdamW`"),
    "adan": ("adan", "`betas` are `beta1`, `beta2` and `beta3`"),
    "adanw": ("adan", "`no_prox=True`"),
    "lion": ("lion", "`betas` are `beta1` and `beta2`"),
    "lamb": (
        "lamb",
        "timm clips the norm of all gradients to 1 and takes no ratio of norms where nothing decays; neither here",
    ),
    "rmsproptf": ("rmsprop", "the same arithmetic; `alpha` is `decay`, `eps` is `epsilon`; `momentum=0.9`"),
    "rmsprop": ("rmsprop", "as `torch.optim.RMSprop`"),
    "adagrad": ("adagrad", "as `torch.optim.Adagrad`, with `eps=1e-8`"),
}

TIMM_ARGUMENTS: Mapping[str, str] = {
    "opt": "the first argument",
    "lr": "`learning_rate`",
    "weight_decay": "`weight_decay`; both spare biases and normalizations unless told otherwise",
    "momentum": "`momentum`, of the optimizers that have it",
    "weight_decay_exclude_1d": "`decay_bias_and_norm`, which says the opposite; by dimensions, "
    "`parameter_groups(..., no_decay_ndim=1)`",
    "layer_decay": "`layer_decay`, a layer being a Cell that holds parameters; other layers by `parameter_groups(..., "
    "layers=...)`",
    "param_group_fn": "group dicts in place of the network",
}


def mindspore_signature(name: str) -> dict[str, Any]:
    """The arguments of an optimizer of `mindspore.nn` after the first, with defaults; `inspect` sees a wrapper."""
    found = getattr(nn, name)
    tree = ast.parse(textwrap.dedent(inspect.getsource(found))).body[0]
    if isinstance(tree, ast.ClassDef):
        (tree,) = (part for part in tree.body if isinstance(part, ast.FunctionDef) and part.name == "__init__")
        skipped = 2
    else:
        skipped = 1
    assert isinstance(tree, ast.FunctionDef)
    names = [argument.arg for argument in tree.args.args]
    values = [_REQUIRED] * (len(names) - len(tree.args.defaults)) + [_literal(node) for node in tree.args.defaults]
    return dict(zip(names[skipped:], values[skipped:], strict=True))


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        return ast.unparse(node)


def our_signature(name: str) -> dict[str, Any]:
    """The arguments of one of our optimizers after the first, with defaults."""
    taken = list(inspect.signature(tinyms_core.get_optimizer(name)).parameters.values())[1:]
    return {p.name: _REQUIRED if p.default is p.empty else p.default for p in taken}


def mindspore_table() -> str:
    """`mindspore.nn`'s optimizers: what is otherwise in ours."""
    rows = ["| `mindspore.nn` | here | only there | only here | other defaults here |", "|---|---|---|---|---|"]
    for name in NAMES:
        there, here = mindspore_signature(name), our_signature(name)
        gone, new = sorted(set(there) - set(here)), sorted(set(here) - set(there))
        other = [
            f"`{key}`: {_shown(here[key])}, there {_shown(there[key])}"
            for key in there
            if key in here and not _same(there[key], here[key])
        ]
        cells = (f"`{name}`", f"`{optimizer_info(name).name}`", _listed(gone), _listed(new), "; ".join(other) or _NONE)
        rows.append(f"| {' | '.join(cells)} |")
    rows += [f"| `{name}` | {_NONE} | | | |" for name in mindspore_absent()]
    return "\n".join(rows) + "\n"


def mindspore_absent() -> list[str]:
    """The optimizers of `mindspore.nn` that are not there here."""
    classes = {name: getattr(nn, name, None) for name in optim.__all__}
    return [
        name
        for name, found in classes.items()
        if name not in (*NAMES, "Optimizer")
        and isinstance(found, type)
        and issubclass(found, nn.Optimizer)
        and "learning_rate" in mindspore_signature(name)
    ]


def _same(there: Any, here: Any) -> bool:
    if callable(here):
        # Two functions: their names tell nothing, their tests do.
        return isinstance(there, str)
    return bool(there == here)


def _shown(value: Any) -> str:
    return value if value == _REQUIRED else f"{value:g}" if isinstance(value, float) else repr(value)


def _listed(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or _NONE


def torch_table() -> str:
    """`torch.optim`'s optimizers: what each argument is here."""
    rows = ["| `torch.optim` | here | arguments | defaults there | what differs |", "|---|---|---|---|---|"]
    for name, found in TORCH.items():
        renamed = [
            f"`{theirs}` → {' and '.join(f'`{word}`' for word in ours.split())}" if ours else f"`{theirs}`: not here"
            for theirs, ours in found.arguments.items()
            if ours != theirs
        ]
        defaults = ", ".join(f"`{key}` {value}" for key, value in found.defaults.items()) or "the same"
        cells = (f"`{name}`", f"`{found.ours}`", "; ".join(renamed), defaults, found.differs or _NONE)
        rows.append(f"| {' | '.join(cells)} |")
    rows += [f"| `{name}` | {_NONE} | | | |" for name in TORCH_ABSENT]
    return "\n".join(rows) + "\n"


def timm_table() -> str:
    """timm's names, and its arguments."""
    rows = ["| timm's `opt` | here | remarks |", "|---|---|---|"]
    rows += [f"| `{name}` | `{ours}` | {remark} |" for name, (ours, remark) in TIMM.items()]
    rows += ["", "| timm's argument | here |", "|---|---|"]
    rows += [f"| `{name}` | {ours} |" for name, ours in TIMM_ARGUMENTS.items()]
    return "\n".join(rows) + "\n"


TABLES = {"mindspore": mindspore_table, "torch": torch_table, "timm": timm_table}


def migration_page() -> str:
    """The page, with its tables between their marks as they should be."""
    text = PAGE.read_text(encoding="utf-8")
    for name, table in TABLES.items():
        begin, end = f"<!-- {name}: generated -->\n", f"<!-- end of {name} -->\n"
        before, _, rest = text.partition(begin)
        _, found, after = rest.partition(end)
        if not found:
            raise ValueError(f"migrate.md must have the marks {begin.strip()!r} and {end.strip()!r}, each on a line")
        text = before + begin + "\n" + table() + "\n" + end + after
    return text
