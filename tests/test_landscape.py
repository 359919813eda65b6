import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rnnbook.chaotic_lstm import weights
from strategies import (
    assert_equal_to_rounding,
    draw_params,
    every_cell,
    every_dtype,
    every_loss,
    problem,
    read_only,
    some_examples,
)

from rnnpedagogy import landscape
from rnnpedagogy.cells import LSTM
from rnnpedagogy.costs import Cost
from rnnpedagogy.gradients import bptt
from rnnpedagogy.landscape import (
    cost_along_line,
    cost_on_plane,
    count_minima,
    local_minima,
    minima_bound,
    random_direction,
    total_variation,
)
from rnnpedagogy.rollout import rollout

EPS = np.finfo(float).eps


def grid(low, high, points):
    return np.linspace(low, high, points)


def moved(params, direction, step):
    return {
        name: array + array.dtype.type(step) * direction[name] if name in direction else array
        for name, array in params.items()
    }


def norm(direction):
    return np.linalg.norm(np.concatenate([np.ravel(array) for array in direction.values()]))


# -------------------------------------------------------------------------------- directions


def params_with_zero_bias():
    rng = np.random.default_rng(1)
    params = draw_params(LSTM(2, 3), rng, outputs=2)
    return params | {"bias": read_only(np.zeros(12)), "weight_ih": read_only(np.zeros((12, 2)))}


def test_each_array_of_a_direction_is_as_large_as_the_one_it_moves():
    params = params_with_zero_bias()
    direction = random_direction(params, np.random.default_rng(0))
    assert list(direction) == list(params)
    for name in ("weight_hh", "weight_ho", "bias_o"):
        size = np.linalg.norm(params[name])
        np.testing.assert_allclose(np.linalg.norm(direction[name]), size, rtol=10 * EPS)


def test_an_array_that_is_zero_is_moved_as_a_typical_one():
    params = params_with_zero_bias()
    direction = random_direction(params, np.random.default_rng(0))
    count = sum(array.size for array in params.values())
    for name in ("bias", "weight_ih"):
        expected = np.sqrt(params[name].size / count) * norm(params)
        np.testing.assert_allclose(np.linalg.norm(direction[name]), expected, rtol=10 * EPS)


@pytest.mark.parametrize("scale", ["each", "all"])
@given(seed=st.integers(0, 2**32 - 1))
@some_examples
def test_no_direction_leaves_a_bias_where_it_is(scale, seed):
    params = params_with_zero_bias()
    direction = random_direction(params, np.random.default_rng(seed), scale=scale)
    assert all(np.all(array != 0) for array in direction.values())


def test_a_direction_as_a_whole_is_as_large_as_the_parameters_and_has_no_preference():
    params = params_with_zero_bias()
    direction = random_direction(params, np.random.default_rng(0), scale="all")
    np.testing.assert_allclose(norm(direction), norm(params), rtol=10 * EPS)
    # The same normal numbers, up to one factor for all of them.
    rng = np.random.default_rng(0)
    ratios = [direction[name] / rng.normal(size=array.shape) for name, array in params.items()]
    ratios = np.concatenate([np.ravel(ratio) for ratio in ratios])
    np.testing.assert_allclose(ratios, ratios[0], rtol=10 * EPS)


@every_dtype
def test_directions_keep_shapes_and_types_and_empty_arrays(dtype):
    params = draw_params(LSTM(0, 2), np.random.default_rng(0), dtype=dtype)
    direction = random_direction(params, np.random.default_rng(0))
    for name, array in params.items():
        assert direction[name].shape == array.shape
        assert direction[name].dtype == dtype


def test_the_same_generator_draws_the_same_direction():
    params = params_with_zero_bias()
    one, two = (random_direction(params, np.random.default_rng(3)) for _ in range(2))
    for name in params:
        np.testing.assert_array_equal(one[name], two[name])


# --------------------------------------------------------------------------- lines and planes


def test_a_quadratic_along_a_line_in_closed_form():
    def cost(params):
        return np.sum(params["a"] ** 2, axis=-1) + params["b"]

    params = {"a": read_only([1.0, 2.0]), "b": read_only(3.0)}
    s = read_only(grid(-1, 1, 21))
    line = cost_along_line(cost, params, {"a": np.array([1.0, -1.0])}, s)
    np.testing.assert_allclose(line.values, (1 + s) ** 2 + (2 - s) ** 2 + 3, rtol=10 * EPS)
    assert line.slopes is None
    np.testing.assert_array_equal(line.steps, s)
    values = cost_on_plane(
        cost, params, {"a": np.array([1.0, 0.0])}, {"b": np.array(1.0)}, s, s[:4]
    )
    expected = (1 + s) ** 2 + 7 + s[:4, np.newaxis]
    np.testing.assert_allclose(values, expected, rtol=10 * EPS)


@every_cell
@every_loss
@every_dtype
def test_a_line_is_a_loop_over_its_points(kind, loss, dtype):
    cost, params = problem(kind, loss=loss, dtype=dtype, inputs=(3,), targets=(3,))
    direction = random_direction(params, np.random.default_rng(5))
    steps = read_only(np.linspace(-0.5, 0.5, 5, dtype=dtype))
    line = cost_along_line(cost, params, direction, steps, slopes=True)
    points = [moved(params, direction, step) for step in steps]
    assert_equal_to_rounding(line.values, [cost(point) for point in points])
    gradients = [bptt(cost, point).params for point in points]
    terms = np.array([[np.sum(g[n] * direction[n]) for n in params] for g in gradients])
    # Terms of either sign: their sum is as good as the largest gradient is.
    scale = max(np.linalg.norm(g[n]) for g in gradients for n in params) * norm(direction)
    assert line.slopes.dtype == dtype
    error = np.abs(line.slopes - terms.sum(axis=1)).max()
    assert error <= 500 * np.finfo(dtype).eps * scale


@every_cell
def test_slopes_agree_with_differences_of_the_values(kind):
    cost, params = problem(kind)
    direction = random_direction(params, np.random.default_rng(5))
    h, at = 1e-3, 0.2
    slope = cost_along_line(cost, params, direction, np.array([at]), slopes=True).slopes[0]
    # Two central differences, extrapolated: an error of h⁴ V⁽⁵⁾/30, for which the fifth difference
    # of the values stands, and of rounding, 10 ε V/h. relu is not smooth: no kink within 2h.
    values = cost_along_line(cost, params, direction, at + h * np.arange(-3, 4)).values
    near, far = (values[4] - values[2]) / (2 * h), (values[5] - values[1]) / (4 * h)
    fifth = np.abs(np.diff(values, 5)).max() / h**5
    bound = 10 * (h**4 * fifth / 30 + 10 * EPS * np.abs(values).max() / h)
    assert bound < 1e-6 * np.abs(slope)
    assert abs((4 * near - far) / 3 - slope) <= bound


def test_the_slopes_of_a_batch_add_up_to_the_values():
    # The fundamental theorem of calculus, by Simpson's rule: (b − a) h⁴ V⁽⁵⁾ / 180.
    cost, params = problem("GRU", inputs=(2, 3), state=(3,))
    direction = random_direction(params, np.random.default_rng(5))
    line = cost_along_line(cost, params, direction, grid(0, 1, 201), slopes=True)
    weights = np.array([1.0, *[4.0, 2.0] * 99, 4.0, 1.0]) / 600
    integral = weights @ line.slopes
    derivatives = np.abs(np.diff(line.slopes, 4)).max()  # h⁴ V⁽⁵⁾
    assert derivatives < 1e-4
    assert abs(integral - (line.values[-1] - line.values[0])) <= derivatives / 180 + 100 * EPS


def test_a_plane_is_a_loop_over_its_points():
    cost, params = problem("LSTM", targets=(2,))
    rng = np.random.default_rng(0)
    first, second = random_direction(params, rng), random_direction(params, rng)
    xs, ys = read_only(grid(-1, 1, 3)), read_only(grid(0, 1, 2))
    values = cost_on_plane(cost, params, first, second, xs, ys)
    loop = [[cost(moved(moved(params, first, x), second, y)) for x in xs] for y in ys]
    assert_equal_to_rounding(values, loop)


def test_chunks_do_not_show(monkeypatch):
    cost, params = problem("tanh", inputs=(2,))
    direction = random_direction(params, np.random.default_rng(0))
    steps = grid(-1, 1, 17)
    whole = cost_along_line(cost, params, direction, steps, slopes=True)
    plane = cost_on_plane(cost, params, direction, direction, steps, steps[:3])
    sizes = []
    monkeypatch.setattr(landscape, "FLOATS", 1000)
    monkeypatch.setattr(landscape, "bptt", lambda c, p: sizes.append(len(p["bias"])) or bptt(c, p))
    cut = cost_along_line(cost, params, direction, steps, slopes=True)
    assert sum(sizes) == 17
    assert len(sizes) > 1
    assert_equal_to_rounding(cut.values, whole.values)
    assert_equal_to_rounding(cut.slopes, whole.slopes)
    assert_equal_to_rounding(
        cost_on_plane(cost, params, direction, direction, steps, steps[:3]), plane
    )


def test_a_direction_may_name_some_of_the_parameters():
    cost, params = problem("GRU")
    W = {"weight_hh": params["weight_hh"]}
    from_zero = params | {"weight_hh": np.zeros_like(params["weight_hh"])}
    line = cost_along_line(cost, from_zero, W, np.array([0.5, 1.0]), slopes=True)
    assert_equal_to_rounding(line.values[1], cost(params))
    zeros = {name: np.zeros_like(array) for name, array in params.items()}
    whole = cost_along_line(cost, from_zero, zeros | W, np.array([0.5, 1.0]), slopes=True)
    assert_equal_to_rounding(line.slopes, whole.slopes)


def test_where_the_states_overflow_the_cost_is_not_finite():
    cost, params = problem("identity", steps=200)
    line = cost_along_line(cost, params, {"weight_hh": np.eye(3)}, np.array([0.0, 1e6]))
    assert np.isfinite(line.values[0])
    assert not np.isfinite(line.values[1])


# ------------------------------------------------------------------------ minima and variation


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1.0, 0, 1], [1]),
        ([0.0, 1, 0], []),
        ([1.0, 0, 0, 1], [1]),  # a flat bottom, at its middle, the first of two
        ([1.0, 0, 0, 0, 1], [2]),
        ([2.0, 1, 1, 0, 1], [3]),  # a step on the way down is none
        ([2.0, 0, 1, 1, 2], [1]),
        ([0.0, 0, 1, 0, 0], []),  # flat at the ends
        ([1.0, 0, 0], []),
        ([1.0, 1, 1], []),
        ([3.0, 1, 2, 0, 3], [1, 3]),
        ([1.0], []),
        ([1.0, 0], []),
        ([0.0, -0.0, 1, -1, 1], [3]),
    ],
)
def test_local_minima_by_hand(values, expected):
    values = read_only(values)
    np.testing.assert_array_equal(local_minima(values), expected)


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=20), st.integers(1, 4))
@some_examples
def test_minima_and_variation_do_not_see_how_long_each_value_lasts(values, times):
    values = np.array(values, float)
    slow = np.repeat(values, times)
    assert len(local_minima(slow)) == len(local_minima(values))
    assert total_variation(slow) == total_variation(values)
    np.testing.assert_array_equal(slow[local_minima(slow)], values[local_minima(values)])


@given(seed=st.integers(0, 2**32 - 1), degree=st.integers(2, 9))
@some_examples
def test_minima_of_polynomials_are_where_the_derivative_has_its_roots(seed, degree):
    roots = np.sort(np.random.default_rng(seed).uniform(-1, 1, degree))
    derivative = np.polynomial.Polynomial.fromroots(roots)
    polynomial = derivative.integ()
    # From the right the derivative is positive: every other root, from the last, is a minimum. The
    # grid tells those apart between which the polynomial changes by more than its rounding.
    s = grid(-1.5, 1.5, 30001)
    inner = np.abs(np.diff(polynomial(roots)))
    if (np.diff(roots) < 10 * (s[1] - s[0])).any() or (inner < 1e-12).any():
        return
    found = s[local_minima(polynomial(s))]
    np.testing.assert_allclose(found, roots[::-1][::2][::-1], rtol=0, atol=2 * (s[1] - s[0]))
    ends = np.concatenate([[-1.5], roots, [1.5]])
    exact = np.abs(np.diff(polynomial(ends))).sum()
    # A turn that falls between two points is missed by V'' h²/8 on either side.
    curvature = np.abs(derivative.deriv()(s)).max()
    missed = degree * curvature * (s[1] - s[0]) ** 2 / 4
    assert exact - missed - 1e-12 <= total_variation(polynomial(s)) <= exact + 1e-12


def test_the_variation_of_a_batch_is_that_of_each_column():
    values = read_only(np.random.default_rng(0).normal(size=(20, 2, 3)))
    variation = total_variation(values)
    assert variation.shape == (2, 3)
    np.testing.assert_allclose(variation[1, 2], total_variation(values[:, 1, 2]), rtol=10 * EPS)


# ------------------------------------------------------------------------------- Proposition M


@given(st.lists(st.floats(-10, 10), min_size=2, max_size=40))
@some_examples
def test_a_piecewise_linear_function_has_the_minima_that_its_variation_demands(values):
    values = np.array(values)
    bound = minima_bound(total_variation(values), np.ptp(values))
    assert len(local_minima(values)) >= bound


@pytest.mark.parametrize("pieces", range(1, 30))
@pytest.mark.parametrize("span", [1.0, 0.1, 1e-8, 3e5])
def test_the_bound_is_sharp(pieces, span):
    # A zigzag that starts upwards has no more minima than it must, for any number of pieces.
    zigzag = span * (np.arange(pieces + 1) % 2)
    variation = total_variation(zigzag)
    assert minima_bound(variation, np.ptp(zigzag)) == len(local_minima(zigzag)) == (pieces - 1) // 2


def test_one_cliff_is_not_enough():
    cliff = 1 + np.tanh(1e6 * grid(-1, 1, 1001))
    assert minima_bound(total_variation(cliff), np.ptp(cliff)) == 0
    assert minima_bound(0.0, 0.0) == 0
    assert minima_bound(0.0, 1.0) == 0
    assert isinstance(minima_bound(np.float64(9), np.float64(1)), int)


# ------------------------------------------------------------------------------------- counting


@pytest.mark.parametrize("k", [1, 7, 100, 1001])
@pytest.mark.parametrize("slopes", [False, True])
def test_cosines_are_counted(k, slopes):
    def function(s):
        return (np.cos(k * s), -k * np.sin(k * s)) if slopes else np.cos(k * s)

    found = count_minima(function, 0.0, 2 * np.pi)
    assert (found.count, found.converged) == (k, True)
    # Near a turn the grid misses at most h²k²/8 of the height, at 2k turns from two sides.
    missed = 4 * k * (k * 2 * np.pi / (found.points - 1)) ** 2 / 8
    assert 4 * k - missed <= found.total_variation <= 4 * k * (1 + 1e-12)
    if slopes:
        np.testing.assert_allclose(found.slope_integral, 4 * k, rtol=0.02)
    else:
        assert found.slope_integral is None


@pytest.mark.parametrize(
    ("function", "low", "high", "count", "variation"),
    [
        (lambda s: (s**2, 2 * s), -1.0, 2.0, 1, 5.0),
        (lambda s: (s**3, 3 * s**2), -1.0, 1.0, 0, 2.0),
        (lambda s: (np.ones_like(s), np.zeros_like(s)), 0.0, 1.0, 0, 0.0),
        (lambda s: (np.abs(np.sin(s)), np.cos(s) * np.sign(np.sin(s))), 0.5, 31.0, 9, None),
        (lambda s: (np.maximum(np.abs(s) - 1, 0), np.sign(s) * (np.abs(s) > 1)), -2.0, 2.0, 1, 2.0),
    ],
)
def test_functions_whose_minima_are_known(function, low, high, count, variation):
    found = count_minima(function, low, high)
    assert (found.count, found.converged) == (count, True)
    if variation is not None:
        np.testing.assert_allclose(found.total_variation, variation, rtol=0.01)


def weierstrass(terms):
    """``Σ_j 2^{-j} cos(3^j s)``: the last term alone makes the slope change its sign."""

    def function(s):
        j = np.arange(terms)[:, np.newaxis]
        return np.sum(0.5**j * np.cos(3.0**j * s), axis=0), -np.sum(
            1.5**j * np.sin(3.0**j * s), axis=0
        )

    return function


def test_a_rough_sum_is_counted_once_its_last_term_is_resolved():
    few, many = (
        count_minima(weierstrass(terms), 0.0, 2 * np.pi, max_points=2**17 + 1) for terms in (7, 12)
    )
    fine = weierstrass(7)(grid(0, 2 * np.pi, 2**18 + 1))[0]
    assert few.converged
    assert abs(few.count - len(local_minima(fine))) <= 0.02 * few.count
    assert 3**6 / 4 < few.count <= 3**6
    # Of twelve terms the last repeats itself 3^11 = 177 147 times: more often than there are
    # points, and the count is that of the terms that the grid resolves.
    assert not many.converged
    assert few.count < many.count < 3**11 / 2
    assert many.total_variation < many.slope_integral


def test_slopes_reveal_what_the_grid_does_not_see():
    # Each grid sees cos(2^17 s) at its maxima alone.
    k, high = 2**17, 2 * np.pi
    blind = count_minima(lambda s: np.cos(k * s) + s, 0.0, high, max_points=2**16 + 1)
    assert (blind.count, blind.converged) == (0, True)
    # The slope of the sum is one at these points, so that it takes a phase to be seen.
    found = count_minima(
        lambda s: (np.cos(k * s + 1) + s, 1 - k * np.sin(k * s + 1)),
        0.0,
        high,
        max_points=2**16 + 1,
    )
    assert not found.converged
    assert found.slope_integral > 1000 * found.total_variation


def test_only_new_points_are_evaluated():
    asked = []

    def function(s):
        asked.append(s.copy())
        return np.cos(50 * s)

    found = count_minima(function, -1.0, 2.0, points=5, max_points=100_000)
    seen = np.sort(np.concatenate(asked))
    np.testing.assert_allclose(seen, grid(-1, 2, found.points), rtol=0, atol=2 * EPS)
    assert found.converged
    grids = np.cumsum([len(new) for new in asked])
    np.testing.assert_array_equal(np.diff(grids), grids[:-1] - 1)
    assert (grids[0], grids[-1]) == (5, found.points)


def test_a_count_that_runs_out_of_points_is_a_lower_bound():
    found = count_minima(lambda s: np.cos(1000 * s), 0.0, np.pi, points=101, max_points=400)
    assert not found.converged
    assert found.points == 201
    assert found.count <= 500
    only = count_minima(lambda s: s**2, -1.0, 1.0, points=3, max_points=4)
    assert (only.count, only.converged, only.points) == (1, False, 3)


@every_dtype
def test_a_cost_on_a_line_is_counted_with_its_slopes(dtype):
    # The published chaotic LSTM, scaled by s, matches its own trajectory of 20 steps at s = 1.
    W = weights.astype(dtype)
    cell, state, none = LSTM(0, 2), np.full(4, 0.5, dtype), np.zeros((20, 0), dtype)
    params = {"weight_ih": np.zeros((8, 0), dtype), "bias": np.zeros(8, dtype)}
    targets = cell.hidden(rollout(cell, params | {"weight_hh": W}, state, none))
    cost = Cost(cell, none, targets, state=state)
    readout = {"weight_ho": np.eye(2, dtype=dtype), "bias_o": np.zeros(2, dtype)}
    params |= readout | {"weight_hh": np.zeros_like(W)}

    def function(s):
        line = cost_along_line(cost, params, {"weight_hh": W}, s, slopes=True)
        return line.values, line.slopes

    found = count_minima(function, 0.95, 1.05)
    assert (found.count, found.converged) == (6, True)
    assert found.count >= minima_bound(found.total_variation, 0.05)
    assert cost_along_line(cost, params, {"weight_hh": W}, np.ones(1)).values[0] == 0


# ------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("arguments", "settings", "error", "message"),
    [
        (({"a": np.ones(2)}, 3), {}, TypeError, "rng must be a numpy.random.Generator, got 3"),
        (({"a": np.ones(2)},), {"scale": "none"}, ValueError, "scale must be one of 'each', 'all'"),
        (([1.0],), {}, TypeError, "params must be a dictionary of arrays, got"),
        (({"a": np.ones(2, int)},), {}, TypeError, r"params\['a'\] must hold real floats.*int64"),
        (({"a": np.array([np.nan])},), {}, ValueError, r"params\['a'\] must be finite, got nan"),
        (({"a": np.zeros(2)},), {}, ValueError, "params must not all be zero"),
        (({},), {}, ValueError, "params must hold at least one array, got {}"),
    ],
)
def test_bad_arguments_of_a_direction_are_named(arguments, settings, error, message):
    rng = [] if len(arguments) == 2 else [np.random.default_rng(0)]
    with pytest.raises(error, match=message):
        random_direction(*arguments, *rng, **settings)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"steps": np.zeros((2, 2))}, ValueError, r"got steps of shape \(2, 2\), expected \(K,\)"),
        ({"steps": np.zeros(0)}, ValueError, r"got steps of shape \(0,\).*K at least 1"),
        ({"steps": np.arange(3)}, TypeError, "steps must hold real floats.*int64"),
        ({"steps": np.array([np.inf])}, ValueError, "steps must be finite, got inf"),
        ({"direction": {}}, ValueError, r"direction must have keys among .*got \[\]"),
        ({"direction": {"weight": np.ones(3)}}, ValueError, r"keys among .*got \['weight'\]"),
        (
            {"direction": {"bias": np.ones(2)}},
            ValueError,
            r"got direction\['bias'\] of shape \(2,\), expected \(3,\)",
        ),
        ({"direction": np.ones(3)}, TypeError, "direction must be a dictionary of arrays"),
        ({"cost": 3}, TypeError, "cost must be a Cost or a function of the parameters, got 3"),
        ({"cost": abs, "slopes": True}, TypeError, "cost must be a Cost if slopes are asked for"),
        ({"params": {}}, ValueError, "params must include a linear readout"),
    ],
)
def test_bad_arguments_of_a_line_are_named(changes, error, message):
    cost, params = problem("tanh")
    arguments = {"cost": cost, "params": params, "direction": {"bias": np.ones(3)}}
    with pytest.raises(error, match=message):
        cost_along_line(**(arguments | {"steps": np.zeros(3)} | changes))


def test_a_line_or_a_plane_starts_from_one_parameter_set():
    cost, params = problem("tanh", leads=(2,))
    with pytest.raises(ValueError, match=r"cost_along_line takes one parameter set, got.*\(2,\)"):
        cost_along_line(cost, params, {"bias": np.ones(3)}, np.zeros(3))
    with pytest.raises(ValueError, match=r"cost_on_plane takes one parameter set, got.*\(2,\)"):
        cost_on_plane(cost, params, {}, {}, np.zeros(3), np.zeros(3))


@pytest.mark.parametrize("name", ["first", "second", "xs", "ys"])
def test_bad_arguments_of_a_plane_are_named(name):
    cost, params = problem("tanh")
    good, bad = ({"bias": np.ones(3)}, np.zeros(3)), ({"bias": np.ones(2)}, np.zeros((3, 1)))
    arguments = dict(
        zip(["first", "second", "xs", "ys"], [good[0]] * 2 + [good[1]] * 2, strict=True)
    )
    arguments[name] = bad[0] if name in ("first", "second") else bad[1]
    with pytest.raises(ValueError, match=f"got {name}"):
        cost_on_plane(cost, params, **arguments)


@pytest.mark.parametrize("function", [local_minima, total_variation])
@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ([0.0, np.nan, 1.0], ValueError, "values must be finite, got nan"),
        ([1, 0, 1], TypeError, "values must hold real floats"),
        ([], ValueError, "got values of shape"),
    ],
)
def test_bad_sequences_are_named(function, values, error, message):
    with pytest.raises(error, match=message):
        function(values)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1.0, 1.0), "total_variation must be a finite number of at least 0, got -1.0"),
        ((1.0, np.nan), "span must be a finite number of at least 0, got nan"),
        ((np.inf, 1.0), "total_variation must be a finite number of at least 0, got inf"),
        ((1.0, 0.0), "span must be positive if the variation is, got 0.0"),
    ],
)
def test_bad_arguments_of_the_bound_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        minima_bound(*arguments)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"low": 1.0}, ValueError, "low must be below high, and both finite, got 1.0 and 1.0"),
        ({"high": np.inf}, ValueError, "high must be a finite number, got inf"),
        ({"low": np.nan}, ValueError, "low must be a finite number, got nan"),
        ({"points": 2}, ValueError, "points must be an integer of at least 3, got 2"),
        ({"max_points": 9}, ValueError, "max_points must be an integer of at least 10, got 9"),
        ({"function": lambda s: s[:-1]}, ValueError, "got values of the function of shape"),
        ({"function": lambda s: s / s}, ValueError, "values of the function must be finite"),
        ({"function": lambda s: (s, s > 0)}, TypeError, "slopes of the function must hold real"),
        ({"function": lambda s: (s, s, s)}, ValueError, "function must return values, or a pair"),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_bad_arguments_of_a_count_are_named(changes, error, message):
    arguments = {"function": np.cos, "low": 0.0, "high": 1.0, "points": 10} | changes
    with pytest.raises(error, match=message):
        count_minima(**arguments)
