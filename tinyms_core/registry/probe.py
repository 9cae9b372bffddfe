"""Import strings, and finding out whether a module is there without importing it."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

from tinyms_core.registry import checks
from tinyms_core.registry.devices import lacking
from tinyms_core.registry.errors import CONTAINED, describe
from tinyms_core.registry.specs import KernelSpec, KernelStatus


def resolve(import_string: Any) -> Any:
    """Import what an import string names.

    Arguments:
        import_string: ``"module:qualified_name"``; anything but a string is given back as it is, so that an
            implementation which is the object itself needs no case of its own.

    Returns:
        The object.

    Raises:
        InvalidSpecError: If a string has another form.
        ImportError: If the module cannot be imported.
        AttributeError: If the module has no such attribute.

    Example:
        >>> resolve("collections:OrderedDict.fromkeys").__name__
        'fromkeys'
    """
    if not isinstance(import_string, str):
        return import_string
    if not checks.is_import_string(import_string):
        raise checks.refuse("import_string", import_string, "'module:qualified_name'")
    module, _, qualified_name = import_string.partition(":")
    found: Any = import_module(module)
    for attribute in qualified_name.split("."):
        found = getattr(found, attribute)
    return found


def module_exists(name: str) -> bool:
    """Say whether a module could be imported, without importing it or any package that it lies in.

    Arguments:
        name: The dotted name. ``importlib.util.find_spec`` would import the parents of a dotted one.

    Returns:
        Whether its package and every part of the path are found.
    """
    parts = name.split(".")
    search_path: Any = None
    for end in range(1, len(parts) + 1):
        ancestor = ".".join(parts[:end])
        if ancestor in sys.modules:
            module = sys.modules[ancestor]
            # None in sys.modules is how an import is forbidden.
            if module is None:
                return False
            search_path = getattr(module, "__path__", None)
        else:
            spec = _find_spec(ancestor, search_path)
            if spec is None:
                return False
            search_path = spec.submodule_search_locations
        if search_path is None and end < len(parts):
            return name in sys.modules
    return True


def module_location(name: str) -> str:
    """Say where the package of a module is, without importing it.

    Arguments:
        name: The dotted name.

    Returns:
        The folder of a package, the file of a module that is none; empty where there is no such.

    Example:
        >>> module_location("no_such_module.part")
        ''
    """
    top = name.partition(".")[0]
    module = sys.modules.get(top)
    spec = getattr(module, "__spec__", None) if module is not None else _find_spec(top, None) if top else None
    if spec is None:
        return ""
    folders = list(spec.submodule_search_locations or ())
    return str(folders[0] if folders else spec.origin or "")


def kernel_status(spec: KernelSpec) -> KernelStatus:
    """Say whether a kernel's modules are installed, and of use here.

    Arguments:
        spec: The kernel.

    Returns:
        Its status. A probe that fails is a kernel that is not available, and says why.
    """
    required = list(spec.requires)
    if isinstance(spec.implementation, str):
        required.append(spec.implementation.partition(":")[0])
    for module in required:
        try:
            found = module_exists(module)
        except CONTAINED as error:
            return KernelStatus(spec, False, f"looking for module {module!r} failed: {describe(error)}")
        if not found:
            return KernelStatus(spec, False, f"module {module!r} is not installed")
        why = lacking(module)
        if why:
            return KernelStatus(spec, False, why)
    return KernelStatus(spec, True)


def _find_spec(name: str, search_path: Any) -> Any:
    for finder in sys.meta_path:
        spec = finder.find_spec(name, search_path)
        if spec is not None:
            return spec
    return None
