"""One process of a session: runs the module's checks in order and writes what they return.

A check that fails fails in the test; the others of the process still run. After an exchange that failed there are no
more of them, so that whatever comes later fails at once.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
import traceback
from pathlib import Path

import mindspore
from mindspore.communication import get_rank, init


def main() -> None:
    # A module, or one of its tables as ``module:table``.
    module, _, table = sys.argv[1].partition(":")
    found = importlib.import_module(f"tests.distributed.{module}").CHECKS
    checks, folder = found[table] if table else found, Path(sys.argv[2])
    mindspore.set_context(mode=mindspore.PYNATIVE_MODE, device_target="CPU")
    init()
    results = {}
    for check in checks:
        began = time.perf_counter()
        try:
            results[check.__name__] = {"gave": check(folder)}
        except Exception:
            results[check.__name__] = {"failed": traceback.format_exc()}
        results[check.__name__]["seconds"] = round(time.perf_counter() - began, 2)
        print(check.__name__, results[check.__name__], flush=True)
    path = folder / f"rank{get_rank()}.json"
    path.with_suffix(".part").write_text(json.dumps(results))
    os.replace(path.with_suffix(".part"), path)


if __name__ == "__main__":
    main()
