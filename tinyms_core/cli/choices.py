"""Options whose value is one of a few names, several of them, or a list with commas."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import click

Callback = Callable[[click.Context, click.Parameter, tuple[str, ...]], tuple[str, ...]]


def choices(known: Sequence[str], *, every: str = "", nothing: str = "") -> Callback:
    """Make a callback of an option that may be repeated.

    Args:
        known: The names that are allowed.
        every: The word for all of them, where there is one.
        nothing: The word for none of them, where that is allowed.

    Returns:
        The callback; it gives the names that were chosen, each once, in their order.
    """

    def chosen(_: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
        found = [part.strip() for value in values for part in value.split(",")]
        if nothing and found == [nothing]:
            return ()
        if every and every in found:
            found.remove(every)
            found += [name for name in known if name not in found]
        for name in found:
            if name not in known:
                more = [word for word in (every, nothing) if word]
                alone = f"; {nothing} stands alone" if nothing and name == nothing else ""
                raise click.BadParameter(f"{name!r} is none of {', '.join([*known, *more])}{alone}", param=parameter)
        return tuple(dict.fromkeys(found))

    return chosen
