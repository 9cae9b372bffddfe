"""Training in several processes: gradients are averaged, state is divided, checkpoints belong to none of them.

It rests on MindSpore's own communication. Call ``mindspore.communication.init()`` first; without it, or with one
process, everything here works and changes nothing.
"""

from tinyms_core.distributed.arrays import divide_work, sum_arrays
from tinyms_core.distributed.averaging import GradientAverage
from tinyms_core.distributed.equal import equalize_ranks
from tinyms_core.distributed.sharded import ShardedOptimizer, shard_state
from tinyms_core.ranks.group import LostRankError, all_ranks, raise_together, rank_count

__all__ = [
    "GradientAverage",
    "LostRankError",
    "ShardedOptimizer",
    "all_ranks",
    "divide_work",
    "equalize_ranks",
    "raise_together",
    "rank_count",
    "shard_state",
    "sum_arrays",
]
