import numpy as np
import pytest
from strategies import assert_same_params, draw_params, every_dtype

from rnnpedagogy import textbook
from rnnpedagogy.cells import GRU, LSTM, Elman
from rnnpedagogy.contraction import (
    SHARE,
    ContractingLSTM,
    best_max_norm,
    best_two_norm,
    jacobian_bounds,
    project_to_rate,
)
from rnnpedagogy.costs import Cost
from rnnpedagogy.gradients import bptt, hessian_vector_product
from rnnpedagogy.jacobians import state_jacobians
from rnnpedagogy.stability import contraction_certificate

EPS = np.finfo(float).eps
ROW = np.array([[0.9, 4.5], [0.0, 0.9]])


def one(matrix):
    """A single matrix as `best_max_norm` wants it."""
    return np.asarray(matrix, float)[np.newaxis]


# ----------------------------------------------------------------------------- known norms


def test_the_published_constants_have_the_known_perron_root_and_weights():
    # The 2×2 matrix of page 9 at the published row sums: rate .9295, weight of the cell state .894.
    phi = 1 / (1 + np.exp(-0.405))
    a, o = 0.395 / 4 + 0.099 + 0.155 / 4 / (1 - phi), 0.395 / 4
    found = best_max_norm(one([[o + a, phi], [a, phi]]))
    assert abs(found.rate - 0.9295) < 5e-5
    root = (o + a + phi + np.sqrt((o + a - phi) ** 2 + 4 * a * phi)) / 2
    np.testing.assert_allclose([found.rate, found.lower], root, rtol=2e-9)
    weight = (root - o - a) / phi
    assert abs(weight - 0.894) < 5e-4
    np.testing.assert_allclose(found.weights[1] / found.weights[0], weight, rtol=1e-8)


@pytest.mark.parametrize("n", [1, 2, 5, 20])
def test_the_best_max_norm_is_the_perron_root(n):
    A = np.random.default_rng(n).exponential(size=(6, n, n))
    found = best_max_norm(A[:, np.newaxis])
    root = np.abs(np.linalg.eigvals(A)).max(axis=-1)
    np.testing.assert_allclose(found.rate, root, rtol=1e-8)
    assert (found.lower <= root * (1 + 10 * EPS)).all()
    assert (found.rate >= root * (1 - 10 * EPS)).all()
    ratios = (A @ found.weights[..., np.newaxis])[..., 0] / found.weights
    np.testing.assert_allclose(ratios.max(axis=-1), found.rate, rtol=10 * EPS)


def test_a_cycle_and_a_reducible_matrix_and_zero():
    ring = best_max_norm(one(np.roll(np.diag([1.0, 2.0, 4.0]), 1, axis=1)))
    np.testing.assert_allclose([ring.rate, ring.lower], 2, rtol=1e-8)
    chain = best_max_norm(one(ROW))  # the infimum .9 is not attained: a gap remains
    assert chain.lower <= 0.9 < chain.rate < 0.902
    nothing = best_max_norm(one(np.zeros((2, 2))))
    assert nothing.rate == nothing.lower == 0


def test_of_two_matrices_every_row_takes_the_worse():
    rng = np.random.default_rng(0)
    A = rng.exponential(size=(2, 3, 3))
    found = best_max_norm(A)
    roots = [  # of all choices of rows: the largest one counts
        np.abs(np.linalg.eigvals(A[list(rows), range(3)])).max() for rows in np.ndindex(2, 2, 2)
    ]
    np.testing.assert_allclose([found.rate, found.lower], max(roots), rtol=1e-8)


def test_two_norms_that_are_known():
    rng = np.random.default_rng(0)
    Q, _ = np.linalg.qr(rng.normal(size=(6, 6)))
    d = np.exp(rng.normal(size=6))
    found = best_two_norm(0.7 * Q * d / d[:, np.newaxis])  # D⁻¹ (.7 Q) D: a rotation in disguise
    np.testing.assert_allclose([found.rate, found.lower], 0.7, rtol=1e-6)
    A = rng.exponential(size=(6, 6))  # without signs the Perron root (Stoer and Witzgall 1962)
    root = np.abs(np.linalg.eigvals(A)).max()
    found = best_two_norm(A)
    np.testing.assert_allclose([found.rate, found.lower], root, rtol=1e-3)
    assert found.lower <= root * (1 + 1e-9) <= found.rate * (1 + 2e-9)
    assert best_two_norm(np.zeros((2, 2))).rate == 0
    chain = best_two_norm(ROW)
    assert 0.9 <= chain.rate < 0.902


@pytest.mark.parametrize("n", [2, 8, 32])
def test_no_weights_do_better_in_the_two_norm(n):
    rng = np.random.default_rng(n)
    W = rng.normal(size=(n, n)) / np.sqrt(n)
    found = best_two_norm(W)
    v = found.weights
    rate = np.linalg.norm(W * v / v[:, np.newaxis], 2)
    np.testing.assert_allclose(rate, found.rate, rtol=100 * EPS)
    assert 0.999 * found.rate < found.lower <= found.rate
    assert found.rate <= np.linalg.norm(W, 2)
    assert found.rate <= best_max_norm(one(np.abs(W))).rate
    for size in (0.01, 0.1, 1.0):
        other = v * np.exp(size * rng.normal(size=(200, n)))
        scaled = W * other[:, np.newaxis] / other[..., np.newaxis]
        assert (np.linalg.norm(scaled, 2, axis=(-2, -1)) >= found.lower).all()


# --------------------------------------------------------------------------- bounds on Jacobians


@pytest.mark.parametrize("cell", [Elman(2, 1), GRU(2, 1), LSTM(2, 1)])
def test_without_weights_the_bounds_are_the_slopes(cell):
    params = {name: np.zeros(shape) for name, shape in cell.param_shapes().items()}
    rate = best_max_norm(jacobian_bounds(cell, params)).rate
    np.testing.assert_allclose(rate, 0.0 if isinstance(cell, Elman) else 0.5, atol=1e-9)


def test_bounds_of_one_lstm_unit_by_hand():
    params = {
        "weight_hh": np.array([[0.5], [-0.2], [0.3], [0.8]]),
        "bias": np.array([1.0, 2, 0, 0]),
    }
    params["weight_ih"] = np.array([[0.1], [0.0], [0.0], [0.0]])
    (M,) = jacobian_bounds(LSTM(1, 1), params, rounds=0)
    sigma = lambda z: 1 / (1 + np.exp(-z))  # noqa: E731
    i, f, g, o = sigma(1.6), sigma(2.2), np.tanh(0.3), sigma(0.8)
    c = i * g / (1 - f)
    slope = lambda z: sigma(z) * (1 - sigma(z))  # noqa: E731
    C = c * slope(1.8) * 0.2 + g * slope(0.4) * 0.5 + i * 0.3
    expected = [[np.tanh(c) / 4 * 0.8 + o * C, o * f], [C, f]]
    np.testing.assert_allclose(M, expected, rtol=1e-12)


def drawn(cell, count, rng):
    """Many networks of all sizes of weights."""
    params = draw_params(cell, rng, leads=(count,))
    size = np.exp(rng.uniform(-3, 1.5, size=count))
    return {k: a * size.reshape(-1, *[1] * (a.ndim - 1)) for k, a in params.items()}


def box(cell, params):
    """Largest entries of states, by running the bounds as numbers from the largest state on."""
    H, gates = cell.hidden_size, cell.gates
    W = np.abs(params["weight_hh"]).sum(-1).reshape(-1, gates, H)  # |h| ≤ 1
    U = np.abs(params["weight_ih"]).sum(-1).reshape(-1, gates, H)
    z = W + U + params["bias"].reshape(-1, gates, H)
    if isinstance(cell, LSTM):
        sizes = np.abs(params["bias"].reshape(-1, gates, H)) + W + U
        c = np.tanh(sizes[:, 2]) / (1 + np.exp(-z[:, 0])) * (1 + np.exp(z[:, 1]))
        return np.concatenate([np.ones_like(c), np.minimum(c, 1e3)], axis=-1)
    return np.ones((len(z), H))


@pytest.mark.parametrize(
    ("cell", "count"),
    [(Elman(2, 3), 2500), (GRU(2, 3), 2500), (LSTM(2, 3), 2500), (ContractingLSTM(2, 3), 2500)],
)
def test_no_search_breaks_a_certificate(cell, count):
    """Ten thousand networks: two states and an input climb to where the step contracts least."""
    rng = np.random.default_rng(1)
    params = drawn(cell, count, rng)
    norm = best_max_norm(jacobian_bounds(cell, params, rounds=0))
    if isinstance(cell, ContractingLSTM):
        assert (norm.rate <= cell.rate * (1 + 10 * EPS)).all()
        plain = dict(cell.lstm_params(params))
        limits = np.concatenate([np.ones((count, 3)), box(LSTM(2, 3), plain)[:, 3:]], axis=-1)
    else:
        limits = box(cell, params)

    def factor(x, d, u):
        z = np.clip(x + d, -limits, limits)
        size = np.maximum((np.abs(z - x) / norm.weights).max(-1), 1e-9)
        moved = cell.step(params, z, u) - cell.step(params, x, u)
        return (np.abs(moved) / norm.weights).max(-1) / size

    shape = limits.shape
    best = [limits * rng.uniform(-1, 1, shape), norm.weights * rng.choice([-0.01, 0.01], shape)]
    best.append(rng.choice([-1.0, 1.0], (count, 2)))
    value = factor(*best)
    for width in np.geomspace(1, 0.01, 60):
        x = np.clip(best[0] + width * limits * rng.normal(size=shape), -limits, limits)
        flip = np.where(rng.random(shape) < 0.2, -1, 1)
        u = np.clip(best[2] + width * rng.normal(size=(count, 2)), -1, 1)
        tried = [x, best[1] * flip, u]
        new = factor(*tried)
        better = new > value
        value = np.where(better, new, value)
        best = [np.where(better[:, None], a, b) for a, b in zip(tried, best, strict=True)]
    assert (value <= norm.rate * (1 + 1e-6)).all()  # rounding over a distance of a hundredth
    assert np.quantile(value / norm.rate, 0.9) > 0.3  # the search is no straw man


def test_a_jacobian_cannot_have_a_larger_spectral_radius():
    rng = np.random.default_rng(0)
    for cell in (Elman(2, 4), GRU(2, 4), LSTM(2, 4)):
        params = {name: 0.7 * array for name, array in draw_params(cell, rng).items()}
        norm = best_max_norm(jacobian_bounds(cell, params))
        u = rng.uniform(-1, 1, size=(50, 20, 2))
        _, J = state_jacobians(cell, params, np.zeros((20, cell.state_size)), u)
        assert np.abs(np.linalg.eigvals(J)).max() <= norm.rate
        assert ((np.abs(J) @ norm.weights) / norm.weights).max() <= norm.rate * (1 + 1e-9)


def test_the_certificate_of_page_9_is_never_better():
    params = drawn(LSTM(2, 3), 300, np.random.default_rng(3))
    found = contraction_certificate(params)
    small = found.rate < 1e6
    norm = best_max_norm(jacobian_bounds(LSTM(2, 3), params, rounds=0))
    assert (norm.lower[small] <= found.rate[small] * (1 + 1e-9)).all()


def test_bounds_take_leading_axes():
    params = draw_params(GRU(2, 3), np.random.default_rng(0), leads=(2, 4))
    many = jacobian_bounds(GRU(2, 3), params)
    assert many.shape == (2, 4, 2, 3, 3)
    single = jacobian_bounds(GRU(2, 3), {name: array[1, 2] for name, array in params.items()})
    np.testing.assert_allclose(many[1, 2], single, rtol=10 * EPS)


def test_large_biases_have_finite_bounds():
    params = {name: np.ones(shape) for name, shape in LSTM(1, 2).param_shapes().items()}
    params["bias"] = np.full(8, 2000.0)
    found = best_max_norm(jacobian_bounds(LSTM(1, 2), params))
    assert np.isfinite(found.rate)
    assert found.rate >= 1


# ------------------------------------------------------------------ by construction, by projection


@pytest.mark.parametrize("size", [0.0, 1e-3, 1.0, 1e3])
@pytest.mark.parametrize("rate", [0.3, 0.9, 0.99])
def test_every_parameter_gives_the_rate(size, rate):
    cell = ContractingLSTM(2, 4, rate=rate, input_bound=2.0)
    params = draw_params(cell, np.random.default_rng(0), leads=(20,))
    params = {name: np.clip(size * array, -30, 30) for name, array in params.items()}
    M = jacobian_bounds(cell, params, input_bound=2.0, rounds=0)
    v = np.repeat([1.0, SHARE], 4)
    assert ((M @ v) / v <= rate * (1 + 100 * EPS)).all()


@every_dtype
def test_a_forget_gate_that_is_shut_has_a_finite_bias(dtype):
    cell = ContractingLSTM(2, 3, rate=0.9)
    params = {name: -np.ones(shape, dtype) for name, shape in cell.param_shapes().items()}
    params["bias"] *= dtype(1e4)
    for own in (dict(cell.lstm_params(params)), project_to_rate(params, rate=0.9, phi=0.8)):
        M = jacobian_bounds(LSTM(2, 3), own, rounds=0)
        v = np.repeat([1.0, SHARE], 3)
        assert ((M @ v) / v <= 0.9 * (1 + 1000 * np.finfo(dtype).eps)).all()


@every_dtype
def test_the_step_is_an_lstm_and_its_gradient_that_of_automatic_differentiation(dtype):
    cell, rng = ContractingLSTM(2, 3, rate=0.9), np.random.default_rng(0)
    params = draw_params(cell, rng, outputs=2, dtype=dtype)
    u, y = (rng.normal(size=(5, 4, 2)).astype(dtype) for _ in range(2))
    cost = Cost(cell, u, y)
    found = bptt(cost, params).params
    assert_same_params(found, textbook.bptt(cost, params), units=2000)
    if dtype is np.float64:
        assert_same_params(
            hessian_vector_product(cost, params, params),
            textbook.hessian_vector_product(cost, params, params),
            units=2000,
        )


@every_dtype
@pytest.mark.parametrize("size", [0.1, 1.0, 100.0])
def test_what_is_projected_contracts_and_stays(dtype, size):
    params = draw_params(LSTM(2, 4), np.random.default_rng(0), outputs=2, leads=(9,), dtype=dtype)
    params = {name: dtype(size) * array for name, array in params.items()}
    found = project_to_rate(params, rate=0.9, phi=0.8)
    assert all(
        found[name].dtype == dtype and found[name].shape == params[name].shape for name in found
    )
    v = np.repeat([1.0, SHARE], 4)
    M = jacobian_bounds(LSTM(2, 4), found, rounds=0)
    assert ((M @ v) / v <= 0.9 * (1 + 1000 * np.finfo(dtype).eps)).all()
    again = project_to_rate(found, rate=0.9, phi=0.8)
    for name in found:
        tolerance = 20 * np.finfo(dtype).eps * np.abs(found[name]).max()
        np.testing.assert_allclose(again[name], found[name], atol=tolerance, rtol=0)
    small = {name: dtype(1e-3) * array / dtype(size) for name, array in params.items()}
    inside = project_to_rate(small, rate=0.9, phi=0.8)
    for name in small:
        np.testing.assert_array_equal(inside[name], small[name])


@pytest.mark.parametrize("bound", [0.0, 0.5, 1.0, 2.0])
def test_forget_bias_and_input_weights_go_to_the_nearest_point(bound):
    rng = np.random.default_rng(0)
    params = {k: np.zeros(s) for k, s in LSTM(3, 1).param_shapes().items()}
    params["weight_ih"][1], params["bias"][1] = [1.0, -0.3, 0.02], 2.0
    settings = {"rate": 0.9, "phi": 0.8, "input_bound": bound}
    found = project_to_rate(params, **settings)
    before, after = (np.append(one["weight_ih"][1], one["bias"][1]) for one in (params, found))
    room = np.log(0.8 / 0.2)

    def used(points):
        return points[..., 3] + bound * np.abs(points[..., :3]).sum(axis=-1)

    np.testing.assert_allclose(used(after), room, rtol=1e-12)
    others = after + np.exp(rng.uniform(-8, 0, (20000, 1))) * rng.normal(size=(20000, 4))
    others[:, 3] -= np.maximum(used(others) - room, 0)  # admissible
    nearest = np.linalg.norm(others - before, axis=1).min()
    assert np.linalg.norm(after - before) <= nearest
    lowered = project_to_rate(params, **settings, nearest=False)
    np.testing.assert_array_equal(lowered["weight_ih"], params["weight_ih"])
    np.testing.assert_allclose(lowered["bias"][1], room - bound * 1.32, rtol=1e-12)


# ----------------------------------------------------------------------------------- bad input


def test_bad_input_is_named():
    cell = LSTM(1, 2)
    params = cell.init_params(np.random.default_rng(0))
    with pytest.raises(ValueError, match="weight_hh must be finite, got nan"):
        jacobian_bounds(cell, params | {"weight_hh": np.full((8, 2), np.nan)})
    with pytest.raises(TypeError, match="cell must be an Elman with tanh, an LSTM or a GRU"):
        jacobian_bounds(Elman(1, 2, activation="relu"), params)
    with pytest.raises(ValueError, match="params must have the keys"):
        jacobian_bounds(cell, {})
    with pytest.raises(ValueError, match="bounds must be square"):
        best_max_norm(-np.ones((1, 2, 2)))
    with pytest.raises(ValueError, match="bounds must be square"):
        best_max_norm(np.ones((1, 2, 3)))
    with pytest.raises(ValueError, match=r"W must be square, .*, got shape \(2, 3\)"):
        best_two_norm(np.ones((2, 3)))
    for rate in (0.0, 1.0):
        with pytest.raises(ValueError, match=f"rate must lie between 0 and 1.0, got {rate}"):
            ContractingLSTM(1, 2, rate=rate)
    with pytest.raises(ValueError, match=r"phi must lie between 0 and 0.9, got 0.95"):
        project_to_rate(params, rate=0.9, phi=0.95)
