import math

import numpy as np
import pytest
from strategies import every_cell, every_loss, problem, scalar_network

from rnnpedagogy.cells import Elman, flatten, unflatten
from rnnpedagogy.costs import Cost
from rnnpedagogy.gradients import bptt, hessian_vector_product
from rnnpedagogy.hessian import gradient_norms, hessian_spectrum, lanczos

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


def test_a_batch_gives_each_operator_what_it_gives_alone():
    # The Krylov spaces are exhausted after 1, 2, 3 and 6 products.
    values = np.array(
        [[4.0] * 6, [2.0, -3.0] * 3, [0.0, 1.0, -5.0] * 2, [9.0, -8.0, 7.0, 0.0, 1e-3, 2.0]]
    )
    start = np.random.default_rng(0).normal(size=(2, 4, 6))
    found = lanczos(lambda vectors: values * vectors, start, tolerance=1e-300)
    assert found.converged.shape == found.norm.shape == (2, 4)
    assert found.converged.all()
    assert found.steps == 6
    np.testing.assert_allclose(found.norm, np.broadcast_to([4, 3, 5, 9], (2, 4)), rtol=100 * EPS)
    Y = found.eigenvectors
    away = values[..., np.newaxis] * Y - Y * found.eigenvalues[..., np.newaxis, :]
    np.testing.assert_allclose(np.linalg.norm(away, axis=-2), found.residuals, atol=1000 * EPS)
    for index in np.ndindex(2, 4):
        alone = lanczos(diagonal(*values[index[1]]), start[index], tolerance=1e-300)
        assert alone.converged is True
        assert isinstance(alone.norm, float)
        k = alone.steps
        eigenvalues = np.append(alone.eigenvalues, np.zeros(6 - k))
        np.testing.assert_allclose(found.eigenvalues[index], eigenvalues, atol=1000 * EPS)
        # The vectors that are not zero are orthonormal, as many as the operator has eigenvalues.
        sizes = np.linalg.norm(Y[index], axis=0)
        np.testing.assert_allclose(np.sort(sizes), [0] * (6 - k) + [1] * k, atol=100 * EPS)
        np.testing.assert_allclose(Y[index].T @ Y[index], np.diag(np.round(sizes)), atol=100 * EPS)


def test_norms_are_found_where_squares_of_products_overflow():
    for scale in (1e-300, 1e300):
        found = lanczos(diagonal(scale, -3 * scale, 2 * scale), np.array([1.0, 2.0, 3.0]))
        assert found.converged
        np.testing.assert_allclose(found.norm, 3 * scale, rtol=1e-12)


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
    # Restricted to some parameters, the Hessian is a submatrix in the order of the names.
    place = unflatten(np.arange(d), params)
    names = ["bias_o", "weight_hh"]
    chosen = flatten({name: place[name] for name in names})
    found = hessian_spectrum(cost, params, np.random.default_rng(0), names=names)
    A, y = hessian[np.ix_(chosen, chosen)], found.eigenvectors[:, 0]
    np.testing.assert_allclose(found.norm, np.linalg.norm(A, 2), rtol=1e-8)
    np.testing.assert_allclose(A @ y, found.eigenvalues[0] * y, atol=1e-7 * found.norm)


@pytest.mark.parametrize(
    ("start", "settings", "error", "message"),
    [
        (np.zeros(3), {}, ValueError, "start must not be the zero vector"),
        (np.eye(3)[:, :2], {}, ValueError, "start must not be the zero vector"),
        (np.ones(()), {}, ValueError, r"got start of shape \(\), expected \(…, d\)"),
        (
            np.ones(0),
            {},
            ValueError,
            r"got start of shape \(0,\), expected \(…, d\) with d at least 1",
        ),
        (np.ones(3, int), {}, TypeError, "start must hold real floats.*int64"),
        (np.full(3, np.nan), {}, ValueError, "start must be finite, got nan"),
        (np.ones(3), {"max_steps": 0}, ValueError, "max_steps must be a positive integer, got 0"),
        (np.ones(3), {"tolerance": 0}, ValueError, "tolerance must lie between 0 and 1, got 0"),
        (
            np.ones(3),
            {"tolerance": np.nan},
            ValueError,
            "tolerance must be a finite number of at least 0, got nan",
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


# ---------------------------------------------------------------- norms in batches


@pytest.mark.parametrize("length", [1000, 1900])
def test_norms_are_found_where_squares_overflow(length):
    cost, params = scalar_network(1.4, length)
    slope = float(gradient_norms(cost, params, names=["bias"]))
    log_S = length * math.log(1.4) - math.log(0.4)  # of S_N; Σ S_t is 1.4/0.4 times as much
    np.testing.assert_allclose(math.log(slope), math.log(2 / length * 3.5) + log_S, rtol=1e-6)


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
    found = hessian_spectrum(cost, points, np.random.default_rng(0), names=both)
    np.testing.assert_allclose(found.norm, np.abs(np.linalg.eigvalsh(hessian)).max(-1))
    assert found.converged.all()
    assert found.steps <= 2


@every_cell
@pytest.mark.parametrize("lead", [(), (3, 1), (2, 1, 1)])
def test_the_norms_of_a_batch_are_those_of_each_set(kind, lead):
    cost, params = problem(kind, targets=(2,), leads=lead)
    found = hessian_spectrum(cost, params, np.random.default_rng(0))
    assert np.shape(found.norm) == found.residuals.shape[:-1] == np.shape(found.converged) == lead
    assert np.all(found.converged)
    norms = np.asarray(found.norm)
    slopes = gradient_norms(cost, params)
    for index in np.ndindex(lead):
        one = {name: array[index] for name, array in params.items()}
        expected = hessian_spectrum(cost, one, np.random.default_rng(1)).norm
        np.testing.assert_allclose(norms[index], expected, rtol=1e-8)
        gradient = flatten(bptt(cost, one).params)
        np.testing.assert_allclose(slopes[index], np.linalg.norm(gradient), rtol=1e-12)


def test_few_steps_give_a_lower_estimate_within_its_residual():
    cost, params = problem("LSTM", leads=(20,))
    exact = hessian_spectrum(cost, params, np.random.default_rng(0), max_steps=200, tolerance=1e-10)
    for steps in (1, 2, 4):
        rng = np.random.default_rng(1)
        found = hessian_spectrum(cost, params, rng, max_steps=steps, tolerance=1e-6)
        assert found.steps == steps
        assert not found.converged.all()
        assert (found.norm <= exact.norm * (1 + 1e-9)).all()


def test_sets_that_converge_early_do_not_disturb_the_others():
    # Of the first point the Hessian is zero but for the readout's bias; the others are general.
    cost, params = problem("tanh", leads=(4,))
    params = {name: np.array(array) for name, array in params.items()}
    for array in params.values():
        array[0] = 0
    cost = Cost(cost.cell, 0 * cost.inputs, cost.targets)
    rng = np.random.default_rng(0)
    found = hessian_spectrum(cost, params, rng, max_steps=200, tolerance=1e-9)
    assert found.converged.all()
    for k in range(4):
        one = {name: array[k] for name, array in params.items()}
        d = flatten(one).size
        columns = hessian_vector_product(cost, one, unflatten(np.eye(d), one))
        hessian = np.concatenate([columns[name].reshape(d, -1) for name in one], axis=1)
        np.testing.assert_allclose(found.norm[k], np.linalg.norm(hessian, 2), rtol=1e-9)


def test_bad_points_and_settings_of_the_measurements_are_named():
    cost, params = problem("tanh")
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="bias must be finite, got nan"):
        gradient_norms(cost, params | {"bias": np.full(3, np.nan)})
    with pytest.raises(ValueError, match=r"names must be one of .* got 'bias_n'"):
        gradient_norms(cost, params, names=["bias_n"])
    with pytest.raises(ValueError, match="max_steps must be a positive integer, got 0"):
        hessian_spectrum(cost, params, rng, max_steps=0)
    with pytest.raises(ValueError, match="tolerance must lie between 0 and 1, got 2"):
        hessian_spectrum(cost, params, rng, tolerance=2)
