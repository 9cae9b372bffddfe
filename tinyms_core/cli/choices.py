"""Options whose value is one of a few names, several of them, or a list with commas."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import click

Callback = Callable[[click.Context, click.Parameter, tuple[str, ...]], tuple[str, ...]]
Complete = Callable[[click.Context, click.Parameter, str], list[str]]


def completions(known: Sequence[str], *more: str) -> Complete:
    """Make what completes the last name of a list with commas.

    Args:
        known: The names that are allowed.
        more: Words that are allowed as well.
    """

    def complete(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
        before, comma, last = incomplete.rpartition(",")
        there = before.split(",")
        return [f"{before}{comma}{name}" for name in (*known, *more) if name.startswith(last) and name not in there]

    return complete


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
