"""The derived GPU kernels against rules themselves in float64 numpy; run by a test, in numba's simulator.

Among the rules are those of optimizers whose steps are not one rule: they cannot be asked for by a name here.
"""

from __future__ import annotations

import sys

from tests.kernels import rules
from tests.kernels.test_cpu import Run
from tinyms_core.kernels.gpu import GpuKernel
from tinyms_core.kernels.gpu_device import launch_shape
from tinyms_core.registry.probe import resolve

SIZES = [0, 1, 3, 64, 63, 65, 130]
ROWS = 13
TOLERANCES = {"float32": 2e-6, "float64": 1e-13}
# Rules, and values of their hyperparameters.
OTHERS = {
    "tinyms_thor.kernels:thor": {"momentum": 0.9, "use_nesterov": True, "enable_clip_grad": True},
    "tinyms_muon.kernels:adamw": {
        "match_adamw": False, "adamw_scale": 0.1, "adamw_beta1": 0.9, "adamw_beta2": 0.95, "adamw_eps": 1e-6,
    },
}  # fmt: skip


def main() -> None:
    """Print the name of each rule that holds, with its dtype and how many launches a step took."""
    chosen = [(rule, rules.HYPERPARAMETERS[rule.name]) for rule in rules.RULES]
    chosen += [(resolve(place), values) for place, values in OTHERS.items()]
    for rule, values in chosen:
        for dtype, tolerance in TOLERANCES.items():
            # The smallest gradients of an adaptive rule would make its rounding large.
            rows = [0] * (len(SIZES) - 1) + [ROWS if rule.name == "layerwise" else 0]
            run = Run(rule, dtype, None, SIZES, rows, make=GpuKernel, chunk=launch_shape().chunk, values=values)
            run.advance()
            run.advance()
            run.check(tolerance)
            print(rule.name, dtype, run.kernel.launches // 2, run.program.stages)


if __name__ == "__main__":
    sys.setswitchinterval(1e-5)
    main()
