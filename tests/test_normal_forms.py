import autograd.numpy as anp
import numpy as np
import pytest
from maps import network_family, rotation

from rnnpedagogy.dynamics import Map, follow_branch, switch_branch

# Coefficients are differences of Jacobians, as in `test_branches`.
COEFFICIENT = 2e-7


def names(branch):
    return [one.name for one in branch.bifurcations]


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize(
    ("matrix", "name", "size"),
    [
        (np.eye(1), "pitchfork", 1),
        (-np.eye(1), "flip", 1),
        (rotation(1.0), "Neimark–Sacker", 2),
    ],
)
def test_the_sign_of_the_cubic_term_decides_what_is_born(matrix, name, size, sign):
    # x' = (μ ± |x|²) A x with A = 1, −1 or a rotation: c = ±1 with x = u, and ±2 with
    # x = √2 (Re u, Im u).
    def family(mu):
        def step(x):
            return (mu[..., np.newaxis] + sign * anp.sum(x * x, axis=-1, keepdims=True)) * (
                x @ matrix.T
            )

        return Map(step)

    branch = follow_branch(family, 0.5, np.zeros(len(matrix)), low=0.2, high=1.5)
    assert names(branch) == [name]
    (one,) = branch.bifurcations
    np.testing.assert_allclose(one.coefficient, sign * size, rtol=COEFFICIENT)
    assert one.criticality == ("subcritical" if sign > 0 else "supercritical")


@pytest.mark.parametrize("angle", [np.pi / 2, 2 * np.pi / 3])
def test_at_a_strong_resonance_nothing_is_said_of_criticality(angle):
    family = network_family(rotation(angle), np.zeros(2))
    branch = follow_branch(family, 0.5, np.zeros(2), low=0.2, high=1.5)
    assert names(branch) == ["Neimark–Sacker"]
    assert np.isnan(branch.bifurcations[0].coefficient)
    assert branch.bifurcations[0].criticality is None


def flip_of(family, value, state, **settings):
    (flip,) = follow_branch(family, value, state, **settings).bifurcations
    assert flip.name == "flip"
    return flip


@pytest.mark.parametrize(
    ("period", "before", "low", "high"), [(1, 2.9, 2.8, 3.1), (16, 3.5685, 3.5684, 3.5690)]
)
def test_a_long_cycle_flips_as_its_points_say_together(period, before, low, high):
    def family(r):
        return Map(lambda x: r[..., np.newaxis] * x * (1 - x))

    x = np.array([0.5])
    for _ in range(period * 4000):
        x = before * x * (1 - x)
    flips = []
    for _ in range(period):
        settings = {"low": low, "high": high, "step": 0.02, "direction": "up"}
        flips.append(flip_of(family, before, x, period=period, **settings))
        x = before * x * (1 - x)
    assert {one.criticality for one in flips} == {"supercritical"}
    # From one point to the next u becomes F' u, and the coefficient of u² its F'²th part.
    states = np.array([one.state[0] for one in flips])
    found = np.array([one.coefficient for one in flips])
    slopes = flips[0].value * (1 - 2 * states)
    np.testing.assert_allclose(np.roll(found, -1) * slopes**2, found, rtol=1e-3)


@pytest.mark.parametrize(
    ("cubic", "said"),
    [
        (-1, "degenerate, cannot tell"),
        (-1.00001, "subcritical"),
        (-0.99999, "supercritical"),
    ],
)
def test_a_degenerate_flip_is_not_given_a_name(cubic, said):
    # x' = −(1 + μ) x + x² + b x³ has the coefficient −(1 + b).
    def family(mu):
        return Map(lambda x: -(1 + mu[..., np.newaxis]) * x + x**2 + cubic * x**3)

    flip = flip_of(family, -0.1, np.zeros(1), low=-0.1, high=0.1)
    assert flip.criticality == said
    assert abs(flip.coefficient + 1 + cubic) <= flip.uncertainty <= 1e-8


@pytest.mark.parametrize("unit", [1.0, 3e-3, 1e-4])
def test_small_units_change_nothing_but_units(unit):
    def family(r):
        return Map(lambda x: r[..., np.newaxis] * x * (1 - x / unit))

    for value, direction in [(1.5, "down"), (2.5, "both")]:
        start = np.array([unit * (1 - 1 / value)])
        settings = {"low": 0.5, "high": 3.1, "direction": direction}
        branch = follow_branch(family, value, start, **settings)
        expected = ["transcritical"] if direction == "down" else ["transcritical", "flip"]
        assert names(branch) == expected
        np.testing.assert_allclose(branch.states[:, 0] / unit, 1 - 1 / branch.values, atol=1e-8)
        crossing = branch.bifurcations[0]
        assert abs(crossing.value - 1) <= 1e-6
        np.testing.assert_allclose(crossing.coefficient * unit, -1, rtol=1e-6)
    flip = branch.bifurcations[1]
    np.testing.assert_allclose(flip.coefficient * unit**2, -9, rtol=COEFFICIENT)
    value, state, period = switch_branch(family, flip)
    assert period == 2
    # The points of the cycle of two: x + y = 1 + 1/r, x y = (r + 1)/r² (May 1976).
    x = state[0] / unit
    assert abs(x * (1 + 1 / value - x) - (value + 1) / value**2) <= 1e-10


@pytest.mark.parametrize("apart", [0.0, 1e-5])
def test_where_bifurcations_are_missed_is_said(apart):
    def family(mu):
        def step(x):
            gains = anp.stack([mu, mu - apart], axis=-1)
            return gains * x - x**3

        return Map(step)

    branch = follow_branch(family, 0.53, np.zeros(2), low=0.53, high=1.5)
    assert not branch.bifurcations
    (at,) = branch.missed
    assert branch.values[at] <= 1 < branch.values[at + 1]
    assert (branch.stable[at], branch.stable[at + 1]) == (True, False)
    told_apart = follow_branch(family, 0.5, np.zeros(2), low=0.5, high=1.5, step=0.03)
    assert names(told_apart) == ["pitchfork"] * 2 or told_apart.missed
