import math

import autograd
import autograd.numpy as anp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import problem, scalar_network, some_examples

from rnnpedagogy.bounds import (
    ReadoutBounds,
    StepBounds,
    cost_bounds,
    readout_bounds,
    step_bounds,
)
from rnnpedagogy.cells import GRU, LSTM, Elman
from rnnpedagogy.costs import Cost
from rnnpedagogy.growth import growth_rate
from rnnpedagogy.hessian import gradient_norms, hessian_spectrum
from rnnpedagogy.search import largest_decreasing_step

EPS = np.finfo(float).eps

# ---------------------------------------------------------------- constants of one step

CURVATURES = {"tanh": 4 / (3 * np.sqrt(3)), "softsign": 2.0, "identity": 0.0}
SMOOTH_CELLS = {
    "tanh": Elman,
    "softsign": lambda m, H: Elman(m, H, activation="softsign"),
    "identity": lambda m, H: Elman(m, H, activation="identity"),
    "LSTM": LSTM,
    "GRU": GRU,
}
every_smooth_cell = pytest.mark.parametrize("kind", SMOOTH_CELLS)


@pytest.mark.parametrize(("activation", "curvature"), CURVATURES.items())
def test_the_constants_of_the_elman_network_are_explicit(activation, curvature):
    w, u, H = 1.7, 0.6, 3
    bounds = step_bounds(
        Elman(2, H, activation=activation), weight_hh=w, weight_ih=5.0, bias=3, inputs=u, state=1
    )
    r = np.sqrt(H + u**2 + 1)
    expected = [w, r, curvature * w**2, curvature * w * r + 1, curvature * r**2]
    np.testing.assert_allclose([*vars(bounds).values()], expected, rtol=1e-14)


@pytest.mark.parametrize(
    ("names", "r", "trained"),
    [(["bias"], 1, 0), (["weight_ih"], 0.5, 0), (["weight_hh"], 2, 1), (["weight_ho"], 0, 0)],
)
def test_only_the_named_parameters_vary(names, r, trained):
    bounds = step_bounds(Elman(1, 4), weight_hh=1.5, inputs=0.5, names=names)
    kappa = CURVATURES["tanh"]
    expected = [1.5, r, kappa * 1.5**2, kappa * 1.5 * r + trained, kappa * r**2]
    np.testing.assert_allclose([*vars(bounds).values()], expected, rtol=1e-14)


def test_the_constants_of_the_lstm_without_weights_by_hand():
    # f = i = o = ½, g = 0, |c| ≤ 2: c' = c/2, h' = ½ tanh(c'), |c'| ≤ 1. In the parameters of a
    # gate z moves at most by r = √(1 + 1); only f, g and o pass it on.
    bounds = step_bounds(LSTM(0, 1), weight_hh=0.0)
    r, kappa = np.sqrt(2), CURVATURES["tanh"]
    np.testing.assert_allclose(bounds.L_x, np.hypot(1 / 2, 1 / 4), rtol=1e-14)
    np.testing.assert_allclose(bounds.K_xx, 1 / 2 * kappa / 4, rtol=1e-14)
    matrix = r * np.array([[1 / 4, 1 / 4, np.tanh(1) / 4], [1 / 2, 1 / 2, 0]])
    np.testing.assert_allclose(bounds.L_theta, np.linalg.norm(matrix, 2), rtol=1e-14)


def test_the_constants_of_the_gru_without_weights_by_hand():
    # r = z = ½, n = 0: h' = (1 − z) n + z h moves with h by ½, and with the parameters of z by
    # (|n| + |h|)/4 = 1/4, of n by ½ and ½ · ½, of r not at all, times √(1 + 1) where h counts.
    bounds = step_bounds(GRU(0, 1), weight_hh=0.0)
    np.testing.assert_allclose(bounds.L_x, 1 / 2, rtol=1e-14)
    slopes = [np.sqrt(2) / 4, 1 / 2, np.sqrt(2) / 4]
    np.testing.assert_allclose(bounds.L_theta, np.linalg.norm(slopes), rtol=1e-14)
    np.testing.assert_allclose(bounds.K_xx, 0, atol=1e-14)


def test_an_adapted_norm_sees_that_a_sheared_network_contracts():
    # .9 [[1, 5], [0, 1]] has the norm 4.67, but .946 after a change of units by 50: the network
    # contracts for all biases. In that norm the bias counts fifty times.
    W, S = 0.9 * np.array([[1.0, 5.0], [0.0, 1.0]]), np.diag([1.0, 50.0])
    w = np.linalg.norm(S @ W @ np.linalg.inv(S), 2)
    step = step_bounds(Elman(0, 2), weight_hh=w, names=["bias"], condition=50)
    kappa = CURVATURES["tanh"]
    expected = [w, 50, kappa * w**2, 50 * kappa * w, 50**2 * kappa]
    np.testing.assert_allclose([*vars(step).values()], expected, rtol=1e-14)
    assert w < 0.95
    b = np.append(10.0 ** -np.arange(9)[:, None] * [0.3, 0.4], np.zeros((1, 2)), axis=0)
    params = {"weight_ih": np.zeros((2, 0)), "weight_hh": W, "bias": b}
    params |= {"weight_ho": np.array([[1.0, 0.0]]), "bias_o": np.zeros(1)}
    cost = Cost(Elman(0, 2), np.zeros((256, 0)), np.ones((256, 1)))
    readout = readout_bounds(cost.cell, weight_ho=1.0, names=["bias"])
    bound = cost_bounds(step, readout, error=2.0, lengths=[256])
    largest = gradient_norms(cost, params, names=["bias"]).max()
    assert 100 < largest < np.exp(bound.log_lipschitz[0]) < 1e4
    curvatures = hessian_spectrum(cost, params, np.random.default_rng(0), names=["bias"]).norm
    assert np.log(curvatures.max()) < bound.log_smooth[0]


def test_bounds_for_each_gate_are_never_looser_than_one_for_all():
    for cell in (LSTM(1, 2), GRU(1, 2)):
        whole = step_bounds(cell, weight_hh=2.0, weight_ih=1.0, bias=1.0, inputs=1.0)
        gates = {name: np.linspace(0.5, 1, cell.gates) for name in ("weight_ih", "bias")}
        parts = step_bounds(cell, weight_hh=np.linspace(1, 2, cell.gates), inputs=1.0, **gates)
        assert all(part <= vars(whole)[name] for name, part in vars(parts).items())


def jacobians(cell, params, state, inputs):
    """``∂f/∂x`` and ``∂f/∂θ`` of the readable step, by automatic differentiation, set by set."""
    A, B = [], []
    for i in range(cell.state_size):

        def entry(point, i=i):
            return anp.sum(cell.step(point[0], point[1], inputs)[..., i])

        with np.errstate(over="ignore"):  # autograd's tanh' is 1/cosh², which may be 1/∞
            by_params, by_state = autograd.grad(entry)((params, state))
        A.append(by_state)
        B.append(np.concatenate([array.reshape(len(state), -1) for array in by_params.values()], 1))
    return np.stack(A, axis=1), np.stack(B, axis=1)


def within(array, norm):
    """Matrices scaled to a spectral norm, vectors to a Euclidean norm, of at most ``norm``."""
    order, axes = (2, (-2, -1)) if array.ndim == 3 else (None, -1)
    if not array.size:
        return array
    size = np.linalg.norm(array, order, axis=axes, keepdims=True)
    return array * np.minimum(1, norm / size)


def draw_region(kind, rng, count, *, bounds, input_size, hidden_size):
    """A cell, and ``count`` points of the region: parameters, states and inputs, many on its edge.

    ``bounds``: of weight_hh, weight_ih, bias, inputs, and of h where the activation is the
    identity.
    """
    w, w_ih, b, u, largest = bounds
    u = u if input_size else 0.0
    cell = SMOOTH_CELLS[kind](input_size, hidden_size)
    scale = np.exp(2 * rng.normal(size=count))
    params = {
        name: scale.reshape(-1, *(1,) * len(shape)) * rng.normal(size=(count, *shape))
        for name, shape in cell.param_shapes().items()
    }
    params["weight_hh"] = within(params["weight_hh"], w)
    params["weight_ih"] = within(params["weight_ih"], w_ih)
    for name in {"bias", "bias_n"} & params.keys():
        params[name] = np.clip(params[name], -b, b)
    limit = np.full(cell.state_size, largest if kind == "identity" else 1.0)
    if kind == "LSTM":
        limit[hidden_size:] = 1 + np.exp(w * np.sqrt(hidden_size) + w_ih * u + b)
    state = limit * rng.uniform(-1, 1, size=(count, cell.state_size))
    inputs = within(rng.normal(size=(count, input_size)), u)
    return cell, params, state, inputs


positive = st.floats(0.05, 3.0)


@every_smooth_cell
@given(
    st.tuples(*[positive] * 5),
    st.integers(0, 2),
    st.integers(1, 3),
    st.sampled_from([1.0, 1.5, 30.0]),
    st.integers(0, 2**31),
)
@some_examples
def test_no_step_exceeds_its_constants(kind, bounds, input_size, hidden_size, condition, seed):
    rng, count = np.random.default_rng(seed), 64
    cell, params, state, inputs = draw_region(
        kind, rng, 2 * count, bounds=bounds, input_size=input_size, hidden_size=hidden_size
    )
    w, w_ih, b, u, largest = bounds
    constants = step_bounds(
        cell,
        weight_hh=w,
        weight_ih=w_ih,
        bias=b,
        inputs=u if input_size else 0.0,
        state=largest if kind == "identity" else None,
        condition=condition,
    )
    # The norm ‖S x‖: recurrent weights with ‖S W S⁻¹‖ ≤ w for each gate.
    S = condition ** np.linspace(0, 1, hidden_size)
    params["weight_hh"] = params["weight_hh"] / np.tile(S, cell.gates)[:, None] * S
    S = np.tile(S, cell.state_size // hidden_size)
    here, there = slice(None, count), slice(count, None)
    # Pairs of points at all distances, from near to as far as the region allows.
    t = 10 ** rng.uniform(-4, 0, size=count)
    other = state[here] + t[:, None] * (state[there] - state[here])
    theta = {name: array[here] for name, array in params.items()}
    moved = {
        name: array[here] + t.reshape(-1, *(1,) * (array.ndim - 1)) * (array[there] - array[here])
        for name, array in params.items()
    }
    inputs = inputs[here]
    distance = np.sqrt(
        sum(np.sum((moved[n] - theta[n]).reshape(count, -1) ** 2, -1) for n in theta)
    )
    away = np.linalg.norm(S * (other - state[here]), axis=-1)

    def adapted(params, state):
        A, B = jacobians(cell, params, state, inputs)
        return S[:, None] * A / S, S[:, None] * B

    A, B = adapted(theta, state[here])
    A_x, B_x = adapted(theta, other)
    A_t, B_t = adapted(moved, state[here])

    def exceeds(matrices, bound, scale=0.0):
        """Whether a norm is larger, by more than the rounding of a difference explains."""
        rounding = 100 * EPS * (bound + np.linalg.norm(scale))
        return (np.linalg.norm(matrices, 2, axis=(-2, -1)) > bound + rounding).any()

    assert not exceeds(A, constants.L_x)
    assert not exceeds(B, constants.L_theta)
    assert not exceeds(A_x - A, constants.K_xx * away, A)
    assert not exceeds(B_x - B, constants.K_xtheta * away, B)
    assert not exceeds(A_t - A, constants.K_xtheta * distance, A)
    assert not exceeds(B_t - B, constants.K_thetatheta * distance, B)


# ---------------------------------------------------------------- constants of the cost


@every_smooth_cell
@given(
    st.tuples(*[positive] * 5), st.sampled_from([1, 2, 5, 9]), st.booleans(), st.integers(0, 2**31)
)
@some_examples
def test_no_cost_exceeds_the_constants_of_the_theorem(kind, bounds, N, readout_varies, seed):
    if kind == "identity":
        return  # its outputs are not bounded
    rng, count = np.random.default_rng(seed), 32
    H, (w, w_ih, b, u, w_ho) = 2, bounds
    cell, params, state, _ = draw_region(
        kind, rng, count, bounds=bounds, input_size=1, hidden_size=H
    )
    names = ["weight_hh", "weight_ih", "bias"] + ["weight_ho", "bias_o"] * readout_varies
    params["weight_ho"] = within(rng.normal(size=(count, 2, H)), w_ho)
    params["bias_o"] = within(rng.normal(size=(count, 2)), 0.3)
    inputs = within(rng.normal(size=(N, count, 1)).reshape(-1, 1), u).reshape(N, count, 1)
    targets = within(rng.normal(size=(N, count, 2)).reshape(-1, 2), 0.7).reshape(N, count, 2)
    cost = Cost(cell, inputs, targets, state=state)  # each parameter set has data of its own
    bound = cost_bounds(
        step_bounds(cell, weight_hh=w, weight_ih=w_ih, bias=b, inputs=u, names=names),
        readout_bounds(cell, weight_ho=w_ho, names=names),
        error=w_ho * np.sqrt(H) + 0.3 + 0.7,
        lengths=[N],
    )
    slopes = gradient_norms(cost, params, names=names)
    curvatures = hessian_spectrum(cost, params, rng, names=names, max_steps=4).norm
    assert slopes.shape == curvatures.shape == (count,)
    assert np.log(slopes.max()) <= bound.log_lipschitz[0]
    assert np.log(curvatures.max()) <= bound.log_smooth[0]


def direct_bounds(step, readout, error, N):
    """Theorem S as it is written, without logarithms."""
    S, E, first, second = [0.0], 0.0, 0.0, 0.0
    for t in range(1, N + 1):
        E = (
            step.L_x * E
            + step.K_xx * (step.L_theta * S[-1]) ** 2
            + 2 * step.K_xtheta * step.L_theta * S[-1]
            + step.K_thetatheta
        )
        S.append(sum(step.L_x**i for i in range(t)))
        P = readout.G_x * step.L_theta * S[-1] + readout.G_theta
        F = readout.G_x * E + 2 * readout.M_xtheta * step.L_theta * S[-1]
        first += 2 / N * error * P
        second += 2 / N * (error * F + P**2)
    return first, second


@pytest.mark.parametrize("L_x", [0.0, 0.6, 1.0, 1.8])
def test_the_logarithms_are_those_of_the_formulas(L_x):
    step, readout = StepBounds(L_x, 0.7, 1.1, 0.9, 1.3), ReadoutBounds(0.8, 1.2, 0.5)
    lengths = [7, 1, 30]
    found = cost_bounds(step, readout, error=1.6, lengths=lengths)
    expected = np.log([direct_bounds(step, readout, 1.6, N) for N in lengths])
    np.testing.assert_allclose(found.log_lipschitz, expected[:, 0], rtol=1e-12)
    np.testing.assert_allclose(found.log_smooth, expected[:, 1], rtol=1e-12)


@pytest.mark.parametrize(
    ("L_x", "model", "rates"),
    [
        (2.0, "exponential", (math.log(2), 2 * math.log(2))),
        (1.0, "power", (1, 3)),
        (0.5, "power", (0, 0)),
    ],
)
def test_the_bounds_grow_at_the_rates_of_the_theorem(L_x, model, rates):
    lengths = [4000, 6000, 8000, 10000]
    step = step_bounds(Elman(1, 3), weight_hh=L_x, inputs=1.0)
    found = cost_bounds(step, ReadoutBounds(1, 2, 1), error=2.0, lengths=lengths)
    assert np.isfinite(found.log_smooth).all()
    for values, rate in zip((found.log_lipschitz, found.log_smooth), rates, strict=True):
        # The average over t adds −log N to the exponential.
        values = values + np.log(lengths) * (model == "exponential")
        # What is missing are lower powers of N, relatively 1/N with constants of about ten.
        np.testing.assert_allclose(growth_rate(lengths, values, model=model).rate, rate, atol=0.01)


def test_the_constants_of_a_quadratic_cost_are_attained():
    # Without a cell, V(b_o) = ‖b_o‖² on ‖b_o‖ ≤ R: L_V = 2R, L'_V = 2, η₁ = 2/L'_V.
    cost, params = problem("identity", size=(1, 2, 3), steps=4)
    cost = Cost(cost.cell, np.zeros((4, 1)), np.zeros((4, 3)))
    params = {name: np.zeros_like(array) for name, array in params.items()}
    R, only = 1.5, ["bias_o"]
    readout = readout_bounds(cost.cell, weight_ho=0.0, names=only)
    found = cost_bounds(StepBounds(0, 0, 0, 0, 0), readout, error=R, lengths=[4])
    np.testing.assert_allclose(np.exp(found.log_lipschitz), 2 * R, rtol=1e-14)
    np.testing.assert_allclose(np.exp(found.log_smooth), 2, rtol=1e-14)
    points = params | {"bias_o": R * np.eye(3)}
    np.testing.assert_allclose(gradient_norms(cost, points, names=only), 2 * R, rtol=1e-14)
    curvatures = hessian_spectrum(cost, points, np.random.default_rng(0), names=only)
    np.testing.assert_allclose(curvatures.norm, 2, rtol=1e-14)
    np.testing.assert_allclose(largest_decreasing_step(cost, points, names=only), 1, rtol=1e-12)


@pytest.mark.parametrize("w", [0.5, 1.0, 2.0, -1.5])
@pytest.mark.parametrize("N", [1, 8, 35, 250])
def test_the_scalar_neuron_attains_the_rates_of_the_bounds(w, N):
    # At b = 0: x_t = 0, x_t' = S_t, x_t'' = 0 since tanh'' vanishes there. So V' = −(2/N) Σ S_t,
    # V'' = (2/N) Σ S_t². The largest possible error is 2, the error there is 1.
    cost, params = scalar_network(w, N)
    S = np.cumsum(w ** np.arange(N, dtype=float))
    only = ["bias"]
    slope = gradient_norms(cost, params, names=only)
    curvature = hessian_spectrum(cost, params, np.random.default_rng(0), names=only).norm
    np.testing.assert_allclose(slope, 2 / N * abs(S.sum()), rtol=1e-12)
    np.testing.assert_allclose(curvature, 2 / N * np.sum(S**2), rtol=1e-12)
    step = step_bounds(cost.cell, weight_hh=abs(w), names=only)
    readout = readout_bounds(cost.cell, weight_ho=1.0, names=only)
    bound = cost_bounds(step, readout, error=2.0, lengths=[N])
    slack = bound.log_lipschitz[0] - np.log(slope), bound.log_smooth[0] - np.log(curvature)
    if w > 0:
        np.testing.assert_allclose(slack[0], math.log(2), rtol=1e-10)  # the error, and only that
    assert slack[0] >= math.log(2) - 1e-10
    assert slack[1] >= 0
    if w == 2:  # E_t is at most a multiple of S_t²: the slack does not grow with N
        assert slack[1] < 2.1


# ---------------------------------------------------------------- bad input

ONE = StepBounds(1, 1, 1, 1, 1)
READ = ReadoutBounds(1, 1, 1)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: StepBounds(-1, 1, 1, 1, 1),
            ValueError,
            "L_x must be a finite number of at least 0",
        ),
        (lambda: StepBounds(1, 1, 1, np.nan, 1), ValueError, "K_xtheta must be .* got nan"),
        (lambda: ReadoutBounds(1, np.inf, 1), ValueError, "G_theta must be .* got inf"),
        (lambda: ReadoutBounds(1, 1, "1"), ValueError, "M_xtheta must be .* got '1'"),
        (
            lambda: step_bounds(Elman(1, 1, activation="relu"), weight_hh=1),
            ValueError,
            "activation must be 'tanh', 'softsign' or 'identity', got 'relu'",
        ),
        (
            lambda: step_bounds(Elman(1, 1, activation="identity"), weight_hh=1),
            ValueError,
            "state must be given with the activation 'identity', got None",
        ),
        (lambda: step_bounds(None, weight_hh=1), TypeError, "cell must be an Elman, LSTM or GRU"),
        (
            lambda: step_bounds(LSTM(1, 1), weight_hh=1000),
            ValueError,
            "state must be given where the bound on the cell state overflows",
        ),
        (lambda: step_bounds(LSTM(1, 1), weight_hh=-1), ValueError, "weight_hh must be .* got -1"),
        (
            lambda: step_bounds(GRU(1, 1), weight_hh=[1, 2]),
            ValueError,
            "weight_hh must be a finite .* or 3 of them, one for each gate, got",
        ),
        (
            lambda: step_bounds(GRU(1, 1), weight_hh=1, bias="small"),
            ValueError,
            "bias must be a finite .* got 'small'",
        ),
        (lambda: step_bounds(GRU(1, 1), weight_hh=1, inputs=-1), ValueError, "inputs must be"),
        (
            lambda: step_bounds(GRU(1, 1), weight_hh=1, condition=0.5),
            ValueError,
            "condition must be at least 1, got 0.5",
        ),
        (
            lambda: step_bounds(GRU(1, 1), weight_hh=1, names=["weights"]),
            ValueError,
            "names must be one of 'weight_ih', .* got 'weights'",
        ),
        (lambda: step_bounds(GRU(1, 1), weight_hh=1, names="bias"), TypeError, "names must be a l"),
        (lambda: step_bounds(GRU(1, 1), weight_hh=1, names=[]), ValueError, "names must hold at l"),
        (lambda: readout_bounds(GRU(1, 1), weight_ho=-1), ValueError, "weight_ho must be .* -1"),
        (
            lambda: cost_bounds(ONE, READ, error=-1, lengths=[1]),
            ValueError,
            "error must be a finite number of at least 0, got -1",
        ),
        (
            lambda: cost_bounds(ONE, READ, error=1, lengths=[0, 1]),
            ValueError,
            "lengths must be at least 1, got 0",
        ),
        (
            lambda: cost_bounds(ONE, READ, error=1, lengths=[1.0]),
            TypeError,
            "lengths must hold integers",
        ),
    ],
)
def test_bad_bounds_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
