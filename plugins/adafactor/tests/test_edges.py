"""AdaFactor at the edges: tiny, huge and no gradients, odd shapes, averages in float16, rates."""

import mindspore
import numpy as np
import pytest
from mindspore import Parameter, Tensor
from tinyms_adafactor import SPEC
from tinyms_adafactor.optimizer import AdaFactor
from tinyms_adafactor.reference import reference

import tinyms_core
from tinyms_core.examples import parameter, tensor
from tinyms_core.kernels.threads import thread_limit

SHAPES = [(1, 3000), (3000, 1), (1, 1), (2, 1500), (700, 1100), (3, 40, 1200), (5, 4, 6), (2, 3, 4, 5), (70_000,), ()]
OWN = {
    "eps": (1e-30, 1e-3), "clip_threshold": 1.0, "decay_rate": 0.8, "beta1": None, "scale_parameter": True,
    "relative_step": True, "warmup_init": False, "compression": False,
}  # fmt: skip


def first_state(shape, options):
    return {
        slot.name: np.zeros(slot.shape_for(shape)) if slot.per_parameter else 0.0
        for slot in SPEC.state
        if slot.kept_with({**OWN, **options})
    }


def run_both(shape, gradients, **options):
    """The parameter and the right one after steps with some gradients, and the optimizer."""
    start = 1.0 + 0.1 * np.random.default_rng(3).standard_normal(shape)
    w = Parameter(Tensor(np.asarray(start, np.float32)), name="w")
    optimizer = AdaFactor([w], **options)
    expected, state = w.asnumpy().astype(np.float64), first_state(shape, options)
    for t, gradient in enumerate(gradients, 1):
        given = Tensor(np.asarray(gradient, np.float32))
        optimizer((given,))
        expected, state = reference(
            expected, given.asnumpy().astype(np.float64), state, lr=None, t=t, weight_decay=0.0, **{**OWN, **options}
        )
        if options.get("compression") and len(shape) < 2:
            state["full"] = state["full"].astype(np.float16).astype(np.float64)
    return w.asnumpy(), expected, optimizer


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_any_shape_follows_the_reference(shape):
    generator = np.random.default_rng(5)
    found, right, _ = run_both(shape, [generator.standard_normal(shape) for _ in range(3)], beta1=0.5)
    np.testing.assert_allclose(found, right, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize(
    ("shape", "scale"),
    [(shape, scale) for shape in ((6, 5), (9,)) for scale in (1e-40, 1e-25, 1e-12, 1e12, 1e18)] + [((9,), 1e30)],
)
def test_gradients_of_any_scale_follow_the_reference(shape, scale):
    generator = np.random.default_rng(7)
    found, right, _ = run_both(shape, [scale * generator.standard_normal(shape)])
    np.testing.assert_allclose(found, right, rtol=2e-6)


@pytest.mark.parametrize("compression", [False, True])
@pytest.mark.parametrize("shape", [(6, 5), (9,)], ids=str)
def test_squares_beyond_float32_leave_finite_steps(shape, compression):
    generator = np.random.default_rng(7)
    gradients = [1e30 * generator.standard_normal(shape), generator.standard_normal(shape)] * 2
    found, _, optimizer = run_both(shape, gradients, compression=compression)
    assert np.isfinite(found).all()
    assert all(np.isfinite(held.asnumpy()).all() for held in optimizer.get_parameters())


@pytest.mark.parametrize("shape", [(6, 5), (9,), (2, 3, 4)], ids=str)
@pytest.mark.parametrize("eps", [1e-30, 5e-324])
def test_gradients_of_zero_move_nothing(shape, eps):
    w = Parameter(Tensor(np.ones(shape, np.float32)), name="w")
    optimizer = AdaFactor([w], eps=(eps, 1e-3), beta1=0.5)
    for _ in range(3):
        optimizer((Tensor(np.zeros(shape, np.float32)),))
    assert (w.asnumpy() == 1).all()


def test_weights_of_zero_can_move():
    w = parameter("w", [[0.0, 0.0], [0.0, 0.0]])
    AdaFactor([w])((tensor([[1.0, -1.0], [1.0, -1.0]]),))
    np.testing.assert_allclose(w.asnumpy(), [[-1e-5, 1e-5], [-1e-5, 1e-5]], rtol=1e-6)


def test_averages_of_small_gradients_survive_in_float16():
    """Their squares are far below float16, which would make them zero, and the step infinite."""
    generator = np.random.default_rng(11)
    gradients = [1e-7 * (1 + generator.random(40)) for _ in range(6)]
    found, right, optimizer = run_both((40,), gradients, compression=True)
    np.testing.assert_allclose(found, right, rtol=2e-6)
    held = {p.name: p for p in optimizer.get_parameters()}
    assert held["exp_avg_sq_w"].dtype == mindspore.float16
    exponent = float(held["exp_avg_sq_row_w"].asnumpy()[0])
    averages = held["exp_avg_sq_w"].asnumpy().astype(np.float64) * 2.0**-exponent
    plain = run_both((40,), gradients)[2]
    exact = next(p for p in plain.get_parameters() if p.name == "exp_avg_sq_w").asnumpy()
    np.testing.assert_allclose(averages, exact, rtol=2e-3)


def test_averages_that_float16_holds_are_stored_as_they_are():
    _, _, optimizer = run_both((40,), [np.full(40, 0.5)], compression=True)
    held = {p.name: p.asnumpy() for p in optimizer.get_parameters()}
    assert held["exp_avg_sq_row_w"].tolist() == [0.0]
    assert (held["exp_avg_sq_w"] == 0.25).all()


@pytest.mark.parametrize("shape", [(3000, 1500), (300_000,)], ids=str)
def test_threads_change_no_bit(shape):
    results = []
    for count in (1, 2, 5):
        with thread_limit(count):
            results.append(run_both(shape, [np.random.default_rng(2).standard_normal(shape)] * 2)[0])
    assert (results[0] == results[1]).all()
    assert (results[0] == results[2]).all()


def test_a_large_matrix_needs_a_thousandth_of_adams_state():
    adam = 8 * 4096 * 4096
    assert SPEC.state_bytes((4096, 4096)) * 1000 < adam
    held = AdaFactor([Parameter(Tensor(np.zeros((4096, 4096), np.float32)), name="w")]).get_parameters()
    built = sum(p.size * 4 for p in held if p.name.startswith("exp_avg"))
    assert built == SPEC.state_bytes((4096, 4096))


@pytest.mark.parametrize(
    ("options", "rates"),
    [
        ({}, [1e-2, 1e-2]),
        ({"warmup_init": True}, [1e-6, 2e-6]),
        ({"learning_rate": [0.5, 0.25], "relative_step": False}, [0.5, 0.25]),
    ],
)
def test_get_lr_is_the_rate_of_the_step(options, rates):
    optimizer = AdaFactor([parameter("w", [1.0])], **options)
    for rate in rates:
        assert float(optimizer.get_lr().asnumpy()) == pytest.approx(rate, rel=1e-6)
        optimizer((tensor([1.0]),))


def test_a_group_has_no_rate_where_steps_are_relative():
    first, second = parameter("first", [1.0]), parameter("second", [1.0])
    with pytest.raises(ValueError, match=r"group 1 has an 'lr', 0\.2, where adafactor finds its own rate"):
        AdaFactor([{"params": [first]}, {"params": [second], "lr": 0.2}])
    AdaFactor([{"params": [first]}, {"params": [second], "lr": 0.2}], learning_rate=0.1, relative_step=False)


def test_create_optimizer_leaves_the_rate_to_the_optimizer():
    w = parameter("w", [1.0])
    tinyms_core.create_optimizer("adafactor", [w])((tensor([1.0]),))
    assert w.asnumpy().tolist() == [pytest.approx(0.99)]
