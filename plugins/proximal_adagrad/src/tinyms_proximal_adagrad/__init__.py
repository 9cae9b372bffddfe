"""Adagrad with proximal steps for MindSpore."""

from tinyms_core import Capabilities, Hyperparameter, KernelSpec, OptimizerSpec, StateSlot, hookimpl

SPEC = OptimizerSpec(
    name="proximal_adagrad",
    implementation="tinyms_proximal_adagrad.optimizer:ProximalAdagrad",
    summary="Adagrad followed by a proximal step, which applies L1 and L2 regularization exactly.",
    reference=("Duchi and Singer, Efficient Online and Batch Learning Using Forward Backward Splitting, JMLR 10, 2009"),
    oracle="tinyms_proximal_adagrad.reference:reference",
    refused="tinyms_proximal_adagrad.contract:REFUSED",
    accepted="tinyms_proximal_adagrad.contract:ACCEPTED",
    peers="tinyms_proximal_adagrad.contract:PEERS",
    hyperparameters=(
        Hyperparameter("accum", 0.1, "[0, inf)"),
        Hyperparameter("learning_rate", 1e-3, kind="rate"),
        Hyperparameter("l1", 0.0, "[0, inf)"),
        Hyperparameter("l2", 0.0, "[0, inf)"),
        Hyperparameter(
            "use_locking",
            False,
            kind="flag",
            inert="a step always holds the optimizer's lock; there is no unlocked one",
        ),
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
        KernelSpec("proximal_adagrad", "CPU", "tinyms_proximal_adagrad.kernels:proximal_adagrad", requires=("numba",)),
        KernelSpec(
            "proximal_adagrad",
            "GPU",
            "tinyms_proximal_adagrad.kernels:proximal_adagrad",
            requires=("numba", "numba_cuda"),
        ),
    ]
