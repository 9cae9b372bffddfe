"""Optimizers are found by name, whatever its spelling, and an unknown name says what to do."""

from __future__ import annotations

import os
import warnings
from threading import Barrier, Thread

import pytest

from tinyms_core.registry import (
    KNOWN_OPTIMIZERS,
    InvalidSpecError,
    KernelSpec,
    OptimizerRegistry,
    OptimizerSpec,
    PluginConflictError,
    PluginError,
    UnknownOptimizerError,
    resolve,
)


class Mine:
    pass


@pytest.fixture
def registry() -> OptimizerRegistry:
    """A registry that sees no plugin."""
    return OptimizerRegistry(search_path=[], environment={})


class TestAName:
    @pytest.mark.parametrize(
        "name",
        [
            "weight_decayed",
            "WeightDecayed",
            "weight-decayed",
            "weightdecayed",
            " Weight_Decayed ",
            "acme-wd:WeightDecayed",
        ],
    )
    def test_is_found_in_every_spelling(self, installation, name):
        installation.install_good("acme-wd", name="weight_decayed")
        assert installation.registry().optimizer_info(name).name == "weight_decayed"

    @pytest.mark.parametrize("name", [None, 3, ["adam"], b"adam", Mine])
    def test_must_be_text(self, registry, name):
        for question in (
            registry.get_optimizer,
            registry.optimizer_info,
            registry.kernels_for,
            registry.unregister,
        ):
            with pytest.raises(TypeError, match=r"name must be a str such as 'adam'.*" + type(name).__name__):
                question(name)

    def test_may_differ_from_the_entry_point(self, installation):
        installation.install_good("acme-good", name="unrelated")
        registry = installation.registry()
        assert registry.get_optimizer("unrelated").__name__ == "Sound"
        with pytest.raises(UnknownOptimizerError):
            registry.get_optimizer("good")

    def test_a_plugin_may_give_several_with_aliases(self, installation):
        installation.write("acme_two_classes", "class A: pass\nclass B:\n    class Inner: pass")
        installation.install(
            "acme-two",
            """
            @hookimpl
            def tinyms_optimizers():
                yield OptimizerSpec("first", "acme_two_classes:A", aliases=("one", "First"))
                yield OptimizerSpec("second", "acme_two_classes:B.Inner", aliases=("two",))
            """,
        )
        registry = installation.registry()
        assert registry.list_optimizers() == ["first", "second"]
        assert registry.get_optimizer("One") is registry.get_optimizer("first")
        assert registry.get_optimizer("two").__qualname__ == "B.Inner"


class TestAnUnknownName:
    @pytest.mark.parametrize("known", KNOWN_OPTIMIZERS, ids=lambda known: known.name)
    def test_of_this_project_says_how_to_install_it(self, registry, known):
        with pytest.raises(UnknownOptimizerError, match=f"pip install {known.distribution}\\.") as caught:
            registry.get_optimizer(known.name.replace("_", "").upper())
        assert caught.value.suggestions == (known.name,)
        assert known.note in str(caught.value)

    def test_adamw_is_told_apart_from_adam_weight_decay(self, registry):
        with pytest.raises(UnknownOptimizerError, match="is not AdamWeightDecay, which has no bias correction"):
            registry.get_optimizer("AdamW")

    def test_gives_close_names(self, registry):
        registry.register(OptimizerSpec("my_swift", Mine, aliases=("Velocity",)))
        with pytest.raises(UnknownOptimizerError, match="did you mean 'my_swift'") as caught:
            registry.get_optimizer("mySwif")
        assert caught.value.suggestions == ("my_swift",)
        with pytest.raises(UnknownOptimizerError, match="'Velocity'"):
            registry.get_optimizer("velocitie")
        with pytest.raises(UnknownOptimizerError, match="'adagrad'"):
            registry.get_optimizer("adagrat")

    def test_without_close_names_points_at_the_listing(self, registry):
        for name in ("", "zzzzzz"):
            with pytest.raises(UnknownOptimizerError, match=r"list_optimizers\(\)"):
                registry.get_optimizer(name)

    def test_of_an_installed_distribution_says_what_it_gives(self, installation):
        installation.install_good("acme-good")
        with pytest.raises(UnknownOptimizerError, match="acme-good gives good"):
            installation.registry().get_optimizer("acme-good:adam")

    def test_of_an_absent_distribution_says_so(self, registry):
        with pytest.raises(UnknownOptimizerError, match="no distribution acme-absent"):
            registry.get_optimizer("acme-absent:adam")
        with pytest.raises(UnknownOptimizerError, match="pip install tinyms-adam"):
            registry.get_optimizer("tinyms-adam:adam")

    def test_of_this_project_is_not_said_to_be_absent_when_its_plugin_is_broken_or_disabled(self, installation):
        installation.install(
            "tinyms-lazy-adam", "raise RuntimeError", entries=["la = broken_lazy_adam"], module="broken_lazy_adam"
        )
        with pytest.raises(PluginError, match="RuntimeError"):
            installation.registry().get_optimizer("LazyAdam")
        with pytest.raises(UnknownOptimizerError, match="TINYMS_OPTIM_BLOCK=la blocks it"):
            installation.registry(TINYMS_OPTIM_BLOCK="la").get_optimizer("LazyAdam")

    def test_is_a_lookup_error(self, registry):
        with pytest.raises(LookupError):
            registry.get_optimizer("absent")


class TestListing:
    @pytest.fixture
    def registry(self, registry) -> OptimizerRegistry:
        for name in ("adam", "Adamax", "lamb", "lars", "sgd"):
            registry.register(OptimizerSpec(name, Mine))
        return registry

    @pytest.mark.parametrize(
        ("pattern", "exclude", "expected"),
        [
            (None, None, ["Adamax", "adam", "lamb", "lars", "sgd"]),
            ("ADAM*", None, ["Adamax", "adam"]),
            (["la*", "s?d"], None, ["lamb", "lars", "sgd"]),
            ("la[mr]?", "*S", ["lamb"]),
            (None, ["ad*", "l*"], ["sgd"]),
            ([], None, []),
            ("absent*", None, []),
        ],
    )
    def test_takes_wildcards(self, registry, pattern, exclude, expected):
        assert registry.list_optimizers(pattern, exclude) == expected

    def test_refuses_a_wildcard_that_is_not_text(self, registry):
        with pytest.raises(TypeError, match=r"pattern must be.*int: 3"):
            registry.list_optimizers([3])
        with pytest.raises(TypeError, match=r"exclude must be.*NoneType: None"):
            registry.list_optimizers(exclude=[None])


class TestRegistering:
    def test_adds_an_optimizer_and_its_kernels(self, registry):
        registry.register(
            OptimizerSpec("mine", Mine, distribution="pretended"), kernels=[KernelSpec("Mine", "CPU", len)]
        )
        info = registry.optimizer_info("mine")
        assert registry.get_optimizer("in-process:mine") is Mine
        assert info.distribution == "in-process"
        assert [(status.available, status.spec.distribution) for status in info.kernels] == [(True, "in-process")]

    @pytest.mark.parametrize("name", ["good", "GOOD", "mine"])
    def test_a_name_that_has_an_owner_is_a_conflict_and_adds_nothing(self, installation, name):
        installation.install_good("acme-good")
        registry = installation.registry()
        registry.register(OptimizerSpec("mine", Mine))
        for spec in (OptimizerSpec(name, Mine), OptimizerSpec("fresh", Mine, aliases=(name,))):
            with pytest.raises(PluginConflictError, match="another name, or unregister"):
                registry.register(spec)
        assert registry.list_optimizers() == ["good", "mine"]
        assert registry.get_optimizer("good").__name__ == "Sound"

    def test_refuses_what_is_not_a_specification(self, registry):
        with pytest.raises(TypeError, match="spec must be an OptimizerSpec"):
            registry.register(Mine)
        with pytest.raises(TypeError, match="kernels must be KernelSpec objects, got str"):
            registry.register(OptimizerSpec("mine", Mine), kernels=["kernel"])

    def test_refuses_another_contract(self, registry):
        with pytest.raises(InvalidSpecError, match="contract"):
            registry.register(OptimizerSpec("mine", Mine, contract="2.0"))
        registry.register(OptimizerSpec("mine", Mine, contract="1.7"))

    def test_refuses_a_kernel_of_another_optimizer(self, registry):
        with pytest.raises(InvalidSpecError, match=r"'mine'.*got 'yours'"):
            registry.register(OptimizerSpec("mine", Mine), kernels=[KernelSpec("yours", "CPU", len)])
        assert registry.list_optimizers() == []

    def test_is_undone_by_unregistering(self, registry):
        registry.register(OptimizerSpec("mine", Mine, aliases=("own",)))
        registry.unregister("Own")
        for name in ("mine", "own"):
            with pytest.raises(UnknownOptimizerError):
                registry.get_optimizer(name)
        with pytest.raises(UnknownOptimizerError):
            registry.unregister("mine")

    def test_outlives_refresh(self, registry):
        registry.register(OptimizerSpec("mine", Mine))
        registry.refresh()
        assert registry.get_optimizer("mine") is Mine

    def test_a_plugins_optimizer_is_hidden_until_refresh(self, installation):
        installation.install_good("acme-good")
        registry = installation.registry()
        registry.unregister("good")
        assert registry.list_optimizers() == []
        with pytest.raises(UnknownOptimizerError, match=r"unregistered in this process; refresh\(\)"):
            registry.get_optimizer("Good")
        registry.register(OptimizerSpec("good", Mine))
        assert registry.get_optimizer("good") is Mine
        registry.refresh()
        with pytest.raises(PluginConflictError, match="in-process:good"):
            registry.get_optimizer("good")


class TestRefresh:
    def test_finds_what_was_installed_and_forgets_what_was_removed(self, installation):
        registry = installation.registry()
        assert registry.list_optimizers() == []
        installation.install_good("acme-good")
        assert registry.list_optimizers() == []
        registry.refresh()
        assert registry.list_optimizers() == ["good"]
        (installation.path / "acme_good-1.0.dist-info" / "entry_points.txt").unlink()
        registry.refresh()
        assert registry.list_optimizers() == []

    def test_finds_what_was_installed_within_the_resolution_of_the_clock(self, installation):
        installation.install_good("acme-good")
        registry = installation.registry()
        assert registry.list_optimizers() == ["good"]
        changed = installation.path.stat().st_mtime_ns
        (installation.path / "acme_good-1.0.dist-info").rename(installation.path / "acme_good-1.1.dist-info")
        os.utime(installation.path, ns=(changed, changed))
        registry.refresh()
        assert registry.list_optimizers() == ["good"]


class TestKernels:
    @pytest.fixture
    def registry(self, installation) -> OptimizerRegistry:
        installation.install_good("acme-good")
        for distribution in ("zeta-fast", "beta-fast"):
            installation.install(
                distribution,
                f"""
                @hookimpl
                def tinyms_kernels():
                    yield KernelSpec("Good", "CPU", "{distribution.replace("-", "_")}:low", priority=-1)
                    yield KernelSpec("good", "CPU", "{distribution.replace("-", "_")}:kernel", priority=5)
                    yield KernelSpec("acme-good:good", "GPU", "json:k", requires=("absent_module.part",))
                """,
            )
        return installation.registry()

    def test_are_in_the_order_of_priority_then_distribution(self, registry):
        order = [(status.spec.priority, status.spec.distribution) for status in registry.kernels_for("good", "CPU")]
        assert order == [(5, "beta-fast"), (5, "zeta-fast"), (-1, "beta-fast"), (-1, "zeta-fast")]

    def test_that_cannot_run_are_there_with_the_reason(self, registry):
        statuses = registry.kernels_for("good", "GPU")
        assert [(status.available, status.reason) for status in statuses] == [
            (False, "module 'absent_module.part' is not installed")
        ] * 2

    def test_are_part_of_what_is_known_of_an_optimizer(self, registry):
        assert registry.optimizer_info("good").kernels == registry.kernels_for("good")
        assert len(registry.kernels_for("good")) == 6
        assert registry.kernels_for("good", "Ascend") == ()

    def test_of_a_device_that_does_not_exist_are_an_error(self, registry):
        with pytest.raises(InvalidSpecError, match="device must be one of 'CPU', 'GPU', 'Ascend', got str: 'gpu'"):
            registry.kernels_for("good", "gpu")


class TestSwitches:
    @pytest.fixture
    def installed(self, installation):
        installation.install_good("tinyms-adam", name="adam")
        installation.install_good("acme-swift")
        installation.install("acme-loud", "raise RuntimeError")
        return installation

    @pytest.mark.parametrize(
        ("environment", "expected"),
        [
            ({"TINYMS_OPTIM_DISABLE_THIRD_PARTY": "1"}, ["adam"]),
            ({"TINYMS_OPTIM_ALLOW": "swift"}, ["swift"]),
            ({"TINYMS_OPTIM_ALLOW": "Acme_Swift, adam"}, ["adam", "swift"]),
            ({"TINYMS_OPTIM_BLOCK": "loud,tinyms-adam"}, ["swift"]),
            ({"TINYMS_OPTIM_ALLOW": "adam,swift", "TINYMS_OPTIM_BLOCK": "adam"}, ["swift"]),
            ({"TINYMS_OPTIM_ALLOW": "adam,swift", "TINYMS_OPTIM_DISABLE_THIRD_PARTY": "yes"}, ["adam"]),
        ],
    )
    def test_keep_plugins_from_being_imported(self, installed, environment, expected):
        registry = installed.registry(**environment)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert registry.list_optimizers() == expected
        assert registry.active_switches() == environment

    @pytest.mark.parametrize("off", ["", "0", "false", "No", " off "])
    def test_that_are_off_disable_nothing(self, installed, off):
        registry = installed.registry(
            TINYMS_OPTIM_DISABLE_THIRD_PARTY=off, TINYMS_OPTIM_ALLOW=" , ", TINYMS_OPTIM_BLOCK=""
        )
        assert registry.get_optimizer("swift")
        assert registry.active_switches() == {}

    @pytest.mark.parametrize(
        ("switch", "value"),
        [
            ("TINYMS_OPTIM_DISABLE_THIRD_PARTY", "1"),
            ("TINYMS_OPTIM_ALLOW", "adam"),
            ("TINYMS_OPTIM_BLOCK", "swift,loud"),
        ],
    )
    def test_are_named_when_what_they_disable_is_asked_for_and_by_diagnose(self, installed, switch, value):
        registry = installed.registry(**{switch: value})
        for name in ("swift", "loud", "acme-swift:swift"):
            with pytest.raises(UnknownOptimizerError, match=f"disabled: {switch}={value}"):
                registry.get_optimizer(name)
        reports = {report.entry_point: report for report in registry.diagnose()}
        assert reports["swift"].status == "disabled"
        assert switch in reports["swift"].reason
        assert reports["adam"].status == "ok"

    def test_are_read_again_by_refresh(self, installed, monkeypatch):
        registry = OptimizerRegistry(search_path=[str(installed.path)])
        monkeypatch.setenv("TINYMS_OPTIM_BLOCK", "swift,loud")
        assert registry.list_optimizers() == ["adam"]
        monkeypatch.setenv("TINYMS_OPTIM_BLOCK", "loud")
        assert registry.list_optimizers() == ["adam"]
        registry.refresh()
        assert registry.list_optimizers() == ["adam", "swift"]

    def test_do_not_touch_what_this_process_registered(self, installed):
        registry = installed.registry(TINYMS_OPTIM_ALLOW="adam", TINYMS_OPTIM_DISABLE_THIRD_PARTY="1")
        registry.register(OptimizerSpec("mine", Mine))
        assert registry.list_optimizers() == ["adam", "mine"]


def test_a_report_tells_everything_and_becomes_plain_data(installation):
    installation.install(
        "acme-good",
        """
        @hookimpl
        def tinyms_optimizers():
            return [OptimizerSpec("good", "acme_good:hookimpl")]

        @hookimpl
        def tinyms_kernels():
            return [KernelSpec("good", "CPU", "acme_good:hookimpl")]
        """,
        version="2.3",
    )
    (report,) = installation.registry().diagnose()
    assert report.to_dict() | {"kernels": []} == {
        "distribution": "acme-good",
        "version": "2.3",
        "entry_point": "good",
        "value": "acme_good",
        "status": "ok",
        "stage": "",
        "reason": "",
        "names": ["good"],
        "kernels": [],
        "contracts": ["1.0"],
        "location": str(installation.path / "acme_good.py"),
    }
    assert report.to_dict()["kernels"][0]["spec"]["optimizer"] == "good"


def test_threads_that_ask_at_once_load_each_plugin_once(installation):
    installation.write("acme_count", "loads = []")
    installation.install_good("acme-good")
    source = installation.path / "acme_good.py"
    source.write_text("import time, acme_count\nacme_count.loads.append(1)\ntime.sleep(0.05)\n" + source.read_text())
    registry = installation.registry()
    barrier, found = Barrier(8), []

    def ask() -> None:
        barrier.wait()
        found.append(registry.get_optimizer("good"))

    threads = [Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    import acme_count

    assert len(found) == 8
    assert len(set(found)) == 1
    assert acme_count.loads == [1]


class TestResolving:
    def test_imports_what_an_import_string_names(self):
        assert resolve("tinyms_core.registry:OptimizerRegistry.refresh") is OptimizerRegistry.refresh

    def test_gives_an_object_back(self):
        assert resolve(Mine) is Mine

    @pytest.mark.parametrize("wrong", ["", "json", "json.loads", "json:", ":loads", "js on:loads", "json:a:b"])
    def test_refuses_another_form(self, wrong):
        with pytest.raises(InvalidSpecError, match="import_string must be 'module:qualified_name'"):
            resolve(wrong)

    def test_lets_what_is_missing_be_seen(self):
        with pytest.raises(ModuleNotFoundError, match="absent_module"):
            resolve("absent_module:thing")
        with pytest.raises(AttributeError, match="absent"):
            resolve("json:absent")
