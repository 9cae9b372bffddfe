"""An optimizer that is built from a network may be a function."""

from __future__ import annotations

from functools import reduce

import pytest

from tinyms_core.registry import Capabilities, InvalidSpecError, OptimizerRegistry, OptimizerSpec, PluginError

FROM_NETWORK = Capabilities(consumes_network=True)


def build(net):
    """What a plugin would have."""
    return net


def registry_of(spec: OptimizerSpec) -> OptimizerRegistry:
    registry = OptimizerRegistry(search_path=[])
    registry.register(spec)
    return registry


@pytest.mark.parametrize(("implementation", "found"), [(build, build), ("functools:reduce", reduce)])
def test_a_function_is_found_by_its_name(implementation, found):
    registry = registry_of(OptimizerSpec("of_network", implementation, capabilities=FROM_NETWORK))
    assert registry.get_optimizer("OfNetwork") is found
    assert registry.optimizer_info("of-network").implementation_name.endswith(found.__name__)


def test_a_function_is_refused_where_no_network_is_consumed():
    with pytest.raises(InvalidSpecError, match=r"'module:qualified_name' or a class, got.*build"):
        OptimizerSpec("of_parameters", build)
    registry = registry_of(OptimizerSpec("of_parameters", "functools:reduce"))
    with pytest.raises(PluginError, match="'functools:reduce' is not a class but builtin_function_or_method"):
        registry.get_optimizer("of_parameters")


def test_what_cannot_be_called_is_refused_with_what_would_be_right():
    with pytest.raises(InvalidSpecError, match=r"'module:qualified_name' or a function or a class"):
        OptimizerSpec("of_network", 3, capabilities=FROM_NETWORK)  # type: ignore[arg-type]
    registry = registry_of(OptimizerSpec("of_network", "math:pi", capabilities=FROM_NETWORK))
    with pytest.raises(PluginError, match="'math:pi' is not a function or a class but float"):
        registry.get_optimizer("of_network")


def test_a_class_serves_as_well():
    registry = registry_of(OptimizerSpec("of_network", "collections:Counter", capabilities=FROM_NETWORK))
    assert registry.get_optimizer("of_network").__name__ == "Counter"
