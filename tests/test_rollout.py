import numpy as np
import pytest
from hypothesis import given
from strategies import (
    CELLS,
    assert_equal_to_rounding,
    batch_shapes,
    draw_params,
    every_cell,
    every_dtype,
    kinds,
    some_examples,
)

from rnnpedagogy.cells import LSTM, Elman
from rnnpedagogy.rollout import outputs, rollout


def test_a_linear_network_has_a_closed_form():
    # x_t = W^t x_0 + Σ_{i<t} W^i (W_ih u + b) with a constant input.
    rng = np.random.default_rng(0)
    cell = Elman(2, 3, activation="identity")
    params = draw_params(cell, rng)
    x_0, u = rng.normal(size=3), rng.normal(size=2)
    W, push = params["weight_hh"], params["weight_ih"] @ u + params["bias"]
    states = rollout(cell, params, x_0, np.tile(u, (8, 1)))
    for t, state in enumerate(states, start=1):
        powers = [np.linalg.matrix_power(W, i) for i in range(t + 1)]
        assert_equal_to_rounding(state, powers[t] @ x_0 + sum(powers[:t]) @ push)


def test_a_rotation_comes_back():
    # A turn by 2π/12 repeats after twelve steps: twelve products of norm one, each a few roundings.
    angle = 2 * np.pi / 12
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    params = {"weight_ih": np.zeros((2, 0)), "weight_hh": turn, "bias": np.zeros(2)}
    cell = Elman(0, 2, activation="identity")
    states = rollout(cell, params, np.array([1.0, 0.0]), np.zeros((24, 0)))
    t = np.arange(1, 25)
    circle = np.stack([np.cos(t * angle), np.sin(t * angle)], axis=1)
    assert_equal_to_rounding(states, circle)


def test_a_saturated_latch_keeps_its_sign():
    # tanh(w x) with w > 1 has the fixed points ±a, a = tanh(w a); the slope there is below one.
    params = {"weight_ih": np.zeros((1, 0)), "weight_hh": np.array([[2.0]]), "bias": np.zeros(1)}
    starts = np.array([[0.1], [-0.1], [0.0]])
    end = rollout(Elman(0, 1), params, starts, np.zeros((200, 0)))[-1, :, 0]
    np.testing.assert_allclose(end, np.tanh(2 * end), atol=1e-15)
    np.testing.assert_array_equal(np.sign(end), [1, -1, 0])


@given(kinds, batch_shapes(7))
@some_examples
def test_a_batch_equals_a_loop(kind, shapes):
    rng = np.random.default_rng(0)
    cell = CELLS[kind](2, 3)
    of_state, of_inputs, *of_params = shapes
    names = cell.param_shapes(2)
    leads = dict.fromkeys(names, of_params[-1]) | dict(zip(names, of_params, strict=False))
    params = draw_params(cell, rng, outputs=2, leads=leads)
    state = rng.normal(size=(*of_state, cell.state_size))
    inputs = rng.normal(size=(4, *of_inputs, 2))
    batch = np.broadcast_shapes(of_state, of_inputs, *leads.values())
    states = rollout(cell, params, state, inputs)
    assert states.shape == (4, *batch, cell.state_size)
    readout = outputs(cell, params, states)
    assert readout.shape == (4, *batch, 2)

    every_state = np.broadcast_to(state, (*batch, cell.state_size))
    spread = inputs.reshape(4, *(1,) * (len(batch) - len(of_inputs)), *of_inputs, 2)
    every_input = np.broadcast_to(spread, (4, *batch, 2))
    every_set = {name: np.broadcast_to(params[name], batch + names[name]) for name in names}
    for index in np.ndindex(batch):
        one = {name: array[index] for name, array in every_set.items()}
        at = (slice(None), *index)
        single = rollout(cell, one, every_state[index], every_input[at])
        assert_equal_to_rounding(states[at], single)
        expected = cell.hidden(single) @ one["weight_ho"].T + one["bias_o"]
        assert_equal_to_rounding(readout[at], expected)


@every_cell
@every_dtype
def test_a_run_can_be_continued_and_keeps_its_type(kind, dtype):
    rng = np.random.default_rng(0)
    cell = CELLS[kind](2, 3)
    params = draw_params(cell, rng, dtype=dtype)
    state = cell.zero_state(dtype=dtype)
    inputs = rng.normal(size=(9, 4, 2)).astype(dtype)
    whole = rollout(cell, params, state, inputs)
    first = rollout(cell, params, state, inputs[:4])
    second = rollout(cell, params, first[-1], inputs[4:])
    assert whole.dtype == dtype
    np.testing.assert_array_equal(np.concatenate([first, second]), whole)


def test_mixed_types_give_the_wider_one():
    rng = np.random.default_rng(0)
    params = draw_params(LSTM(2, 3), rng, dtype=np.float32)
    states = rollout(LSTM(2, 3), params, np.zeros(6, np.float32), rng.normal(size=(4, 2)))
    assert states.dtype == np.float64


@pytest.mark.parametrize(
    ("state", "inputs", "error", "message"),
    [
        (
            np.zeros(3),
            np.zeros((4, 2)),
            ValueError,
            r"state of shape \(3,\), expected \(…, 6\)",
        ),
        (np.zeros(6), np.zeros((4, 3)), ValueError, r"inputs of shape \(4, 3\).*\(time, …, 2\)"),
        (np.zeros(6), np.zeros(2), ValueError, r"inputs of shape \(2,\).*\(time, …, 2\)"),
        (np.zeros(6), np.zeros((0, 2)), ValueError, r"inputs of shape \(0, 2\).*time at least 1"),
        (np.zeros(6, int), np.zeros((4, 2)), TypeError, "state must hold real floats.*int64"),
        (np.zeros(6), np.full((4, 2), None), TypeError, "inputs must hold real floats.*object"),
        (np.zeros(6), np.full((4, 2), np.inf), ValueError, "inputs must be finite, got inf"),
        (np.full(6, np.nan), np.zeros((4, 2)), ValueError, "state must be finite, got nan"),
        (np.zeros((3, 6)), np.zeros((4, 2, 2)), ValueError, r"leading axes.*\(\), \(3,\), \(2,\)"),
    ],
)
def test_bad_data_are_named(state, inputs, error, message):
    cell = LSTM(2, 3)
    with pytest.raises(error, match=message):
        rollout(cell, draw_params(cell, np.random.default_rng(0)), state, inputs)


def test_a_readout_needs_its_parameters_and_states_that_fit():
    cell, rng = LSTM(2, 3), np.random.default_rng(0)
    with pytest.raises(ValueError, match="params must include a linear readout"):
        outputs(cell, draw_params(cell, rng), np.zeros((4, 6)))
    params = draw_params(cell, rng, outputs=2, leads=(3,))
    with pytest.raises(ValueError, match=r"got states of shape \(4, 3\), expected \(time, …, 6\)"):
        outputs(cell, params, np.zeros((4, 3)))
    with pytest.raises(ValueError, match="leading axes of parameters and states must broadcast"):
        outputs(cell, params, np.zeros((4, 2, 6)))
