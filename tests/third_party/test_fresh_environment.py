"""A stranger's plugin, built as a wheel and installed beside the core into an environment of its own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

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


@pytest.fixture(scope="module")
def environment(tmp_path_factory, core_wheel, build_wheel, make_environment):
    """The folder of the programs of a fresh environment with two wheels in it: the core's and the plugin's."""
    folder = tmp_path_factory.mktemp("fresh")
    sources = folder / "signum"
    shutil.copytree(SIGNUM, sources)
    wheel = build_wheel(sources, folder)
    assert [found.name.split("-")[0] for found in (core_wheel, wheel)] == ["tinyms_core", "signum_optimizer"]
    return make_environment(folder / "environment", core_wheel, wheel)


def test_a_wheel_is_found_by_its_entry_point_and_used_by_name(environment, run):
    found = json.loads(run(environment / "python", "-c", USE_IT, GLOG_v="3").splitlines()[-1])
    assert found == {
        "listed": ["signum"],
        "w": [0.75, 1.25, 1.0],
        "distribution": "signum-optimizer",
        "kernels": [["CPU", True]],
    }


def test_it_passes_the_conformance_kit(environment, run, tmp_path):
    report = tmp_path / "report.json"
    run(environment / "tinyms-optim", "check", "signum", "--json", report, GLOG_v="3")
    statuses = {result["status"] for result in json.loads(report.read_text())["results"]}
    assert "passed" in statuses
    assert statuses <= {"passed", "skipped"}
