"""What is shared by several processes, as far as one shows it; tests/distributed has the rest."""

from __future__ import annotations

import numpy as np
import pytest
from tinyms_thor import ranks
from tinyms_thor.inversion import damped_inverses
from tinyms_thor.statistics import Factors


@pytest.mark.parametrize(
    ("indices", "groups"),
    [
        (None, None),
        ([5], [0, 0, 0, 0, 0, 0]),
        ([2, 5], [0, 0, 0, 1, 1, 1]),
        ([0, 1], [0, 1, 2, 2, 2, 2]),
        ([2, 50], [0, 0, 0, 1, 1, 1]),
        ([], [0, 0, 0, 0, 0, 0]),
    ],
)
def test_each_index_is_the_last_layer_of_a_group(indices, groups):
    assert ranks.layer_groups(6, indices) == groups


def test_fifty_four_layers_in_two_groups():
    groups = ranks.layer_groups(54, [26, 53])
    assert (groups[26], groups[27], groups.count(0), groups.count(1)) == (0, 1, 27, 27)


def test_one_process_keeps_its_factors_and_inverts_all():
    factor = np.eye(3, dtype=np.float32)[None]
    given = [Factors(factor, 2.0 * factor, 7)]
    assert ranks.averaged(0, given, None) == given
    ((inverse, helped),) = ranks.divided_inverses(0, [(factor, 0.5)])
    assert np.array_equal(inverse, damped_inverses([(factor, 0.5)])[0][0])
    assert not helped
