"""Follow the regularized leader (FTRL) for MindSpore."""

from tinyms_core import Capabilities, Hyperparameter, KernelSpec, OptimizerSpec, StateSlot, hookimpl

SPEC = OptimizerSpec(
    name="ftrl",
    implementation="tinyms_ftrl.optimizer:FTRL",
    summary="Follow the regularized leader: L1 regularization sets weights to exactly zero.",
    reference="McMahan et al., Ad Click Prediction: a View from the Trenches, KDD 2013",
    oracle="tinyms_ftrl.reference:reference",
    refused="tinyms_ftrl.contract:REFUSED",
    accepted="tinyms_ftrl.contract:ACCEPTED",
    peers="tinyms_ftrl.contract:PEERS",
    hyperparameters=(
        Hyperparameter("initial_accum", 0.1, "[0, inf)"),
        Hyperparameter("learning_rate", 1e-3, kind="rate"),
        Hyperparameter("lr_power", -0.5, "(-inf, 0]"),
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
    state=(
        StateSlot("a", prefix="moments", initial="initial_accum"),
        StateSlot("u", prefix="linear"),
    ),
    capabilities=Capabilities(sparse="lazy", grouped_rates=False, dynamic_rates=False, decay_filter="all"),
)


@hookimpl
def tinyms_optimizers():
    """The optimizers of this distribution."""
    return [SPEC]


@hookimpl
def tinyms_kernels():
    """The kernels of this distribution."""
    return [
        KernelSpec("ftrl", "CPU", "tinyms_ftrl.kernels:ftrl", requires=("numba",)),
        KernelSpec("ftrl", "GPU", "tinyms_ftrl.kernels:ftrl", requires=("numba", "numba_cuda")),
    ]
