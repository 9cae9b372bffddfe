"""A broken plugin harms nobody else, warns once, and tells what is wrong when it is asked for."""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass

import pluggy
import pytest

from tinyms_core.registry import (
    InvalidSpecError,
    OptimizerRegistry,
    PluginConflictError,
    PluginError,
    PluginWarning,
    UnknownOptimizerError,
)

OPTIMIZER = 'OptimizerSpec("bad", "acme_bad_classes:Bad")'


def hook(body: str, *, name: str = "tinyms_optimizers", arguments: str = "") -> str:
    indented = "\n    ".join(body.splitlines())
    return f"@hookimpl\ndef {name}({arguments}):\n    {indented}\n"


@dataclass(frozen=True)
class Defect:
    name: str
    source: str
    stage: str
    cause: type[BaseException]
    says: str
    entry: str = "bad = acme_bad"


DEFECTS = (
    Defect("import error", "import absent_dependency", "import", ModuleNotFoundError, "absent_dependency"),
    Defect("syntax error", "def broken(:\n    pass", "import", SyntaxError, "SyntaxError"),
    Defect("exit at import", "raise SystemExit(3)", "import", SystemExit, "SystemExit: 3"),
    Defect("any error at import", "1 / 0", "import", ZeroDivisionError, "division by zero"),
    Defect(
        "error that cannot be printed",
        """
        class Silent(Exception):
            def __str__(self):
                raise RuntimeError
        raise Silent
        """,
        "import",
        Exception,
        "Silent",
    ),
    Defect(
        "entry point to no module",
        "",
        "import",
        ModuleNotFoundError,
        "acme_nowhere",
        entry="bad = acme_nowhere",
    ),
    Defect(
        "entry point to no attribute",
        "",
        "import",
        AttributeError,
        "nothing",
        entry="bad = acme_bad:nothing",
    ),
    Defect(
        "invalid specification at import",
        'OptimizerSpec("b a d", "x:Y")',
        "import",
        InvalidSpecError,
        "b a d",
    ),
    Defect(
        "plugin that asks the registry while it is imported",
        "from acme_shared import registry\nregistry.list_optimizers()",
        "import",
        Exception,
        "while a plugin was being loaded",
    ),
    Defect("no hook", "def tinyms_optimizers():\n    return []", "hooks", InvalidSpecError, "implements no hook"),
    Defect(
        "misspelled hook",
        hook(f"return [{OPTIMIZER}]", name="tinyms_optimizer"),
        "hooks",
        pluggy.PluginValidationError,
        "looks like 'tinyms_optimizers'",
    ),
    Defect(
        "sound hook beside a misspelled one",
        hook(f"return [{OPTIMIZER}]") + hook("return []", name="tinyms_kernel"),
        "hooks",
        pluggy.PluginValidationError,
        "looks like 'tinyms_kernels'",
    ),
    Defect(
        "hook with an argument",
        hook("return []", arguments="device"),
        "hooks",
        pluggy.PluginValidationError,
        "device",
    ),
    Defect(
        "sound hook beside one with an argument",
        hook(f"return [{OPTIMIZER}]") + hook("return []", name="tinyms_kernels", arguments="device"),
        "hooks",
        pluggy.PluginValidationError,
        "device",
    ),
    Defect("hook that raises", hook("raise RuntimeError('no luck')"), "call", RuntimeError, "no luck"),
    Defect("hook that exits", hook("raise SystemExit"), "call", SystemExit, "SystemExit"),
    Defect(
        "generator that raises midway",
        hook(f"yield {OPTIMIZER}\nraise RuntimeError('midway')"),
        "call",
        RuntimeError,
        "midway",
    ),
    Defect("hook without return", hook("pass"), "specification", InvalidSpecError, "NoneType"),
    Defect("hook that returns text", hook("return 'adam'"), "specification", InvalidSpecError, "str: 'adam'"),
    Defect(
        "hook that returns one specification",
        hook(f"return {OPTIMIZER}"),
        "specification",
        InvalidSpecError,
        "must return a list of OptimizerSpec, got OptimizerSpec",
    ),
    Defect("hook that returns a number", hook("return 3"), "specification", InvalidSpecError, "int: 3"),
    Defect(
        "list of wrong things",
        hook(f"return [{OPTIMIZER}, 'adam']"),
        "specification",
        InvalidSpecError,
        "str: 'adam'",
    ),
    Defect(
        "kernels where optimizers belong",
        hook('return [KernelSpec("bad", "CPU", "m:k")]'),
        "specification",
        InvalidSpecError,
        "OptimizerSpec only, got KernelSpec",
    ),
    Defect(
        "invalid specification",
        hook('return [OptimizerSpec("bad", "not an import string")]'),
        "specification",
        InvalidSpecError,
        "OptimizerSpec.implementation",
    ),
    Defect(
        "misspelled field",
        hook('return [OptimizerSpec("bad", "m:C", alias="worse")]'),
        "call",
        TypeError,
        "alias",
    ),
    Defect(
        "one name twice in a plugin",
        hook('return [OptimizerSpec("bad", "m:C"), OptimizerSpec("other", "m:D", aliases=("Bad",))]'),
        "specification",
        InvalidSpecError,
        "both 'bad' and 'other'",
    ),
    Defect(
        "another contract",
        hook('return [OptimizerSpec("bad", "m:C", contract="2.0")]'),
        "contract",
        InvalidSpecError,
        "'2.0'",
    ),
    Defect(
        "kernel hook that raises",
        hook(f"return [{OPTIMIZER}]") + hook("raise OSError('no driver')", name="tinyms_kernels"),
        "call",
        OSError,
        "no driver",
    ),
    Defect(
        "kernel for no device",
        hook(f"return [{OPTIMIZER}]") + hook('return [KernelSpec("bad", "TPU", "m:k")]', name="tinyms_kernels"),
        "specification",
        InvalidSpecError,
        "'TPU'",
    ),
)


@pytest.fixture(params=DEFECTS, ids=lambda defect: defect.name)
def defect(request: pytest.FixtureRequest, installation) -> Defect:
    installation.install_good("acme-aaa")
    installation.install_good("acme-zzz")
    installation.install("acme-bad", request.param.source, entries=[request.param.entry])
    return request.param


@pytest.fixture
def registry(installation) -> OptimizerRegistry:
    registry = installation.registry()
    installation.write("acme_shared", "registry = None")
    import acme_shared

    acme_shared.registry = registry
    return registry


class TestABrokenPlugin:
    def test_leaves_the_others_working_without_a_warning(self, defect, registry):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert registry.get_optimizer("aaa").__name__ == "Sound"
            assert registry.optimizer_info("zzz").name == "zzz"

    def test_makes_one_warning_in_a_listing_and_none_in_the_next(self, defect, registry):
        with pytest.warns(PluginWarning) as caught:
            assert registry.list_optimizers() == ["aaa", "zzz"]
        assert len(caught) == 1
        message = str(caught[0].message)
        assert "acme-bad 1.0" in message
        assert defect.stage in message
        assert defect.says in message
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert registry.list_optimizers() == ["aaa", "zzz"]

    @pytest.mark.parametrize("name", ["bad", "Bad", "acme-bad:bad", "ACME_Bad:anything"])
    def test_raises_a_chained_error_that_names_it_when_asked_for(self, defect, registry, name):
        for question in (registry.get_optimizer, registry.optimizer_info, registry.kernels_for):
            with pytest.raises(PluginError) as caught:
                question(name)
            error = caught.value
            assert isinstance(error.__cause__, defect.cause)
            assert (error.distribution, error.entry_point, error.stage) == (
                "acme-bad",
                defect.entry,
                defect.stage,
            )
            assert all(part in str(error) for part in (repr(name), "acme-bad 1.0", defect.stage, defect.says))

    def test_is_reported_by_diagnose(self, defect, registry):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            reports = {report.entry_point: report for report in registry.diagnose()}
        assert [reports[name].status for name in ("aaa", "bad", "zzz")] == ["ok", "broken", "ok"]
        assert reports["bad"].stage == defect.stage
        assert defect.says in reports["bad"].reason


def test_a_repaired_plugin_works_after_refresh(installation):
    installation.install("acme-bad", "raise RuntimeError")
    registry = installation.registry()
    with pytest.warns(PluginWarning):
        assert registry.list_optimizers() == []
    installation.write("acme_bad_classes", "class Bad:\n    pass")
    installation.write(
        "acme_bad",
        "from tinyms_core.registry import OptimizerSpec, hookimpl\n" + hook(f"return [{OPTIMIZER}]"),
    )
    registry.refresh()
    assert registry.get_optimizer("bad").__name__ == "Bad"


def test_a_plugin_that_is_still_broken_warns_again_after_refresh(installation):
    installation.install("acme-bad", "raise RuntimeError")
    registry = installation.registry()
    for _ in range(2):
        with pytest.warns(PluginWarning) as caught:
            registry.list_optimizers()
        assert len(caught) == 1
        registry.refresh()


def test_two_entry_points_for_one_broken_module_warn_once(installation):
    installation.install("acme-bad", "raise RuntimeError", entries=["bad = acme_bad", "worse = acme_bad"])
    with pytest.warns(PluginWarning) as caught:
        installation.registry().list_optimizers()
    assert len(caught) == 1


def test_a_name_that_a_broken_plugin_declared_leads_to_its_error(installation):
    installation.install(
        "acme-bad",
        hook('yield OptimizerSpec("early", "m:C", aliases=("premature",))\nraise RuntimeError("later")'),
    )
    for name in ("early", "Premature"):
        with pytest.raises(PluginError, match="later"):
            installation.registry().get_optimizer(name)


def test_a_sound_owner_is_not_harmed_by_a_broken_plugin_of_the_same_name(installation):
    installation.install_good("acme-good", name="adam")
    installation.install("other-adam", "raise RuntimeError")
    assert installation.registry().get_optimizer("adam").__name__ == "Sound"


def test_the_warning_points_at_the_caller_of_the_public_function(installation, monkeypatch):
    from tinyms_core.registry import api

    installation.install("acme-bad", "raise RuntimeError")
    monkeypatch.setattr(api, "_DEFAULT", installation.registry())
    with pytest.warns(PluginWarning) as caught:
        api.list_optimizers()
    assert caught[0].filename == __file__


def test_an_interrupt_while_a_plugin_is_imported_is_not_caught(installation):
    installation.install("acme-bad", "raise KeyboardInterrupt")
    registry = installation.registry()
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            registry.list_optimizers()


class TestDamagedMetadata:
    @pytest.fixture(params=["not text", "not lines", "no name", "no version", "no metadata"])
    def damaged(self, request, installation):
        installation.install_good()
        installation.install("acme-bad", "")
        folder = installation.path / "acme_bad-1.0.dist-info"
        group = b"[tinyms.optimizers]\n"
        if request.param == "not text":
            folder.joinpath("entry_points.txt").write_bytes(b"\xff\xfe" + group)
        elif request.param == "not lines":
            folder.joinpath("entry_points.txt").write_bytes(group + b"no equals sign\n")
        elif request.param == "no metadata":
            folder.joinpath("METADATA").unlink()
        else:
            lines = {"no name": "Version: 1.0\n", "no version": "Name: acme-bad\n"}
            folder.joinpath("METADATA").write_text("Metadata-Version: 2.1\n" + lines[request.param])
        return installation

    def test_leaves_the_others_working_and_warns_once(self, damaged):
        registry = damaged.registry()
        with pytest.warns(PluginWarning, match="metadata") as caught:
            assert registry.list_optimizers() == ["good"]
        assert len(caught) == 1

    def test_is_reported_with_its_place(self, damaged):
        reports = [report for report in damaged.registry().diagnose() if report.status == "broken"]
        assert [report.stage for report in reports] == ["metadata"]
        assert "acme_bad-1.0.dist-info" in reports[0].distribution


class TestAMissingImplementation:
    CASES = {
        "module": ("acme_absent:Bad", ModuleNotFoundError, "acme_absent"),
        "module that fails": ("acme_failing:Bad", ZeroDivisionError, "division by zero"),
        "module that exits": ("acme_exiting:Bad", SystemExit, "SystemExit"),
        "attribute": ("acme_bad_classes:Absent", AttributeError, "Absent"),
        "class": ("acme_bad_classes:number", TypeError, "not a class but int: 3"),
    }

    @pytest.fixture(params=CASES.values(), ids=CASES)
    def case(self, request, installation):
        installation.install_good()
        installation.write("acme_bad_classes", "number = 3")
        installation.write("acme_failing", "1 / 0")
        installation.write("acme_exiting", "raise SystemExit")
        installation.install("acme-bad", hook(f"return [OptimizerSpec('bad', {request.param[0]!r})]"))
        return request.param

    def test_is_not_looked_for_by_a_listing(self, case, installation):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert installation.registry().list_optimizers() == ["bad", "good"]

    def test_leaves_the_others_working(self, case, installation):
        registry = installation.registry()
        with pytest.raises(PluginError):
            registry.get_optimizer("bad")
        assert registry.get_optimizer("good").__name__ == "Sound"

    def test_raises_a_chained_error_that_names_it_when_asked_for(self, case, installation):
        implementation, cause, says = case
        with pytest.raises(PluginError) as caught:
            installation.registry().get_optimizer("bad")
        error = caught.value
        assert isinstance(error.__cause__, cause)
        assert (error.distribution, error.entry_point, error.stage) == (
            "acme-bad",
            "bad = acme_bad",
            "implementation",
        )
        assert implementation in str(error)
        assert says in str(error)


def test_diagnose_tells_of_an_implementation_whose_module_is_missing(installation):
    installation.install("acme-bad", hook('return [OptimizerSpec("bad", "acme_absent.optimizer:Bad")]'))
    (report,) = installation.registry().diagnose()
    assert (report.status, report.stage) == ("broken", "implementation")
    assert "'acme_absent.optimizer'" in report.reason


class TestAContestedName:
    @pytest.fixture(params=[("acme-adam", "other-adam"), ("other-adam", "acme-adam")])
    def contested(self, request, installation):
        for distribution in request.param:
            installation.install_good(distribution, name="adam")
        installation.install_good("acme-good")
        return installation.registry()

    def test_leaves_the_others_working(self, contested):
        assert contested.get_optimizer("good").__name__ == "Sound"

    def test_is_an_error_that_names_both_owners(self, contested):
        with pytest.raises(PluginConflictError) as caught:
            contested.get_optimizer("Adam")
        assert caught.value.owners == ("acme-adam:adam", "other-adam:adam")
        assert "get_optimizer('acme-adam:adam') or get_optimizer('other-adam:adam')" in str(caught.value)

    def test_is_chosen_by_distribution(self, contested):
        assert contested.get_optimizer("acme-adam:Adam").__module__ == "acme_adam_classes"
        assert contested.get_optimizer("Other_Adam:adam").__module__ == "other_adam_classes"

    def test_is_listed_as_what_can_be_asked_for_with_one_warning(self, contested):
        with pytest.warns(PluginWarning, match="claimed by") as caught:
            names = contested.list_optimizers()
        assert len(caught) == 1
        assert names == ["acme-adam:adam", "good", "other-adam:adam"]
        assert all(isinstance(contested.get_optimizer(name), type) for name in names)
        assert contested.list_optimizers("adam") == ["acme-adam:adam", "other-adam:adam"]

    def test_is_a_conflict_in_both_reports(self, contested):
        statuses = {report.distribution: report.status for report in contested.diagnose()}
        assert statuses == {"acme-adam": "conflict", "acme-good": "ok", "other-adam": "conflict"}


def test_an_alias_that_is_another_plugins_name_is_contested_whatever_was_asked_before(installation):
    installation.install_good("acme-adam", name="adam")
    installation.install(
        "other-swift", hook('return [OptimizerSpec("swift", "acme_adam_classes:Sound", aliases=("ADAM",))]')
    )
    for first in ("adam", "swift"):
        registry = installation.registry()
        if first == "swift":
            assert registry.get_optimizer("swift")
        with pytest.raises(PluginConflictError, match="other-swift"):
            registry.get_optimizer("adam")
        assert registry.get_optimizer("other-swift:adam") is registry.get_optimizer("acme-adam:adam")
        with pytest.warns(PluginWarning):
            assert registry.list_optimizers() == ["acme-adam:adam", "swift"]


def test_one_distribution_that_gives_a_name_twice_is_told_that_only_it_can_mend_that(installation):
    installation.install(
        "acme-bad",
        hook('return [OptimizerSpec("bad", "m:A")]'),
        entries=["bad = acme_bad", "worse = acme_worse"],
    )
    installation.write(
        "acme_worse",
        "from tinyms_core.registry import OptimizerSpec, hookimpl\n" + hook('return [OptimizerSpec("bad", "m:B")]'),
    )
    for name in ("bad", "acme-bad:bad"):
        with pytest.raises(PluginConflictError, match="only that distribution"):
            installation.registry().get_optimizer(name)


def test_two_entry_points_for_one_module_are_one_plugin(installation):
    installation.install_good(entries=["good = acme_good", "fine = acme_good"])
    registry = installation.registry()
    assert registry.list_optimizers() == ["good"]
    assert registry.get_optimizer("good").__name__ == "Sound"


def test_a_distribution_that_is_on_the_path_twice_counts_once_and_the_first_wins(installation):
    installation.install_good(folder="")
    other = installation.path / "other"
    other.mkdir()
    installation.install("acme-good", "raise RuntimeError", folder="other", version="0.9")
    registry = installation.registry("", "other")
    assert registry.list_optimizers() == ["good"]
    assert [report.version for report in registry.diagnose()] == ["1.0"]


class TestAKernel:
    def test_of_another_distribution_is_offered_for_the_optimizer(self, installation):
        installation.install_good()
        installation.install(
            "other-fast",
            hook('return [KernelSpec("good", "CPU", "acme_good_classes:Sound")]', name="tinyms_kernels"),
        )
        registry = installation.registry()
        (status,) = registry.kernels_for("good")
        assert status.available
        assert status.spec.distribution == "other-fast"
        assert registry.list_optimizers() == ["good"]

    def test_for_an_unknown_optimizer_is_only_reported(self, installation):
        installation.install_good()
        installation.install("other-fast", hook('return [KernelSpec("absent", "CPU", "m:k")]', name="tinyms_kernels"))
        registry = installation.registry()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert registry.list_optimizers() == ["good"]
        report = registry.diagnose()[1]
        assert report.status == "ok"
        assert not report.kernels[0].available
        assert "no optimizer 'absent' is installed" in report.kernels[0].reason
        with pytest.raises(UnknownOptimizerError):
            registry.kernels_for("absent")

    def test_whose_probe_fails_is_not_available_and_says_why(self, installation, monkeypatch):
        class FailingFinder:
            @staticmethod
            def find_spec(name, path=None, target=None):
                if name == "acme_unfathomable":
                    raise OSError("disk on fire")

        installation.install(
            "acme-good",
            hook('return [OptimizerSpec("good", "m:C")]')
            + hook(
                'return [KernelSpec("good", "CPU", "m:k", requires=("acme_unfathomable",)),\n'
                '    KernelSpec("good", "GPU", "acme_good:hookimpl")]',
                name="tinyms_kernels",
            ),
        )
        monkeypatch.setattr(sys, "meta_path", [FailingFinder, *sys.meta_path])
        statuses = {status.spec.device: status for status in installation.registry().kernels_for("good")}
        assert statuses["GPU"].available
        assert not statuses["CPU"].available
        assert "disk on fire" in statuses["CPU"].reason

    def test_for_a_contested_name_belongs_to_its_own_distributions_optimizer(self, installation):
        kernel = hook('return [KernelSpec("adam", "CPU", "sys:exit")]', name="tinyms_kernels")
        installation.install("acme-adam", hook('return [OptimizerSpec("adam", "m:A")]') + kernel)
        installation.install_good("other-adam", name="adam")
        installation.install("other-fast", kernel)
        registry = installation.registry()
        owners = [status.spec.distribution for status in registry.kernels_for("acme-adam:adam")]
        assert owners == ["acme-adam"]
        assert registry.kernels_for("other-adam:adam") == ()
        report = next(report for report in registry.diagnose() if report.distribution == "other-fast")
        assert "claimed by" in report.kernels[0].reason
