"""What steps take on a GPU, against the time of a copy and against torch; run it as ``python -m tests.benchmarks.gpu``.

It needs neither MindSpore nor torch; torch's fused and foreach steps are timed in the same rounds where torch is
installed and sees the GPU. A step's share of the copy's bandwidth is that of the bytes that it has to read and write.
With ``--device simulator`` it only shows that it runs: times of numba's simulator mean nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

from tinyms_core.registry.devices import SIMULATOR_VARIABLE

# What hyperparameters without a default are, and where torch has the same algorithm: its class and arguments.
REQUIRED = {"momentum": 0.9}
RATE = 1e-3
TORCH: dict[str, tuple[str, dict[str, Any]]] = {
    "adam": ("Adam", {}),
    "adamw": ("AdamW", {}),
    "sgd": ("SGD", {}),
    "momentum": ("SGD", {"momentum": 0.9}),
    "adagrad": ("Adagrad", {}),
    "rmsprop": ("RMSprop", {}),
    "adafactor": ("Adafactor", {}),
}
FORMS = ("fused", "foreach")
# A turn takes as many steps as need about so many bytes, so that the clock and the wait at its end do not count.
TURN_BYTES = 64 * 2**30
MOST_STEPS = 200
COPIED_BYTES = 2 * 2**30


def main(arguments: list[str] | None = None) -> int:
    """Measure and print a row for each optimizer and list of shapes."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.gpu", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="OPTIMIZER", help="optimizers to time; all when none is named")
    parser.add_argument("--device", choices=("gpu", "simulator"), default="gpu")
    parser.add_argument(
        "--shapes", action="append", choices=sorted(shape_sets()), help="lists of shapes; all unless told"
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true", help="print a line of JSON for each row")
    given = parser.parse_args(arguments)
    if given.device == "simulator":
        os.environ[SIMULATOR_VARIABLE] = "1"
        sys.setswitchinterval(1e-5)
    from tinyms_core.kernels.backends import unusable

    why = unusable("GPU")
    if why:
        print(f"nothing can be timed: {why}", file=sys.stderr)
        return 2
    bandwidth = copy_bandwidth(given.rounds, 2**10 if given.device == "simulator" else COPIED_BYTES)
    if not given.json:
        print(f"a copy moves {bandwidth / 1e9:.0f} GB/s, counting bytes that are read and written")
    for shapes in given.shapes or [name for name in shape_sets() if name != "tiny"]:
        for row in measured(given.names, shapes, given.rounds, bandwidth):
            print(json.dumps(row) if given.json else shown(row), flush=True)
    return 0


def shape_sets() -> dict[str, Callable[[], Any]]:
    """The lists of shapes, by name."""
    from tinyms_core.cli.bench.shapes import ShapeSet, bert_large, decoder_1b, resnet50, small

    return {
        "resnet50": resnet50,
        "bert-large": bert_large,
        "decoder-1b": decoder_1b,
        "small": small,
        "tiny": lambda: ShapeSet("tiny", ((8, 9), (5,), (2, 3, 4))),
    }


def copy_bandwidth(rounds: int, size: int) -> float:
    """Bytes per second, read and written, of copies from one part of the GPU's memory to another."""
    from numba import cuda

    from tinyms_core.cli.bench.timing import race
    from tinyms_core.kernels.gpu_device import synchronize

    source, target = (cuda.device_array(size // 4, "f4") for _ in range(2))
    repeats = 10

    def copy() -> None:
        for _ in range(repeats):
            target.copy_to_device(source)
        synchronize()

    times = race({"copy": copy}, rounds)["copy"]
    return float(2 * size * repeats / (times.milliseconds / 1e3))


def measured(names: list[str], shapes: str, rounds: int, bandwidth: float) -> Iterator[dict[str, Any]]:
    """Time optimizers on a list of shapes, each beside torch's."""
    from tinyms_core.cli.bench.timing import race
    from tinyms_core.conformance.kernel_checks import subjects

    found = shape_sets()[shapes]()
    for subject in subjects("GPU", tuple(names)):
        spec = subject.spec if subject.around is None else subject.around
        moved = step_bytes(subject.spec, found.elements) + (8 * found.elements if subject.around is not None else 0)
        steps = max(1, min(MOST_STEPS, TURN_BYTES // moved)) if shapes != "tiny" else 1
        contestants = {"ours": _turn(ours(subject, found.shapes), steps)}
        for label, step in torch_steps(spec.name, found.shapes):
            contestants[label] = _turn(step, steps)
        times = race(contestants, rounds)
        own = times["ours"].milliseconds / steps
        # What is offloaded moves through the host.
        offloaded = ", offloaded" if subject.spec.capabilities.offload else ""
        row: dict[str, Any] = {
            "optimizer": f"{subject.name}{offloaded}", "shapes": shapes, "elements": found.elements, "ms": own,
            "bytes": moved, "of_copy": moved / (own / 1e3) / bandwidth, "steps": steps,
        }  # fmt: skip
        row.update(
            {f"over {name}": times["ours"].ratio_to(other).median for name, other in times.items() if name != "ours"}
        )
        yield row


def step_bytes(spec: Any, elements: int) -> int:
    """Bytes that a step over float32 parameters moves at least: what each pass reads and writes."""
    slots = sum(slot.shape == "like" and not slot.given for slot in spec.state)
    # Parameter, gradient and state are read, parameter and state are written.
    moves = 3 + 2 * slots
    if spec.capabilities.wraps_optimizer:
        # A pass before the other optimizer's step reads parameter and gradient.
        moves += 2
    elif spec.capabilities.layerwise:
        # The first pass writes the state, the second reads parameter and state and writes the parameter.
        moves += 1 + slots
    return moves * elements * 4


def _turn(step: Callable[[], None], steps: int) -> Callable[[], None]:
    from tinyms_core.kernels.gpu_device import synchronize

    def turn() -> None:
        for _ in range(steps):
            step()
        synchronize()

    return turn


def ours(subject: Any, shapes: tuple[tuple[int, ...], ...]) -> Callable[[], None]:
    """A prepared step of an optimizer on arrays of some shapes."""
    from tinyms_core.kernels import ArrayFactor, ArrayOptimizer
    from tinyms_core.kernels.gpu_device import filled

    spec = subject.spec
    given = {h.name: REQUIRED[h.name] for h in spec.hyperparameters if h.required and h.kind != "rate"}
    rate = next((h for h in spec.hyperparameters if h.kind == "rate"), None)
    takes = rate is not None and rate.goes_with({**spec.defaults, **given})
    optimizer = ArrayOptimizer(
        spec.name,
        [filled(shape, "float32", 1.0) for shape in shapes],
        learning_rate=RATE if takes else None,
        factor=None if subject.around is None else ArrayFactor(subject.around.name),
        **given,
    )
    step: Callable[[], None] = optimizer.prepare([filled(shape, "float32", 0.01) for shape in shapes])
    return step


def torch_steps(name: str, shapes: tuple[tuple[int, ...], ...]) -> Iterator[tuple[str, Callable[[], None]]]:
    """Steps of torch's optimizer of the same algorithm, in each form that it has."""
    if name not in TORCH or find_spec("torch") is None:
        return
    import torch

    if not torch.cuda.is_available():
        return
    kind, arguments = TORCH[name]
    for form in FORMS:
        weights = [torch.ones(shape, device="cuda", requires_grad=True) for shape in shapes]
        for weight in weights:
            weight.grad = torch.full_like(weight, 0.01)
        try:
            optimizer = getattr(torch.optim, kind)(weights, lr=RATE, **arguments, **{form: True})
            optimizer.step()
        except (TypeError, RuntimeError):
            # Not every optimizer of torch has every form.
            continue
        yield f"torch {form}", optimizer.step


def shown(row: dict[str, Any]) -> str:
    """A row as a line."""
    ratios = "".join(f"  {row[key]:.2f} {key}" for key in row if key.startswith("over "))
    return f"{row['optimizer']:24} {row['shapes']:12} {row['ms']:9.4f} ms  {row['of_copy']:5.2f} of a copy{ratios}"


if __name__ == "__main__":
    sys.exit(main())
