"""LARS for MindSpore: layer-wise adaptive rates around another optimizer."""

from tinyms_core import Capabilities, Hyperparameter, KernelSpec, OptimizerSpec, hookimpl


def neither_norm_nor_bias(parameter):
    """Whether LARS applies by default: to parameters with neither ``LayerNorm`` nor ``bias`` in their names."""
    return "LayerNorm" not in parameter.name and "bias" not in parameter.name


SPEC = OptimizerSpec(
    name="lars",
    implementation="tinyms_lars.optimizer:LARS",
    summary="Around another optimizer: gradients scaled, layer by layer, to the norm of the weights.",
    reference="You, Gitman, Ginsburg, Large Batch Training of Convolutional Networks, arXiv:1708.03888",
    oracle="tinyms_lars.reference:reference",
    refused="tinyms_lars.contract:REFUSED",
    accepted="tinyms_lars.contract:ACCEPTED",
    hyperparameters=(
        Hyperparameter("epsilon", 1e-5, "(0, inf)"),
        Hyperparameter("coefficient", 0.001, "(0, inf)"),
        Hyperparameter("use_clip", False, kind="flag"),
        Hyperparameter("lars_filter", neither_norm_nor_bias, kind="any"),
    ),
    capabilities=Capabilities(wraps_optimizer=True, layerwise=True),
)


@hookimpl
def tinyms_optimizers():
    """The optimizers of this distribution."""
    return [SPEC]


@hookimpl
def tinyms_kernels():
    """The kernels of this distribution."""
    return [
        KernelSpec("lars", "CPU", "tinyms_lars.kernels:lars", requires=("numba",)),
        KernelSpec("lars", "GPU", "tinyms_lars.kernels:lars", requires=("numba", "numba_cuda")),
    ]
