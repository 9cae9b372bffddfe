"""A step as MindSpore operators: what a graph of any device is traced from."""

from __future__ import annotations

from typing import Any

import mindspore
from mindspore import Tensor, nn, ops
from mindspore.nn.layer.container import CellList

from tinyms_core.kernels.cpu import compute_type
from tinyms_core.kernels.program import Program
from tinyms_core.kernels.rule import SUPPLIED_SCALARS
from tinyms_core.kernels.traced import trace_program
from tinyms_core.kernels.traced_gradients import check_gradient, is_dense, refuse
from tinyms_core.kernels.update import Plan
from tinyms_core.optimizer.dtypes import DTYPES, dtype_name
from tinyms_core.optimizer.graph_step import graph_operator
from tinyms_core.optimizer.traced_blocks import TracedBlocks
from tinyms_core.optimizer.traced_update import TracedUpdate, as_they_are


class TracedFunction(nn.Cell):
    """A generated function as a Cell."""

    def __init__(self, function: Any) -> None:
        super().__init__(auto_prefix=False)
        self.function = function

    def construct(self, *arguments: Any) -> Any:
        return self.function(*arguments)


class TracedStep(TracedBlocks):
    """The traced `construct` of an optimizer with a rule or a written-out update."""

    def _set_traced_step(self, program: Program | Plan) -> None:
        """Make the functions, and lay out for the parser what goes where."""
        members, groups = self.scalar_groups()
        self.traced_group_of = tuple(members)
        self.traced_group_count = len(groups)
        self.traced_group_rate = tuple(group.rate_index for group in groups)
        self.traced_group_wide = tuple(group.wide for group in groups)
        self.traced_group_member = tuple(group.member for group in groups)
        self.traced_group_type = tuple(DTYPES[compute_type(group.kind)] for group in groups)
        if isinstance(program, Plan):
            self._set_traced_update(program, groups)
        else:
            self._set_traced_rule(program, groups)
        self.traced_states = tuple(self.states.values())
        self.traced_states_of = tuple(tuple(row[i] for row in self.traced_states) for i in range(self.param_length))
        self.traced_flags = tuple(
            (self.decays_gradient and s.decays, s.centralize, self.scales_gradient and self.need_scale)
            for s in self.settings
        )
        self.traced_sparse = self.sparse != "none"
        self.traced_names = tuple(f"{self.name}: the gradient of {s.parameter.name!r}" for s in self.settings)
        self.traced_outside = tuple(
            f"{name} has an index outside of the table; its rows are 0 to {s.parameter.shape[0] - 1}"
            if len(s.parameter.shape)
            else ""
            for name, s in zip(self.traced_names, self.settings, strict=True)
        )
        self._set_traced_blocks()
        self.traced_scalar_states = tuple(self.scalar_states.values())
        held = [getattr(self, f"held_{name}") for name in self.saved_hyperparameters]
        self.traced_held = CellList(held, auto_prefix=False)
        found = graph_operator(self)  # type: ignore[arg-type]
        self.traced_on_host = found is not None
        # What the operator calls lives as long as the operator.
        self.traced_operator: Any = None if found is None else found.operator
        self.traced_who: Any = None if found is None else found.who
        self._graph_step: Any = None if found is None else found.step

    def _set_traced_update(self, plan: Plan, groups: list[Any]) -> None:
        """Lay out a written-out update: it takes the step's scalars as they are."""
        available = (*SUPPLIED_SCALARS, *self.saved_hyperparameters)
        inputs = (*plan.step_scalars, *plan.scalar_state.values())
        self.traced_scalars = TracedFunction(as_they_are)
        variants = list(dict.fromkeys(group.options for group in groups))
        updates = [TracedUpdate(self.program_for(options), self.wide_type) for options in variants]
        self.traced_steps: Any = CellList(updates, auto_prefix=False)
        self.traced_group_update = tuple(variants.index(group.options) for group in groups)
        self.traced_constants: tuple[Any, ...] = ()
        self.traced_input_order = tuple(available.index(name) for name in inputs)
        self.traced_step_slot_count = len(plan.step_scalars)
        self.traced_slot_order = tuple(range(len(plan.step_scalars)))
        self.traced_slot_type = (self.wide_type,) * len(groups)
        self.traced_fixed_slots: tuple[Any, ...] = ((),) * len(groups)

    def _set_traced_rule(self, program: Program, groups: list[Any]) -> None:
        """Generate a rule's functions, and lay out the scalars that they take."""
        storages = list(dict.fromkeys(group.kind for group in groups))
        fixed = {n: v for n, v in self.hyperparameters.items() if n not in self.saved_hyperparameters}
        wide = dtype_name(self.wide_type) or "float64"
        programs = {kind: trace_program(program, fixed, kind, self.sparse, wide) for kind in storages}
        first = programs[storages[0]]
        self.traced_scalars = TracedFunction(first.module.step_scalars)
        # No Cells: rows do not survive as one of a Cell's ``*arguments``.
        self.traced_steps = tuple(programs[kind].module.step for kind in storages)
        self.traced_group_update = tuple(storages.index(group.kind) for group in groups)
        # step_scalars' inputs are picked out of (lr, t, weight_decay, saved hyperparameters…, constants…).
        available = (*SUPPLIED_SCALARS, *self.saved_hyperparameters, *first.constants)
        self.traced_constants = tuple(Tensor(v, self.wide_type) for v in first.constants.values())
        self.traced_input_order = tuple(available.index(name) for name in first.inputs)
        # update's slots are picked out of (step slots…, fixed slots…).
        ready = (*first.step_slots, *first.fixed)
        self.traced_step_slot_count = len(first.step_slots)
        self.traced_slot_order = tuple(ready.index(name) for name in first.slots)
        self.traced_fixed_slots = tuple(
            tuple(Tensor(value, DTYPES[compute_type(group.kind)]) for value in first.fixed.values()) for group in groups
        )
        self.traced_slot_type = self.traced_group_type

    def construct(self, gradients: Any) -> Any:
        """One step as operators."""
        if isinstance(gradients, list):
            # A custom operator takes the elements of a tuple alone.
            gradients = tuple(gradients)
        if len(gradients) != self.param_length:
            raise ValueError(f"got {len(gradients)} gradient(s) for {self.param_length} parameter(s)")
        if self.rate_limit > 0:
            refuse(self.global_step[0] >= self.rate_limit, self.rate_limit_message)
        dense = 1
        for i, j, k, m, n, o, p, q in self.traced_eights:
            dense = dense * is_dense(gradients[i]) * is_dense(gradients[j]) * is_dense(gradients[k])
            dense = dense * is_dense(gradients[m]) * is_dense(gradients[n]) * is_dense(gradients[o])
            dense = dense * is_dense(gradients[p]) * is_dense(gradients[q])
        if dense == 1:
            # The result is made here: where `_traced_dense` made it, the step of rows below was dropped.
            return self._traced_result(self._traced_dense(gradients))
        # Here and not in a method: rows do not survive in a tuple that is handed on.
        for i in range(self.param_length):
            outside = check_gradient(self.parameters[i], gradients[i], self.traced_names[i], self.traced_sparse)
            if self.traced_sparse:
                refuse(outside > 0, self.traced_outside[i])
        gradients = self.precondition(gradients)
        slots, values = self._traced_slots()
        done: Any = ()
        for i in range(self.param_length):
            step = self.traced_steps[self.traced_group_update[self.traced_group_of[i]]]
            # One call with all arguments: a tuple that grows is a graph of its own for each length and type.
            done += (
                step(
                    self.parameters[i], *self.traced_states_of[i], *slots[self.traced_group_of[i]],
                    self.loss_scale_wide * self._decay_of(i), self.reciprocal_scale_wide, *self.traced_flags[i],
                    self._unique, gradients[i],
                ),
            )  # fmt: skip
        return self._traced_result(self._traced_counted(done, values))

    def _traced_dense(self, gradients: Any) -> Any:
        """A step of dense gradients."""
        fit = self.traced_on_host
        for first, last in self.traced_blocks:
            fit = self._traced_check(gradients, first, last) and fit
        gradients = self.precondition(gradients)
        if fit:
            return self._traced_host_step(gradients, self.traced_operator, self.traced_who, ())
        slots, values = self._traced_slots()
        done: Any = ()
        for first, last in self.traced_blocks:
            done += self._traced_block(gradients, slots, first, last)
        return self._traced_counted(done, values)

    def _traced_block(self, gradients: Any, slots: Any, first: int, last: int) -> Any:
        """The steps of a block's parameters as operators."""
        done: Any = ()
        for i in range(first, last):
            step = self.traced_steps[self.traced_group_update[self.traced_group_of[i]]]
            done += (
                step(
                    self.parameters[i], *self.traced_states_of[i], *slots[self.traced_group_of[i]],
                    self.loss_scale_wide * self._decay_of(i), self.reciprocal_scale_wide, *self.traced_flags[i],
                    self._unique, gradients[i],
                ),
            )  # fmt: skip
        return done

    def _traced_host_step(self, gradients: Any, operator: Any, who: Any, more: Any) -> Any:
        """The whole step as one operator, which runs the kernels of the host.

        Arguments:
            gradients: dense, checked.
            operator: what `graph_operator` made.
            who: the operator's last input.
            more: the inputs before it, of which only the operator knows.
        """
        inputs: Any = self.parameters
        for states in self.traced_states:
            inputs += states
        inputs += (self.global_step,)
        inputs += self.traced_scalar_states
        inputs += gradients
        for k in range(self.traced_group_count):
            rate, _, decay, *held = self._traced_available_of(k)
            inputs += (rate, decay)
            inputs += tuple(held)
        written = operator(*inputs, *more, who)
        # A tuple of constants that hangs on the operator would be dropped, and the operator with it.
        if self.returns == "each":
            done = ops.depend(Tensor(True, mindspore.bool_), written)
            result: Any = ()
            for first, last in self.traced_blocks:
                result += self._traced_repeated(done, first, last)
            return result
        return written

    def _traced_repeated(self, value: Any, first: int, last: int) -> Any:
        """The value for each parameter of a block."""
        result: Any = ()
        for _ in range(first, last):
            result += (value,)
        return result

    def _traced_slots(self) -> Any:
        """The slots of each group, and the values of the last one's scalars."""
        slots: Any = ()
        values: Any = ()
        for k in range(self.traced_group_count):
            values = self._traced_scalars_of(k)
            slots += (self._traced_slots_of(k, values),)
        return slots, values

    def _traced_counted(self, done: Any, values: Any) -> Any:
        """Write the scalar states and count the step; the result hangs on that."""
        for j in range(len(self.traced_scalar_states)):
            state = self.traced_scalar_states[j]
            value = ops.cast(values[self.traced_step_slot_count + j], state.dtype)
            done = ops.depend(done, ops.assign(state, value.reshape(state.shape)))
        return ops.depend(done, self.next_step())

    def _traced_available_of(self, k: int) -> Any:
        """What a group's scalars are made from: rate, step, decay, and the hyperparameters that a Parameter holds."""
        rate = self.rates[self.traced_group_rate[k]](self.global_step, self.traced_group_wide[k])
        step = ops.cast(self.global_step, self.wide_type).reshape(()) + 1
        decay = ops.cast(self._decay_of(self.traced_group_member[k]), self.wide_type)
        available: Any = (ops.cast(rate, self.wide_type), step, decay)
        for held in self.traced_held:
            available += (ops.cast(held(self.global_step, self.traced_group_wide[k]), self.wide_type),)
        return available

    def _traced_scalars_of(self, k: int) -> Any:
        available = self._traced_available_of(k) + self.traced_constants
        inputs: Any = ()
        for index in self.traced_input_order:
            inputs += (available[index],)
        return self.traced_scalars(*inputs)

    def _traced_slots_of(self, k: int, values: Any) -> Any:
        ready: Any = ()
        for j in range(self.traced_step_slot_count):
            ready += (ops.cast(values[j], self.traced_slot_type[k]),)
        ready += self.traced_fixed_slots[k]
        ordered: Any = ()
        for index in self.traced_slot_order:
            ordered += (ready[index],)
        return ordered

    def _traced_result(self, done: Any) -> Any:
        if self.returns == "each":
            return done
        if self.returns == "parameters":
            return ops.depend(self.parameters, done)
        return ops.depend(Tensor(True, mindspore.bool_), done)
