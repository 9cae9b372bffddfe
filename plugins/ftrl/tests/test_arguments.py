"""What FTRL takes and refuses as arguments."""

import inspect

import numpy as np
import pytest
from mindspore.nn.learning_rate_schedule import ExponentialDecayLR
from tinyms_ftrl.optimizer import FTRL

from tinyms_core.examples import parameter, tensor

SIGNATURE = (
    "(params, initial_accum=0.1, learning_rate=0.001, lr_power=-0.5, l1=0.0, l2=0.0, "
    "use_locking=False, loss_scale=1.0, weight_decay=0.0)"
)

# An argument, a value that it may not have, the exception, and a pattern of its message.
REFUSED = [
    ("params", None, ValueError, r"'params' must be an iterable"),
    ("params", [], ValueError, r"'params' is empty"),
    ("params", [1.0], TypeError, r"params\[0\] must be a Parameter"),
    ("params", parameter("w", [1.0]), TypeError, r"put it in a list"),
    ("initial_accum", 1, TypeError, r"'initial_accum' must be a float in \[0, inf\), got 1 of type int; write 1\.0"),
    ("initial_accum", True, TypeError, r"'initial_accum' must be a float"),
    ("initial_accum", "0.5", TypeError, r"'initial_accum' must be a float"),
    ("initial_accum", None, TypeError, r"'initial_accum' must be a float"),
    ("initial_accum", float("nan"), ValueError, r"'initial_accum' must be in \[0, inf\), got nan"),
    ("initial_accum", -0.1, ValueError, r"'initial_accum' must be in \[0, inf\), got -0\.1"),
    ("learning_rate", "0.1", TypeError, r"'learning_rate' must be a float or int >= 0"),
    ("learning_rate", None, TypeError, r"'learning_rate'"),
    ("learning_rate", True, TypeError, r"'learning_rate'"),
    ("learning_rate", -0.1, ValueError, r"'learning_rate' must be finite and >= 0, got -0\.1"),
    ("learning_rate", float("nan"), ValueError, r"'learning_rate' must be finite and >= 0, got nan"),
    ("learning_rate", float("inf"), ValueError, r"'learning_rate'.* got inf"),
    ("learning_rate", [], ValueError, r"'learning_rate' is an empty list"),
    ("learning_rate", [0.1, -0.1], ValueError, r"'learning_rate\[1\]' must be finite and >= 0, got -0\.1"),
    ("learning_rate", tensor([[0.1]]), ValueError, r"'learning_rate' as a Tensor must have 0 or 1 dimensions, got 2"),
    ("learning_rate", 0.0, ValueError, r"'learning_rate' must be > 0, got 0\.0"),
    ("learning_rate", 0, ValueError, r"'learning_rate' must be > 0, got 0\.0"),
    (
        "learning_rate",
        [0.1, 0.2],
        ValueError,
        r"'learning_rate' must be one number.* changes with the step: \[0\.1, 0\.2\]",
    ),
    ("learning_rate", ExponentialDecayLR(0.1, 0.9, 2), ValueError, r"'learning_rate' must be one number"),
    ("lr_power", 1, TypeError, r"'lr_power' must be a float in \(-inf, 0\], got 1 of type int; write 1\.0"),
    ("lr_power", True, TypeError, r"'lr_power' must be a float"),
    ("lr_power", "0.5", TypeError, r"'lr_power' must be a float"),
    ("lr_power", None, TypeError, r"'lr_power' must be a float"),
    ("lr_power", float("nan"), ValueError, r"'lr_power' must be in \(-inf, 0\], got nan"),
    ("lr_power", 0.1, ValueError, r"'lr_power' must be in \(-inf, 0\], got 0\.1"),
    ("l1", 1, TypeError, r"'l1' must be a float in \[0, inf\), got 1 of type int; write 1\.0"),
    ("l1", True, TypeError, r"'l1' must be a float"),
    ("l1", "0.5", TypeError, r"'l1' must be a float"),
    ("l1", None, TypeError, r"'l1' must be a float"),
    ("l1", float("nan"), ValueError, r"'l1' must be in \[0, inf\), got nan"),
    ("l1", -0.1, ValueError, r"'l1' must be in \[0, inf\), got -0\.1"),
    ("l2", 1, TypeError, r"'l2' must be a float in \[0, inf\), got 1 of type int; write 1\.0"),
    ("l2", True, TypeError, r"'l2' must be a float"),
    ("l2", "0.5", TypeError, r"'l2' must be a float"),
    ("l2", None, TypeError, r"'l2' must be a float"),
    ("l2", float("nan"), ValueError, r"'l2' must be in \[0, inf\), got nan"),
    ("l2", -0.1, ValueError, r"'l2' must be in \[0, inf\), got -0\.1"),
    ("use_locking", 1, TypeError, r"'use_locking' must be True or False, got 1 of type int"),
    ("use_locking", None, TypeError, r"'use_locking' must be True or False, got None"),
    ("use_locking", "yes", TypeError, r"'use_locking' must be True or False, got 'yes'"),
    ("loss_scale", True, TypeError, r"'loss_scale' must be a float or an int"),
    ("loss_scale", "0.5", TypeError, r"'loss_scale' must be a float or an int"),
    ("loss_scale", None, TypeError, r"'loss_scale' must be a float or an int"),
    ("loss_scale", float("nan"), ValueError, r"'loss_scale' must be in \(0, inf\), got nan"),
    ("loss_scale", 0.0, ValueError, r"'loss_scale' must be in \(0, inf\), got 0\.0"),
    ("loss_scale", -1, ValueError, r"'loss_scale' must be in \(0, inf\), got -1\.0"),
    ("loss_scale", float("inf"), ValueError, r"'loss_scale'.* got inf"),
    ("weight_decay", "0.1", TypeError, r"'weight_decay' must be a float or int >= 0"),
    ("weight_decay", None, TypeError, r"'weight_decay'"),
    ("weight_decay", -0.1, ValueError, r"'weight_decay' must be in \[0, inf\), got -0\.1"),
    ("weight_decay", float("nan"), ValueError, r"'weight_decay'.* got nan"),
    ("weight_decay", float("inf"), ValueError, r"'weight_decay'.* got inf"),
]
ACCEPTED = [
    {"learning_rate": 1},
    {"initial_accum": 0.0},
    {"lr_power": 0.0},
    {"l1": np.float64(0.5)},
]


def test_the_signature_is_the_documented_one():
    signature = inspect.signature(FTRL)
    bare = [p.replace(annotation=inspect.Parameter.empty) for p in signature.parameters.values()]
    assert str(signature.replace(parameters=bare, return_annotation=inspect.Signature.empty)) == SIGNATURE


@pytest.mark.parametrize(("argument", "value", "error", "message"), REFUSED)
def test_a_bad_value_is_refused_by_name(argument, value, error, message):
    w = parameter("w", [1.0, 2.0])
    with pytest.raises(error, match=message):
        FTRL(**{"params": [w], argument: value})
    assert (w.name, w.asnumpy().tolist()) == ("w", [1.0, 2.0])


@pytest.mark.parametrize("arguments", ACCEPTED)
def test_a_good_value_is_taken(arguments):
    optimizer = FTRL([parameter("w", [1.0, 2.0])], **arguments)
    for name, value in arguments.items():
        assert optimizer.get_config()[name] == value


def test_an_unknown_argument_is_refused():
    with pytest.raises(TypeError, match="learning_rat"):
        FTRL([parameter("w", [1.0])], learning_rat=0.1)


def test_groups_must_share_one_fixed_rate():
    first, second = parameter("first", [1.0]), parameter("second", [1.0])
    with pytest.raises(ValueError, match=r"'lr' of the group of parameter 'second' must be .* 0\.1, .*; got 0\.2"):
        FTRL([{"params": [first], "lr": 0.1}, {"params": [second], "lr": 0.2}], learning_rate=0.1)
    with pytest.raises(ValueError, match=r"'lr' of the group of parameter 'first' must be .* 0\.2, .*; got 0\.1"):
        FTRL([{"params": [first], "lr": 0.1}, {"params": [second]}], learning_rate=0.2)
    with pytest.raises(ValueError, match="'lr' of the group of parameter 'second' must be one number"):
        FTRL([{"params": [first]}, {"params": [second], "lr": [0.1, 0.1]}], learning_rate=0.1)
    FTRL([{"params": [first], "lr": 0.1}, {"params": [second], "lr": 0.1}], learning_rate=0.1)
