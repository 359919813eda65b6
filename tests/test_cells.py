import math

import autograd
import autograd.numpy as anp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import (
    ALL_CELLS,
    CELLS,
    assert_equal_to_rounding,
    assert_same_params,
    batch_shapes,
    draw_params,
    every_cell,
    every_cell_of_all,
    every_dtype,
    kinds,
    some_examples,
)

from rnnpedagogy.cells import GRU, LSTM, Elman, flatten, sigmoid, unflatten
from rnnpedagogy.costs import Cost
from rnnpedagogy.gradients import bptt, hessian_vector_product
from rnnpedagogy.rollout import rollout

LOG3 = math.log(3)  # σ(log 3) = 3/4, σ(−log 3) = 1/4, tanh(½ log 3) = 1/2


def pre_activations(z, u=2.0, h=0.5):
    """Scalar gates with ``W_ih u + W_hh h + bias = z``, a third of it from each."""
    z = np.array(z)
    return {
        "weight_ih": (z / (3 * u))[:, np.newaxis],
        "weight_hh": (z / (3 * h))[:, np.newaxis],
        "bias": z / 3,
    }


def both_ways(cell, params, state, inputs):
    readable = cell.step(params, np.array(state), np.array(inputs))
    fast = rollout(cell, params, np.array(state), np.array(inputs)[np.newaxis])[0]
    return readable, fast


@pytest.mark.parametrize(
    ("activation", "z", "expected"),
    [
        ("tanh", LOG3 / 2, 0.5),
        ("tanh", -LOG3 / 2, -0.5),
        ("sigmoid", LOG3, 0.75),
        ("sigmoid", -LOG3, 0.25),
        ("softsign", 3.0, 0.75),
        ("softsign", -3.0, -0.75),
        ("relu", 0.75, 0.75),
        ("relu", -0.75, 0.0),
        ("identity", -0.75, -0.75),
    ],
)
def test_an_elman_step_by_hand(activation, z, expected):
    cell = Elman(1, 1, activation=activation)
    for state in both_ways(cell, pre_activations([z]), [0.5], [2.0]):
        np.testing.assert_allclose(state, [expected], rtol=1e-15)


def test_an_lstm_step_by_hand():
    # i = 3/4, f = 1/4, g = 1/2, o = 3/4. With c_0 = 2 log 3 − 3/2:
    # c = ¼ c_0 + 3/8 = ½ log 3, h = 3/8.
    params = pre_activations([LOG3, -LOG3, LOG3 / 2, LOG3])
    for state in both_ways(LSTM(1, 1), params, [0.5, 2 * LOG3 - 1.5], [2.0]):
        np.testing.assert_allclose(state, [3 / 8, LOG3 / 2], rtol=1e-15)


def test_a_gru_step_by_hand():
    # r = 3/4, z = 1/4; u_n + r (h_n + b_hn) = 0.3 + ¾ (½ log 3 − 0.3)·4/3 = ½ log 3, so n = 1/2.
    params = pre_activations([LOG3, -LOG3, 0.0])
    q = (LOG3 / 2 - 0.3) * 4 / 3
    params["weight_ih"][2], params["bias"][2] = 0.1, 0.1
    params["weight_hh"][2], params["bias_n"] = q, np.array([q / 2])
    for state in both_ways(GRU(1, 1), params, [0.5], [2.0]):
        np.testing.assert_allclose(state, [0.75 * 0.5 + 0.25 * 0.5], rtol=1e-15)


def test_sigmoid_is_exact_where_it_is_known_and_never_overflows():
    z = np.array([0.0, LOG3, -LOG3, 1e4, -1e4])
    np.testing.assert_allclose(sigmoid(z), [0.5, 0.75, 0.25, 1, 0], rtol=1e-15)


@every_cell_of_all
@given(batch_shapes(3), st.sampled_from([0, 1, 3]), st.sampled_from(["f4", "f8"]))
@some_examples
def test_the_readable_step_equals_the_fast_path(kind, shapes, input_size, dtype):
    rng = np.random.default_rng(0)
    cell = ALL_CELLS[kind](input_size, 3)
    lead, of_state, of_inputs = shapes
    params = draw_params(cell, rng, leads=lead, dtype=dtype)
    state = rng.normal(size=(*of_state, cell.state_size)).astype(dtype)
    inputs = rng.normal(size=(5, *of_inputs, input_size)).astype(dtype)
    fast = rollout(cell, params, state, inputs)
    expected = []
    for u in inputs:
        state = cell.step(params, state, u)
        expected.append(np.broadcast_to(state, fast.shape[1:]))
    assert_equal_to_rounding(fast, np.stack(expected))


@every_cell
@every_dtype
def test_parameters_have_the_shapes_and_the_bounds_that_are_promised(kind, dtype):
    cell = CELLS[kind](2, 4)
    params = cell.init_params(np.random.default_rng(0), output_size=3, dtype=dtype)
    assert {name: array.shape for name, array in params.items()} == cell.param_shapes(3)
    theta = flatten(params)
    assert theta.dtype == dtype
    assert np.abs(theta).max() <= 0.5  # 1/√4
    assert np.abs(theta).max() > 0.4  # of more than fifty draws one is in the outer fifth
    again = cell.init_params(np.random.default_rng(0), output_size=3, dtype=dtype)
    np.testing.assert_array_equal(flatten(again), theta)


def test_names_and_sizes_are_those_of_the_large_libraries():
    assert LSTM(2, 3).param_shapes(5) == {
        "weight_ih": (12, 2),
        "weight_hh": (12, 3),
        "bias": (12,),
        "weight_ho": (5, 3),
        "bias_o": (5,),
    }
    assert GRU(2, 3).param_shapes()["bias_n"] == (3,)
    assert [CELLS[kind](2, 3).state_size for kind in CELLS] == [3, 3, 3, 3, 6, 3]
    np.testing.assert_array_equal(LSTM(2, 3).hidden(np.arange(6)), [0, 1, 2])
    assert LSTM(0, 3).zero_state(dtype=np.float32).dtype == np.float32
    assert repr(Elman(2, 3)) == "Elman(2, 3, activation='tanh')"
    assert repr(GRU(2, 3)) == "GRU(2, 3)"


@given(kinds, batch_shapes(1), st.integers(0, 3), st.integers(1, 3))
@some_examples
def test_unflatten_inverts_flatten(kind, lead, input_size, hidden_size):
    cell = CELLS[kind](input_size, hidden_size)
    params = draw_params(cell, np.random.default_rng(0), outputs=2)
    for shapes in (cell.param_shapes(2), params):
        again = unflatten(flatten(params), shapes)
        assert list(again) == list(params)
        assert all(np.array_equal(again[name], params[name]) for name in params)
    points = np.random.default_rng(1).normal(size=(*lead[0], flatten(params).size))
    batch = unflatten(points, params)
    for index in np.ndindex(lead[0]):
        one = {name: array[index] for name, array in batch.items()}
        np.testing.assert_array_equal(flatten(one), points[index])


@pytest.mark.parametrize("cell", [Elman, LSTM, GRU])
@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((2, 0), "hidden_size must be a positive integer, got 0"),
        ((2, -3), "hidden_size must be a positive integer, got -3"),
        ((2, 1.0), "hidden_size must be a positive integer, got 1.0"),
        ((2, True), "hidden_size must be a positive integer, got True"),
        ((2, None), "hidden_size must be a positive integer, got None"),
        ((-1, 2), "input_size must be an integer of at least 0, got -1"),
        ((False, 2), "input_size must be an integer of at least 0, got False"),
        (("2", 2), "input_size must be an integer of at least 0, got '2'"),
    ],
)
def test_sizes_are_checked(cell, sizes, message):
    with pytest.raises(ValueError, match=message):
        cell(*sizes)


@pytest.mark.parametrize("activation", ["sine", None, 3, ["tanh"], np.array(["tanh", "relu"])])
def test_an_unknown_activation_is_refused_with_the_known_ones(activation):
    message = r"activation must be one of 'tanh', 'sigmoid', 'softsign', 'relu', 'identity', got "
    with pytest.raises(ValueError, match=message):
        Elman(1, 1, activation=activation)


def test_output_sizes_are_checked():
    with pytest.raises(ValueError, match="output_size must be a positive integer, got 0"):
        LSTM(1, 1).init_params(np.random.default_rng(0), output_size=0)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"bias": np.zeros(8)}, ValueError, r"got bias of shape \(8,\), expected \(…, 9\)"),
        ({"weight_hh": np.zeros(3)}, ValueError, r"got weight_hh of shape \(3,\).* \(…, 9, 3\)"),
        ({"weight_ih": np.zeros((9, 2), int)}, TypeError, "weight_ih must hold real floats.*int64"),
        ({"bias": np.zeros(9, complex)}, TypeError, "bias must hold real floats.*complex128"),
        ({"bias": np.zeros(9, "f2")}, TypeError, "bias must hold real floats.*float16"),
        ({"bias": np.full(9, None)}, TypeError, "bias must hold real floats.*object"),
        ({"bias": [[0.0], [0.0, 0.0]]}, ValueError, "bias must be an array, got a ragged list"),
        ({"bias_n": np.full(3, np.nan)}, ValueError, "bias_n must be finite, got nan"),
        ({"bias_n": np.array([0, -np.inf, 0])}, ValueError, "bias_n must be finite, got -inf"),
        ({"bias_h": np.zeros(3)}, ValueError, r"params must have the keys .* for GRU\(2, 3\), got"),
        ({"bias_o": np.zeros(3)}, ValueError, "params must have the keys .*'weight_ho'.*, got"),
        (
            {"bias": np.zeros((2, 9)), "bias_n": np.zeros((3, 3))},
            ValueError,
            r"leading axes of the parameters must broadcast.*\(2,\).*\(3,\)",
        ),
    ],
)
def test_bad_parameters_are_named(changes, error, message):
    cell = GRU(2, 3)
    params = draw_params(cell, np.random.default_rng(0)) | changes
    with pytest.raises(error, match=message):
        rollout(cell, params, np.zeros(3), np.zeros((4, 2)))


def test_a_missing_parameter_is_named():
    cell = GRU(2, 3)
    params = draw_params(cell, np.random.default_rng(0))
    del params["bias_n"]
    with pytest.raises(ValueError, match=r"params must have the keys .*'bias_n'"):
        rollout(cell, params, np.zeros(3), np.zeros((4, 2)))


def test_a_vector_of_the_wrong_length_is_refused():
    with pytest.raises(ValueError, match=r"got vector of shape \(2, 5\), expected \(…, 6\)"):
        unflatten(np.zeros((2, 5)), Elman(1, 2).param_shapes() | {"weight_hh": (1, 2)})


def test_the_slope_of_the_relu_at_zero_is_zero_both_ways():
    cell = Elman(0, 1, activation="relu")
    params = {"weight_ih": np.zeros((1, 0)), "weight_hh": np.ones((1, 1)), "bias": np.zeros(1)}
    params |= {"weight_ho": np.ones((1, 1)), "bias_o": np.zeros(1)}
    V = Cost(cell, np.zeros((1, 0)), np.ones((1, 1)))
    assert autograd.grad(V.step_by_step)(params)["bias"] == bptt(V, params).params["bias"] == 0


def softsign_problem(leads=(), dtype=np.float64):
    rng = np.random.default_rng(0)
    cell = Elman(2, 3, activation="softsign")
    inputs, targets = (rng.normal(size=(7, size)).astype(dtype) for size in (2, 2))
    return Cost(cell, inputs, targets), draw_params(cell, rng, outputs=2, leads=leads, dtype=dtype)


@every_dtype
@pytest.mark.parametrize("leads", [(), (4,)])
def test_the_softsign_network_runs_fast_as_it_reads(leads, dtype):
    cost, params = softsign_problem(leads, dtype)
    state, states = cost.state, []
    for u in cost.inputs:
        state = cost.cell.step(params, state, u)
        states.append(state)
    assert_equal_to_rounding(rollout(cost.cell, params, cost.state, cost.inputs), np.stack(states))


def test_the_derivatives_of_the_softsign_network_are_those_of_automatic_differentiation():
    cost, params = softsign_problem()
    gradient = autograd.grad(cost.step_by_step)
    assert_same_params(bptt(cost, params).params, gradient(params))
    v = draw_params(cost.cell, np.random.default_rng(1), outputs=2)

    def slope(theta):
        along = gradient(theta)
        return sum(anp.sum(along[name] * v[name]) for name in v)

    assert_same_params(hessian_vector_product(cost, params, v), autograd.grad(slope)(params))


@pytest.mark.parametrize("z", [3.0, 1e-8, 0.0, -0.25, -3.0])
def test_the_derivatives_of_softsign_are_known_and_right_under_the_complex_step(z):
    # φ' = 1/(1 + |z|)², φ'' = −2 sign(z)/(1 + |z|)³; one step from h = 1 with w = z, b = 0, and
    # ŷ = h, y = 0: V = φ(z)², V' = 2 φ φ', V'' = 2 φ'² + 2 φ φ''.
    cell = Elman(0, 1, activation="softsign")
    size = 1 + abs(z)
    moved = cell.step(
        {"weight_ih": np.zeros((1, 0)), "weight_hh": np.full((1, 1), z + 1e-20j), "bias": 0.0},
        np.ones(1),
        np.zeros(0),
    )
    np.testing.assert_allclose(moved.imag / 1e-20, [size**-2], rtol=1e-15)
    params = {"weight_ih": np.zeros((1, 0)), "weight_hh": np.full((1, 1), z), "bias": np.zeros(1)}
    params |= {"weight_ho": np.ones((1, 1)), "bias_o": np.zeros(1)}
    V = Cost(cell, np.zeros((1, 0)), np.zeros((1, 1)), state=np.ones(1))
    unit = {name: np.full_like(array, name == "weight_hh") for name, array in params.items()}
    first = bptt(V, params).params["weight_hh"][0, 0]
    second = hessian_vector_product(V, params, unit)["weight_hh"][0, 0]
    np.testing.assert_allclose(first, 2 * z / size**3, rtol=1e-14)
    np.testing.assert_allclose(second, 2 * size**-4 - 4 * abs(z) * size**-4, rtol=1e-14)


@pytest.mark.parametrize("dtype", [int, "float16", complex, "words"])
def test_parameters_and_states_are_float32_or_float64(dtype):
    message = "dtype must be float32 or float64, got "
    with pytest.raises(ValueError, match=message):
        LSTM(1, 1).init_params(np.random.default_rng(0), dtype=dtype)
    with pytest.raises(ValueError, match=message):
        LSTM(1, 1).zero_state(dtype=dtype)


def test_what_is_no_generator_and_no_dictionary_is_named():
    with pytest.raises(TypeError, match=r"rng must be a numpy\.random\.Generator, got 3"):
        LSTM(1, 1).init_params(3)
    with pytest.raises(TypeError, match="params must be a dictionary of arrays, got None"):
        LSTM(1, 1).check_params(None)
    with pytest.raises(ValueError, match=r"got bias_o of shape \(\)"):
        LSTM(1, 1).check_params({"bias_o": np.zeros(())})
