import numpy as np
import pytest
from strategies import every_cell, every_loss, problem

from rnnpedagogy.cells import Elman, flatten, unflatten
from rnnpedagogy.costs import Cost
from rnnpedagogy.gradients import hessian_vector_product
from rnnpedagogy.smoothness import hessian_spectrum, lanczos

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
