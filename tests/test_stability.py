import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import draw_params, every_dtype, some_examples

from rnnpedagogy.cells import LSTM, sigmoid
from rnnpedagogy.jacobians import state_jacobians
from rnnpedagogy.rollout import rollout
from rnnpedagogy.stability import (
    INPUT_TO_FORGET,
    LARGEST_PHI,
    ROW_SUMS,
    contraction_certificate,
    project_contracting_lstm,
    project_stable_lstm,
)

EPS = np.finfo(float).eps
BOUNDS = np.repeat([ROW_SUMS[gate] for gate in "ifgo"], 3)


def zeros(m, H):
    return {name: np.zeros(shape) for name, shape in LSTM(m, H).param_shapes().items()}


def at_the_bounds(m=2, H=3, forget_bias=0.0, seed=0):
    """Random directions, every row on the boundary of the published region, random biases."""
    params = dict(draw_params(LSTM(m, H), np.random.default_rng(seed)))
    huge = {name: 1e3 * array for name, array in params.items()}
    params = project_stable_lstm(huge) | {"bias": params["bias"].copy()}
    params["bias"][H : 2 * H] = forget_bias
    return params


def row_sums(W):
    return np.abs(W).sum(axis=-1)


# ----------------------------------------------------------------------- published constants


def test_the_published_constants_have_a_certificate_at_a_forget_bias_of_zero():
    found = contraction_certificate(at_the_bounds())
    # Projected rows lie below their bounds by at most a few roundings.
    phi = 1 / (1 + math.exp(-0.405))
    a = 0.395 / 4 + 0.099 + 0.155 / 4 / (1 - phi)
    for actual, expected in (
        (found.phi, phi),
        (found.a, a),
        (found.o, 0.395 / 4),
        (found.cell_bound, 1 / (1 - phi)),
    ):
        np.testing.assert_allclose(actual, expected, rtol=50 * EPS)
    assert 0.5998 < found.phi < 0.6
    assert found.holds
    matrix = [[0.395 / 4 + a, phi], [a, phi]]
    np.testing.assert_allclose(found.rate, np.linalg.eigvals(matrix).max(), rtol=100 * EPS)
    assert 0.92 < found.rate < 0.93


def test_a_grown_forget_bias_loses_the_certificate():
    found = contraction_certificate(at_the_bounds(forget_bias=3.7))
    assert not found.holds
    assert found.rate > 1
    assert not contraction_certificate(at_the_bounds(forget_bias=0.4)).holds
    assert contraction_certificate(at_the_bounds(forget_bias=0.2)).holds


def test_larger_inputs_lose_the_certificate():
    assert not contraction_certificate(at_the_bounds(), input_bound=3.0).holds


def test_a_network_in_the_published_region_can_have_two_attractors():
    # One unit, no input: c' = f c + i tanh(w h), h = o tanh c. At zero, with i = o ≈ 1, the slopes
    # are [[o i w, o f], [i w, f]], with the larger eigenvalue w + f = 0.099 + σ(3.7) > 1: zero is
    # unstable. With W_i = W_f = W_o = 0 and no bias of g the map is odd: attractors come in pairs.
    cell, params = LSTM(0, 1), zeros(0, 1)
    params["weight_hh"][2] = 0.099
    params["bias"][:] = [20, 3.7, 0, 20]
    np.testing.assert_array_equal(project_stable_lstm(params)["weight_hh"], params["weight_hh"])
    starts = np.array([[0.5, 0.5], [-0.5, -0.5]])
    up, down = rollout(cell, params, starts, np.zeros((2000, 0)))[-1]
    np.testing.assert_allclose(up, -down, rtol=1e-9)
    assert up[1] > 0.5
    assert not contraction_certificate(params).holds
    kept = project_contracting_lstm(params)
    assert contraction_certificate(kept).holds
    up, down = rollout(cell, kept, starts, np.zeros((2000, 0)))[-1]
    np.testing.assert_allclose([up, down], 0, atol=1e-9)


# ----------------------------------------------------------------------------- the certificate


def test_the_certificate_of_no_weights_is_known():
    # c' = c/2 + 0: the rate is that of the forget gate, and its weight in the norm is one.
    found = contraction_certificate(zeros(1, 2))
    np.testing.assert_allclose([found.phi, found.rate, found.cell_bound], [0.5, 0.5, 2])
    np.testing.assert_allclose(found.weight, 1)
    assert found.holds


def test_the_rate_is_attained():
    # One unit near zero with i = o = 1 to rounding: the slopes at zero are the matrix itself.
    cell, params = LSTM(0, 1), zeros(0, 1)
    params["weight_hh"][2] = 0.3
    params["bias"][:] = [40, 0.2, 0, 40]
    found = contraction_certificate(params)
    _, jacobians = state_jacobians(cell, params, np.zeros(2), np.zeros((1, 0)))
    slope = np.abs(np.linalg.eigvals(jacobians[0])).max()
    np.testing.assert_allclose(found.rate, slope, rtol=10 * EPS)
    np.testing.assert_allclose(slope, 0.3 + sigmoid(0.2), rtol=10 * EPS)


def boundary_network(rng, H, m, phi, shares, slack):
    """A random LSTM with ``a = slack · (1 − φ)(1 − o)``, ``shares`` of it to i, g, f; and ``φ``."""
    params = dict(draw_params(LSTM(m, H), rng, outputs=None))
    W = params["weight_hh"].reshape(4, H, H) / row_sums(params["weight_hh"]).reshape(4, H, 1)
    o = 0.9 * shares[3]
    a = slack * (1 - phi) * (1 - o)
    parts = a * np.array(shares[:3]) / np.sum(shares[:3])
    W_ih = params["weight_ih"].reshape(4, H, m)
    bias = params["bias"].reshape(4, H).copy()
    f = 4 * parts[2] * (1 - phi)
    bias[1] = np.log(phi / (1 - phi)) - f - row_sums(W_ih[1])
    W = W * np.reshape([4 * parts[0], f, parts[1], 4 * o], (4, 1, 1))
    return params | {"weight_hh": W.reshape(4 * H, H), "bias": bias.ravel()}


@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 4),
    st.integers(0, 2),
    st.floats(0.05, 0.95),
    st.lists(st.floats(0.01, 1), min_size=4, max_size=4),
    st.floats(0.5, 1.2),
)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_no_pair_of_states_contracts_more_slowly_than_certified(seed, H, m, phi, shares, slack):
    rng = np.random.default_rng(seed)
    params = boundary_network(rng, H, m, phi, shares, slack)
    found = contraction_certificate(params)
    np.testing.assert_allclose(found.phi, phi, rtol=100 * EPS)
    expected = slack * (1 - phi) * (1 - found.o)
    np.testing.assert_allclose(found.a, expected, rtol=100 * EPS)
    if abs(slack - 1) > 1e-9:
        assert found.holds == (slack < 1)
        assert (found.rate < 1) == (slack < 1)
    # Pairs all over the set, and close pairs near zero, where the slopes are largest.
    h = rng.uniform(-1, 1, size=(2, 20, H))
    c = rng.uniform(-1, 1, size=(2, 20, H)) * found.cell_bound
    pairs = np.concatenate([h, c], axis=-1)
    pairs[:, 10:] *= 1e-3
    states = rollout(LSTM(m, H), params, pairs, rng.uniform(-1, 1, size=(15, 20, m)))
    assert np.abs(states[..., H:]).max() <= found.cell_bound  # nothing leaves the set
    distance = found.distance(*np.moveaxis(np.concatenate([pairs[np.newaxis], states]), 1, 0))
    # Entries of a size of at most c̄ are rounded some ten times a step; weighed by at most 1/w.
    atol = 10 * (H + m) * EPS * found.cell_bound / min(found.weight, 1)
    assert (distance[1:] <= found.rate * distance[:-1] * (1 + 10 * EPS) + atol).all()


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(0, 2))
@some_examples
def test_a_certified_network_has_one_fixed_point(seed, H, m):
    rng = np.random.default_rng(seed)
    cell = LSTM(m, H)
    raw = {name: 5 * array for name, array in draw_params(cell, rng).items()}
    params = project_contracting_lstm(raw)
    found = contraction_certificate(params)
    assert found.holds
    starts = rng.uniform(-1, 1, size=(30, 2 * H)) * np.repeat([1, found.cell_bound], H)
    steps = math.ceil(math.log(EPS) / math.log(found.rate))
    u = rng.uniform(-1, 1, size=m)
    states = rollout(cell, params, starts, np.broadcast_to(u, (steps, m)))
    # Distances of at most 2 c̄/w shrink by a factor of ε; every step adds roundings of the size of
    # c̄, which a contraction sums up to no more than 1/(1 − rate) of them.
    bound = 2 * EPS * found.cell_bound / min(found.weight, 1) * (1 + 5 * (H + m) / (1 - found.rate))
    assert found.distance(states[-1], states[-1, :1]).max() <= bound


def test_certificates_of_a_batch_are_a_loop():
    rng = np.random.default_rng(0)
    leads = {"weight_hh": (4,), "weight_ih": (), "bias": (2, 1)}
    params = draw_params(LSTM(2, 3), rng, leads=leads)
    batch = contraction_certificate(params)
    assert batch.rate.shape == batch.holds.shape == (2, 4)
    for i, j in np.ndindex(2, 4):
        one = contraction_certificate(
            params | {"weight_hh": params["weight_hh"][j], "bias": params["bias"][i, 0]}
        )
        for name in ("rate", "phi", "a", "o", "cell_bound", "weight", "holds"):
            shape = batch.rate.shape
            assert np.broadcast_to(getattr(batch, name), shape)[i, j] == getattr(one, name)


@pytest.mark.parametrize("bias", [-2000.0, -50.0, 50.0, 2000.0])
@pytest.mark.parametrize("size", [0.0, 1.0])
def test_extreme_biases_have_a_finite_certificate(bias, size):
    params = zeros(0, 2)
    params["weight_hh"][2:] = size
    params["bias"][2:4] = bias
    found = contraction_certificate(params)
    assert np.isfinite([found.rate, found.weight, found.cell_bound]).all()
    assert found.holds == (bias < 0 and size == 0)


# ----------------------------------------------------------------------------- the projections


@every_dtype
@pytest.mark.parametrize("size", [0.1, 1.0, 1e3])
@pytest.mark.parametrize("seed", range(3))
def test_projected_rows_are_within_their_bounds(dtype, size, seed):
    params = draw_params(LSTM(2, 3), np.random.default_rng(seed), outputs=2, dtype=dtype)
    params = {name: dtype(size) * array for name, array in params.items()}
    for project in (project_stable_lstm, project_contracting_lstm):
        found = project(params)
        assert list(found) == list(params)
        assert all(found[name].dtype == dtype for name in found)
        wide = {name: array.astype(np.float64) for name, array in found.items()}
        assert (row_sums(wide["weight_hh"]) <= BOUNDS).all()
        assert (row_sums(wide["weight_ih"])[3:6] <= INPUT_TO_FORGET).all()
        # Once is enough, to the last bit.
        again = project(found)
        for name in found:
            np.testing.assert_array_equal(again[name], found[name])
        # Directions are kept, rows inside stay, other gates' inputs, biases and readout too.
        inside = row_sums(params["weight_hh"].astype(np.float64)) <= BOUNDS
        np.testing.assert_array_equal(found["weight_hh"][inside], params["weight_hh"][inside])
        ratio = found["weight_hh"] / params["weight_hh"]
        np.testing.assert_allclose(ratio, ratio[:, :1] * np.ones(3), rtol=2 * np.finfo(dtype).eps)
        np.testing.assert_allclose(
            row_sums(wide["weight_hh"])[~inside], BOUNDS[~inside], rtol=10 * np.finfo(dtype).eps
        )
        others = np.r_[0:3, 6:12]
        np.testing.assert_array_equal(found["weight_ih"][others], params["weight_ih"][others])
        np.testing.assert_array_equal(found["bias"][others], params["bias"][others])
        np.testing.assert_array_equal(found["weight_ho"], params["weight_ho"])
    np.testing.assert_array_equal(project_stable_lstm(params)["bias"], params["bias"])


def test_rows_are_projected_not_columns():
    params = zeros(1, 2)
    params["weight_hh"][4:6] = [[1.0, 1.0], [0.04, -0.05]]  # the gate g
    found = project_stable_lstm(params)["weight_hh"][4:6]
    np.testing.assert_allclose(found, [[0.0495, 0.0495], [0.04, -0.05]], rtol=10 * EPS)


@every_dtype
@pytest.mark.parametrize(("phi", "input_bound"), [(0.6, 1.0), (0.3, 2.0), (0.65, 0.0)])
def test_what_is_projected_has_its_certificate(dtype, phi, input_bound):
    for seed in range(20):
        params = draw_params(LSTM(2, 3), np.random.default_rng(seed), dtype=dtype)
        params = {name: dtype(4) * array for name, array in params.items()}
        found = project_contracting_lstm(params, phi=phi, input_bound=input_bound)
        certificate = contraction_certificate(found, input_bound=input_bound)
        assert certificate.holds
        # A bias of a size of at most some five is rounded once, and φ moves by a quarter of it.
        assert certificate.phi <= phi + 5 * np.finfo(dtype).eps
        if phi == 0.6:
            assert certificate.rate < 0.93
        again = project_contracting_lstm(found, phi=phi, input_bound=input_bound)
        np.testing.assert_array_equal(again["bias"], found["bias"])
        assert (found["bias"] <= params["bias"]).all()


@every_dtype
@pytest.mark.parametrize("input_bound", [1.0, 1e6, 1e8])
def test_a_large_forget_bias_is_rounded_down(dtype, input_bound):
    cell = LSTM(1, 16)
    for seed in range(10):
        params = dict(draw_params(cell, np.random.default_rng(seed), dtype=dtype))
        params["bias"] = np.full_like(params["bias"], 9)
        found = project_contracting_lstm(params, input_bound=input_bound)
        certificate = contraction_certificate(found, input_bound=input_bound)
        assert certificate.holds
        assert certificate.rate < 0.93
        # In φ only the sum of double precision is rounded, of terms as large as the input bound.
        assert certificate.phi <= 0.6 + EPS * input_bound + EPS
        assert found["bias"].dtype == dtype


def test_a_forget_bias_with_room_stays():
    params = zeros(1, 2)
    params["bias"][2:4] = [0.4, 3.7]
    found = project_contracting_lstm(params)["bias"]
    np.testing.assert_allclose(found[2:4], [0.4, math.log(1.5)], rtol=10 * EPS)


def test_the_largest_phi_is_where_the_certificate_ends():
    a = 0.395 / 4 + 0.099 + 0.155 / 4 / (1 - LARGEST_PHI)
    np.testing.assert_allclose(a, (1 - LARGEST_PHI) * (1 - 0.395 / 4), rtol=10 * EPS)
    assert 0.655 < LARGEST_PHI < 0.656


def test_projections_take_leading_axes():
    params = draw_params(LSTM(2, 3), np.random.default_rng(0), leads=(4,))
    found = project_contracting_lstm(params)
    for k in range(4):
        one = project_contracting_lstm({name: array[k] for name, array in params.items()})
        for name in one:
            np.testing.assert_array_equal(found[name][k], one[name])


# ----------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    "function", [contraction_certificate, project_stable_lstm, project_contracting_lstm]
)
def test_what_is_no_lstm_is_named(function):
    good = zeros(2, 3)
    with pytest.raises(ValueError, match="params must be those of an LSTM: bias missing"):
        function({name: good[name] for name in ("weight_hh", "weight_ih")})
    with pytest.raises(ValueError, match=r"got weight_hh of shape \(9, 3\), expected \(…, 12, 3\)"):
        function(good | {"weight_hh": np.zeros((9, 3))})
    with pytest.raises(ValueError, match=r"got bias of shape \(9,\), expected \(…, 12\)"):
        function(good | {"bias": np.zeros(9)})
    with pytest.raises(ValueError, match="bias must be finite, got nan"):
        function(good | {"bias": np.full(12, np.nan)})
    with pytest.raises(TypeError, match=r"weight_ih must hold real floats.*int64"):
        function(good | {"weight_ih": np.zeros((12, 2), int)})
    with pytest.raises(ValueError, match=r"got weight_hh of shape \(\)"):
        function(good | {"weight_hh": 1.0})


def test_bad_bounds_are_named():
    params = zeros(1, 2)
    with pytest.raises(ValueError, match=r"input_bound must be a finite .*, got -1"):
        contraction_certificate(params, input_bound=-1)
    with pytest.raises(ValueError, match=r"input_bound must be a finite .*, got inf"):
        project_contracting_lstm(params, input_bound=np.inf)
    for phi in (0.0, 0.7, 1.0):
        with pytest.raises(ValueError, match=rf"phi must lie between 0 and 0\.656, got {phi}"):
            project_contracting_lstm(params, phi=phi)
