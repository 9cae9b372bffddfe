"""Asking what there is imports no optimizer and nothing heavy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from types import ModuleType

import pytest

from tinyms_core.registry import OptimizerSpec
from tinyms_core.registry.probe import module_exists

HEAVY = ("mindspore", "numba", "numpy")


def modules_after(code: str, first: str = "", **environment: str) -> set[str]:
    """Run code in a new interpreter and return the modules that it has imported then.

    Only the folder ``first`` is handed on: in this process MindSpore's rewriter of networks may have put folders of
    its own before the standard library.
    """
    printing = f"{code}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", printing],
        env={**os.environ, "PYTHONPATH": first, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_importing_the_registry_imports_nothing_heavy():
    modules = modules_after("import tinyms_core.registry")
    assert modules.isdisjoint({*HEAVY, "importlib.metadata", "difflib", "email"})


def test_a_listing_and_what_is_known_import_no_implementation(installation):
    for module in (*HEAVY, "acme_lazy_kernels", "acme_lazy_optimizer"):
        installation.write(module, "raise RuntimeError('imported')")
    installation.install(
        "acme-lazy",
        """
        @hookimpl
        def tinyms_optimizers():
            return [OptimizerSpec("lazy", "acme_lazy_optimizer:Lazy")]

        @hookimpl
        def tinyms_kernels():
            return [KernelSpec("lazy", "GPU", "acme_lazy_kernels:kernel", requires=("numba", "numba.cuda"))]

        def __getattr__(name):
            import acme_lazy_optimizer

        def __dir__():
            return [*globals(), "Lazy"]
        """,
    )
    modules = modules_after(
        f"""
from tinyms_core.registry import OptimizerRegistry
registry = OptimizerRegistry(search_path=[{str(installation.path)!r}])
assert registry.list_optimizers() == ["lazy"]
registry.optimizer_info("lazy")
assert [report.status for report in registry.diagnose()] == ["ok"]
""",
        first=str(installation.path),
    )
    assert "acme_lazy" in modules
    assert modules.isdisjoint({*HEAVY, "numba.cuda", "acme_lazy_kernels", "acme_lazy_optimizer"})


def test_the_shared_registry_lists_this_environment_without_anything_heavy():
    modules = modules_after(
        "from tinyms_core.registry import list_optimizers; list_optimizers()",
        TINYMS_OPTIM_DISABLE_THIRD_PARTY="1",
        PYTHONWARNINGS="ignore",
    )
    assert modules.isdisjoint(HEAVY)


class TestLookingForAModule:
    @pytest.fixture
    def package(self, installation):
        folder = installation.path / "acme_package" / "inner"
        folder.mkdir(parents=True)
        for place in (folder, folder.parent):
            place.joinpath("__init__.py").write_text("raise RuntimeError('imported')")
        folder.joinpath("leaf.py").write_text("")
        installation.write("acme_single", "raise RuntimeError('imported')")

    @pytest.mark.parametrize("name", ["acme_package", "acme_package.inner", "acme_package.inner.leaf", "acme_single"])
    def test_finds_it_without_importing_its_parents(self, package, name):
        assert module_exists(name)
        assert not any(module.startswith("acme_") for module in sys.modules)

    @pytest.mark.parametrize(
        "name",
        ["acme_absent", "acme_absent.part", "acme_package.absent.leaf", "acme_single.part", "json.absent"],
    )
    def test_says_when_it_is_absent(self, package, name):
        assert not module_exists(name)

    def test_finds_what_is_imported_already(self):
        assert module_exists("os.path")
        assert module_exists("json.decoder")

    def test_takes_a_forbidden_import_for_an_absent_module(self, monkeypatch):
        assert module_exists("json.tool")
        monkeypatch.setitem(sys.modules, "json.tool", None)
        assert not module_exists("json.tool")

    def test_finds_a_module_that_was_made_in_this_process(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "acme_made", ModuleType("acme_made"))
        assert module_exists("acme_made")


def test_the_shared_functions_work_on_one_registry():
    from tinyms_core import registry

    registry.register(OptimizerSpec("only_for_this_test", OptimizerSpec))
    try:
        assert registry.get_optimizer("OnlyForThisTest") is OptimizerSpec
        assert registry.optimizer_info("only-for-this-test").distribution == "in-process"
        assert registry.list_optimizers("only_for_*") == ["only_for_this_test"]
        assert registry.kernels_for("only_for_this_test") == ()
        registry.refresh()
        assert registry.get_optimizer("only_for_this_test") is OptimizerSpec
    finally:
        registry.unregister("only_for_this_test")
    assert isinstance(registry.diagnose(), list)
    assert isinstance(registry.active_switches(), dict)
