"""Every operator of every optimizer's step is declared for Ascend by MindSpore itself."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.ascend.declarations import HOST, STRUCTURE, declaration
from tests.ascend.graphs import operators_in
from tests.ascend.page import FUSED, PAGE, ROOT, compiled_steps, page
from tinyms_core.registry.api import list_optimizers, optimizer_info


@pytest.fixture(scope="module")
def steps():
    """The operators of each optimizer, with the dtypes of their tensors."""
    return compiled_steps()


def lacking(own):
    """What is lacking for each operator for which something is."""
    return [why for why in (declaration(operator).lacks(kinds) for operator, kinds in own.items()) if why]


@pytest.mark.parametrize("name", list_optimizers())
def test_every_operator_is_declared_for_ascend(steps, name):
    # What is seen of a network is worked on by the host, on the CPU alone; the rest of such a step is declared.
    host = [f"{HOST} runs code of the host"] if optimizer_info(name).capabilities.consumes_network else []
    assert lacking(steps[name]) == host


def test_steps_are_what_they_are_taken_for(steps):
    assert sorted(steps) == sorted(list_optimizers())
    for name, own in steps.items():
        # Something is computed and written.
        assert {"Mul", "Sub"} & set(own), name
        assert "Assign" in own, name
        # Whatever is compiled for Ascend has its scalars in float32.
        assert not [operator for operator, kinds in own.items() if "float64" in kinds], name
    assert steps["momentum"]["Unique"] == ["int32"]
    # Each of what the steps are made to have leaves its operator.
    assert {"UnsortedSegmentSum", "Unique", "ScatterUpdate", "raise", "ReduceMean"} <= set(steps["momentum"])
    assert "bfloat16" in steps["momentum"]["InplaceCopy"]
    assert "MatMulExt" in steps["muon"]
    assert not set(FUSED["momentum"]) & set(steps["momentum"])


def test_page_is_current(steps):
    assert PAGE.read_text(encoding="utf-8") == page(steps), "run: python -m tests.ascend.page"


PLANTED = """
import json, os, tempfile
from tests.ascend.graphs import FOLDER, SWITCHES, compiled, operators_in

with tempfile.TemporaryDirectory() as folder:
    os.environ.update({FOLDER: folder, **SWITCHES})
    import mindspore
    from tests.ascend.planted import Planted
    from tinyms_core.examples import parameter, tensor

    mindspore.set_context(mode=mindspore.GRAPH_MODE)
    optimizer = Planted([parameter("w", [1.0, -1.0])], learning_rate=0.5)
    print(json.dumps(operators_in(compiled(optimizer, (tensor([1.0, 2.0]),)))))
"""


def test_operators_that_are_not_declared_are_reported_by_name():
    found = subprocess.run([sys.executable, "-c", PLANTED], capture_output=True, text=True, cwd=ROOT, check=False)
    assert found.returncode == 0, found.stderr[-2000:]
    own = json.loads(found.stdout.splitlines()[-1])
    assert lacking(own) == [
        "ApplyFtrl is not declared for Ascend",
        "Maximum is not declared for Ascend in float64",
    ]


def test_what_is_declared_is_what_mindspore_says():
    assert declaration("Assign").documented == "mindspore.ops.assign"
    assert declaration("Assign").dtypes is None
    assert "float64" in (declaration("Mul").dtypes or ())
    # Of a Tensor's method, which is documented for Ascend alone.
    assert declaration("InplaceCopy").documented == "mindspore.Tensor.copy_"
    assert declaration("ApplyFtrl").platforms == "Deprecated"
    assert declaration("NoSuchOperator").lacks([]) == "NoSuchOperator is not declared for Ascend"
    assert declaration("SumExt").lacks(["float32"]) == ""
    assert declaration("SumExt").lacks(["float32", "float64"]) == "SumExt is not declared for Ascend in float64"
    assert all(declaration(word).lacks(["float64"]) == "" for word in STRUCTURE)


def test_graphs_that_are_written_in_another_way_are_not_passed_over():
    line = "  %1(CNode_1) = PrimFunc_Mul(%0, Tensor(shape=[], dtype=Float32, value=1)) cnode_attrs: {}\n"
    types = "      : (<Tensor[Float32], (2)>, <Tensor[Float16], ()>) -> (<Tensor[Float32], (2)>)\n"
    types += "      : (S:[s1<[1,inf]>], S:[]) -> (S:[2])\n"
    types += "      # Fullname with scope: (Default/optimizer-Adam/Mul-op0)\n"
    call = "  %2(CNode_2) = call @part(%1)\n" + types
    constant = "  %3(CNode_3) = PrimFunc_Select(%1, Tensor(shape=[2], dtype=Float32, value=\n[1 2]))\n" + types
    assert operators_in(line + types + call + constant) == {
        "Mul": ["float16", "float32"], "Select": ["float16", "float32"],
    }  # fmt: skip
    assert operators_in(line + types, ("network-",)) == {"Mul": ["float16", "float32"]}
    assert operators_in(line + types, ("network-", "optimizer-")) == {}
    for wrong in (line + line + types, "  %1(CNode_1) := Mul(%0)\n"):
        with pytest.raises(ValueError, match="MindSpore writes graphs in another way"):
            operators_in(wrong)
