"""Adam with decoupled weight decay and bias correction, for MindSpore."""

from tinyms_core import Capabilities, Hyperparameter, KernelSpec, OptimizerSpec, StateSlot, hookimpl

SPEC = OptimizerSpec(
    name="adamw",
    implementation="tinyms_adamw.optimizer:AdamW",
    summary="Adam, bias-corrected, whose weight decay acts on the weights, not on the gradient.",
    reference="Loshchilov and Hutter, Decoupled Weight Decay Regularization, ICLR 2019, arXiv:1711.05101",
    oracle="tinyms_adamw.reference:reference",
    refused="tinyms_adamw.contract:REFUSED",
    accepted="tinyms_adamw.contract:ACCEPTED",
    hyperparameters=(
        Hyperparameter("learning_rate", 1e-3, kind="rate"),
        Hyperparameter("beta1", 0.9, "[0, 1)"),
        Hyperparameter("beta2", 0.999, "[0, 1)"),
        Hyperparameter("eps", 1e-8, "(0, inf)"),
        Hyperparameter("weight_decay", 1e-2, kind="decay"),
        Hyperparameter("amsgrad", False, kind="flag"),
        Hyperparameter("loss_scale", 1.0, "(0, inf)", kind="number"),
    ),
    state=(
        StateSlot("m", prefix="exp_avg"),
        StateSlot("v", prefix="exp_avg_sq"),
        StateSlot("largest", prefix="max_exp_avg_sq", given="amsgrad"),
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
        KernelSpec("adamw", "CPU", "tinyms_adamw.kernels:adamw", requires=("numba",)),
        KernelSpec("adamw", "GPU", "tinyms_adamw.kernels:adamw", requires=("numba", "numba_cuda")),
    ]
