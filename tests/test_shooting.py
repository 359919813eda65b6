"""Multiple shooting: the relaxed cost written out, its derivatives, closed forms, bad input."""

import numpy as np
import pytest
from strategies import draw_params

from rnnpedagogy.cells import LSTM, Elman
from rnnpedagogy.costs import Cost
from rnnpedagogy.rollout import outputs, rollout
from rnnpedagogy.shooting import MultipleShooting


def problem(cell, *, steps=12, length=4, directions=2, seed=0):
    """A problem with a readout, its parameters and directions."""
    rng = np.random.default_rng(seed)
    V = Cost(
        cell,
        rng.normal(size=(steps, cell.input_size)),
        rng.normal(size=(steps, 2)),
        state=rng.normal(size=cell.state_size),
    )
    params = draw_params(cell, rng, outputs=2)
    ways = [draw_params(cell, rng, outputs=2) for _ in range(directions)]
    if directions:
        del ways[0]["bias"]
    return V, params, ways, MultipleShooting(V, params, ways, length=length)


def written_out(V, params, ways, s, states, length, penalty):
    """The relaxed cost by its definition, one segment after another."""
    theta = {
        name: array + sum(c * way[name] for c, way in zip(s, ways, strict=True) if name in way)
        for name, array in params.items()
    }
    total, start = 0.0, V.state
    for k in range(len(states)):
        part = slice(k * length, (k + 1) * length)
        run = rollout(V.cell, theta, start, V.inputs[part])
        total += np.sum((outputs(V.cell, theta, run) - V.targets[part]) ** 2)
        if k + 1 < len(states):
            start = states[k + 1]
            total += penalty * np.sum((start - run[-1]) ** 2)
    return total / V.steps


@pytest.mark.parametrize("cell", [Elman(1, 3), LSTM(0, 2)], ids=repr)
def test_the_relaxed_cost_and_its_derivatives(cell):
    V, params, ways, shooting = problem(cell)
    rng, n = np.random.default_rng(1), cell.state_size
    s, states = rng.normal(size=(3, 2)), rng.normal(size=(3, 3, n))
    z = np.concatenate([s, states[:, 1:].reshape(3, -1)], axis=1)
    value, half, squares, _ = shooting._expand(z, 2.5)
    expected = [written_out(V, params, ways, *one, 4, 2.5) for one in zip(s, states, strict=True)]
    np.testing.assert_allclose(value, expected, rtol=1e-13)
    step = 1e-6  # error: step² times third derivatives, and rounding 1e-16/step
    for i in range(z.shape[1]):
        move = step * np.eye(z.shape[1])[i]
        up, down = (shooting._expand(z + sign * move, 2.5) for sign in (1, -1))
        np.testing.assert_allclose((up[0] - down[0]) / (2 * step), 2 * half[:, i], atol=1e-8)
    assert np.allclose(squares, squares.swapaxes(1, 2))
    assert (np.linalg.eigvalsh(squares) > -1e-12).all()


def test_one_segment_is_the_cost_itself():
    V, params, ways, shooting = problem(Elman(1, 3), length=12)
    s = np.random.default_rng(2).normal(size=(4, 2))
    value, _, _, gap = shooting._expand(s, 1.0)
    expected = [written_out(V, params, ways, one, [None], 12, 1.0) for one in s]
    np.testing.assert_allclose(value, expected, rtol=1e-13)
    assert (gap == 0).all()


def test_a_linear_problem_is_solved_as_by_least_squares():
    """``x' = x + b``, seen without error, and a first state that is known: ``b`` is in the data."""
    cell = Elman(0, 1, activation="identity")
    params = {
        "weight_ih": np.zeros((1, 0)),
        "weight_hh": np.ones((1, 1)),
        "bias": np.zeros(1),
        "weight_ho": np.ones((1, 1)),
        "bias_o": np.zeros(1),
    }
    V = Cost(cell, np.zeros((12, 0)), 0.3 * np.arange(1.0, 13.0)[:, np.newaxis])
    shooting = MultipleShooting(V, params, [{"bias": np.ones(1)}], length=3)
    found = shooting.minimise(np.array([[5.0], [-2.0]]), np.ones((2, 4, 1)))
    np.testing.assert_allclose(found.coordinates, 0.3, rtol=1e-12)
    np.testing.assert_allclose(found.states[..., 0], [0.9 * np.arange(4)] * 2, atol=1e-12)
    assert found.gap.max() < 1e-12
    assert found.value.max() < 1e-24


def test_a_larger_penalty_closes_the_gaps_and_the_limit_is_a_critical_point_of_the_cost():
    V, params, ways, shooting = problem(Elman(1, 2), directions=1)
    at, states, gaps = np.zeros((1, 1)), np.zeros((1, 3, 2)), []
    for penalty in 10.0 ** np.arange(0, 9, 2):
        found = shooting.minimise(at, states, penalty=penalty)
        at, states = found.coordinates, found.states
        gaps.append(found.gap[0])
    assert all(np.diff(gaps) < 0)
    assert gaps[-1] < 1e-6
    near = [written_out(V, params, ways, at[0] + h, [None], 12, 1.0) for h in (-1e-4, 0, 1e-4)]
    assert near[1] < near[0]
    assert near[1] < near[2]


def test_held_coordinates_do_not_move_and_the_cost_falls():
    _, _, _, shooting = problem(Elman(1, 3))
    s, states = np.ones((2, 2)), np.zeros((2, 3, 3))
    before = shooting._expand(np.concatenate([s, np.zeros((2, 6))], axis=1), 1.0)[0]
    found = shooting.minimise(s, states, hold=True)
    free = shooting.minimise(s, states)
    assert np.array_equal(found.coordinates, s)
    assert (free.value < found.value).all()
    assert (found.value < before).all()


def test_what_does_not_fit_is_refused():
    V, params, ways, shooting = problem(Elman(1, 3))
    with pytest.raises(ValueError, match="length must divide the 12 steps, got 5"):
        MultipleShooting(V, params, ways, length=5)
    last = Cost(V.cell, V.inputs, V.targets, at="last")
    with pytest.raises(ValueError, match="cost must be a squared error at all steps"):
        MultipleShooting(last, params, ways, length=4)
    with pytest.raises(ValueError, match="coordinates"):
        shooting.minimise(np.zeros((2, 3)), np.zeros((2, 3, 3)))
    with pytest.raises(ValueError, match="states"):
        shooting.minimise(np.zeros((2, 2)), np.zeros((2, 2, 3)))
    with pytest.raises(ValueError, match="penalty must be a finite number above 0"):
        shooting.minimise(np.zeros((2, 2)), np.zeros((2, 3, 3)), penalty=0.0)
