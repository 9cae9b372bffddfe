"""The public methods that preprocess gradients; they run in PyNative and are parsed in a graph."""

from __future__ import annotations

from typing import Any

from mindspore import nn, ops

from tinyms_core.kernels.traced_gradients import centralized, decayed, scaled


class GradientMethods(nn.Cell):
    """`decay_weight`, `gradients_centralization` and `scale_grad`, to be called in this order."""

    def get_weight_decay(self) -> Any:
        """The weight decay of the current step, times the loss scale.

        Returns:
            A tuple of 0-d tensors, one for each parameter; 0 where no decay applies.

        Example:
            >>> from tinyms_core.examples import SignDescent, parameter
            >>> optimizer = SignDescent([parameter("w", [1.0])], learning_rate=0.1, weight_decay=0.5)
            >>> float(optimizer.get_weight_decay()[0].asnumpy())
            0.5
        """
        result: Any = ()
        for i in range(self.param_length):
            result += (self.loss_scale_wide * self._decay_of(i),)
        return result

    def _decay_of(self, index: int) -> Any:
        if self.decay_cell_index[index] < 0:
            return self.fixed_decays[index]
        decay = self.decay_cells[self.decay_cell_index[index]](self.global_step)
        return ops.cast(decay, self.wide_type).reshape(())

    def decay_weight(self, gradients: Any) -> Any:
        """Add weight decay to dense gradients: ``g + loss_scale * weight_decay * w`` where decay applies.

        Arguments:
            gradients: tuple of Tensors, one for each parameter, of the parameter's shape.

        Returns:
            The decayed gradients, a tuple, each in the dtype that it had.

        Example:
            >>> from tinyms_core.examples import SignDescent, parameter, tensor
            >>> optimizer = SignDescent([parameter("w", [2.0])], learning_rate=0.1, weight_decay=0.5)
            >>> optimizer.decay_weight((tensor([1.0]),))[0].asnumpy().tolist()
            [2.0]
        """
        if not self.exec_weight_decay:
            return gradients
        result: Any = ()
        for i in range(self.param_length):
            gradient = gradients[i]
            if self.decay_flags[i]:
                gradient = decayed(gradient, self.parameters[i], self.loss_scale_wide * self._decay_of(i))
            result += (gradient,)
        return result

    def gradients_centralization(self, gradients: Any) -> Any:
        """Subtract from each gradient its mean over all axes but the first, where a group asks for it.

        Arguments:
            gradients: tuple of Tensors, one for each parameter, of the parameter's shape.

        Returns:
            The centralized gradients, a tuple, each in the dtype that it had.

        Example:
            >>> from tinyms_core.examples import SignDescent, parameter, tensor
            >>> kernel = parameter("conv.weight", [[[1.0, 2.0]]])
            >>> optimizer = SignDescent([{"params": [kernel], "grad_centralization": True}], learning_rate=0.1)
            >>> optimizer.gradients_centralization((tensor([[[1.0, 3.0]]]),))[0].asnumpy().tolist()
            [[[-1.0, 1.0]]]
        """
        if not self.grad_centralization:
            return gradients
        result: Any = ()
        for i in range(self.param_length):
            gradient = gradients[i]
            if self.grad_centralization_flags[i]:
                gradient = centralized(gradient)
            result += (gradient,)
        return result

    def scale_grad(self, gradients: Any) -> Any:
        """Divide dense gradients by the loss scale.

        Arguments:
            gradients: tuple of Tensors, one for each parameter.

        Returns:
            The unscaled gradients, a tuple, each in the dtype that it had.

        Example:
            >>> from tinyms_core.examples import SignDescent, parameter, tensor
            >>> optimizer = SignDescent([parameter("w", [2.0])], learning_rate=0.1, loss_scale=4.0)
            >>> optimizer.scale_grad((tensor([8.0]),))[0].asnumpy().tolist()
            [2.0]
        """
        if not self.need_scale:
            return gradients
        result: Any = ()
        for i in range(self.param_length):
            result += (scaled(gradients[i], self.reciprocal_scale),)
        return result
