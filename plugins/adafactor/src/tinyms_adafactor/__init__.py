"""AdaFactor for MindSpore."""

from tinyms_core import Capabilities, Hyperparameter, KernelSpec, OptimizerSpec, StateSlot, hookimpl

SPEC = OptimizerSpec(
    name="adafactor",
    implementation="tinyms_adafactor.optimizer:AdaFactor",
    summary="Adaptive rates from row and column averages: state grows with a matrix's edges, not with its area.",
    reference=(
        "Shazeer and Stern, Adafactor: Adaptive Learning Rates with Sublinear Memory Cost, ICML 2018, arXiv:1804.04235"
    ),
    oracle="tinyms_adafactor.reference:reference",
    refused="tinyms_adafactor.contract:REFUSED",
    accepted="tinyms_adafactor.contract:ACCEPTED",
    peers="tinyms_adafactor.contract:PEERS",
    hyperparameters=(
        Hyperparameter("learning_rate", None, kind="rate", only_with="not relative_step"),
        Hyperparameter("eps", (1e-30, 1e-3), "(0, inf)", kind="floats"),
        Hyperparameter("clip_threshold", 1.0, "(0, inf)"),
        Hyperparameter("decay_rate", 0.8, "(0, 1)"),
        Hyperparameter("beta1", None, "(0, 1)"),
        Hyperparameter("weight_decay", 0.0, kind="decay"),
        Hyperparameter("scale_parameter", True, kind="flag"),
        Hyperparameter("relative_step", True, kind="flag"),
        Hyperparameter("warmup_init", False, kind="flag", only_with="relative_step"),
        Hyperparameter("compression", False, kind="flag"),
        Hyperparameter("loss_scale", 1.0, "(0, inf)", kind="number"),
    ),
    state=(
        StateSlot("rows", prefix="exp_avg_sq_row", shape="rows", separator="_"),
        StateSlot("columns", prefix="exp_avg_sq_col", shape="columns", separator="_"),
        StateSlot("full", prefix="exp_avg_sq", shape="unfactored", separator="_", halved="compression"),
        StateSlot("average", prefix="exp_avg", given="beta1"),
        StateSlot("step", prefix="afactor_step", shape="singleton"),
    ),
    capabilities=Capabilities(weight_decay="update", centralization=False, layerwise=True),
)


@hookimpl
def tinyms_optimizers():
    """The optimizers of this distribution."""
    return [SPEC]


@hookimpl
def tinyms_kernels():
    """The kernels of this distribution."""
    return [
        KernelSpec("adafactor", "CPU", "tinyms_adafactor.kernels:AdaFactorKernel", requires=("numba",)),
        KernelSpec("adafactor", "GPU", "tinyms_adafactor.gpu:AdaFactorGpuKernel", requires=("numba", "numba_cuda")),
    ]
