"""Adam with decoupled weight decay, without bias correction, for MindSpore."""

from tinyms_core import Capabilities, Hyperparameter, KernelSpec, OptimizerSpec, StateSlot, hookimpl

SPEC = OptimizerSpec(
    name="adam_weight_decay",
    implementation="tinyms_adam_weight_decay.optimizer:AdamWeightDecay",
    summary="Adam without bias correction whose weight decay acts on the weights, not on the gradient.",
    reference="Loshchilov and Hutter, Decoupled Weight Decay Regularization, ICLR 2019, arXiv:1711.05101",
    oracle="tinyms_adam_weight_decay.reference:reference",
    refused="tinyms_adam_weight_decay.contract:REFUSED",
    accepted="tinyms_adam_weight_decay.contract:ACCEPTED",
    peers="tinyms_adam_weight_decay.contract:PEERS",
    hyperparameters=(
        Hyperparameter("learning_rate", 1e-3, kind="rate"),
        Hyperparameter("beta1", 0.9, "(0, 1)"),
        Hyperparameter("beta2", 0.999, "(0, 1)"),
        Hyperparameter("eps", 1e-6, "(0, inf)"),
        Hyperparameter("weight_decay", 0.0, kind="decay"),
    ),
    state=(
        StateSlot("m", prefix="adam_m"),
        StateSlot("v", prefix="adam_v"),
    ),
    capabilities=Capabilities(sparse="lazy", weight_decay="update", loss_scale=False, centralization=False),
)


@hookimpl
def tinyms_optimizers():
    """The optimizers of this distribution."""
    return [SPEC]


@hookimpl
def tinyms_kernels():
    """The kernels of this distribution."""
    return [
        KernelSpec(
            "adam_weight_decay", "CPU", "tinyms_adam_weight_decay.kernels:adam_weight_decay", requires=("numba",)
        ),
        KernelSpec(
            "adam_weight_decay",
            "GPU",
            "tinyms_adam_weight_decay.kernels:adam_weight_decay",
            requires=("numba", "numba_cuda"),
        ),
    ]
