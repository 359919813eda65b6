import numpy as np
import pytest
from strategies import (
    CELLS,
    assert_equal_to_rounding,
    draw_params,
    every_at,
    every_cell,
    every_dtype,
    every_loss,
    problem,
)

from rnnpedagogy.cells import GRU, LSTM, Elman
from rnnpedagogy.costs import Cost


def scalar_linear(w, b=0.0):
    """The parameters of ``x' = w x + b``, ``ŷ = x``."""
    return {
        "weight_ih": np.zeros((1, 0)),
        "weight_hh": np.array([[w]]),
        "bias": np.array([b]),
        "weight_ho": np.ones((1, 1)),
        "bias_o": np.zeros(1),
    }


@every_at
@pytest.mark.parametrize("w", [0.5, -0.9, 1.1])
def test_the_scalar_linear_cost_is_a_geometric_sum(w, at):
    # x_t = w^t x_0 and y = 0: V = x_0²/N · w² (1 − w^{2N})/(1 − w²), or x_0² w^{2N} at the last.
    N, x_0 = 10, 1.5
    cell = Elman(0, 1, activation="identity")
    cost = Cost(cell, np.zeros((N, 0)), np.zeros((N, 1)), state=np.array([x_0]), at=at)
    everywhere = x_0**2 / N * w**2 * (1 - w ** (2 * N)) / (1 - w**2)
    expected = everywhere if at == "all" else x_0**2 * w ** (2 * N)
    np.testing.assert_allclose(cost(scalar_linear(w)), expected, rtol=1e-14)


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_equal_scores_cost_the_logarithm_of_the_number_of_classes(classes):
    cell = Elman(1, 2)
    params = {name: np.zeros(shape) for name, shape in cell.param_shapes(classes).items()}
    cost = Cost(cell, np.zeros((5, 1)), np.arange(5) % classes, loss="cross-entropy")
    np.testing.assert_allclose(cost(params), np.log(classes), rtol=1e-15)


@pytest.mark.parametrize(
    ("scores", "target", "expected"),
    [
        ([np.log(3), 0.0], 0, np.log(4 / 3)),  # the class has probability 3/4
        ([np.log(3), 0.0], 1, np.log(4)),
        ([np.log(1), np.log(2), np.log(5)], 2, np.log(8 / 5)),
        ([1e4, 0.0], 0, 0.0),  # no overflow, no NaN
        ([1e4, 0.0], 1, 1e4),
        ([-1e4, -1e4], 1, np.log(2)),
    ],
)
def test_cross_entropy_by_hand(scores, target, expected):
    cell = Elman(1, 1)
    params = {name: np.zeros(shape) for name, shape in cell.param_shapes(len(scores)).items()}
    cost = Cost(cell, np.zeros((1, 1)), np.array([target]), loss="cross-entropy")
    # A sum of scores near 1e4 is rounded to about 1e-12.
    value = cost(params | {"bias_o": np.array(scores)})
    np.testing.assert_allclose(value, expected, rtol=1e-15, atol=1e-12)


@every_cell
@every_dtype
@every_loss
@every_at
def test_the_cost_is_what_its_definition_says_step_by_step(kind, dtype, loss, at):
    cost, params = problem(
        kind, inputs=(4,), state=(2, 1), targets=(2, 4), dtype=dtype, loss=loss, at=at
    )
    value = cost(params)
    assert value.dtype == dtype
    np.testing.assert_allclose(value, cost.step_by_step(params), rtol=500 * np.finfo(dtype).eps)


@every_cell
def test_hidden_units_can_be_renumbered(kind):
    cost, params = problem(kind, size=(2, 4, 2))
    cell, new = cost.cell, np.array([2, 0, 3, 1])
    rows = np.concatenate([new + 4 * gate for gate in range(cell.gates)])
    entries = np.concatenate([new + 4 * block for block in range(cell.blocks)])
    renumbered = params | {
        "weight_ih": params["weight_ih"][rows],
        "weight_hh": params["weight_hh"][np.ix_(rows, new)],
        "bias": params["bias"][rows],
        "weight_ho": params["weight_ho"][:, new],
    }
    if kind == "GRU":
        renumbered["bias_n"] = params["bias_n"][new]
    moved = Cost(cell, cost.inputs, cost.targets, state=cost.state[entries])
    assert_equal_to_rounding(moved(renumbered), cost(params))


def test_the_initial_state_is_zero_unless_it_is_given():
    cost, params = problem("LSTM")
    without = Cost(cost.cell, cost.inputs, cost.targets)
    zero = Cost(cost.cell, cost.inputs, cost.targets, state=np.zeros(6))
    assert without(params) == zero(params) != cost(params)
    assert Cost(cost.cell, cost.inputs.astype("f4"), cost.targets).state.dtype == np.float32


X, Y, K = np.zeros((5, 2)), np.zeros((5, 2)), np.zeros(5, int)


@pytest.mark.parametrize(
    ("arguments", "settings", "error", "message"),
    [
        ((X[:0], Y[:0]), {}, ValueError, r"inputs of shape \(0, 2\).*\(time, …, 2\) with time at"),
        ((X[:, :1], Y), {}, ValueError, r"got inputs of shape \(5, 1\), expected \(time, …, 2\)"),
        ((X, Y[:4]), {}, ValueError, r"got targets of shape \(4, 2\), expected \(5, …, p\)"),
        ((X, Y[:, 0]), {}, ValueError, r"got targets of shape \(5,\), expected \(5, …, p\)"),
        ((X, 3.0), {}, ValueError, r"got targets of shape \(\), expected \(5, …, p\)"),
        ((X, Y[:, :0]), {}, ValueError, r"targets of shape \(5, 0\).*p at least 1"),
        ((X, Y.astype(int)), {}, TypeError, "targets must hold real floats.*int64"),
        ((X, Y + np.nan), {}, ValueError, "targets must be finite, got nan"),
        ((X, None), {}, TypeError, "targets must hold real floats.*object"),
        (([[0.0, 0.0], [0.0]], Y), {}, ValueError, "inputs must be an array, got a ragged list"),
        ((X, Y), {"state": np.zeros(3)}, ValueError, r"got state of shape \(3,\), expected \(…, 6"),
        ((X, Y), {"state": np.zeros(6, int)}, TypeError, "state must hold real floats.*int64"),
        ((X, Y), {"loss": "hinge"}, ValueError, "loss must be one of 'squared error', 'cross-ent"),
        ((X, Y), {"at": "first"}, ValueError, "at must be one of 'all', 'last', got 'first'"),
        (
            (X, Y),
            {"at": np.array([1, 2])},
            ValueError,
            "at must be one of 'all', 'last', got array",
        ),
        ((X, Y), {"loss": "cross-entropy"}, TypeError, "targets must hold integers, got float64"),
        (
            (X, K.astype(bool)),
            {"loss": "cross-entropy"},
            TypeError,
            "targets must hold integers, got bool",
        ),
        (
            (np.zeros((5, 3, 2)), np.zeros((5, 4, 2))),
            {},
            ValueError,
            r"batch axes of state, inputs and targets must broadcast.*\(\), \(3,\), \(4,\)",
        ),
        ((np.zeros((5, 0, 2)), Y), {}, ValueError, r"at least one sequence, got batch axes \(0,\)"),
    ],
)
def test_bad_data_are_named(arguments, settings, error, message):
    with pytest.raises(error, match=message):
        Cost(LSTM(2, 3), *arguments, **settings)


@pytest.mark.parametrize("target", [-1, 2])
def test_a_class_out_of_range_is_named(target):
    cost, params = problem("tanh", loss="cross-entropy")
    bad = Cost(cost.cell, cost.inputs, np.full(7, target), loss="cross-entropy")
    with pytest.raises(ValueError, match=r"targets must lie in \[0, 2\), got values from "):
        bad(params)


def test_a_readout_that_does_not_fit_is_named():
    cost, params = problem("GRU")
    cell = {name: params[name] for name in cost.cell.param_shapes()}
    with pytest.raises(ValueError, match="linear readout: weight_ho and bias_o missing"):
        cost(cell)
    with pytest.raises(ValueError, match="linear readout: bias_o missing"):
        cost(cell | {"weight_ho": params["weight_ho"]})
    wide = draw_params(cost.cell, np.random.default_rng(0), outputs=3)
    with pytest.raises(ValueError, match=r"got targets of shape \(7, 2\), expected \(7, …, 3\)"):
        cost(wide)


def test_parameter_sets_that_do_not_fit_the_batch_are_named():
    cost, params = problem("tanh", inputs=(4,), leads=(3,))
    with pytest.raises(ValueError, match=r"leading axes of parameters.* got \(3,\), \(\), \(4,\)"):
        cost(params)


@pytest.mark.parametrize("cell", [CELLS["tanh"](0, 3), LSTM(0, 3), GRU(0, 3)], ids=repr)
def test_an_autonomous_system_needs_no_inputs(cell):
    params = draw_params(cell, np.random.default_rng(0), outputs=2)
    cost = Cost(cell, np.zeros((6, 0)), np.ones((6, 2)), state=np.ones(cell.state_size))
    np.testing.assert_allclose(cost(params), cost.step_by_step(params), rtol=1e-13)
