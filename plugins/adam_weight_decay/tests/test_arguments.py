"""What AdamWeightDecay takes and refuses as arguments."""

import inspect

import numpy as np
import pytest
from tinyms_adam_weight_decay.optimizer import AdamWeightDecay

from tinyms_core.examples import parameter, tensor

SIGNATURE = "(params, learning_rate=0.001, beta1=0.9, beta2=0.999, eps=1e-06, weight_decay=0.0)"

# An argument, a value that it may not have, the exception, and a pattern of its message.
REFUSED = [
    ("params", None, ValueError, r"'params' must be an iterable"),
    ("params", [], ValueError, r"'params' is empty"),
    ("params", [1.0], TypeError, r"params\[0\] must be a Parameter"),
    ("params", parameter("w", [1.0]), TypeError, r"put it in a list"),
    ("learning_rate", "0.1", TypeError, r"'learning_rate' must be a float or int >= 0"),
    ("learning_rate", None, TypeError, r"'learning_rate'"),
    ("learning_rate", True, TypeError, r"'learning_rate'"),
    ("learning_rate", -0.1, ValueError, r"'learning_rate' must be finite and >= 0, got -0\.1"),
    ("learning_rate", float("nan"), ValueError, r"'learning_rate' must be finite and >= 0, got nan"),
    ("learning_rate", float("inf"), ValueError, r"'learning_rate'.* got inf"),
    ("learning_rate", [], ValueError, r"'learning_rate' is an empty list"),
    ("learning_rate", [0.1, -0.1], ValueError, r"'learning_rate\[1\]' must be finite and >= 0, got -0\.1"),
    ("learning_rate", tensor([[0.1]]), ValueError, r"'learning_rate' as a Tensor must have 0 or 1 dimensions, got 2"),
    ("beta1", 1, TypeError, r"'beta1' must be a float in \(0, 1\), got 1 of type int; write 1\.0"),
    ("beta1", True, TypeError, r"'beta1' must be a float"),
    ("beta1", "0.5", TypeError, r"'beta1' must be a float"),
    ("beta1", None, TypeError, r"'beta1' must be a float"),
    ("beta1", float("nan"), ValueError, r"'beta1' must be in \(0, 1\), got nan"),
    ("beta1", 0.0, ValueError, r"'beta1' must be in \(0, 1\), got 0\.0"),
    ("beta1", 1.0, ValueError, r"'beta1' must be in \(0, 1\), got 1\.0"),
    ("beta1", -0.5, ValueError, r"'beta1' must be in \(0, 1\), got -0\.5"),
    ("beta2", 1, TypeError, r"'beta2' must be a float in \(0, 1\), got 1 of type int; write 1\.0"),
    ("beta2", True, TypeError, r"'beta2' must be a float"),
    ("beta2", "0.5", TypeError, r"'beta2' must be a float"),
    ("beta2", None, TypeError, r"'beta2' must be a float"),
    ("beta2", float("nan"), ValueError, r"'beta2' must be in \(0, 1\), got nan"),
    ("beta2", 0.0, ValueError, r"'beta2' must be in \(0, 1\), got 0\.0"),
    ("beta2", 1.0, ValueError, r"'beta2' must be in \(0, 1\), got 1\.0"),
    ("beta2", 1.5, ValueError, r"'beta2' must be in \(0, 1\), got 1\.5"),
    ("eps", 1, TypeError, r"'eps' must be a float in \(0, inf\), got 1 of type int; write 1\.0"),
    ("eps", True, TypeError, r"'eps' must be a float"),
    ("eps", "0.5", TypeError, r"'eps' must be a float"),
    ("eps", None, TypeError, r"'eps' must be a float"),
    ("eps", float("nan"), ValueError, r"'eps' must be in \(0, inf\), got nan"),
    ("eps", 0.0, ValueError, r"'eps' must be in \(0, inf\), got 0\.0"),
    ("eps", -0.001, ValueError, r"'eps' must be in \(0, inf\), got -0\.001"),
    ("weight_decay", "0.1", TypeError, r"'weight_decay' must be a float or int >= 0"),
    ("weight_decay", None, TypeError, r"'weight_decay'"),
    ("weight_decay", -0.1, ValueError, r"'weight_decay' must be in \[0, inf\), got -0\.1"),
    ("weight_decay", float("nan"), ValueError, r"'weight_decay'.* got nan"),
    ("weight_decay", float("inf"), ValueError, r"'weight_decay'.* got inf"),
]
ACCEPTED = [
    {"eps": np.float32(0.5)},
    {"weight_decay": 1},
]


def test_the_signature_is_the_documented_one():
    signature = inspect.signature(AdamWeightDecay)
    bare = [p.replace(annotation=inspect.Parameter.empty) for p in signature.parameters.values()]
    assert str(signature.replace(parameters=bare, return_annotation=inspect.Signature.empty)) == SIGNATURE


@pytest.mark.parametrize(("argument", "value", "error", "message"), REFUSED)
def test_a_bad_value_is_refused_by_name(argument, value, error, message):
    w = parameter("w", [1.0, 2.0])
    with pytest.raises(error, match=message):
        AdamWeightDecay(**{"params": [w], argument: value})
    assert (w.name, w.asnumpy().tolist()) == ("w", [1.0, 2.0])


@pytest.mark.parametrize("arguments", ACCEPTED)
def test_a_good_value_is_taken(arguments):
    optimizer = AdamWeightDecay([parameter("w", [1.0, 2.0])], **arguments)
    for name, value in arguments.items():
        assert optimizer.get_config()[name] == value


def test_an_unknown_argument_is_refused():
    with pytest.raises(TypeError, match="learning_rat"):
        AdamWeightDecay([parameter("w", [1.0])], learning_rat=0.1)
