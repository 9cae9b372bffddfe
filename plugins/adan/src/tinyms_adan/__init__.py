"""Adan for MindSpore."""

from tinyms_core import Capabilities, Hyperparameter, KernelSpec, OptimizerSpec, StateSlot, hookimpl

SPEC = OptimizerSpec(
    name="adan",
    implementation="tinyms_adan.optimizer:Adan",
    summary="Nesterov momentum, estimated from the differences between gradients, with adaptive steps.",
    reference="Xie et al., Adan: Adaptive Nesterov Momentum Algorithm for Faster Optimizing Deep Models, TPAMI 2024",
    oracle="tinyms_adan.reference:reference",
    refused="tinyms_adan.contract:REFUSED",
    accepted="tinyms_adan.contract:ACCEPTED",
    hyperparameters=(
        Hyperparameter("learning_rate", 1e-3, kind="rate"),
        Hyperparameter("beta1", 0.98, "[0, 1)"),
        Hyperparameter("beta2", 0.92, "[0, 1)"),
        Hyperparameter("beta3", 0.99, "[0, 1)"),
        Hyperparameter("eps", 1e-8, "(0, inf)"),
        Hyperparameter("weight_decay", 0.0, kind="decay"),
        Hyperparameter("no_prox", False, kind="flag"),
        Hyperparameter("loss_scale", 1.0, "(0, inf)", kind="number"),
    ),
    state=(
        StateSlot("m", prefix="exp_avg"),
        StateSlot("d", prefix="exp_avg_diff"),
        StateSlot("n", prefix="exp_avg_sq"),
        StateSlot("previous", prefix="previous_grad"),
    ),
    capabilities=Capabilities(sparse="exact", weight_decay="update"),
)


@hookimpl
def tinyms_optimizers():
    """The optimizers of this distribution."""
    return [SPEC]


@hookimpl
def tinyms_kernels():
    """The kernels of this distribution."""
    return [
        KernelSpec("adan", "CPU", "tinyms_adan.kernels:adan", requires=("numba",)),
        KernelSpec("adan", "GPU", "tinyms_adan.kernels:adan", requires=("numba", "numba_cuda")),
    ]
