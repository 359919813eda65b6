import math

import autograd
import autograd.numpy as anp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import (
    ORTHOGONAL,
    assert_equal_to_rounding,
    assert_same_params,
    batch_shapes,
    draw_params,
    every_dtype,
    problem,
    some_examples,
)

from rnnpedagogy.cells import Elman, flatten, unflatten
from rnnpedagogy.costs import Cost
from rnnpedagogy.gradients import bptt, hessian_vector_product, rtrl
from rnnpedagogy.jacobians import jacobian_products, state_jacobians
from rnnpedagogy.orthogonal import (
    OrthogonalRNN,
    cayley,
    cayley_adjoint,
    expm,
    expm_skew,
    expm_skew_adjoint,
    householder,
    householder_adjoint,
    modrelu,
    skew_matrix,
)
from rnnpedagogy.rollout import rollout

EPS = np.finfo(float).eps
every_kind = pytest.mark.parametrize("kind", ORTHOGONAL)
kinds = st.sampled_from(list(ORTHOGONAL))


def draw_skew(n, seed=0, size=1.0, leads=(), dtype=np.float64):
    rng = np.random.default_rng(seed)
    return skew_matrix((size * rng.normal(size=(*leads, n * (n - 1) // 2))).astype(dtype))


def off_orthogonal(W):
    return np.abs(W.swapaxes(-1, -2) @ W - np.eye(W.shape[-1])).max()


# ----------------------------------------------------------------------------- the exponential


def test_a_skew_matrix_holds_its_entries_row_by_row():
    expected = [[0, 1, 2, 3], [-1, 0, 4, 5], [-2, -4, 0, 6], [-3, -5, -6, 0]]
    np.testing.assert_array_equal(skew_matrix(np.arange(1.0, 7)), expected)
    assert skew_matrix(np.zeros((2, 0))).shape == (2, 1, 1)
    assert skew_matrix(np.zeros((2, 3), np.float32)).dtype == np.float32


# A unitary basis and the sums of n products: a few roundings times n for an entry of at most one.
@pytest.mark.parametrize("exponential", [expm, expm_skew])
@pytest.mark.parametrize("angle", [0.0, 1e-9, 0.3, math.pi / 2, 3.0, math.pi, 10.0])
def test_in_the_plane_the_exponential_is_the_rotation(exponential, angle):
    cos, sin = math.cos(angle), math.sin(angle)
    # The series is squared up to five times, which doubles its error every time.
    atol = (4 if exponential is expm_skew else 128) * EPS
    found = exponential(skew_matrix(np.array([-angle])))
    np.testing.assert_allclose(found, [[cos, -sin], [sin, cos]], rtol=0, atol=atol)


@pytest.mark.parametrize("exponential", [expm, expm_skew])
@pytest.mark.parametrize("size", [0.0, 1e-8, 1.0, 3.0])
def test_in_space_the_exponential_is_rodrigues_formula(exponential, size):
    # e^S = I + sin θ/θ S + (1 − cos θ)/θ² S² with θ = ‖(s_12, s_13, s_23)‖.
    entries = size * np.array([0.6, -0.48, 0.64])
    theta = np.linalg.norm(entries)
    S = skew_matrix(entries)
    half = np.sinc(theta / (2 * np.pi))  # (1 − cos θ)/θ² = ½ (sin(θ/2)/(θ/2))²
    expected = np.eye(3) + np.sinc(theta / np.pi) * S + half**2 / 2 * S @ S
    np.testing.assert_allclose(exponential(S), expected, rtol=0, atol=64 * EPS)


def test_the_exponential_of_zero_is_the_identity():
    for exponential in (expm, expm_skew):
        np.testing.assert_array_equal(exponential(np.zeros((2, 4, 4))), [np.eye(4)] * 2)


def test_the_series_knows_nilpotent_and_diagonal_matrices():
    N = np.diag([6.0, 3.0], 1)
    np.testing.assert_array_equal(expm(N / 32), np.eye(3) + N / 32 + N @ N / 2048)
    found = expm(np.diag([-5.0, 0.0, 2.5]))
    # Five squarings double the relative error of a few roundings each time.
    expected = np.diag(np.exp([-5.0, 0.0, 2.5]))
    np.testing.assert_allclose(found, expected, rtol=4 * 32 * EPS, atol=0)


@pytest.mark.parametrize("n", [1, 2, 3, 10, 60])
@pytest.mark.parametrize("size", [1e-3, 1.0, 10.0])
def test_the_exponential_by_eigenvectors_is_that_by_squaring(n, size):
    S = draw_skew(n, size=size)
    W = expm_skew(S)
    # The eigenvalues carry an error of some ε‖S‖, the squarings as much; sums of n terms.
    norm = max(1.0, np.linalg.norm(S, 2))
    np.testing.assert_allclose(W, expm(S), rtol=0, atol=4 * n * norm * EPS)
    assert off_orthogonal(W) <= 4 * n * EPS
    np.testing.assert_allclose(np.linalg.det(W), 1, rtol=4 * n * n * EPS)


def test_orthogonality_survives_two_thousand_updates():
    rng = np.random.default_rng(0)
    n = 8
    s, mean, square = np.zeros((3, n * (n - 1) // 2))
    for _ in range(2000):  # Adam, with gradients of noise around a drift
        gradient = rng.normal(size=s.size) - 0.1
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        s = s - 0.01 * mean / (np.sqrt(square) + 1e-8)
    assert np.abs(s).max() > 1
    assert off_orthogonal(expm_skew(skew_matrix(s))) <= 4 * n * EPS
    single = expm_skew(skew_matrix(s.astype(np.float32)))
    assert single.dtype == np.float32
    # Every entry is rounded once, by half a unit of single precision; a sum of n squares of them.
    assert off_orthogonal(single.astype(np.float64)) <= n * np.finfo(np.float32).eps


def test_the_type_is_kept_and_the_digits_are_those_of_double_precision():
    S = draw_skew(20, dtype=np.float32)
    G = np.random.default_rng(1).normal(size=(20, 20)).astype(np.float32)
    wide = S.astype(np.float64)
    np.testing.assert_array_equal(expm_skew(S), expm_skew(wide).astype(np.float32))
    expected = expm_skew_adjoint(wide, G.astype(np.float64)).astype(np.float32)
    np.testing.assert_array_equal(expm_skew_adjoint(S, G), expected)


# --------------------------------------------------------------------------------- its adjoint


@pytest.mark.parametrize("n", [1, 2, 3, 10])
@pytest.mark.parametrize("size", [0.0, 1e-3, 1.0, 3.0])
def test_the_adjoint_is_that_of_automatic_differentiation(n, size):
    S = draw_skew(n, size=size)
    G = np.random.default_rng(1).normal(size=(n, n))
    expected = autograd.grad(lambda A: anp.sum(G * expm(A)))(S)
    # Backwards as forwards: errors of ε‖S‖ in sums of n terms, relative to the largest entry.
    units = 16 * n * max(1.0, np.linalg.norm(S, 2))
    assert_equal_to_rounding(expm_skew_adjoint(S, G), expected, units=units)


def test_the_adjoint_at_zero_is_the_identity():
    G = np.random.default_rng(0).normal(size=(5, 5))
    np.testing.assert_array_equal(expm_skew_adjoint(np.zeros((5, 5)), G), G)


def test_the_derivative_of_a_rotation_is_the_rotation_by_a_right_angle_more():
    # ∂W/∂s for S = [[0, s], [−s, 0]], W = [[cos s, sin s], [−sin s, cos s]].
    s, G = 0.7, np.array([[1.0, 2.0], [-3.0, 0.5]])
    Z = expm_skew_adjoint(skew_matrix(np.array([s])), G)
    slope = np.array([[-np.sin(s), np.cos(s)], [-np.cos(s), -np.sin(s)]])
    np.testing.assert_allclose(Z[0, 1] - Z[1, 0], np.sum(G * slope), rtol=8 * EPS)


@pytest.mark.parametrize("apart", [0.0, 1e-15, 1e-12, 1e-8, 1e-4])
def test_equal_and_nearly_equal_eigenvalues_lose_no_digits(apart):
    # Two planes with the angles 1 and 1 + apart, in a basis of their own.
    S = np.zeros((4, 4))
    S[0, 1], S[2, 3] = 1, 1 + apart
    S -= S.T
    Q = expm_skew(draw_skew(4, seed=3))
    S = np.triu(Q @ S @ Q.T, 1)
    S -= S.T
    G = np.random.default_rng(1).normal(size=(4, 4))
    expected = autograd.grad(lambda A: anp.sum(G * expm(A)))(S)
    assert_equal_to_rounding(expm_skew_adjoint(S, G), expected, units=16 * 4)


@pytest.mark.parametrize("seed", range(3))
def test_the_adjoint_passes_a_check_by_finite_differences(seed):
    n, rng = 6, np.random.default_rng(seed)
    s, v = rng.normal(size=(2, n * (n - 1) // 2))
    v /= np.linalg.norm(v)
    G = rng.normal(size=(n, n))
    Z = expm_skew_adjoint(skew_matrix(s), G)
    derivative = (Z - Z.T)[np.triu_indices(n, 1)] @ v
    h = EPS ** (1 / 3)
    plus, minus = (np.sum(G * expm_skew(skew_matrix(s + d * v))) for d in (h, -h))
    # φ(h) = ⟨G, exp(S + hE)⟩ with ‖E‖₂ ≤ 1: |φ'''| ≤ ‖G‖_F ‖E‖_F ≤ ‖G‖_F √2. The values are sums
    # of n² products with entries that are off by at most 4nε.
    size = np.linalg.norm(G)
    truncation = h**2 / 6 * size * math.sqrt(2)
    rounding = 4 * n * EPS * np.abs(G).sum() / h
    assert abs((plus - minus) / (2 * h) - derivative) <= truncation + rounding


@given(batch_shapes(2), st.integers(1, 4))
@some_examples
def test_batches_of_matrices_are_loops(shapes, n):
    S, G = draw_skew(n, leads=shapes[0]), draw_skew(n, seed=1, leads=shapes[1]) + 1
    W, Z = expm_skew(S), expm_skew_adjoint(S, G)
    for index in np.ndindex(shapes[0]):
        np.testing.assert_array_equal(W[index], expm_skew(S[index]))
    S, G = (np.broadcast_to(array, Z.shape) for array in (S, G))
    for index in np.ndindex(Z.shape[:-2]):
        assert_equal_to_rounding(Z[index], expm_skew_adjoint(S[index], G[index]), units=16 * n)


# ---------------------------------------------------------------- Cayley's map, and reflections


@pytest.mark.parametrize("omega", [0.0, 1e-9, 0.5, 2.0, 100.0, -3.0])
def test_in_the_plane_cayleys_map_is_the_rotation_by_twice_an_arctangent(omega):
    angle = 2 * math.atan(omega / 2)
    cos, sin = math.cos(angle), math.sin(angle)
    found = cayley(skew_matrix(np.array([-omega])))
    # The condition of I + S/2 is one: all its singular values are equal.
    np.testing.assert_allclose(found, [[cos, -sin], [sin, cos]], rtol=0, atol=8 * EPS)


@pytest.mark.parametrize("n", [1, 2, 5, 40])
@pytest.mark.parametrize("size", [1e-3, 1.0, 10.0])
def test_cayleys_map_is_its_definition(n, size):
    S = draw_skew(n, size=size)
    G = np.random.default_rng(1).normal(size=(n, n))
    identity = np.eye(n)
    W = (identity + S / 2) @ np.linalg.inv(identity - S / 2)
    Z = 0.5 * (identity + W.T) @ G @ np.linalg.inv(identity + S / 2)
    # An inverse is wrong by some n ε times the condition, here at most √(1 + ‖S‖²/4).
    units = 8 * n * np.hypot(1, np.linalg.norm(S, 2) / 2)
    assert_equal_to_rounding(cayley(S), W, units=units)
    assert_equal_to_rounding(cayley_adjoint(S, G), Z, units=units)
    assert off_orthogonal(cayley(S)) <= units * EPS
    # −1 is no eigenvalue: the inverse map gives S back.
    back = 2 * np.linalg.solve(W + identity, W - identity)
    np.testing.assert_allclose(back, S, rtol=0, atol=units**2 * EPS)


def reflections(vectors):
    n = vectors.shape[-1]
    W = np.eye(n)
    for v in vectors:
        W = W @ (np.eye(n) - 2 * np.outer(v, v) / (v @ v))
    return W


@pytest.mark.parametrize(("k", "n"), [(1, 1), (1, 4), (2, 2), (5, 4), (40, 40)])
@pytest.mark.parametrize("size", [1e-100, 1.0, 1e100])
def test_householder_is_the_product_of_its_reflections(k, n, size):
    vectors = size * np.random.default_rng(0).normal(size=(k, n))
    W = householder(vectors)
    np.testing.assert_allclose(W, reflections(vectors / size), rtol=0, atol=8 * k * EPS)
    assert off_orthogonal(W) <= 8 * k * EPS
    assert round(np.linalg.det(W)) == (-1) ** k


def test_two_reflections_turn_by_twice_the_angle_between_them_and_parallel_ones_cancel():
    a = 0.4
    W = householder(np.array([[1.0, 0.0], [np.cos(a), np.sin(a)]]))
    cos, sin = np.cos(2 * a), np.sin(2 * a)
    np.testing.assert_allclose(W, [[cos, sin], [-sin, cos]], rtol=0, atol=8 * EPS)
    same = np.array([[1.0, 2.0, 3.0], [-2.0, -4.0, -6.0]])
    np.testing.assert_allclose(householder(same), np.eye(3), rtol=0, atol=8 * EPS)


def differentiable_cayley(S):
    return anp.dot(anp.eye(len(S)) + S / 2, anp.linalg.inv(anp.eye(len(S)) - S / 2))


def differentiable_householder(V):
    W = anp.eye(V.shape[1])
    for v in V:
        W = W - 2 * anp.outer(anp.dot(W, v), v) / anp.dot(v, v)
    return W


@pytest.mark.parametrize("n", [2, 3, 10])
def test_both_adjoints_are_those_of_automatic_differentiation(n):
    rng = np.random.default_rng(0)
    G = rng.normal(size=(n, n))
    for free, adjoint, function in (
        (draw_skew(n), cayley_adjoint, differentiable_cayley),
        (rng.normal(size=(n - 1, n)), householder_adjoint, differentiable_householder),
    ):
        expected = autograd.grad(lambda A, f=function: anp.sum(G * f(A)))(free)
        assert_equal_to_rounding(adjoint(free, G), expected, units=64 * n)


@pytest.mark.parametrize("seed", range(3))
def test_both_adjoints_pass_a_check_by_finite_differences(seed):
    n, rng = 6, np.random.default_rng(seed)
    G, h = rng.normal(size=(n, n)), EPS ** (1 / 3)
    E = draw_skew(n, seed=seed + 10)
    V = rng.normal(size=(4, n))
    V /= np.linalg.norm(V, axis=1, keepdims=True)
    D = rng.normal(size=(4, n))
    cases = (
        # A(h) = (I + (S + hE)/2)⁻¹ with ‖A‖ ≤ 1: its third derivative, twice, is at most 12/8 ‖E‖³.
        (draw_skew(n, seed=seed), E, cayley, cayley_adjoint, 1.5 * np.linalg.norm(E, 2) ** 3),
        # A reflection at a unit vector has derivatives of at most 4, 24, 192 in a direction
        # of length d, d², d³; four of them by the rule of the product, with all d at most ‖D‖.
        (V, D, householder, householder_adjoint, 2 * (4 * 8) ** 3 * np.linalg.norm(D) ** 3),
    )
    for free, way, function, adjoint, third in cases:
        plus, minus = (np.sum(G * function(free + d * way)) for d in (h, -h))
        truncation = h**2 / 6 * np.linalg.norm(G) * np.sqrt(n) * third
        rounding = 16 * n * EPS * np.abs(G).sum() / h
        error = abs((plus - minus) / (2 * h) - np.sum(adjoint(free, G) * way))
        assert error <= truncation + rounding
        assert error <= 1e-7 * np.linalg.norm(G) * np.linalg.norm(way) ** 3  # no rough bound hides


def test_types_and_leading_axes_of_the_other_two():
    S, V = draw_skew(3, leads=(2,)), np.random.default_rng(0).normal(size=(2, 2, 3))
    G = np.random.default_rng(1).normal(size=(3, 3))
    for free, function, adjoint in (
        (S, cayley, cayley_adjoint),
        (V, householder, householder_adjoint),
    ):
        for k in range(2):
            np.testing.assert_allclose(function(free)[k], function(free[k]), atol=8 * EPS)
            np.testing.assert_allclose(adjoint(free, G)[k], adjoint(free[k], G), atol=32 * EPS)
        single = free.astype(np.float32)
        assert function(single).dtype == adjoint(single, G.astype(np.float32)).dtype == np.float32
        # Double precision inside: only the result is rounded.
        assert off_orthogonal(function(single).astype(float)) <= 3 * np.finfo(np.float32).eps


def test_zero_vectors_are_refused():
    for short in (0.0, 1e-200):
        with pytest.raises(ValueError, match="vectors must not be zero, and have finite squares"):
            householder(np.array([[1.0, 0.0], [short, 0.0]]))
    cell = OrthogonalRNN(1, 2, parametrisation="householder")
    params = cell.init_params(np.random.default_rng(0)) | {"vectors": np.zeros((2, 2))}
    with pytest.raises(ValueError, match="vectors must not be zero"):
        rollout(cell, params, np.zeros(2), np.zeros((3, 1)))


@pytest.mark.parametrize("H", [1, 2, 5, 8])
def test_all_parametrisations_begin_with_turned_planes(H):
    drawn = {}
    for name in ("exp", "cayley", "householder"):
        cell = OrthogonalRNN(1, H, parametrisation=name)
        W = cell.reparametrise(cell.init_params(np.random.default_rng(H)))[0]["weight_hh"]
        planes = np.kron(np.eye(H // 2), np.ones((2, 2)))
        planes = np.pad(planes, (0, H % 2), constant_values=0) + np.eye(H)
        assert not W[planes == 0].any()
        # An angle close to π makes the condition of Cayley's map large.
        np.testing.assert_allclose(W.T @ W, np.eye(H), rtol=0, atol=1e-12)
        np.testing.assert_allclose(np.linalg.det(W), 1, rtol=1e-12)
        drawn[name] = W
    np.testing.assert_allclose(drawn["cayley"], drawn["exp"], rtol=0, atol=1e-12)


def test_an_even_number_of_reflections_reaches_every_rotation():
    # A vector that W moves, minus its image, is reflected away; what is left moves one axis less.
    for n in (2, 3, 6, 7):
        W = expm_skew(draw_skew(n, seed=n, size=3.0))
        rest, found = W.copy(), []
        for k in range(n):
            v = rest[:, k] - np.eye(n)[k]
            if np.linalg.norm(v) > 1e-9:
                found.append(v)
                rest -= 2 * np.outer(v, v @ rest) / (v @ v)
        assert len(found) % 2 == 0
        assert len(found) <= n - n % 2
        np.testing.assert_allclose(householder(np.array(found)), W, rtol=0, atol=1e-12)


# ------------------------------------------------------------------------------------- modReLU


@pytest.mark.parametrize(
    ("b", "z", "expected"),
    [
        (-0.5, [-2.0, -0.5, -0.25, 0.0, 0.25, 0.5, 2.0], [-1.5, 0, 0, 0, 0, 0, 1.5]),
        (0.0, [-2.0, -0.25, 0.0, 0.25, 2.0], [-2.0, -0.25, 0.0, 0.25, 2.0]),
        (0.5, [-2.0, -1e-300, 0.0, 1e-300, 2.0], [-2.5, -0.5, 0.0, 0.5, 2.5]),
    ],
)
def test_modrelu_is_a_threshold_the_identity_or_a_jump(b, z, expected):
    np.testing.assert_array_equal(modrelu(np.array(z), b), expected)
    cell = OrthogonalRNN(1, 1)
    params = {"skew": np.zeros(0), "weight_ih": np.ones((1, 1)), "bias": np.array([b])}
    z = np.array(z)[:, np.newaxis]
    for found in (
        cell.step(params, np.zeros(1), z),
        rollout(cell, params, np.zeros(1), z[None])[0],
    ):
        np.testing.assert_array_equal(found[:, 0], expected)


@given(st.floats(-3, 0), st.floats(-5, 5), st.floats(-5, 5))
@some_examples
def test_modrelu_is_non_expansive_without_a_positive_bias(b, z, other):
    # Both values are rounded once at a size of at most 5 + 3.
    distance = abs(modrelu(z, b) - modrelu(other, b))
    assert distance <= abs(z - other) + 8 * EPS


@pytest.mark.parametrize(("z", "b", "d_z", "d_b"), [(2, -1, 1, 1), (-2, 1, 1, -1), (0.5, -1, 0, 0)])
def test_the_derivatives_of_modrelu_are_known(z, b, d_z, d_b):
    z, b = float(z), float(b)
    assert autograd.grad(modrelu, 0)(z, b) == d_z
    assert autograd.grad(modrelu, 1)(z, b) == d_b
    step = 1e-20j
    assert np.imag(modrelu(z + step, b)) / 1e-20 == d_z
    assert np.imag(modrelu(z, b + step)) / 1e-20 == pytest.approx(d_b, rel=EPS)


# ------------------------------------------------------------------------------------ the cell


def test_one_step_by_hand():
    # e^S turns (1, 0) into (0, 1) for s_12 = −π/2; W_ih u = (½, −2).
    params = {"skew": np.array([-np.pi / 2]), "weight_ih": np.array([[0.25], [-1.0]])}
    params["bias"] = np.array([-0.25, 0.5])
    state, u = np.array([1.0, 0.0]), np.array([2.0])
    for activation, expected in (
        ("modrelu", [0.25, -1.5]),
        ("identity", [0.25, -0.5]),
        ("tanh", np.tanh([0.25, -0.5])),
    ):
        cell = OrthogonalRNN(1, 2, activation=activation)
        fast = rollout(cell, params, state, u[np.newaxis])[0]
        for found in (cell.step(params, state, u), fast):
            np.testing.assert_allclose(found, expected, rtol=0, atol=16 * EPS)


@every_dtype
@pytest.mark.parametrize("activation", ["tanh", "identity"])
def test_it_is_elmans_network_with_a_rotation(activation, dtype):
    cell = OrthogonalRNN(2, 5, activation=activation)
    rng = np.random.default_rng(0)
    params = draw_params(cell, rng, dtype=dtype)
    same = {name: params[name] for name in ("weight_ih", "bias")}
    same["weight_hh"] = expm_skew(skew_matrix(params["skew"]))
    state, inputs = rng.normal(size=5).astype(dtype), rng.normal(size=(9, 2)).astype(dtype)
    expected = rollout(Elman(2, 5, activation=activation), same, state, inputs)
    np.testing.assert_array_equal(rollout(cell, params, state, inputs), expected)


def test_without_a_threshold_the_norm_of_the_state_and_of_its_derivatives_is_kept():
    for activation in ("identity", "modrelu"):
        cell = OrthogonalRNN(0, 6, activation=activation)
        params = cell.init_params(np.random.default_rng(0)) | {"bias": np.zeros(6)}
        start = np.random.default_rng(1).normal(size=6)
        states, jacobians = state_jacobians(cell, params, start, np.zeros((500, 0)))
        # Each of 500 steps adds a few roundings for each of six entries.
        rtol = 500 * 6 * EPS
        np.testing.assert_allclose(np.linalg.norm(states, axis=1), np.linalg.norm(start), rtol=rtol)
        np.testing.assert_allclose(jacobian_products(jacobians).log_norm, 0, atol=rtol)


@given(kinds, batch_shapes(4))
@some_examples
def test_a_batch_of_parameters_is_a_loop(kind, leads):
    names = ORTHOGONAL[kind](2, 3).param_shapes(2)
    leads = dict.fromkeys(names, ()) | dict(zip(names, leads, strict=False))
    lead = np.broadcast_shapes(*leads.values())
    cost, params = problem(kind, leads=leads, inputs=(2, *(1,) * len(lead)))
    vector = draw_params(cost.cell, np.random.default_rng(1), outputs=2, leads=leads)
    found, product = bptt(cost, params), hessian_vector_product(cost, params, vector)
    whole = {name: np.broadcast_to(params[name], lead + shape) for name, shape in names.items()}
    along = {name: np.broadcast_to(vector[name], lead + shape) for name, shape in names.items()}
    for index in np.ndindex(lead):
        one, v = ({name: array[index] for name, array in each.items()} for each in (whole, along))
        single = bptt(cost, one)
        assert_equal_to_rounding(found.value[index], single.value)
        assert_same_params(
            {name: array[index] for name, array in found.params.items()}, single.params
        )
        assert_same_params(
            {name: array[index] for name, array in product.items()},
            hessian_vector_product(cost, one, v),
        )


@every_kind
def test_one_unit_and_no_input_are_allowed(kind):
    cost, params = problem(kind, size=(0, 1, 2))
    assert flatten(params).size == 1 + 2 + 2  # bias and readout: no rotation, no input
    expected = autograd.grad(cost.step_by_step)(params)
    assert_same_params(bptt(cost, params).params, expected)
    assert_same_params(rtrl(cost, params).params, expected)
    hessian_vector_product(cost, params, params)


@every_dtype
def test_initial_parameters_are_those_of_the_paper(dtype):
    cell = OrthogonalRNN(8, 101)
    params = cell.init_params(np.random.default_rng(0), output_size=3, dtype=dtype)
    assert {name: array.shape for name, array in params.items()} == cell.param_shapes(3)
    assert cell.param_shapes(3) == {
        "skew": (101 * 50,),
        "weight_ih": (101, 8),
        "bias": (101,),
        "weight_ho": (3, 101),
        "bias_o": (3,),
    }
    assert {array.dtype for array in params.values()} == {np.dtype(dtype)}
    S = skew_matrix(params["skew"])
    assert np.count_nonzero(S) == 100  # fifty planes, one unit left over
    angles = np.diag(S, 1)[::2]
    assert np.count_nonzero(angles) == 50
    assert 2.5 < np.abs(angles).max() <= np.pi
    assert 0.008 < np.abs(params["bias"]).max() <= np.float32(0.01)
    # A standard deviation of ½ from 808 draws: its relative error is 1/√(2·808) = 0.025; 4 times.
    assert abs(params["weight_ih"].std() / 0.5 - 1) < 0.1
    assert (
        not OrthogonalRNN(1, 4, activation="tanh")
        .init_params(np.random.default_rng(0))["bias"]
        .any()
    )
    again = cell.init_params(np.random.default_rng(0), output_size=3, dtype=dtype)
    np.testing.assert_array_equal(flatten(again), flatten(params))
    np.testing.assert_array_equal(
        flatten(unflatten(flatten(params), cell.param_shapes(3))), flatten(params)
    )


def test_gradient_descent_keeps_the_rotation_and_lowers_the_cost():
    rng = np.random.default_rng(0)
    cell = OrthogonalRNN(1, 8)
    params = cell.init_params(rng, output_size=1)
    t = np.arange(1, 31)[:, np.newaxis]
    cost = Cost(cell, np.ones((30, 1)), np.sin(0.3 * t))
    before = cost(params)
    for _ in range(300):
        gradient = bptt(cost, params).params
        norm = np.linalg.norm(flatten(gradient))
        params = {name: params[name] - 0.02 / max(1, norm) * gradient[name] for name in params}
    assert cost(params) < before / 2
    assert off_orthogonal(expm_skew(skew_matrix(params["skew"]))) <= 4 * 8 * EPS


# ----------------------------------------------------------------------------------- bad input


def test_bad_matrices_are_named():
    with pytest.raises(ValueError, match=r"entries must be n \(n − 1\)/2 in number .*, got \(2,\)"):
        skew_matrix(np.zeros(2))
    with pytest.raises(ValueError, match="S must be skew-symmetric, Sᵀ = −S, got"):
        expm_skew(np.eye(2))
    with pytest.raises(ValueError, match="S must be skew-symmetric"):
        expm_skew(np.zeros((2, 3)))
    with pytest.raises(TypeError, match=r"S must hold real floats.*complex128"):
        expm_skew(np.zeros((2, 2), complex))
    with pytest.raises(ValueError, match=r"got G of shape \(3, 3\), expected \(…, 2, 2\)"):
        expm_skew_adjoint(np.zeros((2, 2)), np.eye(3))


def test_bad_cells_and_parameters_are_named():
    with pytest.raises(ValueError, match="activation must be one of 'modrelu', 'tanh', 'identity'"):
        OrthogonalRNN(1, 2, activation="relu")
    with pytest.raises(ValueError, match="parametrisation must be one of 'exp', 'cayley', 'house"):
        OrthogonalRNN(1, 2, parametrisation="qr")
    other = OrthogonalRNN(1, 2, parametrisation="cayley")
    assert repr(other) == "OrthogonalRNN(1, 2, activation='modrelu', parametrisation='cayley')"
    cell = OrthogonalRNN(1, 3, activation="tanh")
    assert repr(cell) == "OrthogonalRNN(1, 3, activation='tanh')"
    params = draw_params(cell, np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"got skew of shape \(4,\), expected \(…, 3\)"):
        rollout(cell, params | {"skew": np.zeros(4)}, np.zeros(3), np.zeros((2, 1)))
    with pytest.raises(ValueError, match=r"params must have the keys .*'skew'"):
        rollout(cell, params | {"weight_hh": np.eye(3)}, np.zeros(3), np.zeros((2, 1)))
