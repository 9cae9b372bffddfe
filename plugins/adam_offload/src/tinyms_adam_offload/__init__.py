"""Adam with its moments in the host's memory for MindSpore."""

from tinyms_core import Capabilities, Hyperparameter, KernelSpec, OptimizerSpec, StateSlot, hookimpl

SPEC = OptimizerSpec(
    name="adam_offload",
    implementation="tinyms_adam_offload.optimizer:AdamOffload",
    summary="Adam whose moments are kept and updated on the host, for models that fill the device.",
    reference="Kingma and Ba, Adam: A Method for Stochastic Optimization, ICLR 2015, arXiv:1412.6980",
    oracle="tinyms_adam_offload.reference:reference",
    refused="tinyms_adam_offload.contract:REFUSED",
    accepted="tinyms_adam_offload.contract:ACCEPTED",
    peers="tinyms_adam_offload.contract:PEERS",
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
        StateSlot("beta1_power", prefix="beta1_power", initial=1.0, shape="singleton"),
        StateSlot("beta2_power", prefix="beta2_power", initial=1.0, shape="singleton"),
    ),
    capabilities=Capabilities(sparse="exact", centralization=False, offload=True),
)


@hookimpl
def tinyms_optimizers():
    """The optimizers of this distribution."""
    return [SPEC]


@hookimpl
def tinyms_kernels():
    """The kernels of this distribution."""
    return [
        KernelSpec("adam_offload", "CPU", "tinyms_adam_offload.kernels:adam_offload", requires=("numba",)),
        KernelSpec("adam_offload", "GPU", "tinyms_adam_offload.kernels:adam_offload", requires=("numba", "numba_cuda")),
    ]
