"""Lion for MindSpore."""

from tinyms_core import Capabilities, Hyperparameter, KernelSpec, OptimizerSpec, StateSlot, hookimpl

SPEC = OptimizerSpec(
    name="lion",
    implementation="tinyms_lion.optimizer:Lion",
    summary="Steps of one size along the sign of a momentum, with decoupled weight decay.",
    reference="Chen et al., Symbolic Discovery of Optimization Algorithms, NeurIPS 2023, arXiv:2302.06675",
    oracle="tinyms_lion.reference:reference",
    refused="tinyms_lion.contract:REFUSED",
    accepted="tinyms_lion.contract:ACCEPTED",
    hyperparameters=(
        Hyperparameter("learning_rate", 1e-4, kind="rate"),
        Hyperparameter("beta1", 0.9, "[0, 1)"),
        Hyperparameter("beta2", 0.99, "[0, 1)"),
        Hyperparameter("weight_decay", 0.0, kind="decay"),
        Hyperparameter("loss_scale", 1.0, "(0, inf)", kind="number"),
    ),
    state=(StateSlot("m", prefix="exp_avg"),),
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
        KernelSpec("lion", "CPU", "tinyms_lion.kernels:lion", requires=("numba",)),
        KernelSpec("lion", "GPU", "tinyms_lion.kernels:lion", requires=("numba", "numba_cuda")),
    ]
