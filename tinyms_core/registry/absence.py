"""Why no optimizer answers to a name: the error that helps most."""

from __future__ import annotations

from collections.abc import Sequence

from tinyms_core.registry.catalog import Catalog
from tinyms_core.registry.discovery import Plugin
from tinyms_core.registry.errors import PluginError, TinymsOptimError, UnknownOptimizerError
from tinyms_core.registry.known import KNOWN_OPTIMIZERS, find_known
from tinyms_core.registry.names import AskedName, fold


def absence_error(asked: AskedName, plugins: Sequence[Plugin], catalog: Catalog) -> TinymsOptimError:
    """Build the error for a name that no optimizer in the catalog answers to.

    Arguments:
        asked: The name.
        plugins: Every plugin, whatever became of it.
        catalog: What can be used.

    Returns:
        A ``PluginError`` with its ``__cause__`` where a broken plugin would have answered, and otherwise an
        ``UnknownOptimizerError`` that says which switch or call took the optimizer away, which distribution
        to install, or which names are close.
    """
    answering = [plugin for plugin in plugins if _would_answer(plugin, asked)]
    for plugin in answering:
        if plugin.status == "broken":
            return broken_plugin_error(plugin, asked.text)
    suggestions: list[str] = []
    known = find_known(asked.folded)
    distribution = asked.distribution or (known.distribution if known else "")
    if answering:
        why = _taken_away(answering[0])
    elif _is_there(distribution, plugins, catalog):
        given = sorted(spec.name for spec in catalog.optimizers if spec.distribution == distribution)
        why = f"the installed distribution {distribution} gives {', '.join(given) or 'no optimizer'}."
    elif known and known.distribution == distribution:
        suggestions = [known.name]
        why = " ".join(filter(None, [f"install it with: pip install {distribution}.", known.note]))
    elif distribution:
        why = f"no distribution {distribution} with optimizers is installed."
    else:
        suggestions = _close_names(asked, catalog)
        close = " or ".join(map(repr, suggestions))
        why = f"did you mean {close}?" if close else "list_optimizers(), or `tinyms-optim list`, gives the names."
    return UnknownOptimizerError(f"unknown optimizer {asked.text!r}: {why}", name=asked.text, suggestions=suggestions)


def broken_plugin_error(plugin: Plugin, asked: str) -> PluginError:
    """Build the error for a broken plugin, chained to what went wrong in it.

    Arguments:
        plugin: The broken plugin.
        asked: The name that was asked for.

    Returns:
        The error, whose ``__cause__`` is the original.
    """
    error = PluginError(
        f"optimizer {asked!r} belongs to the plugin {plugin.label}, which is broken at stage "
        f"{plugin.stage!r}: {plugin.reason}",
        distribution=plugin.distribution,
        entry_point=f"{plugin.entry_point} = {plugin.value}",
        stage=plugin.stage,
    )
    error.__cause__ = plugin.error
    return error


def _would_answer(plugin: Plugin, asked: AskedName) -> bool:
    names = {fold(name) for spec in plugin.optimizers for name in spec.names}
    if plugin.status == "ok":
        # Its optimizers are in the catalog, where the name was not found, unless they were unregistered.
        return asked.folded in names and asked.distribution in ("", plugin.distribution)
    if asked.distribution:
        # What the plugin would have given cannot be known, so the distribution alone decides.
        return plugin.distribution == asked.distribution
    known = find_known(asked.folded)
    return asked.folded in {*names, fold(plugin.entry_point)} or (
        known is not None and known.distribution == plugin.distribution
    )


def _taken_away(plugin: Plugin) -> str:
    if plugin.status == "disabled":
        return f"its plugin {plugin.label} is disabled: {plugin.reason}."
    return f"it was unregistered in this process; refresh() brings back what {plugin.label} gives."


def _is_there(distribution: str, plugins: Sequence[Plugin], catalog: Catalog) -> bool:
    return any(plugin.distribution == distribution for plugin in plugins) or any(
        spec.distribution == distribution for spec in catalog.optimizers
    )


def _close_names(asked: AskedName, catalog: Catalog) -> list[str]:
    from difflib import get_close_matches

    names = {fold(known.name): known.name for known in KNOWN_OPTIMIZERS}
    names.update({fold(name): name for spec in catalog.optimizers for name in reversed(spec.names)})
    return [names[folded] for folded in get_close_matches(asked.folded, names, n=3)]
