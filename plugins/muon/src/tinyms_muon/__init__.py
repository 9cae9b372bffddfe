"""Muon for MindSpore."""

from tinyms_core import Capabilities, Hyperparameter, KernelSpec, OptimizerSpec, StateSlot, hookimpl

SPEC = OptimizerSpec(
    name="muon",
    implementation="tinyms_muon.optimizer:Muon",
    summary="Momentum that is made orthogonal, for matrices; AdamW for all other parameters.",
    reference="Jordan et al., Muon: An optimizer for hidden layers in neural networks, 2024",
    oracle="tinyms_muon.reference:reference",
    refused="tinyms_muon.contract:REFUSED",
    accepted="tinyms_muon.contract:ACCEPTED",
    hyperparameters=(
        Hyperparameter("learning_rate", 0.02, kind="rate"),
        Hyperparameter("momentum", 0.95, "[0, 1)"),
        Hyperparameter("nesterov", True, kind="flag"),
        Hyperparameter("ns_steps", 5, "[1, 100]", kind="int"),
        Hyperparameter("ns_coefficients", (3.4445, -4.7750, 2.0315), kind="floats"),
        Hyperparameter("weight_decay", 0.0, kind="decay"),
        Hyperparameter("orthogonal", True, kind="flag"),
        Hyperparameter("match_adamw", False, kind="flag"),
        Hyperparameter("adamw_scale", 0.015, "(0, inf)", only_with="not match_adamw"),
        Hyperparameter("adamw_beta1", 0.9, "[0, 1)"),
        Hyperparameter("adamw_beta2", 0.95, "[0, 1)"),
        Hyperparameter("adamw_eps", 1e-8, "(0, inf)"),
        Hyperparameter("loss_scale", 1.0, "(0, inf)", kind="number"),
    ),
    state=(
        StateSlot("m", prefix="exp_avg"),
        StateSlot("v", prefix="exp_avg_sq", shape="unfactored", shaped_with="orthogonal"),
    ),
    capabilities=Capabilities(
        weight_decay="update", layerwise=True, workspace=True, group_options=("orthogonal", "adamw_scale")
    ),
)


@hookimpl
def tinyms_optimizers():
    """The optimizers of this distribution."""
    return [SPEC]


@hookimpl
def tinyms_kernels():
    """The kernels of this distribution."""
    return [KernelSpec("muon", "CPU", "tinyms_muon.kernels:KERNEL", requires=("numba",))]
