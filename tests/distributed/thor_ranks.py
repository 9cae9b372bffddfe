"""What processes check of thor: factors are averaged over them, inversions divided among them."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mindspore
import numpy as np
import pytest
from mindspore import Model, Tensor, dataset, nn, ops
from mindspore.communication import get_group_size, get_rank
from tinyms_thor import curvature, inversion, reference

import tinyms_core
from tests.distributed.problems import digest
from tinyms_core.distributed import GradientAverage, LostRankError, all_ranks, arrays
from tinyms_core.distributed.plan import balanced_owners

BATCH = 16
STEPS = 20
# Between two refreshes, so that inverses have to come from the checkpoint.
SAVED_AT = 11
ALONE = "thor.alone.npz"
# Refreshed every three steps. With this damping inverses make what float32 rounds away at most three times larger.
USUAL = {"learning_rate": 0.02, "damping": 0.1, "momentum": 0.9, "weight_decay": 0.01, "frequency": 3}


class Network(nn.Cell):
    """A convolution, a table of words, dense layers and a normalization."""

    def __init__(self, seed: int = 1) -> None:
        super().__init__()
        mindspore.set_seed(seed)
        self.convolution = nn.Conv2d(1, 4, 3, has_bias=True)
        self.table = nn.Embedding(7, 4)
        self.hidden = nn.Dense(64, 12)
        self.norm = nn.LayerNorm((12,))
        self.head = nn.Dense(16, 3)

    def construct(self, images: Any, words: Any) -> Any:
        seen = ops.tanh(self.convolution(images)).reshape(images.shape[0], -1)
        return self.head(ops.concat((self.norm(self.hidden(seen)), self.table(words)), 1))


def batch(step: int) -> tuple[Any, Any, Any]:
    """Images, words and labels of all processes."""
    random = np.random.default_rng((11, step))
    images = random.standard_normal((BATCH, 1, 4, 4)).astype(np.float32)
    return images, random.integers(0, 7, BATCH).astype(np.int32), random.integers(0, 3, BATCH).astype(np.int32)


def part(step: int, ranks: int, rank: int) -> tuple[Tensor, ...]:
    """One process's part of a batch."""
    size = BATCH // ranks
    return tuple(Tensor(values[rank * size : (rank + 1) * size]) for values in batch(step))


def build(net: nn.Cell, **changes: Any) -> Any:
    given = {**USUAL, "batch_size": BATCH, **changes}
    given.update({name: Tensor(np.float32(given[name])) for name in ("learning_rate", "damping")})
    return tinyms_core.get_optimizer("thor")(net, **given)


class Training:
    """A network, its optimizer, and steps that average gradients.

    Arguments:
        ranks: among how many processes batches are divided.
        rank: which part is this one's.
        compiled: whether gradients are of a compiled function; the optimizer's own step is in PyNative.
        changes: arguments of thor that are not the usual.
    """

    def __init__(self, ranks: int, rank: int, compiled: bool = True, **changes: Any) -> None:
        self.ranks, self.rank = ranks, rank
        self.net = Network()
        self.optimizer = build(self.net, **changes)
        self.average = GradientAverage(self.optimizer.parameters)

        def loss(images: Tensor, words: Tensor, labels: Tensor) -> Tensor:
            return ops.cross_entropy(self.net(images, words), labels)

        gradient = mindspore.grad(loss, grad_position=None, weights=self.optimizer.parameters)
        self.gradient = mindspore.jit(gradient) if compiled else gradient

    def step(self) -> None:
        done = int(self.optimizer.global_step.asnumpy()[0])
        self.optimizer(self.average(self.gradient(*part(done, self.ranks, self.rank))))

    def run(self, steps: int) -> Training:
        for _ in range(steps):
            self.step()
        return self

    def everything(self) -> list[Tensor]:
        """Parameters, state and inverses."""
        return list(self.optimizer.get_parameters())


def here(**changes: Any) -> Training:
    """This process's training."""
    return Training(get_group_size(), get_rank(), **changes)


def save_alone(folder: Path) -> None:
    """Train on the joined batches in the calling process, which is alone, and save what comes of it."""
    training = Training(1, 0).run(SAVED_AT)
    tinyms_core.save_checkpoint(training.optimizer, folder / "thor.1.safetensors")
    training.run(STEPS - SAVED_AT)
    np.savez(folder / ALONE, **{p.name: p.asnumpy() for p in training.optimizer.parameters})


def distance(folder: Path, optimizer: Any) -> dict[str, float]:
    """How far each parameter is from that of the process that was alone."""
    with np.load(folder / ALONE) as alone:
        return {p.name: float(np.abs(alone[p.name] - p.asnumpy()).max()) for p in optimizer.parameters}


def thor_replicas_stay_equal(folder: Path) -> Any:
    options = {"factor_decay": 0.5, "damping_balance": True, "trace_thresholds": (0.05, 0.001), "use_nesterov": True}
    training = here(damping=0.1, frequency=10, enable_clip_grad=True, **options).run(200)
    assert all(np.isfinite(p.asnumpy()).all() for p in training.everything())
    return digest(training.everything())


def thor_equals_one_process_on_the_joined_batch(folder: Path) -> Any:
    training = here().run(STEPS)
    differences = distance(folder, training.optimizer)
    assert max(differences.values()) <= 1e-6, differences
    return differences


def refused(kind: type[BaseException], part: str, call: Callable[[], Any]) -> None:
    """See a call raise."""
    with pytest.raises(kind, match=re.escape(part)):
        call()


@contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Another attribute inside the ``with`` block."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, value)
        yield


class Squares(nn.Cell):
    """A layer that all processes use, and one that only some of them do."""

    def __init__(self) -> None:
        super().__init__()
        random = np.random.default_rng(5)
        self.all, self.some = (
            nn.Dense(5, 3, weight_init=Tensor(random.standard_normal((3, 5)).astype(np.float32)), has_bias=False)
            for _ in range(2)
        )
        self.uses_both = True

    def construct(self, x: Any) -> Any:
        return self.all(x) + self.some(x) if self.uses_both else self.all(x)


def thor_averages_factors(folder: Path) -> Any:
    """Against float64, with parts of different sizes, a scaled loss, and a layer that one process does not use."""
    ranks, scale = get_group_size(), 8.0
    rows = [np.random.default_rng((13, rank)).standard_normal((4 + 2 * rank, 5)) for rank in range(ranks)]
    rows = [own.astype(np.float32) for own in rows]
    net = Squares()
    weights = [p.asnumpy().astype(np.float64) for p in (net.all.weight, net.some.weight)]
    optimizer = build(net, loss_scale=scale, factor_decay=0.0)
    net.uses_both = get_rank() > 0
    gradient = mindspore.grad(
        lambda x: (net(x) ** 2).sum() * (scale / x.shape[0]), grad_position=None, weights=optimizer.parameters
    )
    optimizer(GradientAverage(optimizer.parameters)(gradient(Tensor(rows[get_rank()]))))
    kept = {p.name: p.asnumpy()[0] for p in optimizer.get_parameters() if p.name.startswith("matrix_")}
    factors = []
    for rank, own in enumerate(rows):
        outputs = own @ (weights[0] + weights[1] * (rank > 0)).T
        (a,), (g,) = reference.dense_factors(own, 2.0 * outputs * scale / len(own), scale)
        factors.append((a, g))
    for name, seen in (("all", factors), ("some", factors[1:])):
        for factor, expected in zip("ag", (sum(each) / len(seen) for each in zip(*seen, strict=True)), strict=True):
            found = kept[f"matrix_{factor}.{name}.weight"]
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6, err_msg=f"{factor} of {name}")
    return digest(optimizer.get_parameters())


def thor_tells_of_the_batch_of_all(folder: Path) -> Any:
    told = []
    for batch_size in (BATCH, BATCH // get_group_size(), BATCH + 1):
        training = here(batch_size=batch_size)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            training.step()
        told.append([str(w.message) for w in caught if "'batch_size'" in str(w.message)])
    assert told[:2] == [[], []]
    assert f"'convolution.weight' saw {BATCH} rows" in told[2][0]


def stack(layers: int, size: int) -> nn.Cell:
    """Dense layers with factors of one size."""
    mindspore.set_seed(2)
    return nn.SequentialCell(*(nn.Dense(size, size, has_bias=False) for _ in range(layers)))


def step_of(net: nn.Cell, optimizer: Any) -> None:
    """A step on rows of this process's own."""
    size = net[0].in_channels
    rows = np.random.default_rng((17, get_rank())).standard_normal((3 * size, size)).astype(np.float32)
    gradient = mindspore.grad(lambda x: (net(x) ** 2).mean(), grad_position=None, weights=optimizer.parameters)
    optimizer(GradientAverage(optimizer.parameters)(gradient(Tensor(rows))))


def thor_divides_inversions(folder: Path) -> Any:
    """Each process inverts its share alone, and has afterwards what it would have had if it had inverted all."""
    found = []

    def invert(matrix: Any) -> bool:
        found.append(len(matrix))
        return one(matrix)

    one = inversion.invert
    net = stack(6, 20)
    optimizer = build(net, factor_decay=0.0)
    with replaced(inversion, "invert", invert):
        step_of(net, optimizer)
    assert found == [20] * (12 // get_group_size())
    kept = {p.name: p.asnumpy() for p in optimizer.get_parameters()}
    root = float(np.sqrt(np.float32(USUAL["damping"])))
    for name in [name for name in kept if "_inv." in name]:
        ((expected, _),) = inversion.damped_inverses([(kept[name.replace("_inv.", ".")], root)])
        assert np.array_equal(kept[name], expected), name
    return digest(optimizer.get_parameters())


def thor_balances_inversions(folder: Path) -> Any:
    """By the third power of the rows, blocks of large factors and diagonals counted for themselves."""
    sizes = [[own.in_channels**3, own.out_channels**3] for own in (nn.Dense(30, 20), nn.Dense(20, 10), nn.Dense(10, 4))]
    costs = [cost for pair in sizes for cost in pair]
    owners = balanced_owners(costs, get_group_size())
    loads = [sum(c for c, o in zip(costs, owners, strict=True) if o == rank) for rank in range(get_group_size())]
    mine = []
    net = nn.SequentialCell(nn.Dense(30, 20), nn.Dense(20, 10), nn.Dense(10, 4))
    one = inversion.invert
    with replaced(inversion, "invert", lambda matrix: (mine.append(len(matrix) ** 3), one(matrix))[1]):
        step_of(net, build(net))
    assert sum(mine) == loads[get_rank()]
    assert max(loads) == 30**3
    return loads


def thor_gives_more_damping_in_all(folder: Path) -> Any:
    """A factor that is not positive definite: all say so, and have what came of it."""
    net = stack(1, 8)
    optimizer = build(net, damping=0.0)
    rows = Tensor(np.ones((4, 8), np.float32))
    gradient = mindspore.grad(lambda x: (net(x) ** 2).mean(), grad_position=None, weights=optimizer.parameters)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        optimizer(GradientAverage(optimizer.parameters)(gradient(rows)))
    assert sum("not positive definite" in str(w.message) for w in caught) == 1
    assert all(np.isfinite(p.asnumpy()).all() for p in optimizer.get_parameters())
    return digest(optimizer.get_parameters())


def thor_throws_an_overflow_of_one_away_in_all(folder: Path) -> Any:
    net = stack(2, 6)
    optimizer = build(net)
    gradient = mindspore.grad(lambda x, s: (net(x) ** 2).mean() * s, grad_position=None, weights=optimizer.parameters)
    average = GradientAverage(optimizer.parameters)
    rows = Tensor(np.random.default_rng((19, get_rank())).standard_normal((8, 6)).astype(np.float32))
    gradient(rows, Tensor(np.float32(np.inf if get_rank() == 1 else 1.0)))
    with pytest.warns(RuntimeWarning, match="is not finite, so it stays as it was"):
        optimizer(average(gradient(rows, Tensor(np.float32(1.0)))))
    inverses = [p.asnumpy() for p in optimizer.get_parameters() if "_inv." in p.name]
    assert all(np.array_equal(own[0], np.eye(6)) for own in inverses)
    optimizer(average(gradient(rows, Tensor(np.float32(1.0)))))
    assert not any(np.array_equal(own[0], np.eye(6)) for own in inverses)
    return digest(optimizer.get_parameters())


def thor_sums_in_the_groups_of_split_indices(folder: Path) -> Any:
    """One exchange for each group, of its layers alone; numbers are the same."""
    sizes: list[int] = []
    begin = arrays.start_sum
    hashes = {}
    layer = 2 * 6 * 6 + 3
    for indices, expected in (
        (None, [4]),
        ([3], [4]),
        ([1, 3], [2, 2]),
        ([0], [1, 3]),
        ([0, 1, 2, 3], [1, 1, 1, 1]),
        ([2, 50], [3, 1]),
    ):
        net = stack(4, 6)
        optimizer = build(net, split_indices=indices)
        sizes.clear()
        with replaced(arrays, "start_sum", lambda what, values: (sizes.append(values.size), begin(what, values))[1]):
            step_of(net, optimizer)
        assert sizes == [count * layer for count in expected], (indices, sizes)
        hashes[str(indices)] = digest(optimizer.get_parameters())
    # In which order a sum of more than two is made depends on its place in a buffer.
    assert len(set(hashes.values())) == 1 or get_group_size() > 2
    return hashes


def go_on(folder: Path, began_by: int, ranks: int, rank: int) -> Training:
    """Go on from the file of a training in so many processes; not compiled, since the memory of weights changes."""
    training = Training(ranks, rank, compiled=False)
    found = mindspore.load_checkpoint(str(folder / f"thor.{began_by}.safetensors"), format="safetensors")
    mindspore.load_param_into_net(training.optimizer, found, strict_load=True)
    return training


def to_the_end(folder: Path, training: Training) -> Training:
    """Do the steps that are left, and see that they end where one process does that was never interrupted."""
    training.run(STEPS - int(training.optimizer.global_step.asnumpy()[0]))
    difference = distance(folder, training.optimizer)
    assert max(difference.values()) <= 1e-6, difference
    return training


def thor_goes_on_from_checkpoints(folder: Path) -> Any:
    """From the file of half as many processes; and, bit for bit, from one that process 0 writes."""
    ranks = get_group_size()
    training = go_on(folder, ranks // 2, ranks, get_rank()).run(2)
    if get_rank() == 0:
        tinyms_core.save_checkpoint(training.optimizer, folder / f"thor.{ranks}.safetensors")
    to_the_end(folder, training)
    # The file is there.
    assert all_ranks(True)
    again = to_the_end(folder, go_on(folder, ranks, ranks, get_rank()))
    assert digest(again.everything()) == digest(training.everything())
    return digest(again.everything())


def thor_errors_of_one_are_errors_of_all(folder: Path) -> Any:
    """Whatever one process refuses at a refresh, none does; training goes on as if nothing had been."""
    training, undisturbed = here(), here().run(10)
    mine = get_rank() == 1

    def fail(*arguments: Any) -> Any:
        raise MemoryError("no room for inverses")

    def see_refused(kind: type[BaseException], said: str, theirs: str, given: Any) -> None:
        before = digest(training.everything())
        refused(*((kind, said) if mine else (LostRankError, theirs)), lambda: training.optimizer(given))
        assert digest(training.everything()) == before
        assert all_ranks(mine) is False

    for step in range(10):
        gradients = training.average(training.gradient(*part(step, training.ranks, training.rank)))
        if step % 3 == 0:
            wrong = gradients[1:] if mine else gradients
            see_refused(ValueError, "gradient(s) for", f"thor's average of factors at step {step} was refused", wrong)
            with replaced(curvature.Curvature, "_with_factors", fail if mine else curvature.Curvature._with_factors):
                see_refused(MemoryError, "no room", f"thor's inverses at step {step} was refused", gradients)
            with replaced(inversion, "invert", fail if mine else inversion.invert):
                see_refused(MemoryError, "no room", f"thor's inverses at step {step} was refused", gradients)
        training.optimizer(gradients)
    assert digest(training.everything()) == digest(undisturbed.everything())
    return digest(training.everything())


def thor_in_a_graph_is_refused(folder: Path) -> Any:
    training = here()
    before = digest(training.everything())
    gradients = training.gradient(*part(0, training.ranks, training.rank))

    @mindspore.jit
    def compiled(values: Any) -> Any:
        return training.optimizer(values)

    refused(RuntimeError, "processes train together", lambda: compiled(gradients))
    mindspore.set_context(mode=mindspore.GRAPH_MODE)
    try:
        refused(RuntimeError, "processes train together", lambda: training.optimizer(gradients))
    finally:
        mindspore.set_context(mode=mindspore.PYNATIVE_MODE)
    assert digest(training.everything()) == before
    assert all_ranks(True)


class WithLoss(nn.Cell):
    """The loss of a network."""

    def __init__(self, net: nn.Cell) -> None:
        super().__init__(auto_prefix=False)
        self.net = net

    def construct(self, images: Any, words: Any, labels: Any) -> Any:
        return ops.cross_entropy(self.net(images, words), labels)


def thor_trains_in_a_model(folder: Path) -> Any:
    """`Model` averages gradients itself, in data-parallel mode."""
    mindspore.set_auto_parallel_context(parallel_mode="data_parallel", gradients_mean=True)
    try:
        net = Network()
        optimizer = build(net)
        parts = [[t.asnumpy() for t in part(step, get_group_size(), get_rank())] for step in range(STEPS)]
        columns = tuple(np.concatenate(column) for column in zip(*parts, strict=True))
        batches = dataset.NumpySlicesDataset(columns, shuffle=False).batch(BATCH // get_group_size())
        Model(WithLoss(net), optimizer=optimizer).train(1, batches, dataset_sink_mode=False)
    finally:
        mindspore.reset_auto_parallel_context()
    differences = distance(folder, optimizer)
    assert max(differences.values()) <= 1e-6, differences
    return digest(optimizer.get_parameters())


CHECKS = (
    thor_replicas_stay_equal,
    thor_equals_one_process_on_the_joined_batch,
    thor_averages_factors,
    thor_tells_of_the_batch_of_all,
    thor_divides_inversions,
    thor_balances_inversions,
    thor_gives_more_damping_in_all,
    thor_throws_an_overflow_of_one_away_in_all,
    thor_sums_in_the_groups_of_split_indices,
    thor_goes_on_from_checkpoints,
    thor_errors_of_one_are_errors_of_all,
    thor_in_a_graph_is_refused,
    thor_trains_in_a_model,
)
# What more processes than two do differently.
OF_MORE = (
    thor_equals_one_process_on_the_joined_batch,
    thor_averages_factors,
    thor_divides_inversions,
    thor_balances_inversions,
    thor_gives_more_damping_in_all,
    thor_sums_in_the_groups_of_split_indices,
    thor_goes_on_from_checkpoints,
)
