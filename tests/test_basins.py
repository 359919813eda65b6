import autograd.numpy as anp
import numpy as np
import pytest
from maps import chaotic_lstm, driven_network, henon, network

from rnnpedagogy.dynamics import Map, basins, basins_of_attraction

GRID = np.linspace(-1, 1, 40)  # zero is not among them


def test_the_basins_of_the_neuron_meet_at_zero():
    system = Map(lambda x: anp.tanh(2 * x))
    found = basins_of_attraction(system, GRID, GRID)
    assert found.labels.shape == (40, 40)
    assert len(found.attractors) == 4
    for y, row in zip(GRID, found.labels, strict=True):
        for x, label in zip(GRID, row, strict=True):
            np.testing.assert_array_equal(
                np.sign(found.attractors[label].states[0]), np.sign([x, y])
            )
    assert [a.count for a in found.attractors] == [400] * 4


def test_an_attractor_that_the_first_sample_missed_is_found_by_the_next(monkeypatch):
    system = Map(lambda x: anp.tanh(2 * x))
    usual = basins_of_attraction(system, GRID, GRID)
    monkeypatch.setattr(basins, "SAMPLES", 1)
    found = basins_of_attraction(system, GRID, GRID)
    assert len(found.attractors) == 4
    pairs = np.unique(np.stack([found.labels, usual.labels]).reshape(2, -1), axis=1)
    assert pairs.shape == (2, 4)


def test_the_basins_of_a_symmetric_pair_meet_on_the_diagonal():
    # The units inhibit each other: x = y is invariant by symmetry, and the stable set of the saddle
    # at the origin, whose multipliers are 1 ∓ 1.5.
    system = Map(
        lambda x: anp.stack(
            [anp.tanh(x[..., 0] - 1.5 * x[..., 1]), anp.tanh(x[..., 1] - 1.5 * x[..., 0])], axis=-1
        )
    )
    found = basins_of_attraction(system, GRID, GRID)
    above = GRID[:, np.newaxis] > GRID
    assert len(found.attractors) == 2
    for part in (above, above.T):
        assert len(np.unique(found.labels[part])) == 1
    assert found.labels[0, -1] != found.labels[-1, 0]
    np.testing.assert_array_equal(np.diag(found.labels), -2)


def test_the_basin_of_the_henon_map_and_what_escapes():
    g = np.linspace(-2, 2, 30)
    found = basins_of_attraction(Map(henon), g, g, transient=200)
    assert [a.kind for a in found.attractors] == ["chaotic"]
    start = np.stack(np.meshgrid(g, g), axis=-1)
    with np.errstate(over="ignore", invalid="ignore"):
        end = Map(henon).run(start, 0, 200)[-1]
    np.testing.assert_array_equal(found.labels, np.where(np.isfinite(end).all(axis=-1), 0, -1))


def test_a_grid_is_a_loop_over_its_starts():
    system = chaotic_lstm(0.75)
    at = np.array([0.1, -0.2, 0.3, 0.4])
    g, h = np.linspace(-1, 1, 12), np.linspace(-0.5, 1, 9)
    found = basins_of_attraction(system, g, h, at=at, axes=(1, 2), transient=1500)
    assert {a.kind for a in found.attractors} == {"fixed point", "cycle"}
    for i, y in enumerate(h):
        for j, x in enumerate(g):
            end = system.run(np.array([0.1, x, y, 0.4]), 0, 1500)[-1]
            one = found.attractors[found.labels[i, j]]
            assert np.abs(one.states - end).max(axis=1).min() < 1e-6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": np.zeros((2, 2))}, r"got x of shape \(2, 2\), expected \(X,\)"),
        ({"axes": (0, 0)}, r"axes must be two different coordinates, got \(0, 0\)"),
        ({"axes": (0, 2)}, r"axes must lie in \[0, 2\)"),
        ({"steps": 0}, "steps must be a positive integer, got 0"),
    ],
)
def test_bad_grids_are_named(change, message):
    arguments = {"x": GRID, "y": GRID} | change
    with pytest.raises(ValueError, match=message):
        basins_of_attraction(network(np.eye(2)), **arguments)


def test_a_system_with_a_sequence_of_inputs_has_no_basins():
    system, _ = driven_network()
    with pytest.raises(ValueError, match="inputs must be one input for all times"):
        basins_of_attraction(system, GRID, GRID)
