"""What Adagrad takes and refuses as arguments."""

import inspect

import numpy as np
import pytest
from tinyms_adagrad.optimizer import Adagrad

from tinyms_core.examples import parameter, tensor

SIGNATURE = "(params, accum=0.1, learning_rate=0.001, update_slots=True, loss_scale=1.0, weight_decay=0.0)"

# An argument, a value that it may not have, the exception, and a pattern of its message.
REFUSED = [
    ("params", None, ValueError, r"'params' must be an iterable"),
    ("params", [], ValueError, r"'params' is empty"),
    ("params", [1.0], TypeError, r"params\[0\] must be a Parameter"),
    ("params", parameter("w", [1.0]), TypeError, r"put it in a list"),
    ("accum", 1, TypeError, r"'accum' must be a float in \[0, inf\), got 1 of type int; write 1\.0"),
    ("accum", True, TypeError, r"'accum' must be a float"),
    ("accum", "0.5", TypeError, r"'accum' must be a float"),
    ("accum", None, TypeError, r"'accum' must be a float"),
    ("accum", float("nan"), ValueError, r"'accum' must be in \[0, inf\), got nan"),
    ("accum", -0.1, ValueError, r"'accum' must be in \[0, inf\), got -0\.1"),
    ("learning_rate", "0.1", TypeError, r"'learning_rate' must be a float or int >= 0"),
    ("learning_rate", None, TypeError, r"'learning_rate'"),
    ("learning_rate", True, TypeError, r"'learning_rate'"),
    ("learning_rate", -0.1, ValueError, r"'learning_rate' must be finite and >= 0, got -0\.1"),
    ("learning_rate", float("nan"), ValueError, r"'learning_rate' must be finite and >= 0, got nan"),
    ("learning_rate", float("inf"), ValueError, r"'learning_rate'.* got inf"),
    ("learning_rate", [], ValueError, r"'learning_rate' is an empty list"),
    ("learning_rate", [0.1, -0.1], ValueError, r"'learning_rate\[1\]' must be finite and >= 0, got -0\.1"),
    ("learning_rate", tensor([[0.1]]), ValueError, r"'learning_rate' as a Tensor must have 0 or 1 dimensions, got 2"),
    ("update_slots", 1, TypeError, r"'update_slots' must be True or False, got 1 of type int"),
    ("update_slots", None, TypeError, r"'update_slots' must be True or False, got None"),
    ("update_slots", "yes", TypeError, r"'update_slots' must be True or False, got 'yes'"),
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
    {"accum": 0.0},
    {"accum": np.float32(0.5)},
    {"learning_rate": 1, "weight_decay": 1},
]


def test_the_signature_is_the_documented_one():
    signature = inspect.signature(Adagrad)
    bare = [p.replace(annotation=inspect.Parameter.empty) for p in signature.parameters.values()]
    assert str(signature.replace(parameters=bare, return_annotation=inspect.Signature.empty)) == SIGNATURE


@pytest.mark.parametrize(("argument", "value", "error", "message"), REFUSED)
def test_a_bad_value_is_refused_by_name(argument, value, error, message):
    w = parameter("w", [1.0, 2.0])
    with pytest.raises(error, match=message):
        Adagrad(**{"params": [w], argument: value})
    assert (w.name, w.asnumpy().tolist()) == ("w", [1.0, 2.0])


@pytest.mark.parametrize("arguments", ACCEPTED)
def test_a_good_value_is_taken(arguments):
    optimizer = Adagrad([parameter("w", [1.0, 2.0])], **arguments)
    for name, value in arguments.items():
        assert optimizer.get_config()[name] == value


def test_an_unknown_argument_is_refused():
    with pytest.raises(TypeError, match="learning_rat"):
        Adagrad([parameter("w", [1.0])], learning_rat=0.1)
