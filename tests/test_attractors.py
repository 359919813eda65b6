import autograd.numpy as anp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maps import chaotic_lstm, henon, linear, network, starts
from strategies import every_dtype

from rnnpedagogy.cells import Elman
from rnnpedagogy.dynamics import CellMap, Map, identify_attractors

EPS = np.finfo(float).eps
ANGLE = 1.0  # of a rotation, in radians: 2π is no small multiple of it


def kinds(found):
    return [(a.kind, a.period) for a in found.attractors]


def logistic_map(r):
    return Map(lambda x: r * x * (1 - x))


def delayed_logistic(a):
    return Map(lambda x: anp.stack([a * x[..., 0] * (1 - x[..., 1]), x[..., 0]], axis=-1))


def rotation(gain, angle=ANGLE):
    c, s = np.cos(angle), np.sin(angle)
    return gain * np.array([[c, -s], [s, c]])


# --------------------------------------------------------- closed forms and published values


@pytest.mark.parametrize(
    ("r", "period", "multiplier"),
    [
        (2.8, 1, 2 - 2.8),
        (3.2, 2, 4 + 2 * 3.2 - 3.2**2),
        (3.5, 4, None),
        (3.83, 3, None),
    ],
)
def test_the_cycles_of_the_logistic_map(r, period, multiplier):
    # The multiplier of the fixed point is 2 − r, that of the cycle of two 4 + 2r − r² (May 1976).
    found = identify_attractors(logistic_map(r), starts(8, 1, low=0.1, high=0.9))
    assert kinds(found) == [("fixed point" if period == 1 else "cycle", period)]
    np.testing.assert_array_equal(found.labels, 0)
    (one,) = found.attractors
    assert one.count == 8
    x = one.states[:, 0]
    # The cycle contracts: its points are those of F^p to a few roundings.
    np.testing.assert_allclose(np.roll(x, -1), r * x * (1 - x), rtol=0, atol=4 * EPS)
    assert one.residual <= 4 * EPS
    slope = np.prod(r * (1 - 2 * x))
    np.testing.assert_allclose(one.eigenvalues, [slope], rtol=0, atol=100 * EPS)
    np.testing.assert_allclose(one.exponents, [np.log(abs(slope)) / period], rtol=1e-12)
    if multiplier is not None:
        np.testing.assert_allclose(slope, multiplier, rtol=0, atol=100 * EPS)


def test_a_cycle_is_one_attractor_at_any_tolerance():
    # Distances far below the root of rounding, 1e-8 of the size, have to be right for that.
    for tolerance in (1e-6, 1e-9, 1e-12):
        found = identify_attractors(
            logistic_map(3.55), starts(8, 1, low=0.1, high=0.9), tolerance=tolerance
        )
        assert kinds(found) == [("cycle", 8)]


def test_the_logistic_map_at_four_is_chaotic_with_exponent_log_2():
    found = identify_attractors(logistic_map(4.0), starts(6, 1, low=0.1, high=0.9))
    assert kinds(found) == [("chaotic", None)]
    (one,) = found.attractors
    assert one.count == 6
    # Its error comes from ten blocks: five of it are exceeded with probability 7e-4 (Student, 9).
    assert abs(one.exponents[0] - np.log(2)) < 5 * one.standard_error[0]
    assert one.standard_error[0] < 0.02


def test_where_the_doublings_accumulate_the_orbit_is_undecided():
    # r_∞ = 3.5699456…: the attractor is a Cantor set with exponent zero.
    found = identify_attractors(logistic_map(3.5699456), starts(4, 1, low=0.1, high=0.9))
    assert {a.kind for a in found.attractors} == {"undecided"}
    # The same in the plane, where the points return but leave gaps: a = 1.058049 of the Hénon map
    # (Derrida, Gervois, Pomeau 1979).
    system = Map(
        lambda x: anp.stack([1 - 1.058049 * x[..., 0] ** 2 + x[..., 1], 0.3 * x[..., 0]], -1)
    )
    found = identify_attractors(system, starts(2, 2, low=-0.3, high=0.3))
    assert {a.kind for a in found.attractors} == {"undecided"}
    assert "gap" in found.attractors[0].evidence


@pytest.mark.parametrize(
    ("system", "x"),
    [(logistic_map(3.0), [0.3]), (Map(anp.tanh), [0.5]), (network(rotation(1.0)), [0.5, 0.1])],
)
def test_a_marginal_point_is_approached_but_not_called_reached(system, x):
    found = identify_attractors(system, np.array([x]))
    assert kinds(found) == [("still moving", None)]
    assert "contraction 0.999" in found.attractors[0].evidence


def test_the_distance_to_a_marginal_point_is_known_within_a_factor():
    # x' = tanh x: x_t ≈ √(3/(2t)) after t = 3000 steps; the estimate d/(1 − ρ) is (x³/3)/x² = x/3,
    # and the exponent, −3/(2t) a step, averages to −3 log(3000/2000)/2000 over the run.
    (one,) = identify_attractors(Map(anp.tanh), np.array([[0.5]])).attractors
    x = one.states[-1, 0]
    np.testing.assert_allclose(x, np.sqrt(3 / 6000), rtol=0.01)
    np.testing.assert_allclose(one.scale, 2 * x / 3, rtol=0.3)
    np.testing.assert_allclose(one.exponents, -1.5 * np.log(1.5) / 1000, rtol=0.1)


def test_an_approach_that_rounding_hides_is_not_called_an_arrival():
    # 1 + e with e' = (1 − 10⁻¹²) e: the limit is 10⁻⁴ away, a step below rounding.
    slow = Map(lambda x: 1 + (1 - 1e-12) * (x - 1))
    found = identify_attractors(slow, np.array([[1.0001]]), steps=256)
    assert "fixed point" not in {a.kind for a in found.attractors}


def test_a_point_that_is_approached_from_both_sides_is_no_cycle_of_two():
    # x_t = (−0.99)^t, at the end 7·10⁻⁷ and within the tolerance; two steps move it by less than
    # that, one step by more.
    system = Map(lambda x: -0.99 * x)
    found = identify_attractors(system, np.ones((1, 1)), transient=1154, steps=256)
    assert kinds(found) == [("fixed point", 1)]
    np.testing.assert_allclose(found.attractors[0].eigenvalues, [-0.99], rtol=1e-12)


def test_a_cycle_of_two_that_is_still_approached_is_one():
    # The multiplier 4 + 2r − r² is 0.96: 956 steps leave about 0.96^478 = 3e-9 of the distance.
    found = identify_attractors(logistic_map(3.01), np.array([[0.6]]), transient=700, steps=256)
    assert kinds(found) == [("cycle", 2)]
    assert 0 < found.attractors[0].residual < 1e-8


def test_a_slow_fixed_point_is_reached_after_a_long_transient():
    # Multiplier 0.999: 0.999^3000 = 0.05, 0.999^21000 = 7e-10.
    system, x = Map(lambda x: 0.999 * x), np.array([[1.0], [-2.0]])
    slow = identify_attractors(system, x)
    assert [a.kind for a in slow.attractors] == ["still moving"] * len(slow.attractors)
    assert "contraction 0.999 then 0.999 a step" in slow.attractors[0].evidence
    found = identify_attractors(system, x, transient=20_000)
    assert kinds(found) == [("fixed point", 1)]
    np.testing.assert_array_equal(found.labels, [0, 0])


def test_the_henon_map_is_chaotic_and_loses_what_starts_outside_its_basin():
    x = np.concatenate([starts(6, 2, low=-0.3, high=0.3), [[2.0, 2.0]]])
    found = identify_attractors(Map(henon), x, steps=4000)
    assert kinds(found) == [("chaotic", None)]
    np.testing.assert_array_equal(found.labels, [0] * 6 + [-1])
    (one,) = found.attractors
    # λ_1 = 0.41922, and the sum is log 0.3 (Sprott 2003); five errors as above.
    assert abs(one.exponents[0] - 0.41922) < 5 * one.standard_error[0]
    np.testing.assert_allclose(one.exponents.sum(), np.log(0.3), rtol=1e-12)


@pytest.mark.parametrize(
    ("a", "kind"), [(1.9, "fixed point"), (2.1, "closed curve"), (2.27, "chaotic")]
)
def test_the_delayed_logistic_map_passes_its_neimark_sacker_bifurcation(a, kind):
    # The fixed point 1 − 1/a has multipliers of modulus √(a − 1) (Aronson et al., Comm. Math. Phys.
    # 83, 1982): a closed curve is born at a = 2 and has broken up at 2.27.
    found = identify_attractors(delayed_logistic(a), starts(5, 2, low=0.4, high=0.6))
    assert [one.kind for one in found.attractors] == [kind]
    if kind == "fixed point":
        modulus = np.abs(found.attractors[0].eigenvalues)
        np.testing.assert_allclose(modulus, np.sqrt(a - 1), rtol=1e-12)


def test_what_escapes_has_diverged():
    found = identify_attractors(logistic_map(4.1), starts(4, 1, low=0.1, high=0.9))
    assert found.attractors == ()
    np.testing.assert_array_equal(found.labels, -1)
    # A linear map has not left the numbers, but the bound: 1.01^3000 > 1e8.
    found = identify_attractors(Map(lambda x: 1.01 * x), np.ones((1, 1)))
    np.testing.assert_array_equal(found.labels, [-1])
    assert "diverged" in str(found)


@pytest.mark.parametrize("angle", [1.0, 2.5])
@pytest.mark.parametrize("gain", [1.05, 1.2])
def test_a_rotation_that_gains_goes_around_one_closed_curve(gain, angle):
    found = identify_attractors(network(rotation(gain, angle)), starts(5, 2))
    assert kinds(found) == [("closed curve", None)]
    assert found.attractors[0].count == 5


def product(first, second):
    """Two maps side by side, the first of one coordinate."""

    def step(x):
        return anp.concatenate([first.step(x[..., :1]), second.step(x[..., 1:])], axis=-1)

    return Map(step)


def turning(gain, angle):
    W = rotation(gain, angle)
    return Map(lambda x: anp.tanh(x @ W.T))


def test_an_exponent_that_is_positive_by_accident_makes_no_chaos():
    # On this curve ten blocks of 500 steps agree on 5e-4 to 8e-5; over 100,000 steps it is 5e-6.
    found = identify_attractors(network(rotation(1.5, 2.97)), starts(5, 2), steps=5000)
    assert kinds(found) == [("closed curve", None)]


def test_two_closed_curves_in_turn_are_one_attractor():
    # A cycle of two beside a closed curve: each second state is on the same curve.
    x = starts(3, 3, low=0.2, high=0.8)
    found = identify_attractors(product(logistic_map(3.2), turning(1.2, 1.0)), x)
    assert {a.kind for a in found.attractors} == {"closed curve"}
    assert all("in each of 2 pieces" in a.evidence for a in found.attractors)


def test_a_torus_is_not_a_closed_curve():
    one, other = turning(1.2, 1.0), turning(1.2, np.sqrt(2))

    def step(x):
        return anp.concatenate([one.step(x[..., :2]), other.step(x[..., 2:])], axis=-1)

    found = identify_attractors(Map(step), starts(1, 4))
    assert kinds(found) == [("undecided", None)]


def test_a_quarter_turn_that_gains_is_locked_to_period_four():
    found = identify_attractors(network(rotation(1.2, np.pi / 2)), starts(5, 2))
    assert {(a.kind, a.period) for a in found.attractors} == {("cycle", 4)}


def test_what_does_not_attract_is_undecided():
    turning = identify_attractors(linear(rotation(1.0)), starts(2, 2))
    resting = identify_attractors(Map(lambda x: 1.0 * x), starts(2, 2))
    on_a_repeller = identify_attractors(logistic_map(3.2), np.zeros((1, 1)))
    for found in (turning, resting, on_a_repeller):
        assert {a.kind for a in found.attractors} == {"undecided"}
    growing = identify_attractors(Map(lambda x: 1.002 * x), np.ones((1, 1)))
    assert kinds(growing) == [("still moving", None)]


def test_a_cycle_longer_than_the_largest_is_undecided_and_said_to_be_so():
    found = identify_attractors(logistic_map(3.5), np.full((1, 1), 0.4), largest_period=3)
    assert kinds(found) == [("undecided", None)]
    assert "itself after 4" in found.attractors[0].evidence
    # Blocks that hold no whole number of periods leave its exponent unsure: it is a cycle even so.
    rng = np.random.default_rng(315)
    gain = rng.uniform(0.5, 4)
    system = network(gain * rng.normal(size=(3, 3)) / np.sqrt(3), 0.5 * rng.normal(size=3))
    found = identify_attractors(system, rng.uniform(-1, 1, (1, 3)))
    assert kinds(found) == [("undecided", None)]
    assert "a cycle longer than the largest period" in found.attractors[0].evidence


def test_the_neuron_has_one_fixed_point_and_then_two():
    x = starts(10, 1)
    for w in (0.5, 2.0):
        found = identify_attractors(network([[w]]), x)
        assert set(kinds(found)) == {("fixed point", 1)}
        assert len(found.attractors) == (1 if w < 1 else 2)
        for k, one in enumerate(found.attractors):
            assert one.count == (found.labels == k).sum()
            end = one.states[0, 0]
            np.testing.assert_allclose(end, np.tanh(w * end), rtol=0, atol=2 * EPS)
            slope = w * (1 - end**2)
            np.testing.assert_allclose(one.eigenvalues, [slope], rtol=1e-12)
    np.testing.assert_array_equal(found.labels == found.labels[0], (x > 0)[:, 0] == (x > 0)[0, 0])


def test_two_chaotic_attractors_keep_the_sign():
    x = starts(10, 1)
    found = identify_attractors(Map(lambda x: 2.5 * x - x**3), x)
    assert kinds(found) == [("chaotic", None)] * 2
    np.testing.assert_array_equal(found.labels == found.labels[0], (x > 0)[:, 0] == (x > 0)[0, 0])


def test_the_attractors_of_the_published_lstm():
    x = starts(20, 4)
    one = identify_attractors(chaotic_lstm(1.0), x)
    assert kinds(one) == [("chaotic", None)]
    origin = identify_attractors(chaotic_lstm(0.7), x)
    assert kinds(origin) == [("fixed point", 1)]
    np.testing.assert_array_equal(np.abs(origin.attractors[0].states) < 1e-6, True)
    # Between the fold at s = 0.74503 and s = 0.784405 the origin and a cycle of three coexist.
    both = identify_attractors(chaotic_lstm(0.75), starts(60, 4))
    assert set(kinds(both)) == {("fixed point", 1), ("cycle", 3)}


# -------------------------------------------------------------------------------- properties


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10_000), st.floats(0.1, 0.95), st.integers(1, 4))
def test_a_contracting_network_has_one_attractor_for_all_starts(seed, norm, n):
    rng = np.random.default_rng(seed)
    W = rng.normal(size=(n, n))
    system = network(norm * W / np.linalg.norm(W, 2), rng.normal(size=n))
    found = identify_attractors(system, rng.normal(size=(5, n)), transient=500, steps=256)
    assert kinds(found) == [("fixed point", 1)]
    np.testing.assert_array_equal(found.labels, 0)
    np.testing.assert_array_less(np.abs(found.attractors[0].eigenvalues), norm * (1 + 1e-9))


@pytest.mark.parametrize(("transient", "steps"), [(2000, 1000), (50_000, 5000), (200_000, 5000)])
def test_a_weakly_stable_focus_is_no_closed_curve(transient, steps):
    # The radius follows r' = r − r³, and falls like a power of the time: 1/√(2t).
    matrix = rotation(1.0)

    def step(x):
        return (1 - anp.sum(x * x, axis=-1, keepdims=True)) * (x @ matrix.T)

    found = identify_attractors(Map(step), np.array([[0.5, 0.0]]), transient=transient, steps=steps)
    assert kinds(found)[0][0] in ("still moving", "undecided")


@pytest.mark.parametrize(("gap", "kind"), [(2e-13, "undecided"), (0.0, "fixed point")])
def test_a_fold_that_has_just_vanished_leaves_no_fixed_point(gap, kind):
    # The estimate (x² + gap)/2|x| of the distance to a limit is 5e-7, below the tolerance.
    system = Map(lambda x: x + (x * x + gap) / (1 + x**4))
    found = identify_attractors(system, np.array([[-5e-7]]), transient=0)
    assert kinds(found) == [(kind, 1 if kind == "fixed point" else None)]
    if gap:
        assert "nothing to come to" in found.attractors[0].evidence


@pytest.mark.parametrize("units", [20, 40])
def test_a_bit_beside_many_chaotic_units_has_two_attractors(units):
    rng = np.random.default_rng(1)
    weight = np.zeros((units + 1, units + 1))
    weight[0, 0] = 2
    weight[1:, 1:] = 4 * rng.normal(size=(units, units)) / np.sqrt(units)
    turn = np.linalg.qr(rng.normal(size=weight.shape))[0]
    system = Map(
        lambda x: anp.tanh(x @ turn @ weight.T) @ turn.T,
        lambda x: (
            (turn * (1 - anp.tanh(x @ turn @ weight.T) ** 2)[..., np.newaxis, :]) @ weight @ turn.T
        ),
    )
    begin = rng.normal(size=(6, units + 1))
    begin[:, 0] = [0.5, -0.5] * 3
    found = identify_attractors(system, begin @ turn.T, transient=500)
    assert kinds(found) == [("chaotic", None)] * 2
    assert found.labels.tolist() == [0, 1] * 3


def test_a_long_chaotic_transient_is_seen_through():
    # The logistic map, whose r falls from 4 to 3.5 with z between the steps 3000 and 6000: chaos,
    # then a cycle of four.
    def step(x):
        y, z = x[..., 0], x[..., 1]
        r = 3.5 + 0.5 * anp.tanh(2000 * z)
        return anp.stack([r * y * (1 - y), 0.998 * z], axis=-1)

    begin = np.column_stack([starts(4, 1, low=0.1, high=0.9), np.ones(4)])
    assert kinds(identify_attractors(Map(step), begin)) == [("cycle", 4)]
    # The first look alone: a run of 300 steps and one four times as long end before the change.
    early = identify_attractors(Map(step), begin, transient=50, steps=256)
    assert kinds(early) == [("chaotic", None)]


def test_chaos_that_escapes_later_is_not_called_an_attractor():
    # Past r = 4 nearly all orbits leave; with 4 + 1e-7 after some three thousand steps.
    system = logistic_map(4 + 1e-7)
    found = identify_attractors(system, starts(3, 1, low=0.2, high=0.8), transient=50, steps=500)
    ends = [(one.kind, one.evidence.endswith("diverges later")) for one in found.attractors]
    assert ("still moving", True) in ends or (found.labels == -1).any()
    assert all(kind in ("chaotic", "still moving") for kind, _ in ends)


def test_all_starts_at_once_are_a_loop_over_starts():
    x = starts(8, 1)
    system = Map(lambda x: 2.5 * x - x**3)
    found = identify_attractors(system, x)
    alone = [identify_attractors(system, x[k : k + 1]).attractors[0] for k in range(8)]
    first = [np.flatnonzero(found.labels == k)[0] for k in range(2)]
    for one, k in zip(found.attractors, first, strict=True):
        np.testing.assert_array_equal(one.states, alone[k].states)
        np.testing.assert_array_equal(one.exponents.shape, alone[k].exponents.shape)
        # The first frame differs, in one dimension by a sign.
        np.testing.assert_allclose(one.exponents, alone[k].exponents, rtol=1e-12)
    assert sum(a.count for a in found.attractors) == 8


@every_dtype
def test_single_precision_decides_as_well(dtype):
    params = {name: array.astype(dtype) for name, array in network(rotation(0.8)).params.items()}
    system = CellMap(Elman(0, 2), params, np.zeros(0, dtype))
    found = identify_attractors(system, starts(3, 2).astype(dtype))
    assert kinds(found) == [("fixed point", 1)]


def test_the_table_has_a_row_for_each_attractor():
    found = identify_attractors(network([[2.0]]), starts(10, 1))
    lines = str(found).splitlines()
    assert len(lines) == 3
    assert all("fixed point" in line for line in lines[1:])


# --------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"starts": np.zeros(2)}, ValueError, r"got starts of shape \(2,\), expected \(S, n\)"),
        ({"starts": np.zeros((1, 2), int)}, TypeError, "starts must hold real floats"),
        ({"steps": 100}, ValueError, "steps must be an integer of at least 256, got 100"),
        ({"transient": -1}, ValueError, "transient must be an integer of at least 0, got -1"),
        ({"largest_period": 0}, ValueError, "largest_period must be a positive integer, got 0"),
        ({"tolerance": -1.0}, ValueError, "tolerance must be a finite number of at least 0"),
    ],
)
def test_bad_settings_are_named(change, error, message):
    arguments = {"starts": np.zeros((1, 2))} | change
    with pytest.raises(error, match=message):
        identify_attractors(network(np.eye(2)), **arguments)


def test_a_system_with_a_sequence_of_inputs_has_no_attractors():
    system = CellMap(
        Elman(1, 2),
        {"weight_ih": np.zeros((2, 1)), "weight_hh": np.eye(2), "bias": np.zeros(2)},
        np.zeros((10, 1)),
    )
    with pytest.raises(ValueError, match="inputs must be one input for all times"):
        identify_attractors(system, np.zeros((1, 2)))
