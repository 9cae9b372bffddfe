"""What is said to be kept of each layer is what is kept."""

from __future__ import annotations

import pytest
from mindspore import Tensor, nn

import tinyms_core


def make_network():
    return nn.SequentialCell(
        nn.Embedding(9, 4), nn.Conv2d(4, 6, (3, 2), group=2), nn.LayerNorm((3,)), nn.ReLU(), nn.Dense(5, 2)
    )


@pytest.mark.parametrize("options", [{}, {"factor_decay": 0.5}, {"factor_decay": 0.5, "trace_thresholds": (0.1, 0.01)}])
def test_bytes_are_those_of_the_parameters(options):
    net = make_network()
    optimizer = tinyms_core.get_optimizer("thor")(net, Tensor(0.1), Tensor(0.1), 0.9, **options)
    rows = optimizer.memory_by_layer()
    assert [(row.layer, row.kind, row.inputs, row.outputs, row.blocks) for row in rows] == [
        ("0", "Embedding", (9,), (1, 4, 4), 2),
        ("1", "Conv2d", (2, 12, 12), (2, 3, 3), 4),
        ("4", "Dense", (1, 5, 5), (1, 2, 2), 2),
    ]
    weights = (net[0].embedding_table, net[1].weight, net[4].weight)
    held = {p.name: p for p in optimizer.get_parameters() if p.name.startswith(("matrix_", "traces."))}
    for row, weight in zip(rows, weights, strict=True):
        own = [held.pop(name) for name in list(held) if name.endswith(f".{weight.name}")]
        assert row.bytes == sum(parameter.asnumpy().nbytes for parameter in own)
    assert not held


def test_a_large_factor_takes_what_its_blocks_take():
    net = nn.Dense(4100, 2)
    with pytest.warns(RuntimeWarning, match="3 blocks of 1367"):
        (row,) = tinyms_core.get_optimizer("thor")(net, Tensor(0.1), Tensor(0.1), 0.9).memory_by_layer()
    assert row.bytes == 4 * (3 * 1367**2 + 2**2)
    assert str(row) == f"the network: Dense, 3 x 1367 x 1367 and 1 x 2 x 2, 4 blocks, {row.bytes} bytes"
