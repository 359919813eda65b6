import math

import numpy as np
import pytest
from strategies import every_cell, problem, scalar_network

from rnnpedagogy import search
from rnnpedagogy.bounds import ReadoutBounds, cost_bounds, step_bounds
from rnnpedagogy.gradients import bptt, hessian_vector_product
from rnnpedagogy.hessian import gradient_norms, hessian_spectrum
from rnnpedagogy.search import largest_decreasing_step, supremum


def in_box(low, high, d):
    def sample(rng, k):
        return rng.uniform(low, high, size=(k, d))

    return sample, lambda points: np.clip(points, low, high)


@pytest.mark.parametrize("seed", range(5))
def test_known_suprema_are_found(seed):
    rng = np.random.default_rng(seed)
    inside = supremum(lambda p: -np.sum((p - 0.3) ** 2, 1), *in_box(-1, 1, 6), rng=rng, rounds=100)
    assert -1e-3 < inside.value <= 0
    np.testing.assert_allclose(inside.point, 0.3, atol=0.03)
    at_a_corner = supremum(lambda p: p.sum(axis=1), *in_box(-1, 1, 4), rng=rng)
    np.testing.assert_allclose(at_a_corner.value, 4, rtol=1e-12)
    assert inside.value == inside.history.max() == inside.history[-1]
    assert (np.diff(inside.history) >= 0).all()
    assert len(inside.history) == 100 + 1


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


def test_function_and_projection_see_batches():
    seen = []

    def function(points):
        seen.append(len(points))
        return np.where(points[:, 0] > 0, points[:, 0], -np.inf)  # logarithms of zero are allowed

    sample, project = in_box(-1, 1, 2)
    settings = {"starts": 32, "rounds": 5, "keep": 3, "tries": 4}
    found = supremum(function, sample, project, rng=np.random.default_rng(0), **settings)
    assert seen == [32] + 5 * [12]
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
    norms = hessian_spectrum(cost, params, np.random.default_rng(0), names=only).norm
    assert (found >= 2 / norms * (1 - 1e-6)).all()  # L'_V is the same everywhere


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


def test_where_there_is_no_such_step_infinity_or_nan_say_why(monkeypatch):
    # y = 1 is never reached: V decreases in b for good. At b_o = y the gradient is zero.
    cost, params = scalar_network(1.0, 5)
    assert largest_decreasing_step(cost, params, names=["bias"]) == np.inf
    there = params | {"bias_o": np.ones(1), "weight_ho": np.zeros((1, 1))}
    assert np.isnan(largest_decreasing_step(cost, there, names=["bias_o"]))
    np.testing.assert_allclose(largest_decreasing_step(cost, params, names=["bias_o"]), 1)
    # A first step beyond η₁ = 1 is no start, and a last one before it finds nothing.
    for end, at, answer in (("START", 1.5, np.nan), ("STOP", 0.9, np.inf)):
        with monkeypatch.context() as patch:
            patch.setattr(search, end, at)
            found = largest_decreasing_step(cost, params, names=["bias_o"])
        np.testing.assert_equal(found, answer)
    # Where the decrease drowns in the rounding of a large cost, nothing is reported.
    far, params = scalar_network(1.0, 5, target=1e9)
    near = params | {"bias_o": np.full(1, 1e9 - 1e-6)}
    assert np.isnan(largest_decreasing_step(far, near, names=["bias_o"]))


# ---------------------------------------------------------------- bad input


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
        (None, None, {"project": lambda p: p[:1]}, r"got project\(points\) of shape"),
    ],
)
def test_bad_searches_are_named(function, sample, settings, message):
    function = function or (lambda points: points[:, 0])
    sample = sample or (lambda rng, k: rng.normal(size=(k, 2)))
    with pytest.raises(ValueError, match=message):
        supremum(function, sample, rng=np.random.default_rng(0), **settings)
