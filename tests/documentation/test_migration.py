"""What the page about migrating says of other libraries' arguments leads to arguments that are there."""

from __future__ import annotations

import inspect
import re
from importlib.util import find_spec

import pytest

import tinyms_core
from tests.documentation import migration
from tests.documentation.migration import PAGE, TIMM, TORCH, TORCH_ABSENT, mindspore_signature, our_signature
from tinyms_core.optimizers import NAMES

# What says how a step of PyTorch's is run, not what it computes.
_RUNNING = {"params", "foreach", "fused", "capturable", "differentiable", "decoupled_weight_decay", "use_addmm"}


@pytest.mark.parametrize("name", TORCH)
def test_every_argument_leads_to_one_of_ours(name):
    found = TORCH[name]
    ours = our_signature(found.ours)
    for argument, words in found.arguments.items():
        assert set(words.split()) <= set(ours), argument
    assert set(found.defaults) <= set(found.arguments)
    for argument, value in found.defaults.items():
        assert ours[found.arguments[argument]] != value, f"{argument} has the same default here"


@pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed")
@pytest.mark.parametrize("name", TORCH)
def test_torch_has_these_arguments(name):
    import torch

    taken = inspect.signature(getattr(torch.optim, name)).parameters
    assert set(taken) - _RUNNING == set(TORCH[name].arguments)
    for argument, value in TORCH[name].defaults.items():
        assert taken[argument].default == value


def test_timms_names_lead_to_ours():
    assert {ours for ours, _ in TIMM.values()} <= set(tinyms_core.list_optimizers())
    assert not set(TORCH) & set(TORCH_ABSENT)


@pytest.mark.parametrize("name", NAMES)
def test_mindspores_positions_are_ours(name):
    """Code that gives arguments by position needs no change."""
    there = list(mindspore_signature(name))
    here = [key for key in our_signature(name) if key in there]
    assert here == [key for key in there if key in here]


def test_what_mindspore_has_and_we_have_not_is_on_the_page():
    text = PAGE.read_text(encoding="utf-8")
    assert migration.mindspore_absent()
    for name in migration.mindspore_absent():
        assert re.search(rf"^\| `{name}` \| \N{{EN DASH}} \|", text, re.MULTILINE)


def test_words_about_mindcv_are_its_names():
    from tinyms_core.mindcv import ABSENT, OPTIMIZERS

    section = PAGE.read_text(encoding="utf-8").partition("## From MindCV")[2].partition("\n## ")[0]
    for name in (*OPTIMIZERS, *ABSENT):
        assert f"`{name}`" in section
