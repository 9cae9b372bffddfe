"""A table that is still read on a screen that is too narrow for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text


class NarrowTable(Table):
    """A table; where its longest words do not fit beside each other, a block of lines for each row."""

    def add_column(self, *arguments: Any, **named: Any) -> None:
        """Add a column as `Table` does, whose words are broken where they must be, never cut."""
        super().add_column(*arguments, **{"overflow": "fold", **named})

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self.rows and Measurement.get(console, options.update(width=10_000), self).minimum > options.max_width:
            yield self._blocks()
        else:
            yield from super().__rich_console__(console, options)

    def _blocks(self) -> Group:
        headings = [" ".join(str(column.header).split()) for column in self.columns]
        blocks: list[Text | Table] = [Text(str(self.title), style="italic")] if self.title else []
        for row in zip(*(column.cells for column in self.columns), strict=True):
            blocks += [_block(headings, row), Text()]
        if self.caption:
            blocks.append(Text(str(self.caption), style="italic"))
        return Group(*blocks)


def _block(headings: Sequence[str], row: Sequence[object]) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for heading, cell in zip(headings, row, strict=True):
        if str(cell):
            grid.add_row(Text(heading), cell)  # type: ignore[arg-type]
    return grid
