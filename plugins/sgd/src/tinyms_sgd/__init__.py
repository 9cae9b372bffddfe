"""Stochastic gradient descent for MindSpore."""

from tinyms_core import Capabilities, Hyperparameter, KernelSpec, OptimizerSpec, StateSlot, hookimpl

SPEC = OptimizerSpec(
    name="sgd",
    implementation="tinyms_sgd.optimizer:SGD",
    summary="Gradient descent; with momentum on demand, damped or Nesterov's.",
    reference="Sutskever et al., On the importance of initialization and momentum in deep learning, ICML 2013",
    oracle="tinyms_sgd.reference:reference",
    refused="tinyms_sgd.contract:REFUSED",
    accepted="tinyms_sgd.contract:ACCEPTED",
    peers="tinyms_sgd.contract:PEERS",
    hyperparameters=(
        Hyperparameter("learning_rate", 0.1, kind="rate"),
        Hyperparameter("momentum", 0.0, "[0, inf)", kind="number", saved_as="momentum"),
        Hyperparameter("dampening", 0.0, "[0, inf)", kind="number"),
        Hyperparameter("weight_decay", 0.0, kind="decay"),
        Hyperparameter("nesterov", False, kind="flag"),
        Hyperparameter("loss_scale", 1.0, "(0, inf)", kind="number"),
    ),
    state=(
        StateSlot("v", prefix="accum"),
        StateSlot("stat", prefix="stat", initial=1.0),
    ),
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
        KernelSpec("sgd", "CPU", "tinyms_sgd.kernels:sgd", requires=("numba",)),
        KernelSpec("sgd", "GPU", "tinyms_sgd.kernels:sgd", requires=("numba", "numba_cuda")),
    ]
