"""Adam for MindSpore."""

from tinyms_core import Capabilities, Hyperparameter, KernelSpec, OptimizerSpec, StateSlot, hookimpl

SPEC = OptimizerSpec(
    name="adam",
    implementation="tinyms_adam.optimizer:Adam",
    summary="Adaptive moment estimation: each element's step is scaled by its gradient's second moment.",
    reference="Kingma and Ba, Adam: A Method for Stochastic Optimization, ICLR 2015, arXiv:1412.6980",
    oracle="tinyms_adam.reference:reference",
    refused="tinyms_adam.contract:REFUSED",
    accepted="tinyms_adam.contract:ACCEPTED",
    peers="tinyms_adam.contract:PEERS",
    hyperparameters=(
        Hyperparameter("learning_rate", 1e-3, kind="rate"),
        Hyperparameter("beta1", 0.9, "(0, 1)"),
        Hyperparameter("beta2", 0.999, "(0, 1)"),
        Hyperparameter("eps", 1e-8, "(0, inf)"),
        Hyperparameter(
            "use_locking",
            False,
            kind="flag",
            inert="a step always holds the optimizer's lock; there is no unlocked one",
        ),
        Hyperparameter("use_nesterov", False, kind="flag"),
        Hyperparameter("weight_decay", 0.0, kind="decay"),
        Hyperparameter("loss_scale", 1.0, "(0, inf)", kind="number"),
    ),
    state=(
        StateSlot("m", prefix="moment1"),
        StateSlot("v", prefix="moment2"),
        StateSlot("beta1_power", prefix="beta1_power", initial=1.0, shape="scalar"),
        StateSlot("beta2_power", prefix="beta2_power", initial=1.0, shape="scalar"),
    ),
    capabilities=Capabilities(sparse="exact"),
)


@hookimpl
def tinyms_optimizers():
    """The optimizers of this distribution."""
    return [SPEC]


@hookimpl
def tinyms_kernels():
    """The kernels of this distribution."""
    return [
        KernelSpec("adam", "CPU", "tinyms_adam.kernels:adam", requires=("numba",)),
        KernelSpec("adam", "GPU", "tinyms_adam.kernels:adam", requires=("numba", "numba_cuda")),
    ]
