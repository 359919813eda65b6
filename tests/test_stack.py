"""Layers of cells as one cell."""

import autograd
import autograd.numpy as anp
import numpy as np
import pytest
from strategies import assert_equal_to_rounding, assert_same_params, draw_params

from rnnpedagogy.cells import GRU, LSTM, Elman, Stack
from rnnpedagogy.costs import Cost
from rnnpedagogy.dynamics import CellMap, lyapunov_spectrum
from rnnpedagogy.gradients import bptt, hessian_vector_product, rtrl
from rnnpedagogy.interchange import from_torch, to_torch
from rnnpedagogy.jacobians import state_jacobians
from rnnpedagogy.orthogonal import OrthogonalRNN
from rnnpedagogy.rollout import outputs, rollout

TORCH = {"tanh": ("RNN", Elman), "LSTM": ("LSTM", LSTM), "GRU": ("GRU", GRU)}


class Slow(LSTM):
    """An LSTM without its fast code."""

    step = LSTM.step


STACKS = {
    "one": Stack(LSTM(2, 3)),
    "like": Stack(GRU(2, 3), GRU(3, 3)),
    "unlike": Stack(LSTM(2, 3), Elman(3, 4), GRU(4, 2)),
    "orthogonal": Stack(OrthogonalRNN(2, 3), LSTM(3, 2)),
    "slow below": Stack(Slow(2, 3), Elman(3, 2)),
    "slow above": Stack(Elman(2, 3), Slow(3, 2)),
    "nested": Stack(Stack(GRU(2, 3), Elman(3, 2)), LSTM(2, 3)),
    "autonomous": Stack(Elman(0, 3), LSTM(3, 2)),
}
every_stack = pytest.mark.parametrize("kind", STACKS)


def problem(kind, *, batch=(4,), leads=(), dtype=np.float64):
    rng, cell = np.random.default_rng(0), STACKS[kind]
    inputs = rng.normal(size=(6, *batch, cell.input_size)).astype(dtype)
    targets = rng.normal(size=(6, *batch, 2)).astype(dtype)
    state = rng.normal(size=cell.state_size).astype(dtype) / 2
    params = draw_params(cell, rng, outputs=2, leads=leads, dtype=dtype)
    return Cost(cell, inputs, targets, state=state), params


@pytest.mark.parametrize("kind", TORCH)
@pytest.mark.parametrize("layers", [2, 3])
def test_a_stack_is_a_network_of_several_layers_in_torch(kind, layers):
    torch = pytest.importorskip("torch")
    name, make = TORCH[kind]
    torch.manual_seed(0)
    theirs = getattr(torch.nn, name)(2, 5, num_layers=layers, dtype=torch.float64)
    cell = Stack(make(2, 5), *(make(5, 5) for _ in range(layers - 1)))
    rng = np.random.default_rng(0)
    inputs, targets = rng.normal(size=(9, 4, 2)), rng.normal(size=(9, 4, 5))
    params = from_torch(cell, theirs.state_dict())
    params |= {"weight_ho": np.eye(5), "bias_o": np.zeros(5)}
    states = rollout(cell, params, cell.zero_state(), inputs)
    found, _ = theirs(torch.from_numpy(inputs))
    assert np.abs(outputs(cell, params, states) - found.detach().numpy()).max() <= 1e-12

    V = Cost(cell, inputs, targets)
    value = ((found - torch.from_numpy(targets)) ** 2).sum(-1).mean()
    value.backward()
    ours = bptt(V, params)
    assert abs(float(ours.value) - value.item()) <= 1e-12
    for array, (parameter, expected) in zip(
        to_torch(cell, ours.params).values(), theirs.named_parameters(), strict=False
    ):
        if not (parameter.startswith("bias_hh") and kind != "GRU"):
            rows = slice(10, None) if parameter.startswith("bias_hh") else slice(None)
            error = np.abs(array[rows] - expected.grad.numpy()[rows]).max()
            assert error <= 1e-12, parameter

    again = getattr(torch.nn, name)(2, 5, num_layers=layers, dtype=torch.float64)
    plain = {name: params[name] for name in cell.param_shapes()}
    again.load_state_dict({k: torch.from_numpy(v) for k, v in to_torch(cell, plain).items()})
    repeated, _ = again(torch.from_numpy(inputs))
    assert np.abs(repeated.detach().numpy() - found.detach().numpy()).max() <= 1e-12


@every_stack
def test_a_stack_reads_as_its_layers_one_after_the_other(kind):
    V, params = problem(kind)
    cell, below = V.cell, V.inputs
    states = rollout(cell, params, V.state, V.inputs)
    for layer, own, part in zip(cell.cells, cell.by_layer(params), cell.parts, strict=True):
        alone = rollout(layer, own, V.state[part], below)
        assert_equal_to_rounding(states[..., part], alone)
        below = layer.hidden(alone)
    assert_equal_to_rounding(cell.hidden(states), below)


@every_stack
def test_every_derivative_is_that_of_automatic_differentiation(kind):
    V, params = problem(kind)
    expected = autograd.grad(V.step_by_step)(params)
    for checkpoint in (False, True):
        found = bptt(V, params, initial_state=True, inputs=True, checkpoint=checkpoint)
        assert_same_params(found.params, expected)
    assert_same_params(rtrl(V, params).params, expected)
    v = draw_params(V.cell, np.random.default_rng(1), outputs=2)

    def slope(theta):
        along = autograd.grad(V.step_by_step)(theta)
        return sum(anp.sum(along[name] * v[name]) for name in v)

    product = hessian_vector_product(V, params, v)
    assert_same_params(product, autograd.grad(slope)(params), units=5000)


@every_stack
@pytest.mark.parametrize("leads", [(3,), (3, 1), (1,)])
def test_parameter_sets_run_side_by_side(kind, leads):
    V, params = problem(kind, leads=leads, batch=(4,) if leads != (3,) else ())
    found = bptt(V, params)
    for index in np.ndindex(*leads):
        one = {name: array[index] for name, array in params.items()}
        alone = bptt(V, one)
        assert_equal_to_rounding(found.value[index], alone.value)
        assert_same_params({name: g[index] for name, g in found.params.items()}, alone.params)


def test_a_stack_is_a_dynamical_system():
    cell = STACKS["autonomous"]
    params = draw_params(cell, np.random.default_rng(0))
    start = np.full(cell.state_size, 0.1)
    found = lyapunov_spectrum(CellMap(cell, params), start, steps=200)
    _, jacobians = state_jacobians(cell, params, found.state, np.zeros((1, 0)))
    multipliers = np.sort(np.log(np.abs(np.linalg.eigvals(jacobians[0]))))[::-1]
    assert found.exponents.shape == (cell.state_size,)
    assert found.exponents[0] < 0
    assert abs(found.exponents[0] - multipliers[0]) < 0.02  # it settles on a fixed point


def test_first_parameters_are_those_of_the_layers():
    cell = STACKS["orthogonal"]
    params = cell.init_params(np.random.default_rng(0), output_size=2, dtype=np.float32)
    assert {name: array.shape for name, array in params.items()} == cell.param_shapes(2)
    assert {array.dtype for array in params.values()} == {np.dtype("f4")}
    first = OrthogonalRNN(2, 3).init_params(np.random.default_rng(0), dtype=np.float32)
    np.testing.assert_array_equal(params["skew_l0"], first["skew"])
    assert repr(Stack(LSTM(2, 3), Elman(3, 4))) == (
        "Stack(LSTM(2, 3), Elman(3, 4, activation='tanh'))"
    )


def test_layers_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"cells\[1\] must have input_size 3, .* got 2"):
        Stack(LSTM(2, 3), LSTM(2, 3))
    for cells in ((), (LSTM(2, 3), "LSTM"), (LSTM,)):
        with pytest.raises(TypeError, match="cells must be at least one Cell, got"):
            Stack(*cells)
    V, params = problem("like")
    del params["bias_n_l1"]
    with pytest.raises(ValueError, match=r"params must have the keys .*'bias_n_l1'"):
        V(params)
