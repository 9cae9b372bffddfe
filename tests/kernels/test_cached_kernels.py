"""Kernels that were just compiled and kernels from the cache on disk are the same machine code."""

from __future__ import annotations

import os
import subprocess
import sys

from tinyms_core.kernels.generated import CACHE_VARIABLE

# Some steps in a new process; it prints a hash of the parameters for each optimizer.
_STEPS = """
import hashlib
import sys
import numpy as np
from mindspore import Parameter, Tensor
import tinyms_core

for name in sys.argv[1:]:
    random = np.random.default_rng(0)
    shapes = ((30, 21), (7, 5, 3, 3), (123,), (40, 200))
    parameters = [Parameter(Tensor(random.standard_normal(s, np.float32)), name=f"p{len(s)}{s[0]}") for s in shapes]
    arguments = {} if name == "adafactor" else {"learning_rate": 0.1, "weight_decay": 0.01}
    if name == "lars":
        optimizer = tinyms_core.create_optimizer(name, parameters, around="momentum", momentum=0.9, **arguments)
    else:
        groups = parameters
        if name == "lamb":
            others = [parameters[0], *parameters[2:]]
            groups = [{"params": parameters[1:2], "grad_centralization": True}, {"params": others}]
            groups.append({"order_params": parameters})
        optimizer = tinyms_core.create_optimizer(name, groups, **arguments)
    for _ in range(7):
        optimizer(tuple(Tensor(random.standard_normal(s, np.float32)) for s in shapes))
    print(name, hashlib.sha256(b"".join(p.asnumpy().tobytes() for p in parameters)).hexdigest())
"""
# Those whose kernels add up, in functions of their own.
NAMES = ("adafactor", "lamb", "lars")


def test_a_process_that_compiles_gets_the_bits_of_one_that_finds(tmp_path):
    environment = {**os.environ, "GLOG_v": "3", CACHE_VARIABLE: str(tmp_path)}
    command = [sys.executable, "-c", _STEPS, *NAMES]
    found = [subprocess.run(command, env=environment, capture_output=True, text=True, check=False) for _ in range(2)]
    assert [done.returncode for done in found] == [0, 0], found[0].stderr
    assert len(found[0].stdout.splitlines()) == len(NAMES)
    assert found[0].stdout == found[1].stdout
