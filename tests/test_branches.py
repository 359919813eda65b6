import doctest

import autograd.numpy as anp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from maps import (
    chaotic_lstm,
    henon_family,
    logistic_family,
    network_family,
    neuron_family,
    rotation,
)
from strategies import some_examples

from rnnpedagogy.cells import Elman
from rnnpedagogy.dynamics import CellMap, Map, branches, follow_branch, orbit_diagram, switch_branch

# A point has a residual of a few roundings, and where a test function of the Jacobian is zero that
# Jacobian has them too. The location then carries the condition of the problem, below 100 here.
LOCATION = 1e-12
# Crossings also depend on ∂F/∂μ, a difference with an error of 1e-10, times that condition.
CROSSING = 1e-8
# Coefficients are differences of Jacobians: 1e-10 for a second, 1e-8 for a third derivative, times
# derivatives of at most 20 in these examples.
COEFFICIENT = 2e-7


def delayed_logistic_family(a):
    """``x' = a x (1 − y)``, ``y' = x`` (Maynard Smith)."""

    def step(x):
        return anp.stack([a * x[..., 0] * (1 - x[..., 1]), x[..., 0]], axis=-1)

    return Map(step)


def names(branch):
    return [one.name for one in branch.bifurcations]


def assert_fixed(family, branch, *, period=1, tolerance=1e-12):
    images = family(branch.values).run(branch.states, 0, period)[-1]
    error = np.abs(images - branch.states).max(axis=-1)
    # One rounding more than asked for: the map is evaluated in a batch of another size.
    size = 1 + np.abs(branch.states).max(axis=-1)
    assert (error <= 1.01 * tolerance * size).all()


# ----------------------------------------------------------------- closed forms, published values


@pytest.mark.parametrize("w", [1.1, 2.0, 4.0])
def test_the_branch_of_a_bistable_neuron_passes_both_folds(w):
    # x = tanh(w x + b) has w (1 − x²) = 1 at x = ±√(1 − 1/w): b = artanh(x) − w x.
    x = np.sqrt(1 - 1 / w)
    fold = np.arctanh(x) - w * x
    family = neuron_family(w)
    branch = follow_branch(family, -4.0, np.array([-1.0]), low=-4.0, high=4.0, points=400)
    assert names(branch) == ["fold", "fold"]
    lower, upper = branch.bifurcations
    # The turn of the tangent is located to a distance of roundings: the value to their square.
    np.testing.assert_allclose([lower.value, upper.value], [-fold, fold], rtol=LOCATION)
    # The state is sensitive to μ as a square root is, but here it is what is located.
    np.testing.assert_allclose([lower.state, upper.state], [[-x], [x]], rtol=1e-10)
    # c in u' = u + c u² is F''/2 = −w² x (1 − x²) = −w x.
    found = [lower.coefficient, upper.coefficient]
    np.testing.assert_allclose(found, [w * x, -w * x], rtol=COEFFICIENT)
    assert lower.criticality is upper.criticality is None
    # Stable, unstable between the folds, stable.
    outside = np.abs(branch.states[:, 0]) > x
    np.testing.assert_array_equal(branch.stable, outside)
    assert not branch.stable.all()
    assert branch.stable[lower.index]
    assert not branch.stable[lower.index + 1]
    # From bound to bound, exactly.
    assert branch.stopped == ("low", "high")
    assert (branch.values[0], branch.values[-1]) == (-4.0, 4.0)
    # The whole curve in closed form: artanh loses digits where x is near one.
    y = branch.states[:, 0]
    np.testing.assert_allclose(branch.eigenvalues[:, 0], w * (1 - y**2), rtol=1e-9)
    assert_fixed(family, branch)


def test_a_pitchfork_is_passed_straight_and_met_sideways():
    family = neuron_family()
    trivial = follow_branch(family, 0.5, np.zeros(1), low=0.2, high=2.0)
    # x' = w x − w³ x³/3 + …: the coefficient is −1/3 at w = 1.
    assert names(trivial) == ["pitchfork"]
    (one,) = trivial.bifurcations
    assert abs(one.value - 1) <= CROSSING
    np.testing.assert_allclose(one.coefficient, -1 / 3, atol=COEFFICIENT)
    assert one.criticality == "supercritical"
    assert np.abs(trivial.states).max() <= CROSSING
    np.testing.assert_array_equal(trivial.stable, trivial.values < 1)
    # Along the other branch w turns, the multiplier touches one: stable on both sides.
    value, state, period = switch_branch(family, one)
    other = follow_branch(family, value, state, low=0.2, high=2.0, period=period)
    assert names(other) == ["pitchfork"]
    np.testing.assert_allclose(other.bifurcations[0].value, 1, atol=CROSSING)
    assert other.stopped == ("high", "high")
    np.testing.assert_allclose(other.states[0], -other.states[-1], rtol=1e-12)
    assert other.stable.all()
    assert_fixed(family, other)


@pytest.mark.parametrize("bias", [1e-2, 1e-4, 1e-6])
def test_a_bias_breaks_the_pitchfork_into_a_fold_and_a_branch_without_a_bifurcation(bias):
    def family(w):
        params = {"weight_ih": np.zeros((1, 0)), "bias": np.array([bias])}
        return CellMap(Elman(0, 1), params | {"weight_hh": w[..., np.newaxis, np.newaxis]})

    # The gap between the branches is about bias^{1/3}, less than a step: no jump across it.
    settings = {"low": 0.2, "high": 2.0}
    connected = follow_branch(family, 0.5, np.zeros(1), **settings)
    assert names(connected) == []
    assert (connected.states > 0).all()
    assert connected.stable.all()
    other = follow_branch(family, 2.0, np.array([-0.95]), **settings)
    assert names(other) == ["fold"]
    assert (other.states < 0).all()
    assert other.stopped == ("high", "high")
    # At the fold w (1 − x²) = 1 and artanh(x) = w x + b.
    x = other.bifurcations[0].state[0]
    w = other.bifurcations[0].value
    np.testing.assert_allclose(w * (1 - x * x), 1, rtol=LOCATION)
    np.testing.assert_allclose(np.arctanh(x) - w * x, bias, rtol=0, atol=1e-12)


def test_the_logistic_map_exchanges_stability_at_one_and_doubles_its_period_at_three():
    settings = {"low": 0.5, "high": 3.5}
    branch = follow_branch(logistic_family, 2.5, np.array([0.59]), **settings)
    assert names(branch) == ["transcritical", "flip"]
    crossing, flip = branch.bifurcations
    assert abs(crossing.value - 1) <= CROSSING
    assert abs(flip.value - 3) <= LOCATION
    # x' = x − x² at r = 1; at r = 3 with F'' = −6 the cubic term is ½ F''²/(1 − λ) = 9, λ = −1.
    np.testing.assert_allclose([crossing.coefficient, flip.coefficient], [-1, -9], rtol=COEFFICIENT)
    assert (crossing.angle, flip.angle) == (0, np.pi)
    assert flip.criticality == "supercritical"
    r = branch.values
    np.testing.assert_allclose(branch.states[:, 0], 1 - 1 / r, atol=1e-11)
    np.testing.assert_allclose(branch.eigenvalues[:, 0], 2 - r, atol=1e-10)
    # Over to x = 0 at the crossing.
    value, state, _ = switch_branch(logistic_family, crossing)
    zero = follow_branch(logistic_family, value, state, **settings)
    assert names(zero) == ["transcritical"]
    assert np.abs(zero.states).max() <= 1e-11
    # And to the orbit of period two at the flip, up to its own flip at 1 + √6; it ends at three.
    value, state, period = switch_branch(logistic_family, flip)
    assert period == 2
    pair = follow_branch(logistic_family, value, state, period=period, **settings)
    assert names(pair) == ["flip", "pitchfork", "flip"]
    found = [one.value for one in pair.bifurcations]
    np.testing.assert_allclose(found, [1 + np.sqrt(6), 3, 1 + np.sqrt(6)], atol=CROSSING)
    assert all(one.criticality == "supercritical" for one in pair.bifurcations)
    assert_fixed(logistic_family, pair, period=2)


def test_the_henon_map_has_its_fold_and_its_flip():
    # b = 0.3: a = −(1 − b)²/4 and 3 (1 − b)²/4 (Hénon, Comm. Math. Phys. 50, 1976).
    branch = follow_branch(henon_family, 0.2, np.array([0.6, 0.2]), low=-0.2, high=0.5, points=150)
    assert names(branch)[-2:] == ["fold", "flip"]
    fold, flip = branch.bifurcations[-2:]
    np.testing.assert_allclose([fold.value, flip.value], [-0.1225, 0.3675], atol=LOCATION)
    # λ_1 λ_2 = −b at every point.
    np.testing.assert_allclose(branch.eigenvalues.prod(axis=1), -0.3, rtol=1e-12)
    assert flip.criticality == "supercritical"


def test_the_delayed_logistic_map_starts_to_turn_at_two():
    # (1 − 1/a) twice: λ² − λ + a − 1 = 0, at a = 2 the multipliers are e^{±iπ/3}. At a = 1 it
    # crosses zero.
    start = np.full(2, 1 / 3)
    branch = follow_branch(delayed_logistic_family, 1.5, start, low=0.5, high=2.5)
    assert names(branch) == ["transcritical", "Neimark–Sacker"]
    crossing, turning = branch.bifurcations
    assert abs(crossing.value - 1) <= CROSSING
    assert abs(turning.value - 2) <= LOCATION
    np.testing.assert_allclose(turning.angle, np.pi / 3, rtol=LOCATION)
    # Supercritical, of a radius |u|² = −(|λ| − 1)/c = −(a − 2)/(2c): an orbit beyond knows it.
    assert turning.criticality == "supercritical"
    a = np.array([2.002])
    orbit = orbit_diagram(delayed_logistic_family, a, start, steps=4000, transient=20_000).states
    # x − x* = 2 Re(u q) with |q_i| = 1/√2 has the variance |u|² in each entry.
    variance = orbit[:, 0, 0].var()
    # The next order is a relative −0.7 (a − 2), seen at 2.001, 2.002 and 2.004: twice that.
    np.testing.assert_allclose(variance, -0.001 / turning.coefficient, rtol=0.003)


@pytest.mark.parametrize("angle", [0.3, 1.0, 2.5])
def test_a_planar_network_starts_to_turn_where_its_gain_passes_one(angle):
    family = network_family(rotation(angle), np.zeros(2))
    branch = follow_branch(family, 0.5, np.zeros(2), low=0.2, high=1.5)
    assert names(branch) == ["Neimark–Sacker"]
    (one,) = branch.bifurcations
    assert abs(one.value - 1) <= LOCATION
    np.testing.assert_allclose(one.angle, angle, rtol=LOCATION)
    # z = u q + c. c. has entries √2 |u| cos(…), the resonant part of z³/3 is ½ |u|² z.
    np.testing.assert_allclose(one.coefficient, -0.5, rtol=COEFFICIENT)


def test_a_neuron_of_negative_weight_flips_at_minus_one():
    branch = follow_branch(neuron_family(), -0.5, np.zeros(1), low=-2.0, high=0.0)
    assert names(branch) == ["flip"]
    (flip,) = branch.bifurcations
    assert abs(flip.value + 1) <= LOCATION
    np.testing.assert_allclose(flip.coefficient, -1 / 3, atol=COEFFICIENT)
    assert flip.criticality == "supercritical"


def test_the_chaotic_lstm_loses_its_fixed_point_to_a_closed_curve():
    # The weights of Laurent and von Brecht scaled by s: the origin is stable up to s = 0.784405,
    # where a pair crosses at 118.7 degrees (measured elsewhere, to the digits given).
    branch = follow_branch(chaotic_lstm, 0.1, np.zeros(4), low=0.1, high=1.0)
    assert names(branch) == ["Neimark–Sacker"]
    (one,) = branch.bifurcations
    assert abs(one.value - 0.784405) <= 0.5e-6
    assert abs(np.degrees(one.angle) - 118.7) <= 0.05
    np.testing.assert_array_equal(branch.stable, branch.values < one.value)


def test_a_product_of_two_real_multipliers_that_passes_one_is_not_a_bifurcation():
    # diag(μ, 1/2): the product is one at μ = 2, a neutral saddle.
    def family(mu):
        return Map(lambda x: anp.stack([mu * x[..., 0], 0.5 * x[..., 1]], axis=-1))

    branch = follow_branch(family, 1.5, np.zeros(2), low=1.2, high=3.0)
    assert branch.bifurcations == ()
    assert branch.stopped == ("low", "high")


def test_bifurcations_that_hide_each_other_within_a_step_are_told_apart():
    # Multipliers 2 μ and 1/2, whose product passes one at μ = 1 (a neutral saddle), and a pair of
    # modulus μ + 1/100: a sign that changes twice. And two pairs, of moduli μ and μ + 1/100.
    def saddle(mu):
        return np.array([[2 * mu, 0], [0, 0.5]])

    def pair(mu):
        return mu * rotation(1.0)

    def family_of(first, shift):
        def family(values):
            blocks = np.zeros((len(values), 4, 4))
            blocks[:, :2, :2] = [first(mu) for mu in values]
            blocks[:, 2:, 2:] = [(mu + shift) * rotation(2.0) for mu in values]
            return Map(lambda x: anp.matmul(blocks, x[..., np.newaxis])[..., 0])

        return family

    settings = {"low": 0.6, "high": 1.2, "step": 0.1}
    one = follow_branch(family_of(saddle, 0.01), 0.8, np.zeros(4), **settings)
    assert names(one) == ["Neimark–Sacker"]
    np.testing.assert_allclose(one.bifurcations[0].value, 0.99, rtol=LOCATION)
    two = follow_branch(family_of(pair, 0.01), 0.8, np.zeros(4), **settings)
    assert names(two) == ["Neimark–Sacker"] * 2
    found = [one.value for one in two.bifurcations]
    np.testing.assert_allclose(found, [0.99, 1], rtol=LOCATION)
    np.testing.assert_allclose([one.angle for one in two.bifurcations], [2, 1], rtol=LOCATION)
    # Together they are not seen, and are passed.
    together = follow_branch(family_of(pair, 0.0), 0.8, np.zeros(4), **settings)
    assert names(together) == []
    assert together.stopped == ("low", "high")


# ------------------------------------------------------------------------------------ properties


def closed_family(mu):
    """Fixed points on the ellipse ``x² + 4 μ² = 1``: ``x' = x − (x² + 4 μ² − 1)/4``."""
    return Map(lambda x: x - 0.25 * (x**2 + 4 * mu[..., np.newaxis] ** 2 - 1))


@pytest.mark.parametrize("direction", ["up", "down", "both"])
def test_a_closed_branch_is_followed_once(direction):
    branch = follow_branch(closed_family, 0.1, np.array([1.0]), direction=direction)
    assert "closed" in branch.stopped
    assert names(branch) == ["fold", "fold"]
    found = sorted(one.value for one in branch.bifurcations)
    np.testing.assert_allclose(found, [-0.5, 0.5], rtol=LOCATION)
    np.testing.assert_array_equal(branch.states[0], branch.states[-1])
    assert branch.values[0] == branch.values[-1]


@pytest.mark.parametrize("step", [0.01, 0.03, 0.2, 0.5])
def test_the_step_does_not_change_what_is_found(step):
    branch = follow_branch(
        logistic_family, 2.5, np.array([0.6]), low=0.7, high=3.4, step=step, points=1000
    )
    assert names(branch) == ["transcritical", "flip"]
    found = [one.value for one in branch.bifurcations]
    np.testing.assert_allclose(found, [1, 3], atol=CROSSING)
    between = np.hypot(np.diff(branch.values), np.diff(branch.states[:, 0]))
    # A point is at a distance step along the tangent, and the tangent turns by at most 18 degrees.
    assert between.max() <= step / 0.95


@pytest.mark.parametrize("start", [0.99, 1.0, 1.01])
def test_a_bifurcation_at_or_near_the_start_is_found_once(start):
    def found(direction):
        settings = {"low": 0.5, "high": 1.5, "direction": direction}
        return names(follow_branch(neuron_family(), start, np.zeros(1), **settings))

    assert found("both") == ["pitchfork"]
    assert found("up") + found("down") == ["pitchfork"]


def test_directions_are_halves_of_the_same_branch():
    settings = {"low": -1.0, "high": 1.0}
    start = 0.0, np.array([0.9])
    up, down, both = (
        follow_branch(neuron_family(2.0), *start, direction=way, **settings)
        for way in ("up", "down", "both")
    )
    assert (up.stopped, down.stopped) == (("start", "high"), ("low", "start"))
    assert both.stopped == ("low", "high")
    for name in ("values", "states", "eigenvalues", "stable"):
        halves = np.concatenate([getattr(down, name)[:-1], getattr(up, name)])
        np.testing.assert_array_equal(getattr(both, name), halves)
    assert names(both) == names(down) + names(up)
    assert [one.index for one in both.bifurcations] == [one.index for one in down.bifurcations]


def test_bifurcations_lie_between_the_points_that_they_name():
    branch = follow_branch(
        logistic_family, 3.2, np.array([0.513]), period=2, low=2.5, high=3.5, points=300
    )
    curve = np.column_stack([branch.states, branch.values])
    for one in branch.bifurcations:
        at = np.append(one.state, one.value)
        a, b = curve[one.index], curve[one.index + 1]
        assert (at - a) @ (b - a) >= 0
        assert (b - at) @ (b - a) >= 0


def test_a_change_of_coordinates_changes_nothing():
    # z = S x: same values, same multipliers, same angle; states follow.
    S = np.array([[2.0, 1.0], [-1.0, 1.0]])
    inverse = np.linalg.inv(S)

    def changed(a):
        plain = delayed_logistic_family(a)
        return Map(lambda z: plain.step(z @ inverse.T) @ S.T)

    start = np.full(2, 1 / 3)
    one = follow_branch(delayed_logistic_family, 1.5, start, low=0.5, high=2.5)
    other = follow_branch(changed, 1.5, S @ start, low=0.5, high=2.5)
    assert names(one) == names(other)
    for a, b in zip(one.bifurcations, other.bifurcations, strict=True):
        np.testing.assert_allclose(b.value, a.value, atol=CROSSING)
        np.testing.assert_allclose(b.state, S @ a.state, atol=10 * CROSSING)
        np.testing.assert_allclose(b.angle, a.angle, atol=CROSSING)
        assert a.criticality == b.criticality


@some_examples
@given(size=st.integers(1, 4), seed=st.integers(0, 2**32 - 1), step=st.floats(0.02, 0.2))
def test_every_point_of_a_branch_is_a_fixed_point(size, seed, step):
    rng = np.random.default_rng(seed)
    weight, bias = rng.normal(size=(size, size)), 0.5 * rng.normal(size=size)
    family = network_family(weight, bias)
    settings = {"low": 0.0, "high": 3.0, "points": 40, "step": step}
    branch = follow_branch(family, 0.0, np.tanh(bias), **settings)
    assert_fixed(family, branch)
    assert branch.stopped[0] == "low"
    assert branch.stopped[1] in ("high", "low", "points")
    assert ((branch.values >= 0) & (branch.values <= 3)).all()
    np.testing.assert_array_equal(branch.stable, (np.abs(branch.eigenvalues) < 1).all(axis=1))
    # What is said of a bifurcation is true of its multipliers, to the error of their location.
    for one in branch.bifurcations:
        target = np.exp(1j * one.angle)
        assert np.abs(one.eigenvalues - target).min() <= 1e-5
    # Stability changes only where a bifurcation is.
    changes = np.flatnonzero(branch.stable[1:] != branch.stable[:-1])
    assert set(changes) <= {one.index for one in branch.bifurcations}


def test_a_branch_that_cannot_be_followed_further_says_so():
    # The map ends at μ = 1, where the branch x = √(1 − μ) would turn.
    def family(mu):
        return Map(lambda x: x + 0.5 * (anp.sqrt(1 - mu[..., np.newaxis]) - x))

    branch = follow_branch(family, 0.0, np.ones(1), direction="up")
    assert branch.stopped == ("start", "step")
    assert branch.values[-1] < 1


# -------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"value": np.zeros(2)}, ValueError, "value must be a finite number, got array"),
        ({"value": np.nan}, ValueError, "value must be a finite number, got nan"),
        ({"state": np.zeros((2, 1))}, ValueError, r"got state of shape \(2, 1\), expected \(n,\)"),
        ({"state": np.array([np.inf])}, ValueError, "state must be finite, got inf"),
        ({"step": 0.0}, ValueError, "step must be a finite number above 0, got 0.0"),
        ({"step": -1.0}, ValueError, "step must be a finite number above 0, got -1.0"),
        ({"points": 0}, ValueError, "points must be a positive integer, got 0"),
        ({"period": 1.5}, ValueError, "period must be a positive integer, got 1.5"),
        ({"direction": "left"}, ValueError, "direction must be one of 'up', 'down', 'both', got"),
        ({"low": 3.0}, ValueError, "value must lie between low = 3.0 and high = inf, got 2.5"),
        ({"high": np.nan}, ValueError, "high must be a number, got nan"),
        (
            {"family": lambda mu: Map(lambda x: x * x + 1)},
            ValueError,
            "state must be near a fixed point at value = 2.5, Newton's method finds none",
        ),
        (
            {"family": lambda mu: Map(lambda x: mu * x)},
            ValueError,
            r"got images of shape \((\d+), \1\) of points of shape \(\1, 1\)",
        ),
    ],
)
def test_bad_arguments_are_named(changes, error, message):
    arguments = {"family": logistic_family, "value": 2.5, "state": np.array([0.6])}
    with pytest.raises(error, match=message):
        follow_branch(**(arguments | changes))


def test_nothing_branches_off_at_a_fold():
    branch = follow_branch(neuron_family(2.0), -1.0, np.array([-0.99]), high=1.0)
    with pytest.raises(ValueError, match=r"bifurcation.name must be one of .*, got 'fold'"):
        switch_branch(neuron_family(2.0), branch.bifurcations[0])


# --------------------------------------------------------------------------------------- examples


def test_the_examples_of_the_docstrings_run():
    found = doctest.testmod(branches)
    assert found.attempted > 0
    assert found.failed == 0
