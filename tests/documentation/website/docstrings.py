"""The docstrings of the API pages: an extension of griffe, which reads them from the source."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import griffe

ROOT = Path(__file__).parents[3]
if str(ROOT) not in sys.path:
    # griffe loads this file by its path.
    sys.path.insert(0, str(ROOT))

from tests.documentation.website.formulas import docstring_to_markdown  # noqa: E402


class Formulas(griffe.Extension):
    """Has formulas drawn and examples recognized."""

    def on_instance(self, *, obj: griffe.Object, **_others: Any) -> None:
        """Rewrite the docstring of a module, class, function or attribute."""
        if obj.docstring:
            obj.docstring.value = docstring_to_markdown(obj.docstring.value)
