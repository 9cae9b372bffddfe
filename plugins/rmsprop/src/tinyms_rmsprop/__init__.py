"""RMSProp for MindSpore."""

from tinyms_core import Capabilities, Hyperparameter, KernelSpec, OptimizerSpec, StateSlot, hookimpl

SPEC = OptimizerSpec(
    name="rmsprop",
    implementation="tinyms_rmsprop.optimizer:RMSProp",
    summary="Each element's step is divided by the running root mean square of its gradient, optionally centered.",
    reference="Hinton, Neural Networks for Machine Learning, lecture 6, 2012; centered: Graves, arXiv:1308.0850",
    oracle="tinyms_rmsprop.reference:reference",
    refused="tinyms_rmsprop.contract:REFUSED",
    accepted="tinyms_rmsprop.contract:ACCEPTED",
    peers="tinyms_rmsprop.contract:PEERS",
    hyperparameters=(
        Hyperparameter("learning_rate", 0.1, kind="rate"),
        Hyperparameter("decay", 0.9, "[0, inf)"),
        Hyperparameter("momentum", 0.0, "[0, inf)"),
        Hyperparameter("epsilon", 1e-10, "(0, inf)"),
        Hyperparameter(
            "use_locking",
            False,
            kind="flag",
            inert="a step always holds the optimizer's lock; there is no unlocked one",
        ),
        Hyperparameter("centered", False, kind="flag"),
        Hyperparameter("loss_scale", 1.0, "(0, inf)", kind="number"),
        Hyperparameter("weight_decay", 0.0, kind="decay"),
    ),
    state=(
        StateSlot("s", prefix="mean_square", initial=1.0),
        StateSlot("buffer", prefix="moment"),
        StateSlot("mean", prefix="mean_grad"),
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
        KernelSpec("rmsprop", "CPU", "tinyms_rmsprop.kernels:rmsprop", requires=("numba",)),
        KernelSpec("rmsprop", "GPU", "tinyms_rmsprop.kernels:rmsprop", requires=("numba", "numba_cuda")),
    ]
