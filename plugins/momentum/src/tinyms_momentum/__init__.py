"""Momentum and Nesterov momentum for MindSpore."""

from tinyms_core import Capabilities, Hyperparameter, KernelSpec, OptimizerSpec, StateSlot, hookimpl

SPEC = OptimizerSpec(
    name="momentum",
    implementation="tinyms_momentum.optimizer:Momentum",
    summary="Gradient descent with a running sum of gradients, optionally Nesterov's.",
    reference="Sutskever et al., On the importance of initialization and momentum in deep learning, ICML 2013",
    oracle="tinyms_momentum.reference:reference",
    refused="tinyms_momentum.contract:REFUSED",
    accepted="tinyms_momentum.contract:ACCEPTED",
    peers="tinyms_momentum.contract:PEERS",
    hyperparameters=(
        Hyperparameter("learning_rate", kind="rate"),
        Hyperparameter("momentum", interval="[0, inf)", saved_as="momentum"),
        Hyperparameter("weight_decay", 0.0, kind="decay"),
        Hyperparameter("loss_scale", 1.0, "(0, inf)", kind="number"),
        Hyperparameter("use_nesterov", False, kind="flag"),
    ),
    state=(StateSlot("v", prefix="moments"),),
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
        KernelSpec("momentum", "CPU", "tinyms_momentum.kernels:momentum", requires=("numba",)),
        KernelSpec("momentum", "GPU", "tinyms_momentum.kernels:momentum", requires=("numba", "numba_cuda")),
    ]
