"""`list`, `info` and `doctor`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

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


@pytest.mark.parametrize("arguments", [["--help"], ["list"], ["info", "adam"], ["doctor"], ["train", "--help"]])
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
