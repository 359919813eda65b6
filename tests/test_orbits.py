import numpy as np
import pytest
from maps import driven_network, henon_family, logistic, logistic_family, neuron_family
from strategies import CELLS, draw_params, every_cell, every_dtype, read_only

from rnnpedagogy.cells import Elman
from rnnpedagogy.dynamics import CellMap, Map, lyapunov_spectrum, orbit_diagram

EPS = np.finfo(float).eps


def periods(diagram, *, tolerance=1e-9, largest=16):
    """The smallest period of each orbit up to ``largest``, or 0."""
    x = diagram.states
    found = np.zeros(x.shape[1:-1], int)
    for p in range(largest, 0, -1):
        found[np.abs(x[p:] - x[:-p]).max(axis=(0, -1)) < tolerance] = p
    return found


def test_the_logistic_map_doubles_its_period_and_has_a_window_of_period_three():
    # Doublings at r = 3, 1 + √6 and 3.54409…; period three from 1 + √8, a fold, to its own doubling
    # at 3.84150… (May, Nature 261, 1976). Each side of each value, at a distance at which an orbit
    # settles like (1 − c·distance)^t.
    edges = np.array([3, 1 + np.sqrt(6), 3.5440903])
    values = np.concatenate([edges - 3e-3, edges + 3e-3, 1 + np.sqrt(8) + np.array([-1e-3, 1e-3])])
    found = orbit_diagram(logistic_family, values, np.array([0.4]), steps=64, transient=20_000)
    np.testing.assert_array_equal(periods(found), [1, 2, 4, 2, 4, 8, 0, 3])
    # The fixed point 1 − 1/r and the points of period two, in closed form.
    r = values[0]
    np.testing.assert_allclose(found.states[:, 0], 1 - 1 / r, rtol=1e-12)
    r = values[3]
    pair = (r + 1 + np.array([-1, 1]) * np.sqrt((r + 1) * (r - 3))) / (2 * r)
    np.testing.assert_allclose(np.sort(found.states[-2:, 3, 0]), pair, rtol=1e-12)


def test_the_henon_map_goes_from_a_fixed_point_through_doublings_to_its_attractor():
    # b = 0.3: a fixed point up to a = 3 (1 − b)²/4 = 0.3675, period two up to (1 − b)² + (1 + b)²/4
    # = 0.9125, period seven in a window around 1.25 (Hénon, Comm. Math. Phys. 50, 1976).
    values = np.array([0.36, 0.375, 0.905, 0.92, 1.25, 1.4])
    found = orbit_diagram(henon_family, values, np.zeros(2), steps=64, transient=5000)
    np.testing.assert_array_equal(periods(found), [1, 2, 2, 4, 7, 0])
    assert np.abs(found.states[..., 0]).max() < 1.3
    np.testing.assert_allclose(
        found.states[1:, ..., 1], 0.3 * found.states[:-1, ..., 0], rtol=1e-14
    )


def test_a_pitchfork_of_one_neuron():
    # x = tanh(w x): zero alone up to w = 1, two more from there, x ≈ ±√(3 (w − 1)).
    values = np.array([0.5, 0.95, 1.01, 2.0])
    starts = np.array([[-0.5], [0.0], [0.5]])
    found = orbit_diagram(neuron_family(), values, starts, steps=2, transient=3000)
    assert found.states.shape == (2, 4, 3, 1)
    x = found.states[-1, :, :, 0]
    np.testing.assert_allclose(x, np.tanh(values[:, np.newaxis] * x), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(x[:2], 0, atol=1e-12)
    np.testing.assert_array_equal(np.sign(x[2:]), [[-1, 0, 1]] * 2)
    np.testing.assert_allclose(x[2, 2], np.sqrt(0.03), rtol=0.01)


def folds_of_the_bistable_neuron():
    """``x = tanh(2x + b)``, ``2 (1 − x²) = 1``: the bias at which a fixed point disappears."""
    x = np.sqrt(0.5)
    return np.arctanh(x) - 2 * x


def test_following_an_attractor_shows_hysteresis():
    fold = -folds_of_the_bistable_neuron()
    assert 0.5 < fold < 0.6
    values = np.linspace(-0.8, 0.8, 33)
    settings = {"steps": 1, "transient": 2000}
    up, down = (
        orbit_diagram(neuron_family(2.0), values, np.zeros(1), follow=way, **settings)
        for way in ("up", "down")
    )
    np.testing.assert_array_equal(up.states[0, :, 0] > 0, values > fold)
    np.testing.assert_array_equal(down.states[0, :, 0] > 0, values > -fold)
    # The order in which the values are given is not that in which they are followed.
    shuffled = np.random.default_rng(0).permutation(len(values))
    again = orbit_diagram(
        neuron_family(2.0), values[shuffled], np.zeros(1), follow="up", **settings
    )
    np.testing.assert_array_equal(again.states, up.states[:, shuffled])


def test_what_is_followed_is_the_last_state():
    values, x = np.array([3.7, 3.8]), np.array([[0.3], [0.6]])
    found = orbit_diagram(logistic_family, values, x, steps=5, transient=3, follow="up")
    for k in range(2):
        orbit = logistic_family(values[k : k + 1]).run(x, 0, 8)
        np.testing.assert_array_equal(found.states[:, k], orbit[3:])
        x = orbit[-1]


@every_cell
@every_dtype
@pytest.mark.parametrize("starts", [(), (3,), (2, 3)])
def test_a_diagram_is_a_loop_over_values_and_starts(kind, dtype, starts):
    cell = CELLS[kind](2, 3)
    rng = np.random.default_rng(0)
    params = draw_params(cell, rng, dtype=dtype)
    u = np.ones(2, dtype)

    def family(values):
        scaled = values[..., np.newaxis, np.newaxis] * params["weight_hh"]
        return CellMap(cell, params | {"weight_hh": scaled}, u)

    values = read_only(np.linspace(0.1, 0.5, 4, dtype=dtype))
    state = read_only(rng.normal(size=(*starts, cell.state_size)).astype(dtype))
    found = orbit_diagram(family, values, state, steps=4, transient=3)
    assert found.states.shape == (4, 4, *state.shape)
    assert found.states.dtype == dtype
    for k in range(4):
        for index in np.ndindex(starts):
            one = family(values[k]).run(state[index], 0, 7)[3:]
            error = np.abs(found.states[:, k, *index] - one).max()
            assert error <= 100 * np.finfo(dtype).eps * np.abs(one).max()
    np.testing.assert_array_equal(found.values, values)


def test_no_starts_have_no_orbits():
    none = np.zeros((0, 1))
    found = orbit_diagram(logistic_family, np.array([3.0]), none, steps=4, transient=5)
    assert found.states.shape == (4, 1, 0, 1)
    assert lyapunov_spectrum(Map(logistic), none, steps=20).exponents.shape == (0, 1)


def test_a_long_transient_is_thrown_away_in_pieces(monkeypatch):
    longest = []
    run = Map.run

    def watched(self, state, start, stop):
        longest.append(stop - start)
        return run(self, state, start, stop)

    monkeypatch.setattr(Map, "run", watched)
    values = np.linspace(3.5, 4, 1000)
    found = orbit_diagram(logistic_family, values, np.array([0.3]), steps=3, transient=2500)
    assert len(longest) > 2
    assert max(longest) <= 2**20 / 1000
    np.testing.assert_array_equal(
        found.states, run(logistic_family(values), np.full((1000, 1), 0.3), 0, 2503)[2500:]
    )


def test_an_input_sequence_goes_on_after_the_transient():
    system, start = driven_network(steps=20)
    found = orbit_diagram(lambda _: system, np.zeros(1), start, steps=5, transient=15)
    np.testing.assert_array_equal(found.states[:, 0], system.run(start, 0, 20)[15:])
    many = np.tile(start, (2**16, 1))  # so many that the transient is run in pieces of five steps
    found = orbit_diagram(lambda _: system, np.zeros(1), many, steps=5, transient=15)
    expected = np.broadcast_to(system.run(start, 0, 20)[15:, np.newaxis], (5, 2**16, 3))
    np.testing.assert_allclose(found.states[:, 0], expected, rtol=0, atol=20 * EPS)


def test_an_orbit_that_is_lost_to_infinity_does_not_spoil_the_others():
    values = np.array([3.2, 4.5])
    found = orbit_diagram(logistic_family, values, np.array([0.3]), steps=10, transient=100)
    alone = orbit_diagram(logistic_family, values[:1], np.array([0.3]), steps=10, transient=100)
    np.testing.assert_array_equal(found.states[:, :1], alone.states)
    assert np.isnan(found.states[:, 1]).all()
    # Lost after the transient: NaN from there on.
    late = orbit_diagram(logistic_family, values, np.array([0.3]), steps=30, transient=0)
    finite = np.isfinite(late.states[:, 1, 0])
    assert finite[:5].all()
    assert not finite[-1]
    assert (np.diff(finite.astype(int)) <= 0).all()
    # A cell that overflows, and one that is followed: it starts again.
    cell = Elman(0, 1, activation="identity")

    def family(w):
        params = {"weight_ih": np.zeros((1, 0)), "bias": np.ones(1)}
        return CellMap(cell, params | {"weight_hh": w[..., np.newaxis, np.newaxis]})

    for follow in (None, "down"):
        found = orbit_diagram(
            family, np.array([0.5, 3.0]), np.ones(1), steps=2, transient=2000, follow=follow
        )
        np.testing.assert_allclose(found.states[:, 0], 2, rtol=1e-12)
        assert np.isnan(found.states[:, 1]).all()


@every_cell
def test_a_run_is_what_is_linearised(kind):
    system, start = driven_network(kind)
    np.testing.assert_array_equal(system.run(start, 5, 25), system.linearise(start, 5, 25)[0])
    readable = Map(lambda x: system.cell.step(system.params, x, system.inputs[0]))
    np.testing.assert_array_equal(readable.run(start, 0, 20), readable.linearise(start, 0, 20)[0])


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"steps": 0}, ValueError, "steps must be a positive integer, got 0"),
        ({"transient": -1}, ValueError, "transient must be an integer of at least 0, got -1"),
        ({"follow": "left"}, ValueError, "follow must be one of 'up', 'down', got 'left'"),
        ({"values": np.zeros((2, 2))}, ValueError, r"got values of shape \(2, 2\), expected"),
        ({"values": np.arange(3)}, TypeError, "values must hold real floats.*int64"),
        ({"values": np.array([np.nan])}, ValueError, "values must be finite, got nan"),
        ({"state": np.array(0.5)}, ValueError, r"got state of shape \(\), expected \(…, n\)"),
        ({"state": np.array([np.inf])}, ValueError, "state must be finite, got inf"),
        (
            {"family": lambda r: Map(lambda x: r * x)},
            ValueError,
            r"got states of shape \(3, 3\) from the family, expected \(3, 1\)",
        ),
    ],
)
@pytest.mark.parametrize("transient", [0, 5])
def test_bad_arguments_of_a_diagram_are_named(changes, error, message, transient):
    arguments = {"family": logistic_family, "values": np.full(3, 3.0), "state": np.array([0.5])}
    with pytest.raises(error, match=message):
        orbit_diagram(**(arguments | {"steps": 2, "transient": transient} | changes))
