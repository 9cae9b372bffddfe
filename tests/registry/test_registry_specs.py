"""Specifications are checked when they are made, never change, and travel as pickles and JSON."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle

import pytest

from tinyms_core.registry import (
    CONTRACT_VERSION,
    REQUIRED,
    Capabilities,
    Hyperparameter,
    InvalidSpecError,
    KernelSpec,
    KernelStatus,
    MissingKernelError,
    OptimizerSpec,
    PluginConflictError,
    PluginError,
    StateSlot,
    UnknownOptimizerError,
)


def adam() -> OptimizerSpec:
    return OptimizerSpec(
        "adam",
        "tinyms_adam.optimizer:Adam",
        summary="Adaptive moments.",
        aliases=["Adaptive"],
        hyperparameters=[
            Hyperparameter("learning_rate", [0.1, 0.01], kind="rate"),
            Hyperparameter("beta1", 0.9, "(0, 1)"),
            Hyperparameter("momentum", interval="[0, inf)", saved_as="momentum"),
            Hyperparameter("weight_decay", len, kind="decay"),
        ],
        state=[StateSlot("m", "moment1"), StateSlot("v", "moment2"), StateSlot("t", "step", shape="scalar")],
        capabilities=Capabilities(sparse="lazy"),
    )


KERNEL = KernelSpec("adam", "CPU", "tinyms_adam.kernels:cpu", requires=("numba.cuda",))


@pytest.mark.parametrize(
    ("kind", "fields", "says"),
    [
        (StateSlot, {"name": "1m", "prefix": "moment1"}, "StateSlot.name.*'1m'"),
        (StateSlot, {"name": "m", "prefix": ""}, "StateSlot.prefix.*''"),
        (StateSlot, {"name": "m", "prefix": "m", "initial": float("nan")}, "StateSlot.initial.*finite.*nan"),
        (StateSlot, {"name": "m", "prefix": "m", "initial": True}, "StateSlot.initial.*bool: True"),
        (StateSlot, {"name": "m", "prefix": "m", "shape": "row"}, "StateSlot.shape.*'like', 'scalar'.*'row'"),
        (Capabilities, {"sparse": True}, "Capabilities.sparse.*'exact', 'lazy', 'none'.*True"),
        (Capabilities, {"weight_decay": "l2"}, "Capabilities.weight_decay.*'l2'"),
        (Capabilities, {"loss_scale": 1}, "Capabilities.loss_scale.*True or False.*int: 1"),
        (Capabilities, {"dtypes": ("int8",)}, r"Capabilities.dtypes\[0\].*'int8'"),
        (Capabilities, {"dtypes": "float32"}, "Capabilities.dtypes must be a tuple, got str"),
        (Capabilities, {"modes": ()}, "Capabilities.modes.*at least one"),
        (Capabilities, {"modes": ("jit", "jit")}, "Capabilities.modes.*'jit' is there twice"),
        (KernelSpec, {"optimizer": ":adam"}, "KernelSpec.optimizer.*':adam'"),
        (KernelSpec, {"device": "cpu"}, "KernelSpec.device.*'CPU', 'GPU', 'Ascend'.*'cpu'"),
        (KernelSpec, {"implementation": "m.k"}, "KernelSpec.implementation.*module:qualified_name.*'m.k'"),
        (KernelSpec, {"priority": 1.5}, "KernelSpec.priority.*an int.*1.5"),
        (KernelSpec, {"requires": "numba"}, "KernelSpec.requires must be a tuple, got str"),
        (KernelSpec, {"requires": ("numba >= 1",)}, r"KernelSpec.requires\[0\]"),
        (OptimizerSpec, {"name": "dist:adam"}, "OptimizerSpec.name.*'dist:adam'"),
        (OptimizerSpec, {"name": None}, "OptimizerSpec.name.*NoneType"),
        (OptimizerSpec, {"implementation": len}, "OptimizerSpec.implementation.*or a class.*len"),
        (OptimizerSpec, {"implementation": "m:"}, "OptimizerSpec.implementation.*'m:'"),
        (OptimizerSpec, {"summary": None}, "OptimizerSpec.summary.*a str"),
        (OptimizerSpec, {"aliases": "Adam"}, "OptimizerSpec.aliases must be a tuple, got str: 'Adam'"),
        (OptimizerSpec, {"aliases": ("a dam",)}, r"OptimizerSpec.aliases\[0\].*'a dam'"),
        (Hyperparameter, {"name": "learning rate"}, "Hyperparameter.name.*'learning rate'"),
        (Hyperparameter, {"kind": "bool"}, "Hyperparameter.kind.*'float', 'number'.*'bool'"),
        (Hyperparameter, {"interval": "0, 1"}, "Hyperparameter.interval.*'0, 1'"),
        (Hyperparameter, {"interval": "(1, 0)"}, "Hyperparameter.interval.*'\\(1, 0\\)'"),
        (Hyperparameter, {"interval": "[0, one]"}, "Hyperparameter.interval"),
        (Hyperparameter, {"saved_as": "a b"}, "Hyperparameter.saved_as.*'a b'"),
        (Hyperparameter, {"inert": True}, "Hyperparameter.inert.*a str"),
        (Hyperparameter, {"default": 1}, "Hyperparameter.default of 'eps'.*float.*int: 1"),
        (Hyperparameter, {"default": 0.0, "interval": "(0, 1]"}, "Hyperparameter.default of 'eps'.*in \\(0, 1\\]"),
        (Hyperparameter, {"default": 2, "interval": "[0, 2)", "kind": "int"}, "default of 'eps'.*in \\[0, 2\\)"),
        (Hyperparameter, {"default": "x", "kind": "number"}, "Hyperparameter.default of 'eps'.*number"),
        (Hyperparameter, {"default": 1, "kind": "flag"}, "Hyperparameter.default of 'eps'.*True or False"),
        (OptimizerSpec, {"hyperparameters": {"lr": 0.1}}, "OptimizerSpec.hyperparameters must be a tuple, got dict"),
        (OptimizerSpec, {"hyperparameters": ("lr",)}, r"OptimizerSpec.hyperparameters\[0\].*'lr'"),
        (
            OptimizerSpec,
            {"hyperparameters": (Hyperparameter("lr"), Hyperparameter("lr", 0.1))},
            "hyperparameters names.*'lr' is there twice",
        ),
        (
            OptimizerSpec,
            {"hyperparameters": (Hyperparameter("accum"),), "state": (StateSlot("a", "a", "acum"),)},
            "StateSlot.initial of 'a'.*one of 'accum'.*'acum'",
        ),
        (OptimizerSpec, {"state": ("moment1",)}, r"OptimizerSpec.state\[0\].*StateSlot.*'moment1'"),
        (
            OptimizerSpec,
            {"state": (StateSlot("m", "a"), StateSlot("m", "b"))},
            "state names.*'m' is there twice",
        ),
        (
            OptimizerSpec,
            {"state": (StateSlot("m", "a"), StateSlot("v", "a"))},
            "state prefixes.*'a' is there",
        ),
        (OptimizerSpec, {"capabilities": {}}, "OptimizerSpec.capabilities.*Capabilities"),
        (OptimizerSpec, {"contract": "1"}, "OptimizerSpec.contract.*'1'"),
        (OptimizerSpec, {"contract": 1.0}, "OptimizerSpec.contract.*float: 1.0"),
    ],
)
def test_a_wrong_field_is_named_with_its_value_and_what_is_right(kind, fields, says):
    sound = {
        Hyperparameter: {"name": "eps"},
        KernelSpec: {"optimizer": "adam", "device": "CPU", "implementation": "m:k"},
        OptimizerSpec: {"name": "adam", "implementation": "m:C"},
    }
    with pytest.raises(InvalidSpecError, match=says):
        kind(**{**sound.get(kind, {}), **fields})


def test_an_invalid_specification_is_a_value_error():
    with pytest.raises(ValueError, match=r"StateSlot\.name"):
        StateSlot("", "m")


@pytest.mark.parametrize(
    "spec",
    [adam(), Hyperparameter("a", [1], kind="rate"), KERNEL, KernelStatus(KERNEL, False, "no"), StateSlot("m", "a")],
)
class TestASpecification:
    def test_cannot_be_changed(self, spec):
        for field in dataclasses.fields(spec):
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(spec, field.name, None)

    def test_survives_copying_and_pickling(self, spec):
        for twin in (pickle.loads(pickle.dumps(spec)), copy.copy(spec), copy.deepcopy(spec)):
            assert twin == spec
            assert hash(twin) == hash(spec)

    def test_becomes_json(self, spec):
        assert list(json.loads(json.dumps(spec.to_dict()))) == [item.name for item in dataclasses.fields(spec)]

    def test_can_be_replaced(self, spec):
        assert dataclasses.replace(spec) == spec


def test_defaults_are_by_name_and_cannot_be_changed():
    spec = adam()
    assert spec.defaults == {
        "learning_rate": [0.1, 0.01],
        "beta1": 0.9,
        "momentum": REQUIRED,
        "weight_decay": len,
    }
    with pytest.raises(TypeError):
        spec.defaults["beta1"] = 9.0


@pytest.mark.parametrize(
    ("declared", "required"),
    [
        (Hyperparameter("a"), True),
        (Hyperparameter("a", None), False),
        (Hyperparameter("a", "anything at all", kind="any"), False),
        (Hyperparameter("a", 1, "[1, 1]", kind="int"), False),
        (Hyperparameter("a", 1e-30, "(-1e-3, 1.5e3]"), False),
        (Hyperparameter("a", False, kind="flag", inert="there is no lock"), False),
    ],
)
def test_a_hyperparameter_without_default_is_required(declared, required):
    assert declared.required is required


def test_an_interval_has_bounds():
    assert Hyperparameter("a", interval="(0, inf]").bounds == (0.0, float("inf"), False, True)


def test_a_state_slot_knows_its_names():
    slot = StateSlot("m", "adam.moment1", initial="accum")
    assert slot.parameter_name("W") == "adam.moment1.W"
    assert slot.attribute == "adam_moment1"
    OptimizerSpec("a", "m:C", hyperparameters=(Hyperparameter("accum", 0.1),), state=(slot,))


def test_lists_become_tuples():
    assert adam().aliases == ("Adaptive",)
    assert isinstance(adam().state, tuple)


def test_required_reads_well_and_stays_itself_in_a_pickle():
    assert repr(REQUIRED) == "REQUIRED"
    assert pickle.loads(pickle.dumps(REQUIRED)) is REQUIRED
    assert adam().to_dict()["hyperparameters"][2]["default"] == "REQUIRED"


def test_a_class_becomes_an_import_string_in_json():
    spec = OptimizerSpec("mine", dict)
    assert spec.to_dict()["implementation"] == "builtins:dict" == spec.implementation_name
    assert adam().to_dict()["hyperparameters"][3]["default"] == "builtins:len"


@pytest.mark.parametrize(
    ("dtype", "expected"), [("float32", 8.0), ("float16", 8.0), ("bfloat16", 8.0), ("float64", 16.0)]
)
def test_state_bytes_count_slots_like_the_parameter(dtype, expected):
    assert adam().state_bytes_per_element(dtype) == expected


def test_state_bytes_of_an_unknown_dtype_name_it():
    with pytest.raises(InvalidSpecError, match=r"dtype.*'int8'"):
        adam().state_bytes_per_element("int8")


def test_the_kernels_that_are_there_do_not_count_in_comparisons():
    assert dataclasses.replace(adam(), kernels=(KernelStatus(KERNEL, True),)) == adam()


def test_the_present_contract_is_the_default():
    assert adam().contract == CONTRACT_VERSION == "1.0"


@pytest.mark.parametrize(
    "error",
    [
        UnknownOptimizerError("no", name="a", suggestions=["b"]),
        PluginError("no", distribution="d", entry_point="e = m", stage="import"),
        PluginConflictError("no", name="a", owners=["x:a", "y:a"]),
        MissingKernelError("no", optimizer="adam", device="GPU"),
    ],
)
def test_an_error_survives_a_pickle(error):
    twin = pickle.loads(pickle.dumps(error))
    assert (type(twin), str(twin), vars(twin)) == (type(error), "no", vars(error))


def test_a_missing_kernel_tells_which_there_are_and_why_others_are_not_available():
    error = MissingKernelError.explain(
        "adam",
        "Ascend",
        [
            KernelStatus(dataclasses.replace(KERNEL, distribution="tinyms-adam"), True),
            KernelStatus(KernelSpec("adam", "GPU", "m:k"), False, "module 'numba' is not installed"),
        ],
    )
    assert str(error) == (
        "optimizer 'adam' has no kernel for device 'Ascend'. Its kernels: "
        "CPU: tinyms_adam.kernels:cpu (tinyms-adam), available; "
        "GPU: m:k (no distribution), not available: module 'numba' is not installed."
    )
    assert (error.optimizer, error.device) == ("adam", "Ascend")
    assert "Its kernels: none" in str(MissingKernelError.explain("adam", "GPU", []))
