"""Adagrad for MindSpore."""

from tinyms_core import Capabilities, Hyperparameter, KernelSpec, OptimizerSpec, StateSlot, hookimpl

SPEC = OptimizerSpec(
    name="adagrad",
    implementation="tinyms_adagrad.optimizer:Adagrad",
    summary="Each element's step is divided by the root of the sum of its squared gradients.",
    reference="Duchi, Hazan and Singer, Adaptive Subgradient Methods for Online Learning, JMLR 12, 2011",
    oracle="tinyms_adagrad.reference:reference",
    refused="tinyms_adagrad.contract:REFUSED",
    accepted="tinyms_adagrad.contract:ACCEPTED",
    peers="tinyms_adagrad.contract:PEERS",
    hyperparameters=(
        Hyperparameter("accum", 0.1, "[0, inf)"),
        Hyperparameter("learning_rate", 1e-3, kind="rate"),
        Hyperparameter("update_slots", True, kind="flag"),
        Hyperparameter("loss_scale", 1.0, "(0, inf)", kind="number"),
        Hyperparameter("weight_decay", 0.0, kind="decay"),
    ),
    state=(StateSlot("h", prefix="accum", initial="accum"),),
    capabilities=Capabilities(sparse="lazy"),
)


@hookimpl
def tinyms_optimizers():
    """The optimizers of this distribution."""
    return [SPEC]


@hookimpl
def tinyms_kernels():
    """The kernels of this distribution."""
    return [
        KernelSpec("adagrad", "CPU", "tinyms_adagrad.kernels:adagrad", requires=("numba",)),
        KernelSpec("adagrad", "GPU", "tinyms_adagrad.kernels:adagrad", requires=("numba", "numba_cuda")),
    ]
