"""Signum for MindSpore, as anyone would add an optimizer to tinyms_core."""

from tinyms_core import Capabilities, Hyperparameter, KernelSpec, OptimizerSpec, StateSlot, hookimpl

SPEC = OptimizerSpec(
    name="signum",
    implementation="signum_optimizer.optimizer:Signum",
    aliases=("sign_momentum",),
    summary="Steps along the sign of the momentum.",
    reference="Bernstein et al., signSGD: Compressed Optimisation for Non-Convex Problems, arXiv:1802.04434",
    oracle="signum_optimizer.reference:reference",
    refused="signum_optimizer.contract:REFUSED",
    accepted="signum_optimizer.contract:ACCEPTED",
    hyperparameters=(
        Hyperparameter("learning_rate", 1e-3, kind="rate"),
        Hyperparameter("beta", 0.9, "[0, 1)"),
        Hyperparameter("weight_decay", 0.0, kind="decay"),
        Hyperparameter("loss_scale", 1.0, "(0, inf)", kind="number"),
    ),
    state=(StateSlot("m", prefix="signum_m"),),
    capabilities=Capabilities(weight_decay="update"),
)


@hookimpl
def tinyms_optimizers():
    """One optimizer."""
    return [SPEC]


@hookimpl
def tinyms_kernels():
    """Its kernel, derived from the rule."""
    return [KernelSpec("signum", "CPU", "signum_optimizer.optimizer:signum")]
