import copy
import tracemalloc

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
    every_at,
    every_cell,
    every_cell_of_all,
    every_dtype,
    every_loss,
    kinds,
    problem,
    read_only,
    some_examples,
    together,
)

from rnnpedagogy.cells import Elman, flatten, unflatten
from rnnpedagogy.costs import Cost
from rnnpedagogy.gradient_check import _noise, check_gradient
from rnnpedagogy.gradients import bptt, hessian_vector_product, rtrl
from rnnpedagogy.jacobians import jacobian_products, state_jacobians
from rnnpedagogy.rollout import rollout

# --------------------------------------------------------- closed forms: x' = w x + b, ŷ = x


def scalar_linear(w, b, x_0, targets, at="all"):
    N = len(targets)
    params = {
        "weight_ih": np.zeros((1, 0)),
        "weight_hh": np.array([[w]]),
        "bias": np.array([b]),
        "weight_ho": np.ones((1, 1)),
        "bias_o": np.zeros(1),
    }
    cell = Elman(0, 1, activation="identity")
    state = np.array([x_0])
    return Cost(cell, np.zeros((N, 0)), targets[:, np.newaxis], state=state, at=at), params


def scalar_linear_derivatives(w, b, x_0, targets, at):
    """Gradient and Hessian in ``(w, b, x_0)``, from ``x_t = w^t x_0 + b Σ_{i<t} w^i``."""
    N = len(targets)
    weights = np.full(N, 1 / N) if at == "all" else np.eye(N)[-1]
    gradient, hessian = np.zeros(3), np.zeros((3, 3))
    for t, (y, weight) in enumerate(zip(targets, weights, strict=True), start=1):
        i = np.arange(t)
        S, S1, S2 = (
            np.sum(w**i),
            np.sum(i * w ** (i - 1.0)),
            np.sum(i * (i - 1) * w ** (i - 2.0)),
        )
        p, p1, p2 = w**t, t * w ** (t - 1), t * (t - 1) * w ** (t - 2.0)
        x = np.array([p1 * x_0 + b * S1, S, p])
        xx = np.array([[p2 * x_0 + b * S2, S1, p1], [S1, 0, 0], [p1, 0, 0]])
        error = p * x_0 + b * S - y
        gradient += weight * 2 * error * x
        hessian += weight * 2 * (np.outer(x, x) + error * xx)
    return gradient, hessian


@every_at
@pytest.mark.parametrize(("w", "b", "x_0"), [(0.7, 0.3, 1.5), (-1.1, 0.5, 0.2), (1.2, -0.1, -1.0)])
def test_derivatives_of_the_scalar_linear_system_are_geometric_sums(w, b, x_0, at):
    targets = np.random.default_rng(0).normal(size=12)
    cost, params = scalar_linear(w, b, x_0, targets, at)
    gradient, hessian = scalar_linear_derivatives(w, b, x_0, targets, at)
    # Twelve terms of either sign, rounded at most twelve times each: 12² units of the largest one.
    for found in (
        bptt(cost, params, initial_state=True),
        bptt(cost, params, initial_state=True, checkpoint=True),
        rtrl(cost, params),
    ):
        actual = [found.params["weight_hh"][0, 0], found.params["bias"][0]]
        assert_equal_to_rounding(actual, gradient[:2], units=144)
        if found.state is not None:
            assert_equal_to_rounding(found.state[0], gradient[2], units=144)
    units = {name: np.zeros((2, *array.shape)) for name, array in params.items()}
    units["weight_hh"][0], units["bias"][1] = 1, 1
    columns = hessian_vector_product(cost, params, units)
    actual = np.stack([columns["weight_hh"][:, 0, 0], columns["bias"][:, 0]])
    assert_equal_to_rounding(actual, hessian[:2, :2], units=144)


def test_the_last_step_of_the_scalar_system_is_a_power():
    # V = x_0² w^{2N}: V' = 2N V/w and V'' = 2N (2N − 1) V/w², which grow like w^{2N}.
    w, N = 1.05, 200
    cost, params = scalar_linear(w, 0.0, 1.0, np.zeros(N), "last")
    unit = {name: np.zeros_like(array) for name, array in params.items()} | {
        "weight_hh": np.ones((1, 1))
    }
    V = w ** (2 * N)
    found = bptt(cost, params)
    second = hessian_vector_product(cost, params, unit)["weight_hh"]
    # N rounded factors forwards and N backwards: a relative error of at most 2N + 2N units.
    rtol = 4 * N * np.finfo(float).eps
    np.testing.assert_allclose(found.value, V, rtol=rtol)
    np.testing.assert_allclose(found.params["weight_hh"], [[2 * N * V / w]], rtol=rtol)
    np.testing.assert_allclose(second, [[2 * N * (2 * N - 1) * V / w**2]], rtol=rtol)


def test_jacobians_of_a_linear_network_are_its_matrix():
    cell = Elman(2, 3, activation="identity")
    rng = np.random.default_rng(0)
    params = draw_params(cell, rng)
    inputs = rng.normal(size=(5, 4, 2))
    states, jacobians = state_jacobians(cell, params, np.zeros(3), inputs)
    np.testing.assert_array_equal(states, rollout(cell, params, np.zeros(3), inputs))
    np.testing.assert_array_equal(jacobians, np.broadcast_to(params["weight_hh"], (5, 4, 3, 3)))


# ----------------------------------------------------------------- automatic differentiation


@every_cell_of_all
@every_loss
@every_at
@pytest.mark.parametrize("batch", [{}, {"inputs": (3,), "state": (2, 1), "targets": (3,)}])
def test_gradients_equal_automatic_differentiation(kind, loss, at, batch):
    cost, params = problem(kind, loss=loss, at=at, **batch)
    expected = autograd.grad(cost.step_by_step)(params)
    in_state, in_inputs = (
        autograd.grad(lambda value, name=name: step_by_step_with(cost, name, value, params))(
            getattr(cost, name)
        )
        for name in ("state", "inputs")
    )
    for found in (
        bptt(cost, params, initial_state=True, inputs=True),
        bptt(cost, params, initial_state=True, inputs=True, checkpoint=True),
        rtrl(cost, params),
    ):
        assert_equal_to_rounding(found.value, cost.step_by_step(params))
        assert_same_params(found.params, expected)
        if found.state is not None:
            assert_equal_to_rounding(found.state, in_state)
        if found.inputs is not None:
            assert_equal_to_rounding(found.inputs, in_inputs)
    assert rtrl(cost, params).inputs is None


def step_by_step_with(cost, name, value, params):
    """`Cost.step_by_step` as a function of the initial state or of the inputs."""
    moved = copy.copy(cost)
    setattr(moved, name, value)
    return moved.step_by_step(params)


@every_cell
@pytest.mark.parametrize("batch", [{}, {"inputs": (3,), "state": (2, 1)}])
def test_gradients_say_where_the_run_ended(kind, batch):
    cost, params = problem(kind, **batch)
    cell_params = {name: params[name] for name in cost.cell.param_shapes()}
    expected = rollout(cost.cell, cell_params, cost.state, cost.inputs)[-1]
    for found in (bptt(cost, params), bptt(cost, params, checkpoint=True), rtrl(cost, params)):
        assert_equal_to_rounding(found.last_state, expected)


@every_cell
@every_loss
def test_derivatives_in_the_inputs_equal_differences(kind, loss):
    cost, params = problem(kind, loss=loss, inputs=(3,))
    direction = np.random.default_rng(1).normal(size=cost.inputs.shape)
    derivative = np.sum(bptt(cost, params, inputs=True).inputs * direction)
    # Truncation h² and rounding ε/h balance at h = ε^{1/3}: an error of about ε^{2/3} = 4e-11
    # times derivatives of up to a few tens along a direction of length 6.5.
    h = 6e-6
    plus, minus = (
        Cost(cost.cell, cost.inputs + s * direction, cost.targets, state=cost.state, loss=loss)
        for s in (h, -h)
    )
    difference = (plus(params) - minus(params)) / (2 * h)
    np.testing.assert_allclose(derivative, difference, rtol=0, atol=1e-8)


@every_cell_of_all
@every_loss
@pytest.mark.parametrize("batch", [{}, {"inputs": (3,), "targets": (2, 1)}])
def test_hessian_vector_products_equal_automatic_differentiation(kind, loss, batch):
    cost, params = problem(kind, loss=loss, **batch)
    vector = draw_params(cost.cell, np.random.default_rng(1), outputs=2)

    def slope(params):
        gradient = autograd.grad(cost.step_by_step)(params)
        return sum(anp.sum(gradient[name] * vector[name]) for name in vector)

    assert_same_params(hessian_vector_product(cost, params, vector), autograd.grad(slope)(params))


@every_cell_of_all
def test_state_jacobians_equal_automatic_differentiation(kind):
    rng = np.random.default_rng(0)
    cell = ALL_CELLS[kind](2, 3)
    params = draw_params(cell, rng)
    state, inputs = rng.normal(size=cell.state_size), rng.normal(size=(5, 2))
    states, jacobians = state_jacobians(cell, params, state, inputs)
    for before, u, jacobian in zip([state, *states[:-1]], inputs, jacobians, strict=True):
        expected = autograd.jacobian(lambda x, u=u: cell.step(params, x, u))(before)
        assert_equal_to_rounding(jacobian, expected)


@every_cell
def test_an_autonomous_system_has_derivatives(kind):
    cost, params = problem(kind, size=(0, 3, 2))
    found = bptt(cost, params, inputs=True)
    assert found.inputs.shape == cost.inputs.shape
    assert found.params["weight_ih"].shape == params["weight_ih"].shape
    expected = autograd.grad(cost.step_by_step)(params)
    assert_same_params(found.params, expected)
    assert_same_params(rtrl(cost, params).params, expected)


# ------------------------------------------------------------ finite differences, with bound


@every_cell_of_all
@every_loss
@every_dtype
@pytest.mark.parametrize("seed", range(3))
def test_a_right_gradient_passes_its_check(kind, loss, dtype, seed):
    cost, params = problem(kind, loss=loss, dtype=dtype, inputs=(2,), seed=seed)
    assert check_gradient(cost, params, np.random.default_rng(seed)).passed


@every_cell
@every_loss
@pytest.mark.parametrize(("dtype", "wrong_by"), [(np.float64, 1e-6), (np.float32, 0.05)])
def test_a_wrong_gradient_fails_its_check(kind, loss, dtype, wrong_by):
    # The check resolves about ε^{2/3}, 4e-11 or 2e-5, times the safety factor of ten, relative to
    # derivatives of order one; along an unlucky direction the derivative is much smaller than that.
    cost, params = problem(kind, loss=loss, dtype=dtype, inputs=(2,))
    right = bptt(cost, params).params
    wrong = {name: array * np.asarray(1 + wrong_by, dtype) for name, array in right.items()}
    checks = [
        check_gradient(cost, params, np.random.default_rng(seed), gradient=wrong)
        for seed in range(5)
    ]
    assert not all(check.passed for check in checks)
    rights = [
        check_gradient(cost, params, np.random.default_rng(seed), gradient=right)
        for seed in range(5)
    ]
    assert all(check.passed for check in rights)


def test_one_wrong_entry_fails_the_check():
    cost, params = problem("GRU")
    gradient = {name: array.copy() for name, array in bptt(cost, params).params.items()}
    gradient["bias_n"][0] *= 1 + 1e-4
    assert not check_gradient(cost, params, np.random.default_rng(0), gradient=gradient).passed


def test_the_check_states_how_large_its_error_may_be():
    cost, params = problem("tanh")
    check = check_gradient(cost, params, np.random.default_rng(0), safety=3.0)
    assert check.bound == 3 * (check.truncation + check.rounding)
    assert check.error == abs(check.derivative - check.difference)
    # Where truncation and rounding balance, the first is half the second.
    np.testing.assert_allclose(check.truncation, check.rounding / 2, rtol=1e-12)
    assert check.bound < 1e-8 * abs(check.derivative)


def test_noise_is_told_from_a_smooth_function():
    # Third differences of the parabola vanish. From nine values the estimate has few degrees of
    # freedom: it scatters by about half of σ and, as a root, lies below it by about a tenth.
    parabola = np.linspace(0, 1, 9) ** 2
    noise = 1e-6 * np.random.default_rng(0).normal(size=(400, 9))
    mean = np.mean([_noise(parabola + sample) for sample in noise])
    assert 0.75e-6 < mean < 1.05e-6


# -------------------------------------------------------------------------------- properties


@given(kinds, batch_shapes(7), st.sampled_from(["squared error", "cross-entropy"]), st.booleans())
@some_examples
def test_batches_equal_a_loop(kind, shapes, loss, checkpoint):
    of_state, of_inputs, of_targets, *of_params = shapes
    names = CELLS[kind](2, 3).param_shapes(2)
    leads = dict.fromkeys(names, ()) | dict(zip(names, of_params, strict=False))
    cost, params = problem(
        kind,
        steps=4,
        state=of_state,
        inputs=of_inputs,
        targets=of_targets,
        leads=leads,
        loss=loss,
    )
    found = bptt(cost, params, initial_state=True, inputs=True, checkpoint=checkpoint)

    # Every sequence with its own parameters, one after the other.
    lead = np.broadcast_shapes(*leads.values())
    batch = np.broadcast_shapes(lead, of_state, of_inputs, of_targets)
    padded = (1,) * (len(batch) - len(lead)) + lead
    n, d = cost.cell.state_size, sum(np.prod(shape) for shape in names.values())
    values, gradients = np.empty(batch), np.empty((*batch, d))
    in_state, in_inputs = np.empty((*batch, n)), np.empty((cost.steps, *batch, 2))
    for index in np.ndindex(batch):
        one = {name: pick(params[name], leads[name], index) for name in names}
        single = Cost(
            cost.cell,
            np.stack([pick(u, of_inputs, index) for u in cost.inputs]),
            np.stack([pick(y, of_targets, index) for y in cost.targets]),
            state=pick(cost.state, of_state, index),
            loss=loss,
        )
        result = bptt(single, one, initial_state=True, inputs=True)
        values[index], gradients[index] = result.value, flatten(result.params)
        in_state[index], in_inputs[(slice(None), *index)] = result.state, result.inputs

    averaged = tuple(axis for axis, size in enumerate(padded) if size == 1)
    assert_equal_to_rounding(found.value, values.mean(axis=averaged).reshape(lead))
    assert_equal_to_rounding(cost(params), found.value)
    expected = unflatten(gradients.mean(axis=averaged).reshape(*lead, d), names)
    assert_same_params(found.params, expected)
    # x_0 and inputs that several sequences share collect their derivatives.
    for part, of_part, array, every in (
        (found.state[np.newaxis], of_state, cost.state[np.newaxis], in_state[np.newaxis]),
        (found.inputs, of_inputs, cost.inputs, in_inputs),
    ):
        own = (1,) * (len(batch) - len(of_part)) + of_part
        shared = tuple(1 + axis for axis in averaged if own[axis] == 1)
        expected = every.sum(axis=shared, keepdims=True)
        expected = expected / np.prod([batch[axis] for axis in averaged], dtype=int)
        if np.prod(lead, dtype=int) == 1:
            expected = expected.reshape(array.shape)
        assert_equal_to_rounding(part, expected)


def pick(array, axes, index):
    """The entry of ``array``, whose batch axes are ``axes``, that broadcasts to ``index``."""
    index = index[len(index) - len(axes) :]
    return array[tuple(0 if size == 1 else i for i, size in zip(index, axes, strict=True))]


@every_cell
@every_loss
@every_at
def test_checkpoints_change_nothing_at_any_length(kind, loss, at):
    for steps in (*range(1, 12), 13, 16, 17, 25, 26):
        cost, params = problem(kind, steps=steps, loss=loss, at=at, targets=(2,))
        plain = bptt(cost, params, initial_state=True, inputs=True)
        stored = bptt(cost, params, initial_state=True, inputs=True, checkpoint=True)
        assert_equal_to_rounding(stored.value, plain.value)
        assert_same_params(stored.params, plain.params)
        assert_equal_to_rounding(stored.state, plain.state)
        assert_equal_to_rounding(stored.inputs, plain.inputs)


def peak_memory(steps, *, checkpoint):
    cost, params = problem("LSTM", size=(1, 16, 1), steps=steps, targets=(8,))
    bptt(cost, params, checkpoint=checkpoint)
    tracemalloc.start()
    bptt(cost, params, checkpoint=checkpoint)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_checkpoints_store_a_square_root_of_the_states():
    # Four times the length: up to four times the memory, but twice with checkpoints. What does not
    # grow, and the numbers per step that do (weights of the steps), leave a margin of a quarter.
    plain = [peak_memory(steps, checkpoint=False) for steps in (400, 1600)]
    stored = [peak_memory(steps, checkpoint=True) for steps in (400, 1600)]
    assert 1.5 < stored[1] / stored[0] < 2.5
    assert plain[1] - plain[0] > 5 * (stored[1] - stored[0])
    assert stored[1] < plain[1] / 10


@given(kinds, batch_shapes(3), st.sampled_from(["squared error", "cross-entropy"]))
@some_examples
def test_forward_sensitivities_equal_backpropagation(kind, shapes, loss):
    of_state, of_inputs, of_targets = shapes
    cost, params = problem(kind, state=of_state, inputs=of_inputs, targets=of_targets, loss=loss)
    backward = bptt(cost, params, initial_state=True)
    forward = rtrl(cost, params)
    assert_equal_to_rounding(forward.value, backward.value)
    assert_same_params(forward.params, backward.params)
    assert forward.state is None
    assert bptt(cost, params).state is None
    assert bptt(cost, params).inputs is None


@every_cell
@every_loss
def test_float32_stays_float32(kind, loss):
    cost, params = problem(kind, loss=loss, dtype=np.float32, inputs=(2,))
    double, params_64 = problem(kind, loss=loss, inputs=(2,))
    exact = bptt(double, params_64, initial_state=True, inputs=True)
    single = bptt(cost, params, inputs=True)
    assert single.last_state.dtype == np.float32
    assert_equal_to_rounding(single.inputs, exact.inputs.astype("f4"))
    for found in (
        bptt(cost, params, initial_state=True),
        bptt(cost, params, initial_state=True, checkpoint=True),
        rtrl(cost, params),
    ):
        assert found.value.dtype == np.float32
        assert {array.dtype for array in found.params.values()} == {np.dtype("f4")}
        single = {name: array.astype("f4") for name, array in exact.params.items()}
        assert_same_params(found.params, single)
        if found.state is not None:
            assert_equal_to_rounding(found.state, exact.state.astype("f4"))
    product = hessian_vector_product(cost, params, params)
    expected = hessian_vector_product(double, params_64, params_64)
    assert_same_params(product, {name: array.astype("f4") for name, array in expected.items()})
    states, jacobians = state_jacobians(cost.cell, params, cost.state, cost.inputs)
    products = jacobian_products(jacobians)
    arrays = (states, jacobians, products.log_scale, products.direction, products.log_norm)
    assert {array.dtype for array in arrays} == {np.dtype("f4")}


@every_cell
def test_wider_data_widen_all_derivatives(kind):
    cost, _ = problem(kind)
    _, params = problem(kind, dtype=np.float32)
    backward, forward = bptt(cost, params), rtrl(cost, params)
    assert_same_params(forward.params, backward.params)
    assert together(forward.params).dtype == np.float64


@every_cell
def test_results_come_in_the_order_of_the_parameters(kind):
    cost, params = problem(kind)
    turned = dict(reversed(params.items()))
    expected = dict(reversed(bptt(cost, params).params.items()))
    assert_same_params(bptt(cost, turned).params, expected)
    assert_same_params(rtrl(cost, turned).params, expected)
    product = hessian_vector_product(cost, params, params)
    turned_product = hessian_vector_product(cost, turned, params)
    assert_same_params(turned_product, dict(reversed(product.items())))
    for gradient in (bptt(cost, params).params, expected):  # whatever the order of the gradient
        assert check_gradient(cost, turned, np.random.default_rng(0), gradient=gradient).passed


@every_cell
@every_loss
def test_the_hessian_is_symmetric(kind, loss):
    cost, params = problem(kind, loss=loss, targets=(3,))
    theta = flatten(params)
    directions = unflatten(np.eye(theta.size)[:, np.newaxis], params)  # (d, 1): the batch is (3,)
    columns = hessian_vector_product(cost, params, directions)
    hessian = np.concatenate([columns[name].reshape(theta.size, -1) for name in params], axis=1)
    assert_equal_to_rounding(hessian, hessian.T)


@every_cell
def test_a_batch_of_directions_equals_a_loop(kind):
    cost, params = problem(kind, inputs=(4,))
    vectors = draw_params(cost.cell, np.random.default_rng(1), outputs=2, leads=(2, 3, 1))
    together_ = hessian_vector_product(cost, params, vectors)
    for index in np.ndindex(2, 3, 1):
        one = {name: array[index] for name, array in vectors.items()}
        single = hessian_vector_product(cost, params, one)
        assert_same_params({name: array[index] for name, array in together_.items()}, single)


@given(kinds, batch_shapes(4))
@some_examples
def test_points_and_directions_of_a_batch_broadcast(kind, shapes):
    of_params, of_readout, of_vector, of_inputs = shapes
    leads = dict.fromkeys(("weight_ho", "bias_o"), of_readout)
    cost, params = problem(kind, inputs=of_inputs)
    leads = dict.fromkeys(params, of_params) | leads
    params = draw_params(cost.cell, np.random.default_rng(1), outputs=2, leads=leads)
    vector = draw_params(cost.cell, np.random.default_rng(2), outputs=2, leads=of_vector)
    products = hessian_vector_product(cost, params, vector)
    lead = np.broadcast_shapes(of_params, of_readout, of_vector)
    for name, shape in cost.cell.param_shapes(2).items():
        assert products[name].shape == lead + shape
    # The sequences of the batch are told apart along the leading axes: an axis at a time.
    points, directions = (
        {name: np.broadcast_to(array[name], products[name].shape) for name in array}
        for array in (params, vector)
    )
    batch = np.broadcast_shapes(lead, of_inputs)
    padded = (1,) * (len(batch) - len(lead)) + lead
    own = (cost.steps, *(1,) * (len(batch) - len(of_inputs)), *of_inputs, 2)
    inputs = np.broadcast_to(cost.inputs.reshape(own), (cost.steps, *batch, 2))
    for index in np.ndindex(padded):
        own = tuple(i if size > 1 else slice(None) for i, size in zip(index, padded, strict=True))
        one = Cost(cost.cell, inputs[(slice(None), *own)], cost.targets, state=cost.state)
        at = index[len(batch) - len(lead) :]
        single = hessian_vector_product(
            one,
            {name: array[at] for name, array in points.items()},
            {name: array[at] for name, array in directions.items()},
        )
        assert_same_params({name: array[at] for name, array in products.items()}, single)


@every_dtype
@pytest.mark.parametrize("size", [1e-30, 1e-10, 1e10, 1e30])
def test_hessian_vector_products_are_homogeneous(dtype, size):
    cost, params = problem("LSTM", dtype=dtype)
    plain = hessian_vector_product(cost, params, params)
    vector = {name: (array * dtype(size)) for name, array in params.items()}
    scaled = hessian_vector_product(cost, params, vector)
    assert_same_params({name: array / dtype(size) for name, array in scaled.items()}, plain)


def test_the_product_with_zero_is_zero():
    cost, params = problem("GRU")
    zero = {name: np.zeros_like(array) for name, array in params.items()}
    assert not together(hessian_vector_product(cost, params, zero)).any()


# --------------------------------------------------------------------- products of Jacobians


@given(kinds, batch_shapes(3))
@some_examples
def test_state_jacobians_of_a_batch_equal_a_loop(kind, shapes):
    rng = np.random.default_rng(0)
    cell = CELLS[kind](2, 3)
    of_state, of_inputs, lead = shapes
    params = draw_params(cell, rng, leads=lead)
    state = rng.normal(size=(*of_state, cell.state_size))
    inputs = rng.normal(size=(4, *of_inputs, 2))
    states, jacobians = state_jacobians(cell, params, state, inputs)
    assert_equal_to_rounding(states, rollout(cell, params, state, inputs))
    for index in np.ndindex(states.shape[1:-1]):
        one = {name: pick(array, lead, index) for name, array in params.items()}
        u = np.stack([pick(step, of_inputs, index) for step in inputs])
        _, single = state_jacobians(cell, one, pick(state, of_state, index), u)
        assert_equal_to_rounding(jacobians[(slice(None), *index)], single)


@every_cell
def test_products_of_jacobians_are_what_backpropagation_multiplies_with(kind):
    # With ŷ = h, y = h_N − ½ e_i and the last step alone, ∂V/∂x_0 is the i-th row of ∂h_N/∂x_0.
    H, N = 3, 6
    rng = np.random.default_rng(0)
    cell = CELLS[kind](2, H)
    params = draw_params(cell, rng) | {"weight_ho": np.eye(H), "bias_o": np.zeros(H)}
    start, inputs = rng.normal(size=cell.state_size), rng.normal(size=(N, 2))
    states, jacobians = state_jacobians(cell, params, start, inputs)
    targets = np.broadcast_to(cell.hidden(states[-1]) - np.eye(H) / 2, (N, H, H))
    cost = Cost(cell, inputs, targets, state=np.tile(start, (H, 1)), at="last")
    rows = H * bptt(cost, params, initial_state=True).state  # the cost is averaged over H targets
    products = jacobian_products(jacobians)
    product = np.exp(products.log_scale)[:, np.newaxis, np.newaxis] * products.direction
    assert_equal_to_rounding(product[-1][:H], rows)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_products_to_the_end_are_products_from_the_right(dtype):
    jacobians = np.random.default_rng(0).normal(size=(6, 2, 3, 3)).astype(dtype)
    from_start, to_end = jacobian_products(jacobians), jacobian_products(jacobians, to_end=True)
    for t in range(6):
        for found, factors in ((from_start, jacobians[: t + 1]), (to_end, jacobians[t:])):
            expected = np.eye(3, dtype=dtype)
            for factor in factors:
                expected = factor @ expected
            size = np.linalg.norm(expected, axis=(-2, -1))
            assert_equal_to_rounding(found.direction[t], expected / size[:, None, None])
            assert_equal_to_rounding(found.log_scale[t], np.log(size))
            spectral = np.linalg.norm(expected, 2, axis=(-2, -1))
            np.testing.assert_allclose(
                found.log_norm[t], np.log(spectral), atol=100 * np.finfo(dtype).eps
            )


@pytest.mark.parametrize("gain", [1e-6, 1.0, 1e6])
def test_long_products_neither_overflow_nor_vanish(gain):
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    products = jacobian_products(np.tile(gain * turn, (2000, 1, 1)))
    # Every step adds a few roundings of a number of at most 2000 · log 10⁶.
    t = np.arange(1, 2001)
    atol = 2000 * 10 * np.finfo(float).eps * max(1, 2000 * abs(np.log(gain)))
    np.testing.assert_allclose(products.log_norm, t * np.log(gain), rtol=0, atol=atol)


@pytest.mark.parametrize(
    ("dtype", "entry"), [("f4", 1e-30), ("f4", 1e30), ("f8", 1e-200), ("f8", 1e200)]
)
def test_entries_whose_squares_are_not_numbers_are_multiplied(dtype, entry):
    log_norm = jacobian_products(np.full((3, 2, 2), entry, dtype)).log_norm
    expected = np.arange(1, 4) * np.log(2 * entry)  # [[1, 1], [1, 1]] has the norm 2
    np.testing.assert_allclose(log_norm, expected, rtol=10 * np.finfo(dtype).eps)


@pytest.mark.parametrize("kind", ["tanh", "LSTM", "GRU"])
def test_long_products_of_a_network_with_a_large_gain_are_numbers(kind):
    rng = np.random.default_rng(0)
    cell = CELLS[kind](0, 4)
    params = {name: 30 * array for name, array in draw_params(cell, rng).items()}
    start = rng.uniform(-1, 1, size=(5, cell.state_size))
    _, jacobians = state_jacobians(cell, params, start, np.zeros((2000, 0)))
    log_norm = jacobian_products(jacobians).log_norm
    assert not np.isnan(log_norm).any()
    assert (log_norm < np.inf).all()


@pytest.mark.parametrize("matrix", [[[0.0, 1.0], [0.0, 0.0]], [[2.0, -4.0], [1.0, -2.0]]])
def test_a_product_that_is_zero_has_a_logarithm_of_minus_infinity(matrix):
    products = jacobian_products(np.tile(matrix, (3, 1, 1)))  # both square to zero exactly
    assert np.isfinite(products.log_norm[0])
    np.testing.assert_array_equal(products.log_norm[1:], -np.inf)
    np.testing.assert_array_equal(products.log_scale[1:], -np.inf)
    np.testing.assert_array_equal(products.direction[1:], 0)


def test_one_saturated_unit_turns_a_nilpotent_matrix_into_a_growing_one():
    # diag(1, 0) W has the spectral radius 2, although W squares to zero.
    jacobian = np.diag([1.0, 0.0]) @ [[2.0, -4.0], [1.0, -2.0]]
    log_norm = jacobian_products(np.tile(jacobian, (50, 1, 1))).log_norm
    np.testing.assert_allclose(np.diff(log_norm), np.log(2), rtol=1e-13)


def test_a_relu_network_without_active_units_forgets_at_once():
    cell = CELLS["relu"](0, 2)
    params = {name: np.zeros(shape) for name, shape in cell.param_shapes().items()}
    params["weight_hh"], params["bias"] = np.eye(2), np.full(2, -10.0)
    _, jacobians = state_jacobians(cell, params, np.ones(2), np.zeros((4, 0)))
    np.testing.assert_array_equal(jacobian_products(jacobians).log_norm, -np.inf)


# --------------------------------------------------------------------------------- bad input


def test_bad_sequences_of_jacobians_are_named():
    with pytest.raises(ValueError, match=r"got jacobians of shape \(4, 2, 3\), expected \(time"):
        jacobian_products(np.zeros((4, 2, 3)))
    with pytest.raises(ValueError, match=r"got jacobians of shape \(2, 2\), expected \(time"):
        jacobian_products(np.eye(2))
    with pytest.raises(ValueError, match=r"\(0, 2, 2\), expected .* time at least 1"):
        jacobian_products(np.zeros((0, 2, 2)))
    with pytest.raises(TypeError, match=r"jacobians must hold real floats.*int64"):
        jacobian_products(np.ones((4, 2, 2), int))
    with pytest.raises(ValueError, match="jacobians must be finite, got inf"):
        jacobian_products(np.full((4, 2, 2), np.inf))


@pytest.mark.parametrize("lead", [(1,), (3,), (3, 1)])
def test_where_one_parameter_set_is_required_leading_axes_are_refused(lead):
    cost, params = problem("LSTM", leads=lead)
    message = r" takes one parameter set, got leading axes of shape \(\d,"
    with pytest.raises(ValueError, match="rtrl" + message):
        rtrl(cost, params)
    with pytest.raises(ValueError, match="check_gradient" + message):
        check_gradient(cost, params, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"bias": np.zeros(3)}, ValueError, r"got vector\['bias'\] of shape \(3,\).*\(…, 9\)"),
        ({"bias": np.zeros(9, int)}, TypeError, r"vector\['bias'\] must hold real floats.*int64"),
        ({"bias": np.full(9, np.nan)}, ValueError, r"vector\['bias'\] must be finite, got nan"),
        ({"more": np.zeros(9)}, ValueError, "vector must have the keys .*, got .*'more'"),
        (
            {"bias": np.zeros((2, 9)), "bias_o": np.zeros((3, 2))},
            ValueError,
            r"leading axes of params and vector must broadcast.*\(2,\).*\(3,\)",
        ),
    ],
)
def test_bad_directions_are_named(changes, error, message):
    cost, params = problem("GRU")
    with pytest.raises(error, match=message):
        hessian_vector_product(cost, params, params | changes)


def test_a_gradient_that_does_not_fit_is_named():
    cost, params = problem("GRU")
    for changes, message in (
        ({"more": np.zeros(3)}, "gradient must have the keys .*, got .*'more'"),
        ({"bias": np.zeros(3)}, r"got gradient\['bias'\] of shape \(3,\), expected \(9,\)"),
    ):
        with pytest.raises(ValueError, match=message):
            check_gradient(cost, params, np.random.default_rng(0), gradient=params | changes)


@pytest.mark.parametrize("derivative", [bptt, rtrl])
def test_bad_parameters_are_named(derivative):
    cost, params = problem("GRU")
    with pytest.raises(ValueError, match="bias must be finite, got nan"):
        derivative(cost, params | {"bias": np.full(9, np.nan)})
    with pytest.raises(ValueError, match="params must include a linear readout: bias_o missing"):
        derivative(cost, {name: array for name, array in params.items() if name != "bias_o"})


def test_results_do_not_share_memory_with_what_came_in():
    cost, params = problem("tanh")
    found = bptt(cost, params, initial_state=True)
    assert not any(np.shares_memory(found.params[name], params[name]) for name in params)
    assert not np.shares_memory(found.state, read_only(cost.state))


def test_second_derivatives_that_explode_are_exact():
    """``x' = tanh(w x + b)`` at ``b = 0``: ``V'' = (2/N) Σ S_t²``, ``S_t = (w^t − 1)/(w − 1)``."""
    N, w = 400, 1.2  # w^N is about 1e31
    cell = Elman(0, 1)
    params = {"weight_ih": np.zeros((1, 0)), "weight_hh": np.full((1, 1), w), "bias": np.zeros(1)}
    params |= {"weight_ho": np.ones((1, 1)), "bias_o": np.zeros(1)}
    V = Cost(cell, np.zeros((N, 0)), np.ones((N, 1)))
    along_b = {name: np.zeros_like(array) for name, array in params.items()}
    along_b["bias"] = np.ones(1)
    S = (w ** np.arange(1, N + 1) - 1) / (w - 1)
    product = hessian_vector_product(V, params, along_b)
    np.testing.assert_allclose(product["bias"], 2 / N * np.sum(S**2), rtol=1e-12)


@pytest.mark.parametrize("steps", [40, 500, 570, 800])
def test_a_hessian_product_is_exact_or_an_error_where_derivatives_explode(steps):
    # A neuron with w = 3/2 at rest: x_t = S_t b to first order, S_t = 2 (1.5^t − 1), V'' known.
    cell = Elman(0, 1)
    weights = {"weight_ih": np.zeros((1, 0)), "weight_hh": np.array([[1.5]]), "bias": np.zeros(1)}
    params = weights | {"weight_ho": np.ones((1, 1)), "bias_o": np.zeros(1)}
    along_bias = {name: np.zeros_like(array) for name, array in params.items()}
    along_bias["bias"] = np.ones(1)
    cost = Cost(cell, np.zeros((steps, 0)), np.ones((steps, 1)))
    S = 2 * (1.5 ** np.arange(1.0, steps + 1) - 1)
    product = hessian_vector_product(cost, params, along_bias)
    np.testing.assert_allclose(product["bias"], [2 * np.mean(S**2)], rtol=1e-8)
    longer = Cost(cell, np.zeros((1200, 0)), np.ones((1200, 1)))
    with pytest.raises(FloatingPointError, match="the states vary too much with params"):
        hessian_vector_product(longer, params, along_bias)
