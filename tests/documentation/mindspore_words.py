"""What is wrong with MindSpore's optimizers, in words: data for the page of them.

Each entry is about checks that fail; the page is not written where one has not failed, or a failure has no entry.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

COMMON: Final[Mapping[str, str]] = {
    "bad_gradients_leave_state_untouched": (
        "gradients of a wrong number, shape or type are not refused before the step begins, or with an error that does "
        "not name the parameter"
    ),
    "centralization": "`grad_centralization` has no effect on a convolution of 3 channels",
    "centralization_effective_or_refused": "a group's `grad_centralization` is ignored",
    "dtype_bfloat16": "parameters of bfloat16 are refused",
    "dtype_float16": "for parameters of float16 the state is float16 too, and less exact",
    "dtype_float64": "parameters of float64 are off in the eighth digit: scalars are in float32",
    "dynamic_weight_decay": "a Cell as weight decay is refused",
    "extreme_values": (
        "denormal numbers are flushed to zero or off in PyNative, or gradients of 1e30 give numbers that are not finite"
    ),
    "generator_groups_equal_list": "a generator of parameters is refused: it has no length",
    "get_lr_has_no_side_effect": "beside a group whose rate varies, the other groups' rates lose digits",
    "group_rate": "beside a group whose rate varies, the other groups' rates are coarse: 5e-8 becomes 0",
    "live_rate_change": "a rate that is set between two steps with `set_data` has no effect in PyNative",
    "load_keeps_source": (
        "after loading, the step counter is shared with what was loaded, and changes there with each step"
    ),
    "mixed_dtype": "gradients of another dtype than their parameter's are refused",
    "no_parameter_sized_temporaries": "a PyNative step needs memory of several times the parameter's size",
    "rate_forms": "an iterable of rates that can be read only once is empty when it is used",
    "rate_list_exhausted_is_clean": (
        "a step past the last listed rate is an error about the indices of Gather, which names no rate"
    ),
    "rows": "sparse gradients are refused",
    "rows_outside": "an index outside of the table is refused too late: the step counter has gone on",
    "rows_repeated": "rows that occur several times are not added up first",
    "shape_scalar": "parameters without dimensions are refused",
    "survives_rebinding": (
        "once a parameter has new memory, by `set_data` or `load_param_into_net` for instance, it never moves again in "
        "PyNative"
    ),
    "tail_shapes": "parameters without elements are refused",
    "zero_norm_finite": "parameters without elements are refused",
}
"""By the name of a check, for all optimizers that fail it and have no words of their own."""

_BETA2: Final = (
    "1 - beta2 is a difference in float32, which for 0.999 is off by some 1e-5 of itself; the rest was tried with "
    "another beta2"
)
_NO_FLOAT64: Final = "parameters of float64 are refused"
_HALF: Final = "with momentum the state of float16 parameters is float16, and numbers are less exact"
_NO_KERNEL: Final = "its operator {} has no kernel on CPU"

OWN: Final[Mapping[tuple[str, str], str]] = {
    ("mindspore.nn.AdaFactor", "decay_of_gamma"): "ungrouped parameters named beta or gamma are decayed too",
    ("mindspore.nn.AdaFactor", "decay_of_group"): "a group's decay is ignored; the optimizer's is used for all groups",
    ("mindspore.nn.AdaFactor", "rate_list"): "a list of rates turns `scale_parameter` off",
    ("mindspore.nn.AdaFactor", "rate_of_group"): "a step with a group's rate fails",
    ("mindspore.nn.AdaFactor", "rate_schedule"): "a schedule turns `scale_parameter` off",
    ("mindspore.nn.AdaFactor", "scale"): "gradients are not divided by `loss_scale`",
    ("mindspore.nn.Adagrad", "option_update_slots"): "squared gradients are accumulated all the same",
    ("mindspore.nn.Adam", "default_numbers"): _BETA2,
    ("mindspore.nn.Adam", "dtype_float64"): _NO_FLOAT64,
    ("mindspore.nn.AdamOffload", "checkpoint_resume"): (
        "after loading a checkpoint, an element differs in its last digits from those of training without a break"
    ),
    ("mindspore.nn.AdamOffload", "default_numbers"): _BETA2,
    ("mindspore.nn.AdamOffload", "dtype_float16"): "parameters of float16 are refused",
    ("mindspore.nn.AdamOffload", "dtype_float64"): _NO_FLOAT64,
    ("mindspore.nn.AdamWeightDecay", "default_numbers"): _BETA2,
    ("mindspore.nn.AdamWeightDecay", "rate_list_exhausted_is_clean"): (
        "in PyNative the step past the last listed rate is done; in graphs it is an error that names no rate"
    ),
    ("mindspore.nn.FTRL", "dtype_float16"): "parameters of float16 are refused",
    ("mindspore.nn.FTRL", "dynamic_rates_refused"): "a schedule is refused without the argument's name",
    ("mindspore.nn.FTRL", "grouped_rates_refused"): "a group's rate is refused without the key's name",
    (
        "mindspore.nn.FTRL",
        "option_l1",
    ): "l1 is added whatever the sign of the sum; it should have that sign",
    ("mindspore.nn.FTRL", "rate_forms"): "an int as the rate is refused",
    ("mindspore.nn.FTRL", "rows_outside"): "an index outside of the table is accepted",
    ("mindspore.nn.Lamb", "step_runs"): _NO_KERNEL.format("Lamb"),
    ("mindspore.nn.LARS", "step_runs"): _NO_KERNEL.format("LARSUpdate"),
    ("mindspore.nn.LazyAdam", "default_numbers"): _BETA2,
    ("mindspore.nn.LazyAdam", "dtype_float64"): _NO_FLOAT64,
    ("mindspore.nn.Momentum", "option_use_nesterov"): "the flag is ignored",
    ("mindspore.nn.ProximalAdagrad", "edge_accum"): "an element whose gradients have all been zero becomes NaN",
    ("mindspore.nn.ProximalAdagrad", "option_l1"): "the threshold has the adapted rate in it, in place of the rate",
    ("mindspore.nn.ProximalAdagrad", "option_l2"): "the shrinkage has the adapted rate in it, in place of the rate",
    (
        "mindspore.nn.RMSProp",
        "edge_decay",
    ): "epsilon is in another place, which without an average shows at its default too",
    (
        "mindspore.nn.RMSProp",
        "golden_state",
    ): "centered, the momentum of an element is 3e-6 of itself off after 14 steps",
    ("mindspore.nn.RMSProp", "option_epsilon"): (
        "epsilon is outside of the root for elements in whole blocks of eight, and inside for the others"
    ),
    ("mindspore.nn.SGD", "golden_state"): _HALF,
    ("mindspore.nn.SGD", "golden_trajectory"): _HALF,
    ("mindspore.nn.SGD", "state_dtype_stable"): _HALF,
    ("mindspore.nn.SGD", "state_size_declared"): _HALF,
    ("mindspore.nn.SGD", "zero_gradient"): _HALF,
    ("mindspore.nn.thor", "step_runs"): _NO_KERNEL.format("CholeskyTrsm"),
}
"""By optimizer and check."""
