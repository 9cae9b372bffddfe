"""A page for each optimizer, from its specification, its docstring and its distribution's README."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

import griffe

from tests.documentation import pages
from tests.documentation.website.formulas import docstring_to_markdown
from tinyms_core.registry import Hyperparameter, OptimizerSpec, list_optimizers, optimizer_info
from tinyms_core.registry.plain import implementation_name

FOLDER = "reference/optimizers"
# Sections of a README that the specification and the docstring say better, or that all have alike.
_LEFT_OUT = ("Install", "Formula", "Arguments", "Source")
_DECAY = {
    "gradient": "is added to the gradient (an L2 penalty)",
    "update": "is decoupled from the gradient: it acts on the weights in the update",
    "none": "none",
}
_SPARSE = {
    "exact": "exact: as the dense gradient with zeros elsewhere",
    "lazy": "lazy: only the rows that occur are touched, with their state",
    "none": "refused",
}
_KINDS = {
    "float": "float",
    "number": "float or int",
    "int": "int",
    "flag": "bool",
    "floats": "floats",
    "rate": "rate, list of rates, or schedule",
    "decay": "number, or a Cell of the step",
    "listed": "Tensor: one value, or one for each step",
    "any": "",
}


def optimizer_specs() -> list[OptimizerSpec]:
    """The optimizers that have a README in this repository, by their titles."""
    found = [optimizer_info(name) for name in list_optimizers()]
    return sorted((spec for spec in found if readme_of(spec).is_file()), key=lambda spec: title_of(spec).casefold())


def readme_of(spec: OptimizerSpec) -> Path:
    """Where the distribution's README is."""
    return pages.ROOT / "plugins" / spec.name / "README.md"


def title_of(spec: OptimizerSpec) -> str:
    """The name as it is written in words: that of the class, or of the function that builds it."""
    return spec.implementation_name.rpartition(":")[2]


def page_of(spec: OptimizerSpec) -> str:
    """The path of an optimizer's page, from the folder of the documentation."""
    return f"{FOLDER}/{spec.name}.md"


def index_page() -> str:
    """The page with all optimizers."""
    rows = [
        (f"[{title_of(spec)}]({spec.name}.md)", spec.summary, _bytes(spec), _SPARSE_SHORT[spec.capabilities.sparse])
        for spec in optimizer_specs()
    ]
    return (
        "# Optimizers\n\nEach is a plugin, and each is held to the same [contract](../conformance.md). "
        "[Choosing an optimizer](../../how-to/choose-an-optimizer.md) says where to begin, and the "
        "[gallery](../../gallery/index.md) shows how they move.\n\n"
        f"{_table(('optimizer', 'what it does', 'state bytes', 'sparse rows'), rows)}\n"
        "State bytes are for each element of a float32 parameter of 1024 by 1024.\n"
    )


_SPARSE_SHORT = {"exact": "exact", "lazy": "lazy", "none": "\N{EN DASH}"}


def optimizer_page(spec: OptimizerSpec) -> str:
    """The page of one optimizer, in Markdown."""
    sections = docstring_sections(spec)
    readme = readme_sections(spec)
    parts = [
        f"# {title_of(spec)}\n\n{spec.summary}\n",
        f"```sh\npython3 -m pip install {spec.distribution}\n```\n",
        f"## Formula\n\n{sections['formula']}\n",
        f"## At a glance\n\n{_facts(spec)}",
        f"## Arguments\n\n{_arguments(spec, sections)}",
        *(f"## {heading}\n\n{body}\n" for heading, body in readme.items() if heading not in _LEFT_OUT),
        _gallery(spec),
        f"## Source\n\n{readme['Source']}\n",
    ]
    return "\n".join(part for part in parts if part)


@cache
def _package(name: str) -> griffe.Object:
    loaded = griffe.load(name)
    if not isinstance(loaded, griffe.Object):
        raise TypeError(f"{name} is an alias")
    return loaded


def docstring_sections(spec: OptimizerSpec) -> Mapping[str, str]:
    """What the docstring says: ``formula``, the text before the arguments, and each argument by its name.

    Raises:
        ValueError: there is no docstring, or no formula in it.
    """
    module, _, name = spec.implementation_name.partition(":")
    package, _, rest = module.partition(".")
    found = _package(package)[f"{rest}.{name}"]
    if found.docstring is None:
        raise ValueError(f"{spec.implementation_name} has no docstring")
    docstring = griffe.Docstring(docstring_to_markdown(found.docstring.value), parent=found)
    said: dict[str, str] = {}
    for section in docstring.parse("google", warn_missing_types=False):
        if section.kind is griffe.DocstringSectionKind.text and "formula" not in said:
            # The summary is the specification's.
            said["formula"] = section.value.partition("\n\n")[2]
        elif section.kind is griffe.DocstringSectionKind.parameters:
            said |= {item.name: " ".join(item.description.split()) for item in section.value}
    if "```math" not in said["formula"]:
        raise ValueError(f"{spec.implementation_name} has no formula in its docstring")
    return said


def readme_sections(spec: OptimizerSpec) -> dict[str, str]:
    """The sections of the README, by their headings, with links as they are from the site's page."""
    text = readme_of(spec).read_text(encoding="utf-8")
    found = re.split(r"^## (.+)$", text, flags=re.MULTILINE)[1:]
    return {heading: from_readme(body).strip() for heading, body in zip(found[::2], found[1::2], strict=True)}


def from_readme(text: str) -> str:
    """The links of a plugin's README, as they are from the page of its optimizer."""
    text = re.sub(r"\]\(\.\./\.\./docs/", "](../../", text)
    text = re.sub(r"\]\(\.\./([a-z_]+)/README\.md", r"](\1.md", text)
    return text.replace("](../../README.md", "](../../index.md")


def from_documentation(text: str, source: str) -> str:
    """The links of a page of the documentation to plugins' READMEs, as links to their pages.

    Arguments:
        text: the page in Markdown.
        source: its path from the documentation's folder.
    """
    up = "../" * source.count("/")
    return re.sub(rf"\]\({re.escape(up)}\.\./plugins/([a-z_]+)/README\.md", rf"]({up}{FOLDER}/\1.md", text)


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def _facts(spec: OptimizerSpec) -> str:
    can = spec.capabilities
    _, pynative, graph, gpu, ascend, *_ = (
        pages.optimizers_table([title_of(spec)]).splitlines()[2].strip("| ").split(" | ")
    )
    rows = [
        ("name", ", ".join(f"`{name}`" for name in spec.names)),
        ("class", f"`{spec.implementation_name}`"),
        ("state, bytes for each element", _bytes(spec)),
        ("CPU", f"PyNative: {pynative}; graphs and `ms.jit`: {graph}"),
        ("GPU", gpu),
        ("Ascend", ascend),
        ("modes", ", ".join(can.modes)),
        ("dtypes", ", ".join(can.dtypes)),
        (
            "sparse gradients",
            "as the inner one" if can.wraps_optimizer and can.sparse == "none" else _SPARSE[can.sparse],
        ),
        ("rates", _rates(spec)),
        ("weight decay", "the inner one's" if can.wraps_optimizer else _DECAY[can.weight_decay]),
        ("built from", _built_from(spec)),
    ]
    return _table(("what", "how"), rows) + (
        "\nState is of a float32 parameter of 1024 by 1024. *Kernel*: a fused, multi-threaded pass over all tensors. "
        "*Operators*: MindSpore's. *Not run*: nothing here has been run on such a device.\n"
    )


def _bytes(spec: OptimizerSpec) -> str:
    return "the inner one's" if spec.capabilities.wraps_optimizer else pages.state_bytes(spec)


def _rates(spec: OptimizerSpec) -> str:
    can = spec.capabilities
    if can.wraps_optimizer:
        return "the inner one's"
    groups = "for each group" if can.grouped_rates else "one for all parameters"
    return f"{groups}; {'also schedules' if can.dynamic_rates else 'numbers, no schedules'}"


def _built_from(spec: OptimizerSpec) -> str:
    can = spec.capabilities
    if can.wraps_optimizer:
        return "another optimizer"
    if can.consumes_network:
        return "a network"
    options = ", ".join(f"`{option}`" for option in can.group_options)
    return f"parameters or groups{f', which may have their own {options}' if options else ''}"


def _arguments(spec: OptimizerSpec, said: Mapping[str, str]) -> str:
    declared = {item.name: item for item in spec.hyperparameters}
    first = [name for name in said if name not in declared and name != "formula"]
    rows = [(f"`{name}`", "required", "", said[name]) for name in first]
    rows += [(f"`{name}`", _default(item), _range(item), _meaning(item, said)) for name, item in declared.items()]
    return _table(("argument", "default", "values", "meaning"), rows)


def _default(item: Hyperparameter) -> str:
    if item.required:
        return "required"
    return f"`{implementation_name(item.default).rpartition(':')[2] if callable(item.default) else item.default!r}`"


def _range(item: Hyperparameter) -> str:
    kind = _KINDS[item.kind]
    interval = "" if item.kind in ("flag", "any") else item.interval.replace("inf", "∞").replace("(-∞, ∞)", "")
    return ", ".join(part for part in (kind, f"in {interval}" if interval else "") if part)


def _meaning(item: Hyperparameter, said: Mapping[str, str]) -> str:
    notes = [said.get(item.name, "")]
    if item.inert:
        notes.append(f"Without effect: {item.inert}.")
    if item.only_with:
        flag = item.only_with_flag
        notes.append(f"Only {'without' if item.only_with.startswith('not ') else 'with'} `{flag}`.")
    return " ".join(note for note in notes if note)


def _gallery(spec: OptimizerSpec) -> str:
    pictures = sorted(path.name for path in (pages.DOCS / "gallery").glob(f"{spec.name}-*.png"))
    if not pictures:
        return ""
    cells = "\n\n".join(f"![{title_of(spec)}: {name[:-4]}](../../gallery/{name})" for name in pictures)
    return (
        f'## Gallery\n\n<div class="gallery" markdown>\n\n{cells}\n\n</div>\n\n'
        f"How they were made is said in the [gallery](../../gallery/index.md#how-they-were-made).\n"
    )
