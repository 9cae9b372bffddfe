"""What two processes check together. Every check runs in both; hashes are compared by the test."""

from __future__ import annotations

import copy
import pickle
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mindspore
import numpy as np
import pytest
from mindspore import Tensor, amp, nn, ops
from mindspore.communication import get_group_size, get_rank

import tinyms_core
from tests.distributed import shared_arrays, thor_ranks
from tests.distributed.problems import (
    DTYPES,
    LARGE,
    LAYERWISE,
    NAMES,
    arguments,
    as_float,
    digest,
    gradients,
    parameters,
)
from tinyms_core.distributed import GradientAverage, LostRankError, all_ranks, equalize_ranks, shard_state
from tinyms_core.examples import SignDescent, parameter, tensor


def refused(kind: type[BaseException], part: str, call: Any) -> None:
    """See a call raise."""
    with pytest.raises(kind, match=re.escape(part)):
        call()


def ranks_begin_equal(folder: Path) -> Any:
    own = parameters(seed=get_rank(), dtypes=DTYPES)
    before = digest(own)
    equalize_ranks(own, root=1)
    assert digest(own) == digest(parameters(seed=1, dtypes=DTYPES))
    network = nn.Dense(3, 2)
    equalize_ranks(network)
    refused(ValueError, "'root' must be in [0, 2), got 2", lambda: equalize_ranks(own, root=2))
    refused(TypeError, "got Tensor at 0", lambda: equalize_ranks([tensor([1.0])]))
    return {"before": before, "after": digest(own), "network": digest(network.get_parameters())}


def ranks_agree(folder: Path) -> Any:
    assert all_ranks(True) is True
    assert all_ranks(get_rank() == 0) is False
    assert all_ranks(False) is False


def gradients_are_averaged(folder: Path) -> Any:
    own = parameters(dtypes=DTYPES)
    each = [gradients(own, rank) for rank in range(get_group_size())]
    hashes = []
    for bucket_bytes in (1, 3000, 1 << 26):
        means = GradientAverage(own, bucket_bytes=bucket_bytes)(each[get_rank()])
        for mean, *values in zip(means, *each, strict=True):
            assert (mean.dtype, mean.shape) == (values[0].dtype, values[0].shape)
            exact = sum(as_float(value) for value in values) / len(values)
            rounded = as_float(Tensor(exact).astype(mean.dtype))
            kind = {mindspore.float32: 1e-7, mindspore.float64: 1e-15}.get(mean.dtype, 0.0)
            np.testing.assert_allclose(as_float(mean), rounded, rtol=kind, atol=kind)
        hashes.append(digest(means))
    # In which order a sum of more than two is made depends on its place in a buffer.
    assert len(set(hashes)) == 1 or get_group_size() > 2
    return hashes


def gradients_near_the_limit_of_float16_do_not_overflow(folder: Path) -> Any:
    own = [parameter("w", [1.0], np.float16)]
    assert GradientAverage(own)((tensor([60000.0], np.float16),))[0].asnumpy().tolist() == [60000.0]


def gradients_that_do_not_fit_are_refused(folder: Path) -> Any:
    average = GradientAverage([parameter("w", [1.0, 2.0])])
    refused(ValueError, "got 0 gradient(s) for 1 parameter(s)", lambda: average(()))
    refused(ValueError, "'w' has shape (1,), but the parameter has (2,)", lambda: average((tensor([1.0]),)))
    refused(TypeError, "'w' must be a dense Tensor", lambda: average((tensor([1], np.int32),)))
    refused(TypeError, "must be a tuple or list", lambda: average(tensor([1.0])))
    refused(ValueError, "'bucket_bytes' must be > 0", lambda: GradientAverage([], bucket_bytes=0))


def replicas_stay_equal(folder: Path) -> Any:
    """200 steps of every optimizer, on gradients that differ between the processes before they are averaged."""
    params = {name: parameters(f"{name}.") for name in NAMES}
    built = {name: tinyms_core.create_optimizer(name, params[name], **arguments(name)) for name in NAMES}
    average = GradientAverage([p for own in params.values() for p in own])
    for step in range(200):
        mine = [g for own in params.values() for g in gradients(own, step, get_rank())]
        means = average(mine)
        for index, name in enumerate(NAMES):
            count = len(params[name])
            built[name](means[index * count : (index + 1) * count])
    for name in NAMES:
        assert all(np.isfinite(p.asnumpy()).all() for p in params[name]), name
    return {name: digest([*params[name], *built[name].get_parameters()]) for name in NAMES}


def network(seed: int) -> nn.Cell:
    mindspore.set_seed(seed)
    return nn.SequentialCell(nn.Dense(6, 16), nn.Tanh(), nn.Dense(16, 3))


def ranks_equal_one_process_on_the_joined_batch(folder: Path) -> Any:
    random = np.random.default_rng(0)
    batches = [random.standard_normal((16, 6)).astype(np.float32) for _ in range(20)]
    labels = [random.integers(0, 3, 16).astype(np.int32) for _ in range(20)]
    differences = {}
    for name in ("adam", "lamb"):
        joined, own, theirs = network(1), network(1 + get_rank()), network(1)
        equalize_ranks(own)
        steps = []
        reducer = nn.DistributedGradReducer(theirs.trainable_params(), mean=True, degree=get_group_size())
        averages = (tuple, GradientAverage(own.trainable_params()), reducer)
        for net, average in zip((joined, own, theirs), averages, strict=True):
            optimizer = tinyms_core.create_optimizer(name, net.trainable_params(), **arguments(name))
            steps.append((net, optimizer, average, _gradient(net)))
        for inputs, targets in zip(batches, labels, strict=True):
            for net, optimizer, average, gradient in steps:
                part = slice(None) if net is joined else slice(8 * get_rank(), 8 * get_rank() + 8)
                optimizer(average(gradient(Tensor(inputs[part]), Tensor(targets[part]))))
        for kind, net in (("ours", own), ("mindspore", theirs)):
            pairs = zip(joined.get_parameters(), net.get_parameters(), strict=True)
            differences[f"{name} {kind}"] = max(float(np.abs(a.asnumpy() - b.asnumpy()).max()) for a, b in pairs)
    assert max(differences.values()) <= 1e-6, differences
    return digest(own.get_parameters())


def _gradient(net: nn.Cell) -> Any:
    def loss(inputs: Tensor, targets: Tensor) -> Tensor:
        return ops.cross_entropy(net(inputs), targets)

    return mindspore.jit(mindspore.grad(loss, grad_position=None, weights=net.trainable_params()))


def one_overflow_skips_the_step_of_all(folder: Path) -> Any:
    own = [parameter("w", [1.0, 2.0])]
    optimizer = tinyms_core.get_optimizer("adam")(own, learning_rate=0.1)
    divided = [parameter("w", [1.0, 2.0])]
    sharded = shard_state("adam", divided, learning_rate=0.1)
    average = GradientAverage(own)
    scaler = amp.DynamicLossScaler(scale_value=1024.0, scale_factor=2, scale_window=100)
    taken, scales = [], []
    for step in range(6):
        mine = np.array([0.5, -1.0 - get_rank()], np.float32) * float(scaler.scale_value.asnumpy())
        if (step, get_rank()) in ((2, 1), (4, 0)):
            mine[0] = (np.inf, np.nan)[get_rank()]
        means = scaler.unscale(average((Tensor(mine.astype(np.float32)),)))
        finite = amp.all_finite(means)
        taken.append(bool(finite))
        if finite:
            optimizer(means)
            sharded(means)
        scaler.adjust(finite)
        scales.append(float(scaler.scale_value.asnumpy()))
    assert taken == [True, True, False, True, False, True]
    assert scales[-1] == 256.0
    assert int(optimizer.global_step.asnumpy()[0]) == int(sharded.global_step.asnumpy()[0]) == 4
    assert digest(own) == digest(divided)
    return digest(own)


def parameters_are_broadcast_by_their_owners(folder: Path) -> Any:
    """`broadcast_params`: the i-th parameter is that of process i modulo their number."""
    hashes = []
    for kind in (np.float32, np.float16, np.float64):
        own = [
            parameter(name, np.full(shape, get_rank()), kind) for name, shape in (("a", 2), ("b", ()), ("c", (2, 2)))
        ]
        optimizer = SignDescent(own, learning_rate=0.25)
        result = optimizer(tuple(Tensor(np.ones(p.shape, kind)) for p in own))
        assert optimizer.broadcast_params(result) is True
        for index, held in enumerate(own):
            assert (held.asnumpy() == index % 2 - 0.25).all(), held.asnumpy()
        # The memory of the parameters is still their own.
        optimizer(tuple(Tensor(np.ones(p.shape, kind)) for p in own))
        hashes.append(digest(own))
    return hashes


class Broadcast(nn.Cell):
    """A graph that ends in a broadcast of parameters."""

    def __init__(self, optimizer: Any) -> None:
        super().__init__()
        self.optimizer = optimizer

    def construct(self) -> Any:
        return self.optimizer.broadcast_params(True)


def parameters_are_broadcast_in_a_graph(folder: Path) -> Any:
    own = [parameter("a", np.full(2, get_rank())), parameter("b", np.full(3, get_rank()))]
    mindspore.set_context(mode=mindspore.GRAPH_MODE)
    try:
        Broadcast(SignDescent(own, learning_rate=0.25))()
    finally:
        mindspore.set_context(mode=mindspore.PYNATIVE_MODE)
    assert [p.asnumpy().tolist() for p in own] == [[0.0, 0.0], [1.0, 1.0, 1.0]]
    assert all_ranks(True)


def divided_equals_undivided(folder: Path) -> Any:
    """Every optimizer, with groups, bit for bit, at every step; and the bytes of its state."""
    return compare_with_undivided(NAMES)


def compare_with_undivided(names: Sequence[str]) -> dict[str, tuple[int, int]]:
    """The bytes of state of each optimizer in this process, and of the undivided one, once they are seen to be equal.

    Some are compared in every dtype; kernels for all dtypes of all optimizers take long to load.
    """
    sizes = {}
    for name in names:
        dtypes = DTYPES if name in ("adam", "lamb", "sgd") else DTYPES[:1]
        whole, divided = (parameters(f"{name}.", dtypes=dtypes) for _ in range(2))
        undivided = tinyms_core.create_optimizer(name, _groups(whole, name), **arguments(name))
        sharded = shard_state(name, _groups(divided, name), **arguments(name))
        for step in range(6):
            if step == 3:
                for own in (whole, divided):
                    # Other memory, as a loaded checkpoint gives.
                    for held in own[::2]:
                        held.set_data(Tensor(held).copy())
            grads = gradients(whole, step)
            undivided(grads)
            result = sharded(grads)
            differing = [a.name for a, b in zip(whole, divided, strict=True) if digest([a]) != digest([b])]
            assert not differing, (step, name, differing)
        assert (result is sharded.parameters) == (name == "ftrl")
        assert int(sharded.global_step.asnumpy()[0]) == 6
        keeper = getattr(undivided, "optimizer", undivided)
        total = sum(state.nbytes for row in keeper.states.values() for state in row)
        sizes[name] = (sharded.state_bytes(), total)
        if name not in LAYERWISE:
            assert sharded.state_bytes() <= total * (1 / get_group_size() + 0.01), (name, sizes[name])
    return sizes


def large_tensors_are_divided_between_chunks(folder: Path) -> Any:
    """Layer-wise optimizers whose sums over a tensor come from several processes: bit for bit, and 1/N + 1 %."""
    hashes = {}
    path = folder / f"large{get_group_size()}.safetensors"
    # With two dtypes whole tensors are even among two processes, and among four they are not.
    kinds = (mindspore.float32, mindspore.float64)[: get_group_size() // 2]
    for name, dtypes, more in (
        ("lamb", kinds, {}),
        ("lars", DTYPES[1:2], {"around": "momentum", "momentum": 0.9}),
        ("lars", DTYPES[:1], {"around": "lamb", "lars_filter": _is_large_matrix}),
    ):
        held = [parameters(shapes=LARGE, dtypes=dtypes, seed=seed) for seed in (0, 0, 1)]
        builds = (tinyms_core.create_optimizer, shard_state, shard_state)
        built = [
            build(name, _centralized(own, name == "lamb"), learning_rate=0.01, weight_decay=0.01, **more)
            for build, own in zip(builds, held, strict=True)
        ]
        undivided, sharded, again = built
        assert sum(piece.is_part for piece in sharded.pieces) > 0
        random = np.random.default_rng(2)
        for step in range(2):
            if step == 1:
                sharded.save_checkpoint(path)
                again.load_checkpoint(path)
            grads = tuple(Tensor((random.random(p.shape, np.float32) - 0.4).astype(p.asnumpy().dtype)) for p in held[0])
            for optimizer in built:
                optimizer(grads)
            compared = zip(*held[: 2 + step], strict=True)
            differing = [each[0].name for each in compared if len({digest([p]) for p in each}) > 1]
            assert not differing, (step, name, more, differing)
        keeper = getattr(undivided, "optimizer", undivided)
        total = sum(state.nbytes for row in keeper.states.values() for state in row)
        assert sharded.state_bytes() <= total * (1 / get_group_size() + 0.01), (name, sharded.state_bytes(), total)
        hashes[f"{name} {more}"] = digest(held[1])
    hook = sharded.optimizer.register_forward_hook(lambda *_: None)
    refused(RuntimeError, "remove the hooks", lambda: sharded(grads))
    hook.remove()
    sharded(grads)
    return list(hashes.values())


def _centralized(own: list[Any], wanted: bool) -> list[dict[str, Any]]:
    """Groups in which convolutions are centralized, or not."""
    convolutions = [held for held in own if "conv" in held.name]
    others = [held for held in own if "conv" not in held.name]
    return [{"params": convolutions, "grad_centralization": wanted}, {"params": others}, {"order_params": own}]


def _is_large_matrix(held: Any) -> bool:
    """What depends on the shape, which is another one of a part."""
    return len(held.shape) > 1 and held.shape[0] in (300, 4000)


def _groups(own: list[Any], name: str) -> list[dict[str, Any]]:
    """Groups with rates, decays and centralization of their own, and another order of the update."""
    rate = {} if name in ("adafactor", "ftrl") else {"lr": [0.02, 0.01, 0.005, 0.02, 0.01, 0.03]}
    spec = tinyms_core.optimizer_info({"lars": "momentum"}.get(name, name)).capabilities
    centralized = {"grad_centralization": True} if spec.centralization else {}
    convolutions = [p for p in own if "conv" in p.name or "bias" in p.name]
    rest = [p for p in own if not any(p is c for c in convolutions)]
    return [
        {"params": convolutions, "weight_decay": 0.1, **centralized},
        {"params": iter(rest), **rate},
        {"order_params": own},
    ]


def errors_leave_divided_state_as_it_was(folder: Path) -> Any:
    own = parameters()
    sharded = shard_state("adam", own, learning_rate=0.1)
    sharded(gradients(own, 0))
    before = digest(sharded.optimizer.get_parameters())
    good = gradients(own, 1)

    @mindspore.jit
    def compiled(grads):
        return sharded(grads)

    refused(ValueError, "gradient(s) for", lambda: sharded(good[1:]))
    refused(ValueError, "shape", lambda: sharded((good[1], good[0], *good[2:])))
    refused(TypeError, "must be a tuple or list", lambda: sharded(good[0]))
    mindspore.set_context(mode=mindspore.GRAPH_MODE)
    refused(RuntimeError, "divided state works in PyNative", lambda: sharded(good))
    mindspore.set_context(mode=mindspore.PYNATIVE_MODE)
    refused(RuntimeError, "divided state works in PyNative", lambda: compiled(good))
    refused(TypeError, "cannot be copied or pickled", lambda: pickle.dumps(sharded))
    refused(TypeError, "cannot be copied or pickled", lambda: copy.deepcopy(sharded))
    refused(TypeError, "divide the two together", lambda: tinyms_core.get_optimizer("lars")(sharded))
    refused(ValueError, "built from a network", lambda: shard_state("thor", own, learning_rate=0.1))
    refused(TypeError, "must be the name of an optimizer or a class", lambda: shard_state(nn.Adam, own))
    matrix = [{"params": own[:1], "grad_centralization": True}]
    refused(ValueError, "is not a convolution's", lambda: shard_state("adam", matrix))
    kind, part = (
        (LostRankError, "the checkpoint that process 0 writes was refused")
        if get_rank()
        else (ValueError, "'path' must end in")
    )
    refused(kind, part, lambda: sharded.save_checkpoint(folder / "last.txt"))
    assert digest(sharded.optimizer.get_parameters()) == before
    return digest(own)


def an_error_of_one_rank_is_one_of_all(folder: Path) -> Any:
    """Whatever one rank refuses, the other does not do either, and both are at the same exchange afterwards."""
    own, same = parameters(), parameters()
    average = GradientAverage(own)
    sharded = shard_state("adam", own, learning_rate=[0.1, 0.2, 0.3])
    undivided = tinyms_core.get_optimizer("adam")(same, learning_rate=[0.1, 0.2, 0.3])
    path = folder / "one_error.safetensors"
    for step in range(3):
        means = average(gradients(own, step, get_rank()))
        sharded(means)
        undivided(means)
        before = digest(sharded.optimizer.get_parameters())
        wrong = gradients(own, step)[1:] if get_rank() == step % 2 else gradients(own, step)
        mine = get_rank() == step % 2
        kind, part = (ValueError, "gradient(s) for") if mine else (LostRankError, "another process raised an error")
        refused(kind, part, lambda wrong=wrong: average(wrong))
        if step < 2:
            refused(kind, part, lambda wrong=wrong: sharded(wrong))
        sharded.save_checkpoint(path)
        elsewhere = folder / "missing.safetensors" if mine else path
        kind, part = (ValueError, "missing") if mine else (LostRankError, "loading a checkpoint was refused")
        refused(kind, part, lambda elsewhere=elsewhere: sharded.load_checkpoint(elsewhere))
        assert digest(sharded.optimizer.get_parameters()) == before
        assert all_ranks(mine) is False
    refused(ValueError, "lists 3 value(s)", lambda: sharded(gradients(own, 0)))
    assert digest(own) == digest(same)
    return digest(own)


def processes_that_are_not_alike_are_told(folder: Path) -> Any:
    """A call that one process leaves out is found at the next that shows it; nothing is changed by what is refused."""
    own = parameters()
    average, optimizer = GradientAverage(own), tinyms_core.get_optimizer("adam")(own, learning_rate=0.1)
    means = average(gradients(own, 0, get_rank()))
    optimizer(means)
    # The average is left out, and each takes its own gradients.
    optimizer(gradients(own, 1, get_rank()))
    before = digest(own)
    said = "the average of gradients was refused, because the parameters are not the same in all processes"
    refused(LostRankError, said, lambda: average(gradients(own, 2, get_rank())))
    assert digest(own) == before
    equalize_ranks(own)
    average(gradients(own, 2, get_rank()))
    halves = tuple(g.astype(mindspore.float16) for g in means)
    said = "because the gradients' shapes and dtypes are not the same"
    refused(LostRankError, said, lambda: average(halves if get_rank() else means))
    two = [parameter("w", [1.0]), parameter("v", [1.0, 2.0])]
    both = [GradientAverage([held]) for held in two]
    refused(LostRankError, said, lambda: both[get_rank()]((tensor(two[get_rank()].asnumpy()),)))
    sharded = shard_state("adam", own, learning_rate=0.1)
    refused(LostRankError, "the gradients' dtypes are not", lambda: sharded(halves if get_rank() else means))
    sharded.global_step.set_data(Tensor([get_rank()], mindspore.int32))
    before = digest(sharded.optimizer.get_parameters())
    refused(LostRankError, "the numbers of steps done are not the same", lambda: sharded(means))
    assert digest(sharded.optimizer.get_parameters()) == before
    sharded.global_step.set_data(Tensor([1], mindspore.int32))
    sharded(means)
    return digest(own)


def a_call_that_is_left_out_is_found_at_the_next_one(folder: Path) -> Any:
    """The last check of a process, which takes part in no exchange afterwards."""
    own = parameters()
    average, sharded = GradientAverage(own), shard_state("adam", own, learning_rate=0.1)
    means = average(gradients(own, 0, get_rank()))
    before = digest(sharded.optimizer.get_parameters())
    began = time.monotonic()
    # Rank 1 leaves out the divided step, and is at its next average already.
    refused(LostRankError, "the processes are out of step", lambda: (average if get_rank() else sharded)(means))
    assert time.monotonic() - began < 10
    assert digest(sharded.optimizer.get_parameters()) == before
    refused(LostRankError, "was not begun, because an earlier exchange failed", lambda: all_ranks(True))


def rates_are_those_of_the_whole_parameters(folder: Path) -> Any:
    own = parameters()
    sharded = shard_state("adam", [{"params": own[:1], "lr": 0.5}, {"params": own[1:]}], learning_rate=0.1)
    assert float(sharded.get_lr_parameter(own[0]).asnumpy()) == 0.5
    assert [round(float(r.asnumpy()), 6) for r in sharded.get_lr_parameter(own[1:3])] == [0.1, 0.1]
    assert len(sharded.get_lr()) == len(own)
    sharded.get_lr_parameter(own[0]).set_data(Tensor(0.0, mindspore.float32))
    before = [digest([p]) for p in own]
    sharded(gradients(own, 0))
    assert [digest([p]) == b for p, b in zip(own, before, strict=True) if p.size] == [True] + [False] * 5
    return digest(own)


def checkpoints_are_whole(folder: Path) -> Any:
    """Begin from an undivided checkpoint, save after some steps, and go on."""
    hashes = {}
    for name in ("adam", "lamb", "adafactor", "lars", "sgd"):
        own = parameters(seed=7 + get_rank())
        sharded = shard_state(name, own, **arguments(name))
        sharded.load_checkpoint(folder / f"{name}.one.safetensors")
        for step in (3, 4):
            sharded(gradients(own, step))
        sharded.save_checkpoint(folder / f"{name}.two.safetensors", append_dict={"epoch": 3})
        for step in (5, 6):
            sharded(gradients(own, step))
        hashes[name] = digest(own)
    refused(ValueError, "has no ", lambda: sharded.load_checkpoint(folder / "lamb.two.safetensors"))
    return hashes


CHECKS = (
    ranks_begin_equal,
    ranks_agree,
    gradients_are_averaged,
    gradients_near_the_limit_of_float16_do_not_overflow,
    gradients_that_do_not_fit_are_refused,
    replicas_stay_equal,
    ranks_equal_one_process_on_the_joined_batch,
    one_overflow_skips_the_step_of_all,
    parameters_are_broadcast_by_their_owners,
    parameters_are_broadcast_in_a_graph,
    divided_equals_undivided,
    large_tensors_are_divided_between_chunks,
    processes_that_are_not_alike_are_told,
    errors_leave_divided_state_as_it_was,
    an_error_of_one_rank_is_one_of_all,
    rates_are_those_of_the_whole_parameters,
    checkpoints_are_whole,
    *shared_arrays.CHECKS,
    *thor_ranks.CHECKS,
    a_call_that_is_left_out_is_found_at_the_next_one,
)
