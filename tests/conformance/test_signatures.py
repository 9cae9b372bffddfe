"""Each optimizer's constructor takes what is documented, the reference's where it has it: names, order, defaults."""

from __future__ import annotations

import inspect

import pytest

import tinyms_core

SIGNATURES = {
    "adafactor": (
        "(params, learning_rate=None, eps=(1e-30, 0.001), clip_threshold=1.0, decay_rate=0.8, beta1=None, "
        "weight_decay=0.0, scale_parameter=True, relative_step=True, warmup_init=False, compression=False, "
        "loss_scale=1.0)"
    ),
    "adagrad": "(params, accum=0.1, learning_rate=0.001, update_slots=True, loss_scale=1.0, weight_decay=0.0)",
    "adam": (
        "(params, learning_rate=0.001, beta1=0.9, beta2=0.999, eps=1e-08, "
        "use_locking=False, use_nesterov=False, weight_decay=0.0, loss_scale=1.0)"
    ),
    "adam_offload": (
        "(params, learning_rate=0.001, beta1=0.9, beta2=0.999, eps=1e-08, "
        "use_locking=False, use_nesterov=False, weight_decay=0.0, loss_scale=1.0)"
    ),
    "adam_weight_decay": "(params, learning_rate=0.001, beta1=0.9, beta2=0.999, eps=1e-06, weight_decay=0.0)",
    "adamw": (
        "(params, learning_rate=0.001, beta1=0.9, beta2=0.999, eps=1e-08, weight_decay=0.01, amsgrad=False, "
        "loss_scale=1.0)"
    ),
    "adan": (
        "(params, learning_rate=0.001, beta1=0.98, beta2=0.92, beta3=0.99, eps=1e-08, weight_decay=0.0, "
        "no_prox=False, loss_scale=1.0)"
    ),
    "ftrl": (
        "(params, initial_accum=0.1, learning_rate=0.001, lr_power=-0.5, l1=0.0, l2=0.0, "
        "use_locking=False, loss_scale=1.0, weight_decay=0.0)"
    ),
    "lamb": "(params, learning_rate, beta1=0.9, beta2=0.999, eps=1e-06, weight_decay=0.0)",
    "lars": "(optimizer, epsilon=1e-05, coefficient=0.001, use_clip=False, lars_filter=neither_norm_nor_bias)",
    "lazy_adam": (
        "(params, learning_rate=0.001, beta1=0.9, beta2=0.999, eps=1e-08, "
        "use_locking=False, use_nesterov=False, weight_decay=0.0, loss_scale=1.0)"
    ),
    "lion": "(params, learning_rate=0.0001, beta1=0.9, beta2=0.99, weight_decay=0.0, loss_scale=1.0)",
    "momentum": "(params, learning_rate, momentum, weight_decay=0.0, loss_scale=1.0, use_nesterov=False)",
    "muon": (
        "(params, learning_rate=0.02, momentum=0.95, nesterov=True, ns_steps=5, "
        "ns_coefficients=(3.4445, -4.775, 2.0315), weight_decay=0.0, orthogonal=True, match_adamw=False, "
        "adamw_scale=0.015, adamw_beta1=0.9, adamw_beta2=0.95, adamw_eps=1e-08, loss_scale=1.0)"
    ),
    "proximal_adagrad": (
        "(params, accum=0.1, learning_rate=0.001, l1=0.0, l2=0.0, use_locking=False, loss_scale=1.0, weight_decay=0.0)"
    ),
    "rmsprop": (
        "(params, learning_rate=0.1, decay=0.9, momentum=0.0, epsilon=1e-10, "
        "use_locking=False, centered=False, loss_scale=1.0, weight_decay=0.0)"
    ),
    "sgd": "(params, learning_rate=0.1, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False, loss_scale=1.0)",
    "thor": (
        "(net, learning_rate, damping, momentum, weight_decay=0.0, loss_scale=1.0, batch_size=32, use_nesterov=False, "
        "decay_filter=every_parameter, split_indices=None, enable_clip_grad=False, frequency=100, *, "
        "trace_thresholds=None, factor_decay=None, damping_balance=False)"
    ),
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_the_signature_is_the_documented_one(name: str) -> None:
    signature = inspect.signature(tinyms_core.get_optimizer(name))
    bare = [_bare(parameter) for parameter in signature.parameters.values()]
    assert str(signature.replace(parameters=bare, return_annotation=inspect.Signature.empty)) == SIGNATURES[name]


class _Named(str):
    """Text that is shown without quotes."""

    __repr__ = str.__str__


def _bare(parameter: inspect.Parameter) -> inspect.Parameter:
    """A parameter without its annotation, and with a function's name for a function."""
    default = parameter.default
    if inspect.isfunction(default):
        default = _Named(default.__name__)
    return parameter.replace(annotation=inspect.Parameter.empty, default=default)


def test_every_optimizer_has_its_signature_here() -> None:
    assert sorted(SIGNATURES) == sorted(tinyms_core.list_optimizers())
