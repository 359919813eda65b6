from itertools import product

import autograd.numpy as anp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from maps import chaotic_lstm, henon, linear, logistic
from rnnbook.chaotic_lstm import weights
from strategies import CELLS, draw_params, every_cell, read_only, some_examples

from rnnpedagogy.cells import GRU, Elman
from rnnpedagogy.dynamics import CellMap, Map, find_cycles, find_fixed_points, is_stable

EPS = np.finfo(float).eps


def grid(low, high, count):
    return np.linspace(low, high, count)[:, np.newaxis]


def real_multipliers(found):
    """The multiplier of each solution of a map of the line."""
    return np.array([one.eigenvalues[0].real for one in found.stability])


def kinds_of(found):
    return [one.kind for one in found.stability]


def network(weight, bias):
    weight, bias = np.array(weight, float), np.array(bias, float)
    cell = Elman(0, len(bias))
    return CellMap(cell, {"weight_ih": np.zeros((len(bias), 0)), "weight_hh": weight, "bias": bias})


# ------------------------------------------------------------------ closed forms: fixed points


@pytest.mark.parametrize("r", [0.5, 2.5, 3.2, 4.0])
def test_the_logistic_map_has_two_fixed_points(r):
    found = find_fixed_points(Map(lambda x: r * x * (1 - x)), grid(-1, 2, 41))
    # 0 and 1 − 1/r, multipliers r and 2 − r. Both are simple with |F' − 1| ≥ ½: an error of a few
    # roundings in F is at most doubled.
    expected = sorted([(0.0, r), (1 - 1 / r, 2 - r)])
    np.testing.assert_allclose(found.points[:, 0], [x for x, _ in expected], rtol=0, atol=10 * EPS)
    # F'' = −2r turns an error of the point into one of the multiplier.
    multipliers = [m for _, m in expected]
    np.testing.assert_allclose(real_multipliers(found), multipliers, rtol=0, atol=100 * EPS)
    assert [one.stable for one in found.stability] == [abs(m) < 1 for m in multipliers]
    assert found.counts.sum() == 41
    assert (found.residuals <= 4 * EPS).all()


def test_the_fixed_points_of_the_henon_map_are_saddles():
    starts = np.random.default_rng(0).normal(size=(30, 2))
    found = find_fixed_points(Map(henon), starts)
    a, b = 1.4, 0.3
    x = (b - 1 + np.array([-1, 1]) * np.sqrt((1 - b) ** 2 + 4 * a)) / (2 * a)
    np.testing.assert_allclose(found.points, np.stack([x, b * x], axis=-1), rtol=0, atol=20 * EPS)
    for one, at in zip(found.stability, x, strict=True):
        # λ² + 2ax λ − b = 0.
        expected = -a * at + np.array([-1, 1]) * np.sqrt((a * at) ** 2 + b)
        expected = expected[np.argsort(-np.abs(expected))]
        np.testing.assert_allclose(one.eigenvalues, expected, rtol=1e-13)
        assert (one.stable, one.kind) == (False, "saddle")
        assert one.radius == np.abs(one.eigenvalues[0])


def test_the_delayed_logistic_map_turns_by_sixty_degrees_at_its_neimark_sacker_bifurcation():
    # x' = r x (1 − y), y' = x: at x = 1 − 1/r the multipliers solve λ² − λ + r − 1 = 0.
    def delayed(r):
        return Map(lambda x: anp.stack([r * x[..., 0] * (1 - x[..., 1]), x[..., 0]], axis=-1))

    starts = 0.5 + 0.1 * np.random.default_rng(0).normal(size=(10, 2))
    for r, stable, kind in [
        (1.1, True, "stable node"),
        (1.9, True, "stable focus"),
        (2.0, None, "marginal"),
        (2.1, False, "unstable focus"),
    ]:
        point = np.full(2, 1 - 1 / r)
        found = find_fixed_points(delayed(r), starts)
        assert np.abs(found.points - point).max(axis=-1).min() < 100 * EPS
        one = is_stable(delayed(r), point)
        assert (one.stable, one.kind) == (stable, kind)
        root = np.sqrt(complex(1.25 - r))
        np.testing.assert_allclose(one.eigenvalues, [0.5 + root, 0.5 - root], rtol=1e-13)
    one = is_stable(delayed(2.0), np.full(2, 0.5))
    np.testing.assert_allclose(np.angle(one.eigenvalues), [np.pi / 3, -np.pi / 3], rtol=1e-13)


def test_the_fixed_points_of_the_ikeda_map_are_the_roots_of_one_equation():
    # z' = 1 + u z e^{iτ}, τ = 0.4 − 6/(1 + |z|²): a fixed point has ρ = |z|² with
    # ρ |1 − u e^{iτ(ρ)}|² = 1, hence (1 + u)^{−2} ≤ ρ ≤ (1 − u)^{−2}. A turn by an angle that
    # depends on the radius keeps areas, so that det F' = u² everywhere.
    u = 0.9

    def ikeda(x):
        tau = 0.4 - 6 / (1 + x[..., 0] ** 2 + x[..., 1] ** 2)
        c, s = anp.cos(tau), anp.sin(tau)
        return anp.stack(
            [1 + u * (x[..., 0] * c - x[..., 1] * s), u * (x[..., 0] * s + x[..., 1] * c)], axis=-1
        )

    def excess(rho):
        return rho * np.abs(1 - u * np.exp(1j * (0.4 - 6 / (1 + rho)))) ** 2 - 1

    rho = np.geomspace((1 + u) ** -2 / 2, 2 * (1 - u) ** -2, 100_000)
    change = np.flatnonzero(np.diff(np.sign(excess(rho))))
    starts = 4 * np.random.default_rng(0).normal(size=(100, 2))
    found = find_fixed_points(Map(ikeda), starts)
    squares = np.sort((found.points**2).sum(axis=-1))
    assert len(squares) == len(change) > 1
    assert ((rho[change] <= squares) & (squares <= rho[change + 1])).all()
    for one in found.stability:
        np.testing.assert_allclose(one.eigenvalues.prod(), u**2, rtol=1e-12)


def test_a_linear_map_has_one_fixed_point():
    rng = np.random.default_rng(0)
    A, b = rng.normal(size=(5, 5)), rng.normal(size=5)
    found = find_fixed_points(Map(lambda x: x @ A.T + b), 100 * rng.normal(size=(20, 5)))
    expected = np.linalg.solve(np.eye(5) - A, b)
    condition = np.linalg.cond(np.eye(5) - A)
    scale = np.linalg.norm(expected)
    assert found.counts.tolist() == [20]
    assert np.linalg.norm(found.points[0] - expected) <= 100 * EPS * condition * scale
    expected = np.linalg.eigvals(A)
    np.testing.assert_allclose(
        np.sort_complex(found.stability[0].eigenvalues), np.sort_complex(expected), rtol=1e-12
    )
    assert (np.diff(np.abs(found.stability[0].eigenvalues)) <= 10 * EPS).all()


@pytest.mark.parametrize(
    ("w", "b", "stable"),
    [
        (0.5, 0.3, [True]),
        (2.0, 0.0, [True, False, True]),
        (2.0, 0.2, [True, False, True]),
        (2.0, 0.6, [True]),
        (-2.0, 0.0, [False]),
    ],
)
def test_one_neuron_has_one_fixed_point_or_three(w, b, stable):
    found = find_fixed_points(network([[w]], [b]), grid(-1, 1, 41))
    x = found.points[:, 0]
    assert [one.stable for one in found.stability] == stable
    np.testing.assert_allclose(np.tanh(w * x + b), x, rtol=0, atol=4 * EPS)
    np.testing.assert_allclose(real_multipliers(found), w * (1 - x**2), rtol=1e-13, atol=10 * EPS)
    # An independent count: sign changes of tanh(wx + b) − x on a grid that misses the roots.
    fine = np.linspace(-1.1, 1.1, 10_000)
    assert len(x) == np.count_nonzero(np.diff(np.sign(np.tanh(w * fine + b) - fine)))


# ------------------------------------------------------------------------ closed forms: cycles


def test_the_two_cycle_of_the_logistic_map():
    for r in (3.2, 3.4, 3.6):
        found = find_cycles(Map(lambda x, r=r: r * x * (1 - x)), grid(0.01, 0.99, 30), 2)
        pair = (r + 1 + np.array([-1, 1]) * np.sqrt((r + 1) * (r - 3))) / (2 * r)
        assert found.orbits.shape == (1, 2, 1)
        np.testing.assert_allclose(found.orbits[0, :, 0], pair, rtol=20 * EPS)
        np.testing.assert_allclose(real_multipliers(found), 4 + 2 * r - r * r, rtol=1e-12)
        assert found.stability[0].stable == (r < 1 + np.sqrt(6))


@pytest.mark.parametrize(("period", "count"), [(1, 2), (2, 1), (3, 2), (4, 3), (5, 6), (6, 9)])
def test_all_cycles_of_the_logistic_map_at_four(period, count):
    # x = sin²(θ) doubles θ: F^p(x) = x at θ = πk/(2^p ± 1), 2^p points in all, and the number of
    # cycles of a minimal period follows by counting. All multipliers are ±2^p, but for x = 0,
    # an end of the interval, where it is 4^p.
    found = find_cycles(Map(logistic), grid(1e-3, 1 - 1e-3, 20 * 2**period), period)
    assert len(found.orbits) == count
    k = np.arange(2 ** (period - 1) + 1)
    known = np.sin(np.pi * np.concatenate([k / (2**period - 1), k / (2**period + 1)])) ** 2
    distance = np.abs(found.orbits.reshape(-1, 1) - known).min(axis=-1)
    # A rounding in one of p steps, amplified at most as far as the multiplier says, 2^p, which the
    # division by F^p' − 1 takes back: a few roundings a step, and as much in forming the orbit.
    assert distance.max() <= 2**period * 4 * EPS
    assert len(np.unique(np.round(found.orbits, 9))) == count * period
    # The relative error of F' = 4 − 8x, at most 8 of those errors over the smallest |F'|, which is
    # above 0.1 at these periods, for each of the p factors.
    modulus = np.abs(real_multipliers(found))
    expected = np.full(count, 2.0**period)
    expected[0] = 4.0 if period == 1 else 2.0**period
    np.testing.assert_allclose(modulus, expected, rtol=period * 80 * distance.max() + 10 * EPS)
    np.testing.assert_array_equal(found.orbits[:, 0].ravel(), found.orbits.min(axis=(1, 2)))
    assert not any(one.stable for one in found.stability)


def test_cycles_of_arnolds_cat_map():
    # On the torus |det(A^p − I)| points have F^p(x) = x: 1, 5, 16, 45, so that 2 cycles of period
    # two and 5 of period three are minimal. All have the eigenvalues of A^p.
    A = np.array([[2.0, 1.0], [1.0, 1.0]])
    system = Map(
        # The torus cut open where none of these points is: they have denominators 5 and 4.
        lambda x: (x @ A.T + 0.3) % 1.0 - 0.3,
        jacobian=lambda x: np.broadcast_to(A, (*x.shape[:-1], 2, 2)),
    )
    starts = np.random.default_rng(0).uniform(-0.3, 0.7, size=(200, 2))
    golden = (3 + np.sqrt(5)) / 2
    for period, count in [(2, 2), (3, 5)]:
        found = find_cycles(system, starts, period)
        assert len(found.orbits) == count
        denominator = round(abs(np.linalg.det(np.linalg.matrix_power(A, period) - np.eye(2))))
        multiples = found.orbits * denominator
        np.testing.assert_allclose(multiples, np.round(multiples), rtol=0, atol=1e-11)
        for one in found.stability:
            assert one.kind == "saddle"
            np.testing.assert_allclose(
                one.eigenvalues, [golden**period, golden**-period], rtol=1e-12
            )


def henon_cycles(period):
    """Cycles of the Hénon map by the method of Biham and Wenzel (Phys. Rev. Lett. 63, 1989).

    An orbit is a sequence with ``f_t = 1 − a x_t² + b x_{t−1} − x_{t+1} = 0``. For each sequence of
    signs ``s`` the flow ``ẋ_t = s_t f_t`` ends at the orbit that has these signs, if there is one.
    """
    signs = np.array(list(product([-1.0, 1.0], repeat=period)))

    def force(x):
        return 1 - 1.4 * x**2 + 0.3 * np.roll(x, 1, axis=1) - np.roll(x, -1, axis=1)

    x = 0.1 * signs
    for _ in range(4000):
        x = np.clip(x + 0.05 * signs * force(x), -3, 3)
    x = x[np.abs(force(x)).max(axis=1) < 1e-9]
    for shift in range(1, period):
        x = x[np.abs(np.roll(x, shift, axis=1) - x).max(axis=1, initial=0) > 1e-5]
    x = np.array([np.roll(cycle, -cycle.argmin()) for cycle in x]).reshape(-1, period)
    _, first = np.unique(np.round(x, 6), axis=0, return_index=True)
    return x[first]


def test_the_cycles_of_the_henon_map():
    orbit = Map(henon).run(np.zeros(2), 0, 400)[100:]
    for period, count in [(2, 1), (3, 0), (4, 1), (5, 0), (6, 2), (7, 4)]:
        expected = henon_cycles(period)
        found = find_cycles(Map(henon), orbit, period)
        assert len(found.orbits) == len(expected) == count
        # A force of 1e-9, over eigenvalues of its derivative that are above 1e-2 here.
        np.testing.assert_allclose(found.orbits[..., 0], expected, rtol=0, atol=1e-7)
        for cycle, one in zip(found.orbits, found.stability, strict=True):
            np.testing.assert_allclose(henon(cycle)[:-1], cycle[1:], rtol=0, atol=4 * EPS)
            assert one.kind == "saddle"
            # det F' = −b; the small multiplier is a difference of numbers as large as the other.
            np.testing.assert_allclose(one.eigenvalues.prod(), (-0.3) ** period, rtol=1e-9)


def test_a_rotation_by_a_seventh_of_a_turn():
    # x' = x R with a gain g(|x|) = 1.5 − ½|x|²: the unit circle attracts and consists of 7-cycles,
    # each with multipliers 1 and (g + |x| g')^7 = 0.
    c, s = np.cos(2 * np.pi / 7), np.sin(2 * np.pi / 7)
    R = np.array([[c, -s], [s, c]])

    def step(x):
        return (1.5 - 0.5 * anp.sum(x * x, axis=-1, keepdims=True)) * anp.dot(x, R.T)

    angles = np.linspace(0, 0.8, 5)  # in one seventh of a turn
    starts = 1.1 * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    found = find_cycles(Map(step), starts, 7)
    assert found.orbits.shape == (5, 7, 2)
    np.testing.assert_allclose(np.linalg.norm(found.orbits, axis=-1), 1, rtol=1e-12)
    assert kinds_of(found) == ["marginal"] * 5
    # 1.5 R at the origin.
    found = find_fixed_points(Map(step), 0.1 * starts)
    np.testing.assert_allclose(found.points, 0, atol=EPS)
    np.testing.assert_allclose(
        found.stability[0].eigenvalues, 1.5 * np.array([c + 1j * s, c - 1j * s]), rtol=1e-13
    )
    assert kinds_of(found) == ["unstable focus"]


# ---------------------------------------------------------------------------------- stability


@pytest.mark.parametrize(
    ("matrix", "stable", "kind"),
    [
        ([[0.5, 0.0], [0.0, -0.2]], True, "stable node"),
        ([[-0.5, 0.0], [0.0, 0.2]], True, "stable node"),
        ([[0.5, 0.5], [-0.5, 0.5]], True, "stable focus"),
        ([[2.0, 0.0], [0.0, -3.0]], False, "unstable node"),
        ([[1.0, 1.0], [-1.0, 1.0]], False, "unstable focus"),
        ([[2.0, 0.0], [0.0, 0.5]], False, "saddle"),
        ([[1.0, 1.0, 0.0], [-1.0, 1.0, 0.0], [0.0, 0.0, 0.5]], False, "saddle"),
        ([[0.3, 0.3, 0.0], [-0.3, 0.3, 0.0], [0.0, 0.0, 0.9]], True, "stable node"),
        ([[1.0, 0.0], [0.0, 0.5]], None, "marginal"),
        ([[0.0, 1.0], [-1.0, 0.0]], None, "marginal"),
        ([[-1.0, 0.0], [0.0, 1.0]], None, "marginal"),
        ([[1.0, 0.0], [0.0, 2.0]], False, "unstable node"),
        ([[0.5, 1.0], [0.0, 0.5]], True, "stable node"),
        ([[0.0, 1.0], [0.0, 0.0]], True, "stable node"),
    ],
)
def test_kinds_of_fixed_points(matrix, stable, kind):
    n = len(matrix)
    one = is_stable(linear(matrix), np.zeros(n))
    assert (one.stable, one.kind) == (stable, kind)
    assert one.eigenvalues.dtype == complex
    assert (np.diff(np.abs(one.eigenvalues)) <= EPS).all()
    assert one.residual == 0.0
    # In other coordinates y = T x; a defective eigenvalue moves by the root of a rounding, 1e-7.
    T = np.random.default_rng(0).normal(size=(n, n))
    other = is_stable(linear(T @ np.array(matrix) @ np.linalg.inv(T)), np.zeros(n))
    assert (other.stable, other.kind) == (stable, kind)
    np.testing.assert_allclose(np.poly(other.eigenvalues), np.poly(one.eigenvalues), atol=1e-12)


def test_stability_near_the_circle_and_away_from_a_fixed_point():
    for multiplier, tolerance, stable in [
        (1 - 1e-4, 1e-6, True),
        (1 - 1e-4, 1e-3, None),
        (1 + 1e-4, 1e-3, None),
        (1 + 1e-4, 1e-6, False),
        (-1 - 1e-4, 1e-6, False),
    ]:
        assert is_stable(linear([[multiplier]]), np.zeros(1), tolerance=tolerance).stable is stable
    assert is_stable(linear([[0.5]]), np.ones(1)).residual == 0.5


def test_a_stability_has_no_truth_value():
    one = is_stable(linear([[2.0]]), np.zeros(1))
    with pytest.raises(TypeError, match=r"ask for \.stable"):
        bool(one)


def test_all_points_of_a_cycle_have_the_same_multipliers():
    orbit = find_cycles(Map(henon), Map(henon).run(np.zeros(2), 0, 200)[100:], 4).orbits[0]
    multipliers = [is_stable(Map(henon), x, period=4).eigenvalues for x in orbit]
    for other in multipliers[1:]:
        np.testing.assert_allclose(other, multipliers[0], rtol=1e-11)


# ------------------------------------------------------------------------- degenerate and lost


@pytest.mark.parametrize("mu", [1e-3, 1e-5])
def test_past_a_fold_there_is_a_slow_point(mu):
    found = find_fixed_points(Map(lambda x: x + x * x + mu), grid(-1, 1, 31))
    assert found.points.shape == (0, 1)
    assert (found.labels == -1).all()
    # Near its minimum q = ½(x² + μ)² is flat to a rounding up to x² ≈ eps μ.
    np.testing.assert_allclose(found.slow_points, [[0.0]], atol=10 * np.sqrt(EPS * mu))
    np.testing.assert_allclose(found.slow_residuals, [mu], rtol=1e-12)
    # Slower than asked for, it is not reported.
    assert not len(
        find_fixed_points(Map(lambda x: x + x * x + mu), grid(-1, 1, 31), slow=mu / 2).slow_points
    )


@pytest.mark.parametrize(("order", "known_to"), [(2, 1e-7), (3, 1e-5)])
def test_at_a_fold_and_at_a_cusp_all_starts_find_one_point(order, known_to):
    # x' = x − (x − 0.3)^m: a residual of a rounding at a distance eps^{1/m}, 1.5e-8 and 6e-6.
    found = find_fixed_points(Map(lambda x: x - (x - 0.3) ** order), grid(-1, 1, 50))
    assert found.counts.tolist() == [50]
    assert abs(found.points[0, 0] - 0.3) < known_to
    assert kinds_of(found) == ["marginal"]


def test_two_points_close_to_a_fold_stay_two():
    found = find_fixed_points(Map(lambda x: x + x * x - 1e-8), grid(-0.5, 0.5, 20))
    np.testing.assert_allclose(found.points[:, 0], [-1e-4, 1e-4], rtol=1e-10)
    assert [one.stable for one in found.stability] == [True, False]


def test_where_all_points_are_fixed_every_start_is_one():
    starts = np.random.default_rng(0).normal(size=(300, 2))
    found = find_fixed_points(Map(lambda x: 1.0 * x), starts)
    np.testing.assert_array_equal(found.points[found.labels], starts)
    assert (found.counts == 1).all()
    assert set(kinds_of(found)) == {"marginal"}
    # An integrator with a leak: a line of fixed points. Newton's step is along the other axis.
    found = find_fixed_points(linear([[1.0, 0.0], [0.0, 0.5]]), starts)
    assert (found.labels >= 0).all()
    np.testing.assert_allclose(found.points[found.labels, 0], starts[:, 0], rtol=1e-12)
    np.testing.assert_allclose(found.points[:, 1], 0, atol=1e-9)
    # Duplicates among the starts are one.
    found = find_fixed_points(Map(lambda x: 1.0 * x), np.repeat(starts[:3], [1, 2, 3], axis=0))
    assert sorted(found.counts) == [1, 2, 3]


@pytest.mark.parametrize(
    "step",
    [
        lambda x: x + 1,
        lambda x: x + anp.exp(x) + 1e-1,
        lambda x: x + anp.sqrt(x - 10),  # not a number at any start
        lambda x: anp.exp(anp.exp(anp.exp(x * x + 3))),  # overflows everywhere
    ],
)
def test_what_is_not_found_is_a_result(step):
    for found in (
        find_fixed_points(Map(step), grid(-2, 2, 9)),
        find_cycles(Map(step), grid(-2, 2, 9), 3),
    ):
        assert (found.labels == -1).all()
        assert len(found.counts) == len(found.residuals) == len(found.stability) == 0
    assert found.orbits.shape == (0, 3, 1)


def test_a_start_that_diverges_does_not_spoil_the_others():
    system = Map(lambda x: anp.exp(x) - 2)
    good = grid(-3, 1, 5)
    alone = find_fixed_points(system, good)
    both = find_fixed_points(system, np.concatenate([good, [[1e4]]]))
    assert len(alone.points) == 2
    np.testing.assert_array_equal(both.points, alone.points)
    np.testing.assert_array_equal(both.labels, [*alone.labels, -1])


# ---------------------------------------------------------------------------------- properties


@every_cell
def test_fixed_points_of_cells_are_fixed(kind):
    rng = np.random.default_rng(1)
    cell = CELLS[kind](2, 3)
    params, u = draw_params(cell, rng), read_only(rng.normal(size=2))
    system = CellMap(cell, params, u)
    starts = read_only(rng.normal(size=(20, cell.state_size)))
    found = find_fixed_points(system, starts, tolerance=1e-10)
    assert len(found.points)
    for k, point in enumerate(found.points):
        image = cell.step(params, point, u)
        assert np.linalg.norm(image - point) <= 1e-10 * (1 + np.linalg.norm(point))
        alone = is_stable(system, point)
        np.testing.assert_array_equal(alone.eigenvalues, found.stability[k].eigenvalues)
        assert np.count_nonzero(found.labels == k) == found.counts[k]
        if found.stability[k].stable:
            # Orbits that start beside it come back, like radius^t up to a constant.
            T = int(np.log(1e-9) / np.log(found.stability[k].radius)) + 1
            end = system.run(point + 1e-6, 0, T)[-1]
            np.testing.assert_allclose(end, point, rtol=0, atol=1e-9)


def drawn_network(seed, size, gain):
    rng = np.random.default_rng(seed)
    cell = Elman(0, size)
    params = draw_params(cell, rng) | {"bias": rng.normal(size=size)}
    params["weight_hh"] = params["weight_hh"] * gain / np.linalg.norm(params["weight_hh"], 2)
    return CellMap(cell, params), rng.normal(size=(15, size))


@some_examples
@given(st.integers(0, 10**6), st.integers(1, 6), st.floats(0.1, 6))
def test_what_is_returned_is_fixed_and_every_start_is_accounted_for(seed, size, gain):
    system, starts = drawn_network(seed, size, gain)
    merge = 1e-5
    found = find_fixed_points(system, starts, tolerance=1e-10, merge=merge)
    for x in found.points:
        image = system.cell.step(system.params, x, np.zeros(0))
        assert np.linalg.norm(image - x) <= 1e-10 * (1 + np.linalg.norm(x))
    np.testing.assert_array_equal(
        np.bincount(found.labels + 1, minlength=len(found.points) + 1)[1:], found.counts
    )
    between = np.linalg.norm(found.points[:, np.newaxis] - found.points, axis=-1)
    assert (between + np.eye(len(between)) > merge).all()
    np.testing.assert_array_equal(
        np.lexsort(np.round(found.points / merge).T[::-1]), np.arange(len(found.points))
    )
    if gain < 0.95:  # a contraction: exactly one, from everywhere (Banach)
        assert found.counts.tolist() == [15]
        assert found.stability[0].stable
        # ‖F'‖ < gain: the error is at most the residual, two roundings an entry, over 1 − gain.
        orbit = system.run(starts[0], 0, int(np.log(EPS) / np.log(gain)) + 10)
        assert np.linalg.norm(orbit[-1] - found.points[0]) <= 100 * EPS * np.sqrt(size) / (1 - gain)


@some_examples
@given(st.integers(0, 10**6), st.integers(1, 4))
def test_a_change_of_coordinates_changes_nothing_that_matters(seed, size):
    system, starts = drawn_network(seed, size, 3.0)
    T = np.linalg.qr(np.random.default_rng(seed).normal(size=(size, size)))[0]
    other = Map(lambda y: anp.dot(anp.tanh(anp.dot(anp.dot(y, T), W.T) + b), T.T))
    W, b = system.params["weight_hh"], system.params["bias"]
    here, there = find_fixed_points(system, starts), find_fixed_points(other, starts @ T.T)
    for x, one in zip(here.points, here.stability, strict=True):
        moved = is_stable(other, T @ x)
        assert moved.residual <= 1e-9
        assert moved.stable is one.stable
        np.testing.assert_allclose(np.poly(moved.eigenvalues), np.poly(one.eigenvalues), atol=1e-9)
    # Euclidean distances are the same, and so is each step of the method, up to rounding.
    same = np.linalg.norm(here.points[:, np.newaxis] @ T.T - there.points, axis=-1) < 1e-6
    assert same.any(axis=1).all()


@every_cell
def test_a_batch_of_starts_is_a_loop(kind):
    rng = np.random.default_rng(2)
    cell = CELLS[kind](1, 4)
    system = CellMap(cell, draw_params(cell, rng), np.ones(1))
    starts = rng.normal(size=(5, cell.state_size))
    batch = find_fixed_points(system, starts)
    for start, label in zip(starts, batch.labels, strict=True):
        single = find_fixed_points(system, start[np.newaxis])
        assert len(single.points) == (label >= 0)
        if label >= 0:
            np.testing.assert_allclose(single.points[0], batch.points[label], rtol=0, atol=1e-8)
    again = find_fixed_points(system, starts[::-1])
    np.testing.assert_allclose(again.points, batch.points, rtol=0, atol=1e-8)
    np.testing.assert_array_equal(again.labels[::-1], batch.labels)


def test_many_starts_are_taken_in_pieces(monkeypatch):
    starts = grid(-0.4, 1.4, 50)
    whole = find_fixed_points(Map(logistic), starts)
    monkeypatch.setattr("rnnpedagogy.dynamics.fixed_points.FLOATS", 7)
    pieces = find_fixed_points(Map(logistic), starts)
    np.testing.assert_array_equal(pieces.points, whole.points)
    np.testing.assert_array_equal(pieces.labels, whole.labels)


def test_the_chaotic_lstm_at_rest():
    # The network of Laurent and von Brecht without inputs: zero is a fixed point, and the cell
    # state there has the multipliers of ½ W_g/2 and ½: c' = ½ c + ½ tanh(W_g h), h = ½ tanh(c).
    found = find_fixed_points(chaotic_lstm(1.0), np.random.default_rng(0).normal(size=(30, 4)))
    zero = np.abs(found.points).max(axis=-1).argmin()
    np.testing.assert_allclose(found.points[zero], 0, atol=1e-12)
    # h_t = ½ c_t to first order, so c_{t+1} = (½ + ¼ W_g) c_t, and two multipliers are zero.
    expected = np.linalg.eigvals(0.5 * np.eye(2) + 0.25 * weights[4:6])
    expected = expected[np.argsort(-np.abs(expected))]
    np.testing.assert_allclose(found.stability[zero].eigenvalues[:2], expected, rtol=1e-10)
    np.testing.assert_allclose(found.stability[zero].eigenvalues[2:], 0, atol=1e-7)


def test_a_cycle_of_period_one_is_a_fixed_point():
    starts = np.random.default_rng(0).normal(size=(20, 2))
    cycles, points = find_cycles(Map(henon), starts, 1), find_fixed_points(Map(henon), starts)
    np.testing.assert_array_equal(cycles.orbits[:, 0], points.points)
    np.testing.assert_array_equal(cycles.labels, points.labels)
    np.testing.assert_array_equal(cycles.counts, points.counts)


def test_too_few_iterations_find_nothing():
    found = find_fixed_points(Map(logistic), np.full((1, 1), 0.45), iterations=1)
    assert found.labels.tolist() == [-1]
    assert not len(found.slow_points)


# ----------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize("find", [find_fixed_points, lambda *a, **k: find_cycles(*a, 2, **k)])
@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"starts": np.zeros(2)}, ValueError, r"got starts of shape \(2,\), expected"),
        ({"starts": np.zeros((0, 2))}, ValueError, r"got starts of shape \(0, 2\), expected"),
        ({"starts": np.full((1, 2), np.nan)}, ValueError, "starts must be finite, got nan"),
        ({"starts": np.zeros((1, 2), int)}, TypeError, "starts must hold real floats.*int64"),
        ({"tolerance": -1}, ValueError, "tolerance must be a finite number of at least 0, got -1"),
        ({"merge": np.nan}, ValueError, "merge must be a finite number of at least 0, got nan"),
        ({"iterations": 0}, ValueError, "iterations must be a positive integer, got 0"),
        (
            {"system": Map(lambda x: x + np.zeros((4, 1, 2)))},  # four maps
            ValueError,
            r"got images of shape \(4, 3, 2\) of points of shape \(3, 2\)",
        ),
    ],
)
def test_bad_arguments_are_named(find, changes, error, message):
    arguments = {"system": Map(henon), "starts": np.zeros((3, 2))} | changes
    with pytest.raises(error, match=message):
        find(arguments.pop("system"), arguments.pop("starts"), **arguments)


def test_bad_arguments_of_one_function_are_named():
    with pytest.raises(ValueError, match="slow must be a finite number of at least 0, got -2"):
        find_fixed_points(Map(henon), np.zeros((1, 2)), slow=-2)
    with pytest.raises(ValueError, match="period must be a positive integer, got 0"):
        find_cycles(Map(henon), np.zeros((1, 2)), 0)
    with pytest.raises(ValueError, match=r"period must be a positive integer, got 1\.0"):
        is_stable(Map(henon), np.zeros(2), period=1.0)
    with pytest.raises(ValueError, match=r"got point of shape \(1, 2\), expected \(n,\)"):
        is_stable(Map(henon), np.zeros((1, 2)))
    with pytest.raises(ValueError, match="tolerance must be a finite number"):
        is_stable(Map(henon), np.zeros(2), tolerance=None)
    with pytest.raises(ValueError, match="the orbit of point left the finite numbers within 9"):
        is_stable(Map(lambda x: x**4), np.full(1, 1e9), period=9)


@pytest.mark.parametrize(
    "ask",
    [
        lambda system: find_fixed_points(system, np.zeros((3, 2))),
        lambda system: find_cycles(system, np.zeros((3, 2)), 2),
        lambda system: is_stable(system, np.zeros(2)),
    ],
)
def test_only_autonomous_systems_have_fixed_points(ask):
    cell = Elman(1, 2)
    params = draw_params(cell, np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"inputs must be one input.*got shape \(9, 1\)"):
        ask(CellMap(cell, params, np.zeros((9, 1))))
    several = draw_params(cell, np.random.default_rng(0), leads=(3,))
    with pytest.raises(ValueError, match=r"params must be one parameter set.*\(3,\)"):
        ask(CellMap(cell, several, np.zeros(1)))


def test_a_saturated_gate_is_no_fixed_point():
    # Far out z = σ(x) ≈ 1, so that x' − x = (1 − z)(tanh x/2 − x) is small: 4e-8 at 20, and the
    # next fixed point is at zero.
    def step(x):
        z = 1 / (1 + anp.exp(-x))
        return z * x + (1 - z) * anp.tanh(x / 2)

    starts = np.linspace(-2.0, 30.0, 33)[:, np.newaxis]
    found = find_fixed_points(Map(step), starts, within=25)
    assert found.points.shape == (1, 1)
    assert abs(found.points[0, 0]) <= 1e-9
    # A residual below the tolerance alone says nothing: at 23 it is 2e-9, relative 1e-10.
    assert abs(step(23.0) - 23.0) <= 1e-10 * 24
    assert find_fixed_points(Map(step), np.array([[23.0]]), iterations=1).labels.tolist() == [-1]


@pytest.mark.parametrize("seed", [0, 4])
def test_the_fixed_points_of_a_gru_are_where_its_orbits_are(seed):
    rng = np.random.default_rng(seed)
    cell = GRU(1, 8)
    params = {k: 1.2 * rng.normal(size=shape) for k, shape in cell.param_shapes(None).items()}
    system = CellMap(cell, params, np.zeros(1))
    starts = rng.normal(size=(200, 8))
    found = find_fixed_points(system, starts)
    inside = np.abs(found.points).max(axis=1) <= 1
    # Far out, only what has no residual but rounding cannot be told from a fixed point.
    sizes = np.linalg.norm(found.points, axis=1)
    assert (found.residuals[~inside] <= 1e3 * EPS * sizes[~inside]).all()
    kept = find_fixed_points(system, starts, within=1)
    np.testing.assert_array_equal(kept.points, found.points[inside])
    assert "marginal" not in kinds_of(kept)


def test_repeats_say_how_many_fixed_points_there_may_be():
    # x' = x + sin(x)/2 has a fixed point at each multiple of π, here 201 of them.
    system = Map(lambda x: x + anp.sin(x) / 2)
    rng, errors = np.random.default_rng(0), []
    for _ in range(20):
        found = find_fixed_points(system, rng.uniform(-100 * np.pi, 100 * np.pi, (150, 1)))
        assert len(found.points) < 125
        errors.append(found.estimated / 201 - 1)
    assert -0.2 <= np.mean(errors) <= 0.1
    # Where each is found several times, there are no more.
    found = find_fixed_points(system, grid(-7, 7, 60), within=7)
    assert found.counts.min() >= 2
    assert found.estimated == len(found.points)
    # Where a line is fixed, there is no end.
    starts = rng.normal(size=(30, 2))
    assert find_fixed_points(linear([[1.0, 0.0], [0.0, 0.5]]), starts).estimated == 30 + 30 * 29 / 2
