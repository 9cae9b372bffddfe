"""A rule whose result is one factor for each tensor: the layer-wise part of an optimizer around another one.

Such a rule is analysed like an update rule. All of it but the last pass, which would give the elements their new
values, is what computes the factor.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tinyms_core.kernels.errors import RuleError
from tinyms_core.kernels.program import Program, analyse
from tinyms_core.kernels.rule import Rule


@dataclass(frozen=True)
class Factor:
    """A rule of one factor for each tensor, analysed.

    Attributes:
        program: the rule's program, of which the last pass is not to be run.
        slot: the name of the factor among the program's ``tensor_slots``.
    """

    program: Program
    slot: str

    @property
    def column(self) -> int:
        """The place of the factor among the program's ``tensor_slots``."""
        return self.program.tensor_slots.index(self.slot)


def analyse_factor(rule: Rule, hyperparameters: Mapping[str, Any]) -> Factor:
    """Analyse a rule that returns a factor.

    Arguments:
        rule: ``rule(w, g, *scalars)``, without state; it returns a number that depends on a norm or another reduction.
        hyperparameters: their values, by name.

    Returns:
        The factor.

    Raises:
        RuleError: the rule has state, or returns something else than one number for each tensor.
    """
    if rule.state:
        raise RuleError(f"rule {rule.name!r}: a factor has no state, got {rule.state}")
    program = analyse(rule, hyperparameters)
    returned = {d.name: d.expression for d in program.definitions}
    value = returned.get(program.stores[0].name) if program.stores else None
    if not (isinstance(value, ast.Name) and value.id in program.tensor_slots):
        raise RuleError(
            f"rule {rule.name!r}: it must return one number for each tensor, made with norm, mean, total or "
            "root_mean_square; what depends on the single element is the other optimizer's"
        )
    return Factor(program, value.id)
