"""THOR for MindSpore: gradients preconditioned by the curvature of each layer."""

from tinyms_core import Capabilities, Hyperparameter, KernelSpec, OptimizerSpec, StateSlot, hookimpl


def every_parameter(parameter):
    """Whether weight decay applies to a parameter by default: it does."""
    return True


SPEC = OptimizerSpec(
    name="thor",
    implementation="tinyms_thor.optimizer:thor",
    summary="Second order: gradients preconditioned, layer by layer, by Kronecker factors of the curvature.",
    reference="Chen et al., THOR, Trace-based Hardware-driven Layer-Oriented Natural Gradient Descent, AAAI 2021",
    refused="tinyms_thor.contract:REFUSED",
    accepted="tinyms_thor.contract:ACCEPTED",
    hyperparameters=(
        Hyperparameter("learning_rate", kind="rate"),
        Hyperparameter("damping", kind="listed"),
        Hyperparameter("momentum", interval="[0, inf)", saved_as="momentum"),
        Hyperparameter("weight_decay", 0.0, kind="decay"),
        Hyperparameter("loss_scale", 1.0, "(0, inf)", kind="number"),
        Hyperparameter("batch_size", 32, "[1, inf)", kind="int"),
        Hyperparameter("use_nesterov", False, kind="flag"),
        Hyperparameter("decay_filter", every_parameter, kind="any"),
        Hyperparameter("split_indices", None, kind="any"),
        Hyperparameter("enable_clip_grad", False, kind="flag"),
        Hyperparameter("frequency", 100, "[2, inf)", kind="int"),
        Hyperparameter("trace_thresholds", None, kind="any"),
        Hyperparameter("factor_decay", None, "[0, 1)"),
        Hyperparameter("damping_balance", False, kind="flag"),
    ),
    state=(StateSlot("v", prefix="moments"),),
    capabilities=Capabilities(
        consumes_network=True,
        layerwise=True,
        grouped_rates=False,
        dynamic_rates=True,
        centralization=False,
        dtypes=("float32",),
        decay_filter="all",
    ),
)


@hookimpl
def tinyms_optimizers():
    """The optimizers of this distribution."""
    return [SPEC]


@hookimpl
def tinyms_kernels():
    """The kernels of this distribution."""
    return [KernelSpec("thor", "CPU", "tinyms_thor.kernels:thor", dtypes=("float32",), requires=("numba", "scipy"))]
