"""Lamb for MindSpore."""

from tinyms_core import Capabilities, Hyperparameter, KernelSpec, OptimizerSpec, StateSlot, hookimpl

SPEC = OptimizerSpec(
    name="lamb",
    implementation="tinyms_lamb.optimizer:Lamb",
    summary="Adam with a step that is scaled, layer by layer, to the norm of the weights; for large batches.",
    reference=(
        "You et al., Large Batch Optimization for Deep Learning: Training BERT in 76 minutes, "
        "ICLR 2020, arXiv:1904.00962"
    ),
    oracle="tinyms_lamb.reference:reference",
    refused="tinyms_lamb.contract:REFUSED",
    accepted="tinyms_lamb.contract:ACCEPTED",
    peers="tinyms_lamb.contract:PEERS",
    hyperparameters=(
        Hyperparameter("learning_rate", kind="rate"),
        Hyperparameter("beta1", 0.9, "(0, 1)"),
        Hyperparameter("beta2", 0.999, "(0, 1)"),
        Hyperparameter("eps", 1e-6, "(0, inf)"),
        Hyperparameter("weight_decay", 0.0, kind="decay"),
    ),
    state=(StateSlot("m", prefix="lamb_m"), StateSlot("v", prefix="lamb_v")),
    capabilities=Capabilities(weight_decay="update", loss_scale=False, layerwise=True),
)


@hookimpl
def tinyms_optimizers():
    """The optimizers of this distribution."""
    return [SPEC]


@hookimpl
def tinyms_kernels():
    """The kernels of this distribution."""
    return [
        KernelSpec("lamb", "CPU", "tinyms_lamb.kernels:lamb", requires=("numba",)),
        KernelSpec("lamb", "GPU", "tinyms_lamb.kernels:lamb", requires=("numba", "numba_cuda")),
    ]
