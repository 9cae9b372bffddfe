"""`list`, `info` and `doctor`."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from tinyms_core.cli.main import cli
from tinyms_core.registry import ENTRY_POINT_GROUP, OptimizerRegistry, OptimizerSpec


def test_list_shows_every_optimizer_with_its_memory_and_devices(run):
    result = run("list", "--json")
    assert result.exit_code == 0
    rows = {row["name"]: row for row in json.loads(result.stdout)}
    assert {"adam", "lamb", "momentum"} <= set(rows)
    assert rows["adam"]["state_bytes_per_element"] == 8.0
    assert rows["adam"]["distribution"] == "tinyms-adam"
    assert "CPU" in rows["adam"]["devices"]


def test_list_takes_a_pattern_and_exclusions(run):
    result = run("list", "*m*", "--exclude", "lam*", "--exclude", "adam*")
    assert result.exit_code == 0
    assert "momentum" in result.stdout
    assert "tinyms-lamb" not in result.stdout
    assert "tinyms-adam " not in result.stdout


def test_list_says_when_nothing_matches(run):
    result = run("list", "no-such-*")
    assert result.exit_code == 0
    assert "No optimizers that match 'no-such-*'" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["list"],
        ["info", "adam"],
        ["doctor"],
        ["train", "--help"],
        ["new", "--help"],
        ["completion", "bash"],
    ],
)
def test_light_commands_import_neither_mindspore_nor_numba(arguments):
    script = f"""
        import sys
        from tinyms_core.cli.main import main
        sys.argv = ["tinyms-optim", *{arguments!r}]
        try:
            main()
        except SystemExit as end:
            assert end.code == 0, end.code
        heavy = {{"mindspore", "numba", "sklearn", "matplotlib"}} & set(sys.modules)
        assert not heavy, heavy
    """
    finished = subprocess.run([sys.executable, "-c", dedent(script)], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr


def test_info_is_one_page_with_everything(run):
    result = run("info", "lamb")
    assert result.exit_code == 0
    for part in ("arXiv:1904.00962", "learning_rate", "required", "(0, 1)", "lamb_m", "layerwise", "CPU", "contract"):
        assert part in result.stdout
    assert json.loads(run("info", "LAMB", "--json").stdout)["name"] == "lamb"


@pytest.mark.parametrize("command", ["info", "train", "bench", "check"])
def test_an_unknown_name_gives_close_names_and_no_traceback(run, command):
    result = run(command, "adamm")
    assert result.exit_code == 2
    assert "unknown optimizer 'adamm'" in result.stderr
    assert "'adam'" in result.stderr
    assert "Traceback" not in result.output


def test_the_traceback_is_there_for_who_asks(run):
    result = run("info", "adamm", "--traceback")
    assert result.exit_code == 2
    assert "Traceback" in result.stderr
    assert "UnknownOptimizerError" in result.stderr


def test_an_unexpected_error_has_a_status_of_its_own(run, monkeypatch):
    def fail(name: str) -> None:
        raise ZeroDivisionError("a slip")

    monkeypatch.setattr("tinyms_core.cli.commands.info.optimizer_info", fail)
    result = run("info", "adam")
    assert result.exit_code == 3
    assert "ZeroDivisionError: a slip" in result.stderr
    assert "Traceback" not in result.output


def test_doctor_reports_versions_cache_plugins_and_threads(run):
    result = run("doctor", "--json")
    assert result.exit_code == 0
    report = json.loads(result.stdout)
    assert report["healthy"]
    assert set(report["versions"]) == {"python", "tinyms-core", "mindspore", "numpy", "numba"}
    assert report["cache"]["writable"]
    assert report["threads"] >= 1
    assert {"tinyms-adam", "tinyms-lamb"} <= {plugin["distribution"] for plugin in report["plugins"]}
    assert "kernel cache" in run("doctor").stdout


def test_doctor_works_with_a_broken_plugin_and_says_why(run, use_registry, tmp_path, monkeypatch):
    _install(tmp_path, "acme-bad", "raise RuntimeError('it rained')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with use_registry(OptimizerRegistry(search_path=[str(tmp_path)], environment={"TINYMS_OPTIM_BLOCK": "acme-no"})):
        result = run("doctor")
        listed = run("doctor", "--json")
    assert result.exit_code == listed.exit_code == 1
    assert "it rained" in result.stdout
    assert "TINYMS_OPTIM_BLOCK=acme-no" in result.stdout
    assert json.loads(listed.stdout)["plugins"][0]["status"] == "broken"


@pytest.fixture(autouse=True)
def forget_plugins(tmp_path):
    """Take what a test's plugins imported out of ``sys.modules``, where other tests would find it."""
    yield
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


_SPEC = "from tinyms_core import KernelSpec, OptimizerSpec, hookimpl\n"
_HOOK = "@hookimpl\ndef tinyms_optimizers():\n    return [OptimizerSpec({name!r}, {implementation!r}{more})]\n"
_KERNEL = (
    "@hookimpl\ndef tinyms_kernels():\n"
    "    return [KernelSpec('fine', 'GPU', 'collections:OrderedDict', requires=('no_such_module',))]\n"
)


def _plugin(name: str, implementation: str = "collections:OrderedDict", more: str = "") -> str:
    return _SPEC + _HOOK.format(name=name, implementation=implementation, more=more)


_PLUGINS = {
    "acme-fine": (_plugin("fine") + _KERNEL, "ok", ""),
    "acme-import": ("import no_such_module\n", "broken", "No module named 'no_such_module'"),
    "acme-exit": ("raise SystemExit(7)\n", "broken", "SystemExit"),
    "acme-syntax": ("def broken(:\n", "broken", "SyntaxError"),
    "acme-hook": (_SPEC + "@hookimpl\ndef tinyms_optimisers():\n    return []\n", "broken", "tinyms_optimisers"),
    "acme-spec": (_plugin("not a name"), "broken", "OptimizerSpec.name"),
    "acme-contract": (_plugin("late", more=", contract='9.0'"), "broken", "'9.0'"),
    "acme-absent": (_plugin("absent", "acme_absent_classes:Absent"), "broken", "'acme_absent_classes'"),
    "acme-one": (_plugin("shared"), "conflict", "acme-two:shared"),
    "acme-two": (_plugin("shared"), "conflict", "acme-one:shared"),
    "acme-off": ("raise RuntimeError('imported')\n", "disabled", "TINYMS_OPTIM_BLOCK=acme-off"),
}


def test_doctor_tells_of_every_kind_of_trouble_at_once(run, use_registry, tmp_path, monkeypatch):
    for distribution, (source, _, _) in _PLUGINS.items():
        _install(tmp_path, distribution, source)
    monkeypatch.syspath_prepend(str(tmp_path))
    environment = {"TINYMS_OPTIM_BLOCK": "acme-off"}
    with use_registry(OptimizerRegistry(search_path=[str(tmp_path)], environment=environment)):
        result = run("doctor", "--json")
        shown = run("doctor").stdout
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert report["switches"] == environment
    found = {plugin["distribution"]: plugin for plugin in report["plugins"]}
    assert {name: plugin["status"] for name, plugin in found.items()} == {
        name: status for name, (_, status, _) in _PLUGINS.items()
    }
    for name, (_, _, reason) in _PLUGINS.items():
        assert reason in found[name]["reason"]
        assert name in shown
        module = tmp_path / f"{name.replace('-', '_')}.py"
        assert found[name]["location"] == str(module)
        assert str(module) in shown
    assert found["acme-fine"]["contracts"] == [report["contract"]]
    (kernel,) = found["acme-fine"]["kernels"]
    assert (kernel["available"], kernel["reason"]) == (False, "module 'no_such_module' is not installed")
    assert "not available: module 'no_such_module' is not installed" in shown


def test_doctor_and_info_say_whether_there_is_a_gpu(run, monkeypatch):
    monkeypatch.delenv("NUMBA_ENABLE_CUDASIM", raising=False)
    monkeypatch.setattr("tinyms_core.registry.devices._absent_driver", lambda: "no CUDA driver is installed")
    assert json.loads(run("doctor", "--json").stdout)["gpu"] == {
        "usable": False, "simulated": False, "reason": "no CUDA driver is installed",
    }  # fmt: skip
    assert "not here: no CUDA driver is installed" in run("doctor").stdout
    kernels = json.loads(run("info", "adam", "--json").stdout)["kernels"]
    (gpu,) = [kernel for kernel in kernels if kernel["spec"]["device"] == "GPU"]
    assert (gpu["available"], gpu["reason"]) == (False, "no CUDA driver is installed")
    monkeypatch.setenv("NUMBA_ENABLE_CUDASIM", "1")
    assert json.loads(run("doctor", "--json").stdout)["gpu"] == {"usable": True, "simulated": True, "reason": ""}


def test_doctor_says_why_steps_in_graphs_are_operators(run, monkeypatch):
    monkeypatch.setenv("TINYMS_OPTIM_GRAPH_KERNELS", "0")
    found = json.loads(run("doctor", "--json").stdout)["steps_in_graphs"]
    assert found == {"kernels": False, "reason": "TINYMS_OPTIM_GRAPH_KERNELS is 0"}
    assert "operators: TINYMS_OPTIM_GRAPH_KERNELS is 0" in run("doctor").stdout


def test_doctor_says_whose_threads_run_kernels(run, monkeypatch):
    monkeypatch.setenv("TINYMS_OPTIM_RUNNER", "0")
    found = json.loads(run("doctor", "--json").stdout)["kernel_threads"]
    assert found == {"compiled": False, "reason": "TINYMS_OPTIM_RUNNER is 0"}
    assert "Python's: TINYMS_OPTIM_RUNNER is 0" in run("doctor").stdout


def test_doctor_says_why_python_asks_for_addresses(run, monkeypatch):
    monkeypatch.setenv("TINYMS_OPTIM_TENSOR_READER", "0")
    found = json.loads(run("doctor", "--json").stdout)["addresses"]
    assert found == {"compiled": False, "reason": "TINYMS_OPTIM_TENSOR_READER is 0"}
    assert "Python: TINYMS_OPTIM_TENSOR_READER is 0" in run("doctor").stdout


def test_doctor_is_well_with_what_was_switched_off(run, use_registry, tmp_path, monkeypatch):
    _install(tmp_path, "acme-off", _PLUGINS["acme-off"][0])
    monkeypatch.syspath_prepend(str(tmp_path))
    environment = {"TINYMS_OPTIM_DISABLE_THIRD_PARTY": "1"}
    with use_registry(OptimizerRegistry(search_path=[str(tmp_path)], environment=environment)):
        result = run("doctor")
    assert result.exit_code == 0
    assert "TINYMS_OPTIM_DISABLE_THIRD_PARTY=1" in result.stdout


@pytest.mark.filterwarnings("default::tinyms_core.registry.errors.PluginWarning")
def test_list_leaves_a_broken_plugin_out_with_a_line(run, use_registry, tmp_path, monkeypatch):
    _install(tmp_path, "acme-worse", "raise RuntimeError('it rained')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    registry = OptimizerRegistry(search_path=[str(tmp_path)], environment={})
    registry.register(OptimizerSpec("mine", "collections:OrderedDict", summary="a [bold] one"))
    with use_registry(registry):
        result = run("list")
    assert result.exit_code == 0
    assert result.stderr.startswith("warning: the plugin ")
    assert "it rained" in result.stderr
    assert "a [bold] one" in result.stdout


def test_every_command_is_on_the_page_of_commands():
    page = (Path(__file__).parents[2] / "docs" / "reference" / "command-line.md").read_text(encoding="utf-8")
    for name in cli.commands:
        assert re.search(rf"^\| `{name}\b", page, re.MULTILINE), name


def _install(folder: Path, distribution: str, source: str) -> None:
    module = distribution.replace("-", "_")
    information = folder / f"{module}-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(f"[{ENTRY_POINT_GROUP}]\n{module} = {module}\n")
    (folder / f"{module}.py").write_text(source)


def test_info_says_which_shape_depends_on_a_flag(run):
    result = run("info", "muon")
    assert result.exit_code == 0, result.output
    assert "without orthogonal" in " ".join(result.output.split())


def test_a_listing_from_which_all_is_left_out_does_not_tell_to_install(run):
    result = run("list", "--exclude", "*")
    assert result.exit_code == 0
    assert result.stderr.startswith("No optimizers without '*'; without these patterns the list has all")
