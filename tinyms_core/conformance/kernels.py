"""The command that checks kernels on plain arrays: ``python -m tinyms_core.conformance.kernels``.

On a GPU it proves the kernels that numba compiles for it; with ``--device simulator`` numba's simulator runs the same
kernels as plain Python, on machines without one.
"""

from __future__ import annotations

import argparse
import json
import os
import sys

from tinyms_core.registry.devices import SIMULATOR_VARIABLE

SIMULATOR = "simulator"
_DEVICES = {"cpu": "CPU", "gpu": "GPU", SIMULATOR: "GPU"}


def main(arguments: list[str] | None = None) -> int:
    """Check kernels and print what became of each check.

    Arguments:
        arguments: those of the command line when None.

    Returns:
        0 where all is as it should be, 1 where a check failed, 2 where the device cannot be used.
    """
    parser = argparse.ArgumentParser(prog="python -m tinyms_core.conformance.kernels", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="OPTIMIZER", help="optimizers to check; all when none is named")
    parser.add_argument("--device", choices=sorted(_DEVICES), default="gpu", help="where the kernels run")
    parser.add_argument("--json", action="store_true", help="print a line of JSON for each check")
    given = parser.parse_args(arguments)
    if given.device == SIMULATOR:
        # Read by numba when its CUDA side is imported, which is below.
        os.environ[SIMULATOR_VARIABLE] = "1"
        # The simulator waits for threads by asking them over and over; they shall not wait for it in turn.
        sys.setswitchinterval(1e-5)
    from tinyms_core.conformance.kernel_checks import run_checks, subjects
    from tinyms_core.kernels.backends import unusable

    why = unusable(_DEVICES[given.device])
    if why:
        print(f"no kernel can be checked on {given.device}: {why}", file=sys.stderr)
        return 2
    failed = count = 0
    for subject in subjects(_DEVICES[given.device], tuple(given.names)):
        for result in run_checks(subject):
            count += 1
            failed += result.failed
            if given.json:
                print(json.dumps(result.to_dict()), flush=True)
            else:
                errors = ", ".join(f"{kind} {error:.1e}" for kind, error in result.largest_errors.items())
                what = result.reason or (f"largest error {errors}" if errors else "")
                print(
                    f"{result.status:8} {result.optimizer:28} {result.check:18} {result.seconds:6.1f} s  {what}",
                    flush=True,
                )
    if not given.json:
        print(f"{count - failed} of {count} checks passed or do not apply")
    return 1 if failed or not count else 0


if __name__ == "__main__":
    sys.exit(main())
