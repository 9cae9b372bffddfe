"""How elements are divided among processes."""

from __future__ import annotations

import pytest

from tinyms_core.distributed.plan import balanced_owners, divide_elements, divide_tensors, largest_share
from tinyms_core.ranks.exchange import Range, within


@pytest.mark.parametrize("ranks", [1, 2, 3, 4, 7, 64])
@pytest.mark.parametrize("sizes", [[1000], [1, 0, 5, 3000, 7], [10] * 100, [1], [0]])
def test_every_element_belongs_to_one_rank_and_shares_are_even(ranks, sizes):
    plan = divide_elements(sizes, [4] * len(sizes), [1] * len(sizes), ranks)
    for index, size in enumerate(sizes):
        spans = [each[index] for each in plan]
        assert [element for start, stop in spans for element in range(start, stop)] == list(range(size))
    shares = [sum(stop - start for start, stop in each) for each in plan]
    assert max(shares) - min(shares) <= 1


def test_shares_are_even_in_bytes():
    plan = divide_elements([800, 400], [4, 8], [1, 1], 4)
    assert [each[0][1] - each[0][0] for each in plan] == [400, 400, 0, 0]
    assert [each[1][1] - each[1][0] for each in plan] == [0, 0, 200, 200]


def test_rows_are_not_parted():
    plan = divide_elements([90, 11], [4, 4], [9, 1], 4)
    assert all(start % 9 == stop % 9 == 0 for (start, stop), _ in plan)
    assert sum(stop - start for (start, stop), _ in plan) == 90


@pytest.mark.parametrize("ranks", [1, 2, 3, 4, 7])
def test_parts_begin_and_end_where_a_chunk_does(ranks):
    sizes, unit = [1000, 7, 40, 333], 16
    plan = divide_elements(sizes, [4] * 4, [unit] * 4, ranks)
    for index, size in enumerate(sizes):
        spans = [each[index] for each in plan]
        assert [element for start, stop in spans for element in range(start, stop)] == list(range(size))
        assert all(edge % unit == 0 or edge == size for span in spans for edge in span)
    assert largest_share(plan, [4] * 4) <= 4 * (sum(sizes) / ranks + unit)


def test_whole_tensors_go_to_who_has_least():
    plan = divide_tensors([5, 3, 3, 1, 0], [50, 30, 30, 10, 0], 2)
    assert [sum(stop for _, stop in each) for each in plan] == [6, 6]
    for index, size in enumerate((5, 3, 3, 1, 0)):
        assert sorted(each[index] for each in plan) == sorted([(0, 0), (0, size)])


@pytest.mark.parametrize("ranks", [1, 2, 3, 8])
def test_the_largest_share_is_near_the_best(ranks):
    costs = [size**3 for size in (576, 64, 256, 64, 10, 1152, 576, 256, 128, 64)]
    owners = balanced_owners(costs, ranks)
    loads = [sum(cost for cost, owner in zip(costs, owners, strict=True) if owner == rank) for rank in range(ranks)]
    # Whoever gives the costliest to who has least is at most a third above the best there is.
    assert max(loads) <= 4 / 3 * max(sum(costs) / ranks, max(costs))
    assert balanced_owners(costs, ranks) == owners


def test_buckets_of_an_exchange_hold_every_byte_once():
    ranges = [Range(0, 3, 10), Range(1, 0, 0), Range(2, 5, 6)]
    found = [copy for begin in range(0, 8, 3) for copy in within(ranges, begin, 3)]
    assert [(c.item, c.start, c.size, c.place) for c in found] == [
        (0, 3, 3, 0), (0, 6, 3, 0), (0, 9, 1, 0), (2, 5, 1, 1)
    ]  # fmt: skip
