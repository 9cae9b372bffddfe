"""What LARS takes and refuses: data that the conformance kit reads."""

import numpy as np

from tinyms_core.conformance import Made, Refused


def _parameters():
    from tinyms_core.examples import parameter

    return [parameter("lone", [1.0])]


def _a_class():
    from mindspore import nn

    return nn.Momentum


def _a_layer():
    from mindspore import nn

    return nn.Dense(1, 1)


def _lars():
    from mindspore import nn

    from tinyms_lars.optimizer import LARS

    return LARS(nn.SGD(_parameters(), 0.1))


def _decay_of_its_own():
    from mindspore import nn

    return nn.AdaFactor(_parameters(), learning_rate=0.1, relative_step=False, weight_decay=0.1)


# What is refused, with which exception, and what its message matches.
REFUSED = (
    Refused("optimizer", None, TypeError, r"must be an optimizer of tinyms_core or of mindspore\.nn, got None"),
    Refused("optimizer", Made(_parameters), TypeError, r"'optimizer' must be an optimizer"),
    Refused("optimizer", Made(_a_class), TypeError, r"must be an optimizer that has been built, got the class"),
    Refused("optimizer", Made(_a_layer), TypeError, r"'optimizer' must be an optimizer"),
    Refused("optimizer", Made(_lars), TypeError, r"must be one that is not around another optimizer, got LARS"),
    Refused("optimizer", Made(_decay_of_its_own), ValueError, r"AdaFactor of mindspore\.nn cannot leave out"),
    Refused("epsilon", 1, TypeError, r"'epsilon' must be a float in \(0, inf\), got 1 of type int; write 1\.0"),
    Refused("epsilon", True, TypeError, r"'epsilon' must be a float"),
    Refused("epsilon", "0.5", TypeError, r"'epsilon' must be a float"),
    Refused("epsilon", None, TypeError, r"'epsilon' must be a float"),
    Refused("epsilon", float("nan"), ValueError, r"'epsilon' must be in \(0, inf\), got nan"),
    Refused("epsilon", 0.0, ValueError, r"'epsilon' must be in \(0, inf\), got 0\.0"),
    Refused("epsilon", float("inf"), ValueError, r"'epsilon' must be in \(0, inf\), got inf"),
    Refused("coefficient", 1, TypeError, r"'coefficient' must be a float in \(0, inf\), got 1 of type int; write 1\.0"),
    Refused("coefficient", None, TypeError, r"'coefficient' must be a float"),
    Refused("coefficient", float("nan"), ValueError, r"'coefficient' must be in \(0, inf\), got nan"),
    Refused("coefficient", -0.1, ValueError, r"'coefficient' must be in \(0, inf\), got -0\.1"),
    Refused("use_clip", 1, TypeError, r"'use_clip' must be True or False, got 1 of type int"),
    Refused("use_clip", None, TypeError, r"'use_clip' must be True or False, got None"),
    Refused("lars_filter", None, TypeError, r"must be a function of a Parameter that returns a bool, got None"),
    Refused("lars_filter", "weight", TypeError, r"'lars_filter' must be a function"),
    Refused("lars_filter", lambda p: 1, TypeError, r"must return True or False, got 1 of type int for "),
    Refused("lars_filter", lambda p: None, TypeError, r"'lars_filter' must return True or False, got None"),
)

# Arguments that are taken.
ACCEPTED = (
    {"epsilon": np.float64(0.5)},
    {"coefficient": np.float32(0.5)},
    {"use_clip": True},
)
