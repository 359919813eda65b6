"""The derivatives as one writes them down are those of the fast code."""

import ast
import inspect

import numpy as np
import pytest
from own_cells import OWN_CELLS
from strategies import ALL_CELLS, assert_same_params, draw_params, every_at, every_loss

from rnnpedagogy import textbook
from rnnpedagogy.cells import GRU, LSTM, Elman, Stack
from rnnpedagogy.costs import Cost
from rnnpedagogy.gradients import bptt, hessian_vector_product, rtrl

CELLS = ALL_CELLS | OWN_CELLS | {"stack": lambda m, H: Stack(LSTM(m, H), GRU(H, 2))}


def problem(kind, *, batch=(), loss="squared error", at="all"):
    rng, cell = np.random.default_rng(0), CELLS[kind](2, 3)
    inputs, targets = rng.normal(size=(2, 6, *batch, 2))
    if loss == "cross-entropy":
        targets = (targets[..., 0] > 0).astype(int)
    params = draw_params(cell, rng, outputs=2)
    state = rng.normal(size=cell.state_size) / 2
    return Cost(cell, inputs, targets, state=state, loss=loss, at=at), params


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("batch", [(), (3,)])
def test_the_textbook_and_the_fast_code_give_the_same_numbers(kind, batch):
    V, params = problem(kind, batch=batch)
    assert_same_params(textbook.bptt(V, params), bptt(V, params).params)
    assert_same_params(textbook.rtrl(V, params), rtrl(V, params).params)
    v = draw_params(V.cell, np.random.default_rng(1), outputs=2)
    expected = hessian_vector_product(V, params, v)
    assert_same_params(textbook.hessian_vector_product(V, params, v), expected, units=5000)


@every_loss
@every_at
def test_the_textbook_knows_every_cost(loss, at):
    V, params = problem("LSTM", batch=(3,), loss=loss, at=at)
    assert_same_params(textbook.bptt(V, params), bptt(V, params).params)
    assert_same_params(textbook.rtrl(V, params), bptt(V, params).params)
    v = draw_params(V.cell, np.random.default_rng(1), outputs=2)
    expected = hessian_vector_product(V, params, v)
    assert_same_params(textbook.hessian_vector_product(V, params, v), expected, units=5000)


def test_a_linear_neuron_by_hand():
    # h' = w h from h_0 = 1, targets 0, N = 2: V = (w² + w⁴)/2, V' = w + 2 w³, V'' = 1 + 6 w².
    w = 0.7
    params = {"weight_ih": np.zeros((1, 0)), "weight_hh": np.array([[w]]), "bias": np.zeros(1)}
    params |= {"weight_ho": np.ones((1, 1)), "bias_o": np.zeros(1)}
    V = Cost(
        Elman(0, 1, activation="identity"), np.zeros((2, 0)), np.zeros((2, 1)), state=np.ones(1)
    )
    for gradient in (textbook.bptt(V, params), textbook.rtrl(V, params)):
        np.testing.assert_allclose(gradient["weight_hh"], [[w + 2 * w**3]], rtol=1e-15)
    unit = {name: np.full_like(a, name == "weight_hh") for name, a in params.items()}
    product = textbook.hessian_vector_product(V, params, unit)
    np.testing.assert_allclose(product["weight_hh"], [[1 + 6 * w**2]], rtol=1e-15)


def test_each_function_can_be_retyped():
    for function in (textbook.bptt, textbook.rtrl, textbook.hessian_vector_product):
        tree = ast.parse(inspect.getsource(function)).body[0]
        lines = {node.lineno for node in ast.walk(tree) if hasattr(node, "lineno")}
        docstring = tree.body[0]
        assert len(lines - set(range(docstring.lineno, docstring.end_lineno + 1))) <= 25


@pytest.mark.parametrize("function", [textbook.bptt, textbook.rtrl])
def test_several_parameter_sets_are_refused(function):
    V, params = problem("LSTM")
    params = {name: np.stack([array, array]) for name, array in params.items()}
    with pytest.raises(ValueError, match=r"takes one parameter set, got leading axes .*\(2,\)"):
        function(V, params)
