import math

import autograd
import autograd.numpy as anp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import every_cell, every_loss, problem, some_examples

from rnnpedagogy.cells import GRU, LSTM, Elman, flatten, unflatten
from rnnpedagogy.costs import Cost
from rnnpedagogy.gradients import bptt, hessian_vector_product
from rnnpedagogy.smoothness import (
    ReadoutBounds,
    StepBounds,
    _student_quantile,
    cost_bounds,
    gradient_norms,
    growth_rate,
    hessian_norms,
    hessian_spectrum,
    lanczos,
    largest_decreasing_step,
    readout_bounds,
    step_bounds,
    supremum,
)

EPS = np.finfo(float).eps


def diagonal(*values):
    return lambda vector: np.array(values) * vector


@pytest.mark.parametrize("extreme", [-7.0, 7.0])
def test_the_eigenvalue_of_largest_magnitude_is_found_with_its_sign(extreme):
    values = np.append(np.linspace(-5, 5, 199), extreme)
    start = np.random.default_rng(0).normal(size=200)
    found = lanczos(diagonal(*values), start)
    assert found.converged
    assert found.steps < 60
    # An eigenvalue errs by the square of the residual over the gap of 2; rounding comes on top.
    np.testing.assert_allclose(found.eigenvalues[0], extreme, rtol=100 * EPS)
    assert found.norm == abs(found.eigenvalues[0])
    # The vector errs by the residual over the gap.
    assert abs(abs(found.eigenvectors[-1, 0]) - 1) < 1e-8


def test_ritz_pairs_are_sorted_orthonormal_and_within_their_residuals():
    values = np.linspace(-3, 4, 50)
    found = lanczos(diagonal(*values), np.random.default_rng(0).normal(size=50), max_steps=12)
    assert not found.converged
    assert found.steps == 12
    assert (np.diff(np.abs(found.eigenvalues)) <= 0).all()
    Y = found.eigenvectors
    np.testing.assert_allclose(Y.T @ Y, np.eye(12), atol=100 * EPS)
    residuals = np.linalg.norm(values[:, None] * Y - Y * found.eigenvalues, axis=0)
    np.testing.assert_allclose(residuals, found.residuals, atol=100 * EPS)
    distance = np.abs(found.eigenvalues[:, None] - values).min(axis=1)
    assert (distance <= found.residuals + 100 * EPS).all()


def test_the_basis_stays_orthonormal_where_eigenvalues_differ_by_many_orders():
    values = np.logspace(-12, 0, 60)
    found = lanczos(diagonal(*values), np.ones(60), max_steps=30, tolerance=1e-300)
    Y = found.eigenvectors
    np.testing.assert_allclose(Y.T @ Y, np.eye(len(Y.T)), atol=100 * EPS)


def test_all_steps_give_all_eigenvalues():
    A = np.random.default_rng(0).normal(size=(8, 8))
    A += A.T
    found = lanczos(lambda v: A @ v, np.ones(8), tolerance=1e-300)
    exact = np.linalg.eigvalsh(A)
    np.testing.assert_allclose(np.sort(found.eigenvalues), exact, atol=100 * EPS * found.norm)
    assert found.steps == 8


@pytest.mark.parametrize(
    ("values", "start", "expected"),
    [
        ([2.0, -3.0, 5.0, 7.0], [1.0, 1.0, 0.0, 0.0], [-3, 2]),  # only two directions are reached
        ([4.0, 4.0, 4.0], [1.0, -2.0, 0.5], [4]),  # a multiple of the identity
        ([1.0, 1.0, -2.0], [1.0, 2.0, 3.0], [-2, 1]),  # a double eigenvalue counts once
        ([0.0, 0.0], [1.0, 2.0], [0]),
        ([-2.5], [3.0], [-2.5]),
    ],
)
def test_an_exhausted_krylov_space_ends_the_iteration(values, start, expected):
    found = lanczos(diagonal(*values), np.array(start), tolerance=1e-300)
    assert found.converged
    assert found.steps == len(expected)
    np.testing.assert_allclose(found.eigenvalues, expected, atol=100 * EPS * max(np.abs(values)))


# OpenBLAS now and then raises the processor's "invalid" flag on finite float32 products (compare
# numpy/numpy#24067); were the numbers not finite, the assertions would fail.
@pytest.mark.filterwarnings("ignore:invalid value encountered in matmul:RuntimeWarning")
def test_float32_stays_float32():
    values = np.linspace(-1, 3, 30, dtype=np.float32)
    start = np.random.default_rng(0).normal(size=30).astype("f4")
    found = lanczos(lambda v: values * v, start, tolerance=1e-4)
    assert found.converged
    assert found.eigenvectors.dtype == np.float32
    np.testing.assert_allclose(found.norm, 3, rtol=100 * np.finfo("f4").eps)


def test_the_hessian_of_a_quadratic_cost_is_known():
    # One step from zero: h = b = 2, ŷ = w_o h + b_o = 0 = y. Without an error the Hessian is
    # 2 J Jᵀ, where J holds ∂ŷ/∂w_o = 2, ∂ŷ/∂b_o = 1 and zeros (w_o = 0 hides b and w).
    # Its norm is 2 (4 + 1).
    cell = Elman(0, 1, activation="identity")
    params = {
        "weight_ih": np.zeros((1, 0)),
        "weight_hh": np.zeros((1, 1)),
        "bias": np.array([2.0]),
        "weight_ho": np.zeros((1, 1)),
        "bias_o": np.zeros(1),
    }
    cost = Cost(cell, np.zeros((1, 0)), np.zeros((1, 1)))
    found = hessian_spectrum(cost, params, np.random.default_rng(0))
    np.testing.assert_allclose(found.norm, 10, rtol=100 * EPS)


@every_cell
@every_loss
def test_the_spectrum_is_that_of_the_whole_hessian(kind, loss):
    cost, params = problem(kind, loss=loss, targets=(2,))
    d = flatten(params).size
    directions = unflatten(np.eye(d)[:, np.newaxis], params)
    columns = hessian_vector_product(cost, params, directions)
    hessian = np.concatenate([columns[name].reshape(d, -1) for name in params], axis=1)
    exact = np.linalg.eigvalsh((hessian + hessian.T) / 2)
    expected = exact[np.argmax(np.abs(exact))]
    for order in (params, dict(reversed(params.items()))):  # whatever the order of the dictionary
        found = hessian_spectrum(cost, order, np.random.default_rng(0))
        assert found.converged
        # Stopped at a residual of 1e-8: the eigenvalue errs by at most that, mostly by its square.
        np.testing.assert_allclose(found.eigenvalues[0], expected, rtol=1e-8)
        assert found.eigenvectors.shape[0] == d


@pytest.mark.parametrize(
    ("start", "settings", "error", "message"),
    [
        (np.zeros(3), {}, ValueError, "start must not be the zero vector"),
        (np.ones((3, 1)), {}, ValueError, r"got start of shape \(3, 1\), expected \(d,\)"),
        (
            np.ones(0),
            {},
            ValueError,
            r"got start of shape \(0,\), expected \(d,\) with d at least 1",
        ),
        (np.ones(3, int), {}, TypeError, "start must hold real floats.*int64"),
        (np.full(3, np.nan), {}, ValueError, "start must be finite, got nan"),
        (np.ones(3), {"max_steps": 0}, ValueError, "max_steps must be a positive integer, got 0"),
        (np.ones(3), {"tolerance": 0}, ValueError, "tolerance must lie between 0 and 1, got 0"),
        (
            np.ones(3),
            {"tolerance": np.nan},
            ValueError,
            "tolerance must lie between 0 and 1, got n",
        ),
    ],
)
def test_bad_input_is_named(start, settings, error, message):
    with pytest.raises(error, match=message):
        lanczos(lambda vector: vector, start, **settings)


def test_an_operator_that_fails_is_named():
    with pytest.raises(
        ValueError, match=r"got operator\(vector\) of shape \(2,\), expected \(3,\)"
    ):
        lanczos(lambda vector: vector[:2], np.ones(3))
    with pytest.raises(ValueError, match=r"operator\(vector\) must be finite, got nan"):
        lanczos(lambda vector: np.nan * vector, np.ones(3))


def test_one_parameter_set_is_required():
    cost, params = problem("tanh", leads=(2,))
    with pytest.raises(
        ValueError, match=r"takes one parameter set, got leading axes of shape \(2,"
    ):
        hessian_spectrum(cost, params, np.random.default_rng(0))


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
@given(st.tuples(*[positive] * 5), st.integers(0, 2), st.integers(1, 3), st.integers(0, 2**31))
@some_examples
def test_no_step_exceeds_its_constants(kind, bounds, input_size, hidden_size, seed):
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
    )
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
    away = np.linalg.norm(other - state[here], axis=-1)
    A, B = jacobians(cell, theta, state[here], inputs)
    A_x, B_x = jacobians(cell, theta, other, inputs)
    A_t, B_t = jacobians(cell, moved, state[here], inputs)

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
    curvatures = hessian_norms(cost, params, rng, names=names, steps=4).values
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
    assert (found.step, found.readout, found.error) == (step, readout, 1.6)


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
    curvatures = hessian_norms(cost, points, np.random.default_rng(0), names=only)
    np.testing.assert_allclose(curvatures.values, 2, rtol=1e-14)
    np.testing.assert_allclose(largest_decreasing_step(cost, points, names=only), 1, rtol=1e-12)


def scalar_network(w, N, activation="tanh", target=1.0):
    """``x' = φ(w x + b)``, ``x_0 = 0``, ``ŷ = x``, a constant target."""
    cell = Elman(0, 1, activation=activation)
    params = {
        "weight_ih": np.zeros((1, 0)),
        "weight_hh": np.array([[w]]),
        "bias": np.zeros(1),
        "weight_ho": np.ones((1, 1)),
        "bias_o": np.zeros(1),
    }
    return Cost(cell, np.zeros((N, 0)), np.full((N, 1), target)), params


@pytest.mark.parametrize("w", [0.5, 1.0, 2.0, -1.5])
@pytest.mark.parametrize("N", [1, 8, 35, 250])
def test_the_scalar_neuron_attains_the_rates_of_the_bounds(w, N):
    # At b = 0: x_t = 0, x_t' = S_t, x_t'' = 0 since tanh'' vanishes there. So V' = −(2/N) Σ S_t,
    # V'' = (2/N) Σ S_t². The largest possible error is 2, the error there is 1.
    cost, params = scalar_network(w, N)
    S = np.cumsum(w ** np.arange(N, dtype=float))
    only = ["bias"]
    slope = gradient_norms(cost, params, names=only)
    curvature = hessian_norms(cost, params, np.random.default_rng(0), names=only)
    np.testing.assert_allclose(slope, 2 / N * abs(S.sum()), rtol=1e-12)
    np.testing.assert_allclose(curvature.values, 2 / N * np.sum(S**2), rtol=1e-12)
    step = step_bounds(cost.cell, weight_hh=abs(w), names=only)
    readout = readout_bounds(cost.cell, weight_ho=1.0, names=only)
    bound = cost_bounds(step, readout, error=2.0, lengths=[N])
    slack = bound.log_lipschitz[0] - np.log(slope), bound.log_smooth[0] - np.log(curvature.values)
    if w > 0:
        np.testing.assert_allclose(slack[0], math.log(2), rtol=1e-10)  # the error, and only that
    assert slack[0] >= math.log(2) - 1e-10
    assert slack[1] >= 0
    if w == 2:  # E_t is at most a multiple of S_t²: the slack does not grow with N
        assert slack[1] < 2.1


@pytest.mark.parametrize("length", [1000, 1900])
def test_norms_are_found_where_squares_overflow(length):
    cost, params = scalar_network(1.4, length)
    slope = float(gradient_norms(cost, params, names=["bias"]))
    log_S = length * math.log(1.4) - math.log(0.4)  # of S_N; Σ S_t is 1.4/0.4 times as much
    np.testing.assert_allclose(math.log(slope), math.log(2 / length * 3.5) + log_S, rtol=1e-6)


# ---------------------------------------------------------------- norms in batches


def test_norms_of_the_scalar_linear_system_are_known():
    # x_t = b S_t, V = (1/N) Σ (b S_t − 1)².
    N, w = 12, 1.2
    cost, params = scalar_network(w, N, activation="identity")
    b = np.linspace(-1, 1, 7)
    points = params | {"bias": b[:, np.newaxis]}
    t = np.arange(1, N + 1)
    S = np.cumsum(w ** (t - 1.0))
    S_w = np.cumsum((t - 1) * w ** (t - 2.0))
    S_ww = np.cumsum((t - 1) * (t - 2) * w ** (t - 3.0))
    error = np.multiply.outer(b, S) - 1
    V_b = 2 * (error * S).mean(-1)
    V_w = 2 * (error * np.multiply.outer(b, S_w)).mean(-1)
    np.testing.assert_allclose(gradient_norms(cost, points, names=["bias"]), np.abs(V_b))
    both = ["bias", "weight_hh"]
    np.testing.assert_allclose(gradient_norms(cost, points, names=both), np.hypot(V_b, V_w))
    hessian = np.empty((7, 2, 2))
    hessian[:, 0, 0] = 2 * np.mean(S**2)
    hessian[:, 0, 1] = hessian[:, 1, 0] = 2 * (np.multiply.outer(b, S * S_w) + error * S_w).mean(-1)
    B = b[:, np.newaxis]
    hessian[:, 1, 1] = 2 * ((B * S_w) ** 2 + error * B * S_ww).mean(-1)
    found = hessian_norms(cost, points, np.random.default_rng(0), names=both)
    np.testing.assert_allclose(found.values, np.abs(np.linalg.eigvalsh(hessian)).max(-1))
    assert found.converged.all()
    assert found.steps <= 2


@every_cell
@pytest.mark.parametrize("lead", [(), (3, 1), (2, 1, 1)])
def test_hessian_norms_of_a_batch_are_those_of_each_set(kind, lead):
    cost, params = problem(kind, targets=(2,), leads=lead)
    found = hessian_norms(cost, params, np.random.default_rng(0), steps=100, tolerance=1e-8)
    assert found.values.shape == found.residuals.shape == found.converged.shape == lead
    assert found.converged.all()
    slopes = gradient_norms(cost, params)
    for index in np.ndindex(lead):
        one = {name: array[index] for name, array in params.items()}
        expected = hessian_spectrum(cost, one, np.random.default_rng(1)).norm
        np.testing.assert_allclose(found.values[index], expected, rtol=1e-8)
        gradient = flatten(bptt(cost, one).params)
        np.testing.assert_allclose(slopes[index], np.linalg.norm(gradient), rtol=1e-12)


def test_few_steps_give_a_lower_estimate_within_its_residual():
    cost, params = problem("LSTM", leads=(20,))
    exact = hessian_norms(cost, params, np.random.default_rng(0), steps=200, tolerance=1e-10)
    for steps in (1, 2, 4):
        found = hessian_norms(cost, params, np.random.default_rng(1), steps=steps)
        assert found.steps == steps
        assert not found.converged.all()
        assert (found.values <= exact.values * (1 + 1e-9)).all()


def test_sets_that_converge_early_do_not_disturb_the_others():
    # Of the first point the Hessian is zero but for the readout's bias; the others are general.
    cost, params = problem("tanh", leads=(4,))
    params = {name: np.array(array) for name, array in params.items()}
    for array in params.values():
        array[0] = 0
    cost = Cost(cost.cell, 0 * cost.inputs, cost.targets)
    found = hessian_norms(cost, params, np.random.default_rng(0), steps=200, tolerance=1e-9)
    assert found.converged.all()
    for k in range(4):
        one = {name: array[k] for name, array in params.items()}
        d = flatten(one).size
        columns = hessian_vector_product(cost, one, unflatten(np.eye(d), one))
        hessian = np.concatenate([columns[name].reshape(d, -1) for name in one], axis=1)
        np.testing.assert_allclose(found.values[k], np.linalg.norm(hessian, 2), rtol=1e-9)


# ---------------------------------------------------------------- growth


def test_exact_growth_is_found_exactly():
    lengths = np.array([5, 10, 20, 40, 80])
    found = growth_rate(lengths, 0.3 * lengths - 2)
    np.testing.assert_allclose([found.rate, *found.interval], 0.3, rtol=1e-12)
    np.testing.assert_allclose(found.intercept, -2, rtol=1e-12)
    assert found.residual_std < 1e-12
    found = growth_rate(lengths, 2.5 * np.log(lengths) + 1, model="power")
    np.testing.assert_allclose([found.rate, *found.interval], 2.5, rtol=1e-12)
    np.testing.assert_allclose(found.intercept, 1, rtol=1e-12)
    bent = np.where(lengths < 20, 7.0, 0.3 * lengths)
    found = growth_rate(lengths, bent, start=20, confidence=0.5)
    np.testing.assert_allclose(found.rate, 0.3, rtol=1e-12)
    np.testing.assert_array_equal(found.lengths, [20, 40, 80])
    assert (found.model, found.confidence) == ("exponential", 0.5)


@pytest.mark.parametrize(
    ("confidence", "freedom", "quantile"),
    [  # two-sided, from the usual tables
        (0.95, 1, 12.706205),
        (0.95, 2, 4.302653),
        (0.90, 3, 2.353363),
        (0.95, 5, 2.570582),
        (0.99, 10, 3.169273),
        (0.999, 30, 3.645959),
        (0.95, 120, 1.979930),
    ],
)
def test_quantiles_of_student_are_those_of_the_tables(confidence, freedom, quantile):
    np.testing.assert_allclose(_student_quantile(confidence, freedom), quantile, rtol=3e-7)


def test_the_interval_covers_the_rate_as_often_as_it_says():
    rng, lengths = np.random.default_rng(0), np.array([10, 20, 30, 50, 80])
    hits = 0
    for noise in 0.4 * rng.normal(size=(2000, 5)):
        low, high = growth_rate(lengths, 0.1 * lengths + noise, confidence=0.9).interval
        hits += low <= 0.1 <= high
    # Three standard deviations of a count of 2000 with probability 0.9: 3 √(2000 · 0.09) = 40.
    assert abs(hits - 1800) <= 40


# ---------------------------------------------------------------- suprema


def in_box(low, high, d):
    def sample(rng, k):
        return rng.uniform(low, high, size=(k, d))

    return sample, lambda points: np.clip(points, low, high)


@pytest.mark.parametrize("seed", range(5))
def test_known_suprema_are_found(seed):
    rng = np.random.default_rng(seed)
    inside = supremum(lambda p: -np.sum((p - 0.3) ** 2, 1), *in_box(-1, 1, 6), rng=rng)
    assert -1e-3 < inside.value <= 0
    np.testing.assert_allclose(inside.point, 0.3, atol=0.03)
    at_a_corner = supremum(lambda p: p.sum(axis=1), *in_box(-1, 1, 4), rng=rng)
    np.testing.assert_allclose(at_a_corner.value, 4, rtol=1e-12)
    assert inside.value == inside.history.max() == inside.history[-1]
    assert (np.diff(inside.history) >= 0).all()
    assert len(inside.history) == inside.rounds + 1


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("place", [0.0, 0.123])
def test_a_peak_that_is_twelve_orders_narrower_than_the_region_is_found(place, seed):
    def function(points):
        return -np.log(np.abs(points[:, 0] - place) + 1e-12)

    found = supremum(function, *in_box(-0.5, 0.5, 1), rng=np.random.default_rng(seed))
    assert abs(found.point[0] - place) < 1e-12
    assert math.log(1e12) - found.value < math.log(2)


def test_a_peak_that_is_narrow_in_one_direction_only_is_found():
    def function(points):
        return -np.log(np.abs(points[:, 2]) + 1e-12) - np.sum((points[:, :2] - 0.3) ** 2, axis=1)

    found = supremum(function, *in_box(-0.5, 0.5, 3), rng=np.random.default_rng(0))
    assert math.log(1e12) - found.value < 0.1


def test_function_and_projection_see_batches_and_are_counted():
    seen = []

    def function(points):
        seen.append(len(points))
        return np.where(points[:, 0] > 0, points[:, 0], -np.inf)  # logarithms of zero are allowed

    sample, project = in_box(-1, 1, 2)
    settings = {"starts": 32, "rounds": 5, "keep": 3, "tries": 4, "shrink": 1e-3}
    found = supremum(function, sample, project, rng=np.random.default_rng(0), **settings)
    assert seen == [32] + 5 * [12]
    assert found.evaluations == sum(seen)
    assert {name: getattr(found, name) for name in settings} == settings
    assert found.value == found.point[0] <= 1


def test_the_search_finds_the_peak_of_the_scalar_neuron():
    # sup |V'| is at least |V'(0)| = (2/N) Σ S_t, on a peak of width 2^{−30}.
    N = 30
    cost, params = scalar_network(2.0, N)

    def log_slope(points):
        return np.log(gradient_norms(cost, params | {"bias": points}, names=["bias"]))

    found = supremum(log_slope, *in_box(-0.5, 0.5, 1), rng=np.random.default_rng(0))
    S = 2.0 ** np.arange(1, N + 1) - 1
    assert found.value >= math.log(2 / N * S.sum()) - 1e-6
    step = step_bounds(cost.cell, weight_hh=2.0, names=["bias"])
    bound = cost_bounds(step, ReadoutBounds(1, 0, 0), error=2.0, lengths=[N])
    assert found.value <= bound.log_lipschitz[0]


# ---------------------------------------------------------------- the largest decreasing step


def test_on_a_quadratic_the_step_is_known():
    # In the readout alone V is quadratic: η₁ = 2 ‖g‖²/gᵀHg, with H = 2 mean([h; 1][h; 1]ᵀ) ⊗ 1.
    cost, params = problem("GRU", leads=(5,))
    only = ["weight_ho", "bias_o"]
    found = largest_decreasing_step(cost, params, names=only)
    gradient = bptt(cost, params).params
    g = {name: array * (name in only) for name, array in gradient.items()}
    product = hessian_vector_product(cost, params, g)

    def inner(one, other):
        return sum(np.sum((one[n] * other[n]).reshape(5, -1), axis=1) for n in one)

    np.testing.assert_allclose(found, 2 * inner(g, g) / inner(g, product), rtol=1e-9)
    norms = hessian_norms(cost, params, np.random.default_rng(0), names=only)
    assert (found >= 2 / norms.values * (1 - 1e-6)).all()  # L'_V is the same everywhere


@every_cell
@pytest.mark.parametrize(
    ("batch", "lead"), [((), (6,)), ((2,), (6, 1)), ((2,), (3, 2)), ((2,), ())]
)
def test_the_cost_is_the_same_after_the_step_and_smaller_before(kind, batch, lead):
    cost, params = problem(kind, inputs=batch, leads=lead)
    eta = largest_decreasing_step(cost, params)
    value, gradient = cost(params), bptt(cost, params).params
    assert eta.shape == value.shape == lead
    assert np.isfinite(eta).any()

    def after(steps):
        core = {name: (1,) * (gradient[name].ndim - len(lead)) for name in params}
        return cost(
            {n: params[n] - steps.reshape(steps.shape + core[n]) * gradient[n] for n in params}
        )

    there = np.isfinite(eta)
    eta = np.where(there, eta, 0)
    np.testing.assert_allclose(after(eta)[there], value[there], rtol=1e-9)
    for part in np.linspace(0.02, 0.98, 13):
        assert (after(part * eta) < value)[there].all()


def test_no_step_is_shorter_than_the_bound():
    cost, params = scalar_network(0.8, 10, target=0.1)
    points = params | {"bias": np.linspace(-0.4, 0.4, 9)[:, np.newaxis]}
    eta = largest_decreasing_step(cost, points, names=["bias"])
    step = step_bounds(cost.cell, weight_hh=0.8, names=["bias"])
    bound = cost_bounds(step, ReadoutBounds(1, 0, 0), error=1.1, lengths=[10])
    assert np.isfinite(eta).all()
    assert (eta >= 2 / np.exp(bound.log_smooth)).all()


def test_where_there_is_no_such_step_infinity_or_nan_say_why():
    # y = 1 is never reached: V decreases in b for good. At b_o = y the gradient is zero.
    cost, params = scalar_network(1.0, 5)
    assert largest_decreasing_step(cost, params, names=["bias"]) == np.inf
    there = params | {"bias_o": np.ones(1), "weight_ho": np.zeros((1, 1))}
    assert np.isnan(largest_decreasing_step(cost, there, names=["bias_o"]))
    # A first step beyond η₁ = 1 is no start, and a last one before it finds nothing.
    assert np.isnan(largest_decreasing_step(cost, params, names=["bias_o"], start=1.5))
    assert largest_decreasing_step(cost, params, names=["bias_o"], stop=0.9) == np.inf
    np.testing.assert_allclose(largest_decreasing_step(cost, params, names=["bias_o"]), 1)
    # Where the decrease drowns in the rounding of a large cost, nothing is reported.
    far, params = scalar_network(1.0, 5, target=1e9)
    near = params | {"bias_o": np.full(1, 1e9 - 1e-6)}
    assert np.isnan(largest_decreasing_step(far, near, names=["bias_o"]))


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
        (
            lambda: growth_rate([1, 2], [1, 2]),
            ValueError,
            "lengths must hold at least three different values",
        ),
        (
            lambda: growth_rate([1, 2, 3], [1, 2, 3], start=2),
            ValueError,
            "lengths must hold at least three different values from start on",
        ),
        (lambda: growth_rate([0, 2, 3], [1, 2, 3]), ValueError, "lengths must be positive, got 0"),
        (lambda: growth_rate([1, 2, 3], [1, 2]), ValueError, r"got log_values of shape \(2,\)"),
        (lambda: growth_rate([1, 2, 3], [1, -np.inf, 2]), ValueError, "log_values must be finite"),
        (
            lambda: growth_rate([1, 2, 3], [1, 2, 3], model="linear"),
            ValueError,
            "model must be one of 'exponential', 'power', got 'linear'",
        ),
        (
            lambda: growth_rate([1, 2, 3], [1, 2, 3], confidence=95),
            ValueError,
            "confidence must lie between 0 and 1, got 95",
        ),
    ],
)
def test_bad_bounds_and_fits_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize(
    ("function", "sample", "settings", "message"),
    [
        (np.sum, None, {}, r"got function\(points\) of shape \(\), expected \(256,\)"),
        (lambda p: p[:, 0] * np.nan, None, {}, "function must be less than infinity, got nan"),
        (lambda p: p[:, 0] + np.inf, None, {}, "function must be less than infinity, got inf"),
        (None, lambda rng, k: np.zeros(k), {}, r"got sample\(rng, starts\) of shape \(256,\)"),
        (None, None, {"starts": 0}, "starts must be a positive integer, got 0"),
        (None, None, {"rounds": -1}, "rounds must be an integer of at least 0, got -1"),
        (None, None, {"keep": 0.5}, "keep must be a positive integer, got 0.5"),
        (None, None, {"tries": 0}, "tries must be a positive integer, got 0"),
        (None, None, {"shrink": 1}, "shrink must lie between 0 and 1, got 1"),
        (None, None, {"project": lambda p: p[:1]}, r"got project\(points\) of shape"),
    ],
)
def test_bad_searches_are_named(function, sample, settings, message):
    function = function or (lambda points: points[:, 0])
    sample = sample or (lambda rng, k: rng.normal(size=(k, 2)))
    with pytest.raises(ValueError, match=message):
        supremum(function, sample, rng=np.random.default_rng(0), **settings)


def test_bad_points_and_settings_of_the_measurements_are_named():
    cost, params = problem("tanh")
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="bias must be finite, got nan"):
        gradient_norms(cost, params | {"bias": np.full(3, np.nan)})
    with pytest.raises(ValueError, match=r"names must be one of .* got 'bias_n'"):
        gradient_norms(cost, params, names=["bias_n"])
    with pytest.raises(ValueError, match="steps must be a positive integer, got 0"):
        hessian_norms(cost, params, rng, steps=0)
    with pytest.raises(ValueError, match="tolerance must lie between 0 and 1, got 2"):
        hessian_norms(cost, params, rng, tolerance=2)
    with pytest.raises(ValueError, match="factor must be greater than 1, got 1"):
        largest_decreasing_step(cost, params, factor=1)
    with pytest.raises(ValueError, match=r"must be 0 < start < stop, got 1 and 0\.5"):
        largest_decreasing_step(cost, params, start=1, stop=0.5)
