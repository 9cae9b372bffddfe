"""The public methods about learning rates; `get_lr` also runs inside a graph."""

from __future__ import annotations

from typing import Any

from mindspore import Parameter, nn, ops

from tinyms_core.kernels.traced_gradients import refuse
from tinyms_core.registry.validation import describe


class RateMethods(nn.Cell):
    """`get_lr`, `get_lr_parameter` and `next_step`."""

    def get_lr(self) -> Any:
        """The learning rate of the current step; asking changes nothing.

        Returns:
            A 0-d tensor, or a tuple of them, one for each parameter, when groups have rates of their own.

        Raises:
            ValueError: the rates are a list and all of them have been used.

        Example:
            >>> from tinyms_core.examples import SignDescent, parameter
            >>> optimizer = SignDescent([parameter("w", [1.0])], learning_rate=[0.5, 0.25])
            >>> float(optimizer.get_lr().asnumpy())
            0.5
        """
        if self.rate_limit > 0:
            refuse(self.global_step[0] >= self.rate_limit, self.rate_limit_message)
        if not self.is_group_lr:
            return self.rates[0](self.global_step, False)
        result: Any = ()
        for i in range(self.param_length):
            result += (self.rates[self.rate_index[i]](self.global_step, False),)
        return result

    def next_step(self) -> Any:
        """Count one step; a classic ``construct`` calls it once, after it has read the rate.

        Returns:
            The new global step.
        """
        return ops.assign_add(self.global_step, self.global_step_increase_tensor)

    def get_lr_parameter(self, param: Any) -> Any:
        """What holds the learning rate of a parameter.

        Arguments:
            param: one of the optimizer's Parameters, or a list of them.

        Returns:
            The Parameter that holds the rate (of shape () or, for listed rates, (n,)), or the
            LearningRateSchedule; a list of them for a list.

        Raises:
            TypeError: ``param`` is neither a Parameter nor a list of Parameters.
            ValueError: a Parameter is not this optimizer's.

        Example:
            >>> from tinyms_core.examples import SignDescent, parameter
            >>> w = parameter("w", [1.0])
            >>> optimizer = SignDescent([w], learning_rate=0.5)
            >>> float(optimizer.get_lr_parameter(w).asnumpy())
            0.5
        """
        if isinstance(param, list):
            return [self.get_lr_parameter(item) for item in param]
        if not isinstance(param, Parameter):
            raise TypeError(
                f"{self.name}: get_lr_parameter: 'param' must be a Parameter or a list of them, got {describe(param)}"
            )
        for setting in self.settings:
            if setting.parameter is param:
                rate = setting.rate
                return rate.learning_rate if hasattr(rate, "learning_rate") else rate.public
        raise ValueError(f"{self.name}: get_lr_parameter: parameter {param.name!r} is not one of this optimizer's")
