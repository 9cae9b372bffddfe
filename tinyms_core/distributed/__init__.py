"""Training in several processes: gradients are averaged, state is divided, checkpoints belong to none of them.

It rests on MindSpore's own communication. Call ``mindspore.communication.init()`` first; without it, or with one
process, everything here works and changes nothing.
"""

from tinyms_core.distributed.averaging import GradientAverage
from tinyms_core.distributed.equal import equalize_ranks
from tinyms_core.distributed.sharded import ShardedOptimizer, shard_state
from tinyms_core.ranks.group import LostRankError, all_ranks

__all__ = ["GradientAverage", "LostRankError", "ShardedOptimizer", "all_ranks", "equalize_ranks", "shard_state"]
