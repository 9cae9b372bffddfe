"""A stranger's plugin, built as a wheel and installed beside the core into an environment of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SIGNUM = Path(__file__).parent / "signum"

USE_IT = """
import json, numpy as np, tinyms_core
from mindspore import Parameter, Tensor
w = Parameter(Tensor(np.ones(3, np.float32)), name="w")
optimizer = tinyms_core.get_optimizer("Sign_Momentum")([w], learning_rate=0.25)
optimizer((Tensor(np.array([1, -1, 0], np.float32)),))
spec = tinyms_core.optimizer_info("signum")
print(json.dumps({
    "listed": tinyms_core.list_optimizers(),
    "w": w.asnumpy().tolist(),
    "distribution": spec.distribution,
    "kernels": [[k.spec.device, k.available] for k in spec.kernels],
}))
"""


def run(*command: object, **variables: str) -> str:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PYTEST", "VIRTUAL_ENV"))}
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, env={**clean, **variables}, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """The folder of the programs of a fresh environment with two wheels in it: the core's and the plugin's."""
    folder = tmp_path_factory.mktemp("fresh")
    sources = folder / "signum"
    shutil.copytree(SIGNUM, sources)
    for source in (ROOT, sources):
        run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder / "wheels", source)
    wheels = sorted((folder / "wheels").glob("*.whl"))
    assert [wheel.name.split("-")[0] for wheel in wheels] == ["signum_optimizer", "tinyms_core"]
    uv = os.environ.get("UV") or shutil.which("uv")
    programs = folder / "environment" / "bin"
    if uv:
        run(uv, "venv", "--python", sys.executable, folder / "environment")
        run(uv, "pip", "install", "--python", programs / "python", *wheels)
    else:
        run(sys.executable, "-m", "venv", folder / "environment")
        run(programs / "python", "-m", "pip", "install", *wheels)
    return programs


def test_a_wheel_is_found_by_its_entry_point_and_used_by_name(environment):
    found = json.loads(run(environment / "python", "-c", USE_IT, GLOG_v="3").splitlines()[-1])
    assert found == {
        "listed": ["signum"],
        "w": [0.75, 1.25, 1.0],
        "distribution": "signum-optimizer",
        "kernels": [["CPU", True]],
    }


def test_it_passes_the_conformance_kit(environment, tmp_path):
    report = tmp_path / "report.json"
    run(environment / "tinyms-optim", "check", "signum", "--json", report, GLOG_v="3")
    statuses = {result["status"] for result in json.loads(report.read_text())["results"]}
    assert "passed" in statuses
    assert statuses <= {"passed", "skipped"}
