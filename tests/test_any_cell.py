"""Any cell from its step: what a user writes runs everywhere, and says what is wrong with it."""

import re
from pathlib import Path

import autograd
import autograd.numpy as anp
import numpy as np
import pytest
from own_cells import OWN_CELLS
from strategies import ALL_CELLS, assert_equal_to_rounding, assert_same_params, draw_params
from torch_numbers import CASES, compute, layout, stored
from torch_numbers import problem as torch_problem

from rnnpedagogy.cells import GRU, LSTM, Cell, Elman, linear, tanh
from rnnpedagogy.costs import Cost
from rnnpedagogy.dynamics import CellMap, find_fixed_points, follow_branch, lyapunov_spectrum
from rnnpedagogy.gradient_check import check_gradient
from rnnpedagogy.gradients import bptt, hessian_vector_product, rtrl
from rnnpedagogy.jacobians import state_jacobians
from rnnpedagogy.orthogonal import OrthogonalRNN
from rnnpedagogy.rollout import outputs, rollout
from rnnpedagogy.training import Sequences, train

every_own_cell = pytest.mark.parametrize("kind", OWN_CELLS)
every_leads = pytest.mark.parametrize(
    ("leads", "batch"),
    [((), ()), ((), (3,)), ((4,), ()), ((3, 1), (2,)), ((1,), (3,)), ((2,), (3, 1))],
)
every_loss = pytest.mark.parametrize("loss", ["squared error", "cross-entropy"])


# --------------------------------------------------------------------------------- against torch


@pytest.mark.parametrize("case", CASES)
def test_outputs_and_gradients_are_those_of_torch(case):
    params, inputs, targets = torch_problem(case)
    V, expected = Cost(CASES[case], inputs, targets), stored()[case]
    states = rollout(V.cell, params, V.state, inputs)
    assert np.abs(outputs(V.cell, params, states) - expected.pop("outputs")).max() <= 1e-12
    for checkpoint in (False, True):
        found = layout(case, bptt(V, params, checkpoint=checkpoint).params)
        assert found.keys() == expected.keys()
        assert all(np.abs(found[k] - expected[k]).max() <= 1e-12 for k in expected)


@pytest.mark.parametrize("case", CASES)
def test_the_stored_numbers_are_those_of_torch(case):
    pytest.importorskip("torch")
    for name, array in compute(case).items():
        assert np.abs(stored()[case][name] - array).max() <= 1e-13


# ------------------------------------------------- against the fast code of the book's own cells


def without_fast_code(cell):
    """The same cell, run from its step."""
    kind = type(cell)
    slow = type(f"Slow{kind.__name__}", (kind,), {"step": kind.step})
    names = ("activation", "parametrisation")
    settings = {name: getattr(cell, name) for name in names if hasattr(cell, name)}
    return slow(cell.input_size, cell.hidden_size, **settings)


def two_costs(kind, leads, batch, *, loss="squared error", dtype=np.float64):
    rng, fast = np.random.default_rng(0), ALL_CELLS[kind](2, 3)
    inputs = rng.normal(size=(6, *batch, 2)).astype(dtype)
    targets = rng.normal(size=(6, *batch, 2)).astype(dtype)
    if loss == "cross-entropy":
        targets = targets[..., 0].astype(int) % 2
    params = draw_params(fast, rng, outputs=2, leads=leads, dtype=dtype)
    return *(Cost(c, inputs, targets, loss=loss) for c in (fast, without_fast_code(fast))), params


@pytest.mark.parametrize("kind", ALL_CELLS)
@every_leads
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_step_alone_gives_what_the_fast_code_gives(kind, leads, batch, dtype):
    fast, slow, params = two_costs(kind, leads, batch, dtype=dtype)
    assert_equal_to_rounding(slow(params), fast(params))
    wanted = {"initial_state": True, "inputs": True}
    expected = bptt(fast, params, **wanted)
    for checkpoint in (False, True):
        found = bptt(slow, params, checkpoint=checkpoint, **wanted)
        assert_same_params(found.params, expected.params)
        for name in ("value", "last_state", "state", "inputs"):
            assert_equal_to_rounding(getattr(found, name), getattr(expected, name))
    v = draw_params(fast.cell, np.random.default_rng(1), outputs=2, dtype=dtype)
    product = hessian_vector_product(slow, params, v)
    assert_same_params(product, hessian_vector_product(fast, params, v), units=5000)
    run = params, slow.state, slow.inputs
    for one, other in zip(
        state_jacobians(slow.cell, *run), state_jacobians(fast.cell, *run), strict=True
    ):
        assert_equal_to_rounding(one, other)
    if not leads:
        assert_same_params(rtrl(slow, params).params, expected.params)


@pytest.mark.parametrize("kind", ["LSTM", "modrelu"])
def test_the_step_alone_gives_what_the_fast_code_gives_for_classes(kind):
    fast, slow, params = two_costs(kind, (), (3,), loss="cross-entropy")
    assert_same_params(bptt(slow, params).params, bptt(fast, params).params)
    v = draw_params(fast.cell, np.random.default_rng(1), outputs=2)
    product = hessian_vector_product(slow, params, v)
    assert_same_params(product, hessian_vector_product(fast, params, v), units=5000)


def test_fast_code_and_reparametrisation_belong_to_their_equation():
    for kind in (Elman, LSTM, GRU, OrthogonalRNN):
        slow = type("Slow", (kind,), {"step": kind.step})
        assert slow.forward is Cell.forward
        assert slow.backward is Cell.backward
        assert slow.reparametrise is Cell.reparametrise
        assert slow.lay_out is Cell.lay_out
        assert kind.forward is not Cell.forward
        renamed = type("Renamed", (kind,), {})
        assert renamed.forward is kind.forward
        elsewhere = type("Elsewhere", (kind,), {"hidden": lambda self, state: state[..., -3:]})
        assert elsewhere.forward is Cell.forward


# ------------------------------------------------------------------------ cells of a user's own


def problem(kind, *, batch=(3,), leads=(), dtype=np.float64, loss="squared error"):
    rng, cell = np.random.default_rng(0), OWN_CELLS[kind](2, 3)
    inputs = rng.normal(size=(6, *batch, 2)).astype(dtype)
    targets = rng.normal(size=(6, *batch, 2)).astype(dtype)
    if loss == "cross-entropy":
        targets = targets[..., 0].astype(int) % 2
    params = draw_params(cell, rng, outputs=2, leads=leads, dtype=dtype)
    return Cost(cell, inputs, targets, loss=loss), params


@every_own_cell
@every_loss
def test_every_derivative_is_that_of_automatic_differentiation(kind, loss):
    V, params = problem(kind, loss=loss)
    gradient = autograd.grad(V.step_by_step)
    expected = gradient(params)
    assert_equal_to_rounding(V(params), V.step_by_step(params))
    for checkpoint in (False, True):
        assert_same_params(bptt(V, params, checkpoint=checkpoint).params, expected)
    assert_same_params(rtrl(V, params).params, expected)
    v = draw_params(V.cell, np.random.default_rng(1), outputs=2)

    def slope(theta):
        along = gradient(theta)
        return sum(anp.sum(along[name] * v[name]) for name in v)

    product = hessian_vector_product(V, params, v)
    assert_same_params(product, autograd.grad(slope)(params), units=5000)


@every_own_cell
def test_a_gradient_passes_its_check_and_a_wrong_one_does_not(kind):
    V, params = problem(kind)
    assert check_gradient(V, params, np.random.default_rng(0)).passed
    wrong = {name: 1.01 * g for name, g in bptt(V, params).params.items()}
    assert not check_gradient(V, params, np.random.default_rng(0), gradient=wrong).passed


@every_own_cell
@pytest.mark.parametrize(("leads", "batch"), [((4,), ()), ((3, 1), (2,)), ((2,), (3, 1))])
def test_parameter_sets_run_side_by_side(kind, leads, batch):
    V, params = problem(kind, leads=leads, batch=batch)
    v = draw_params(V.cell, np.random.default_rng(1), outputs=2)
    found, products = bptt(V, params), hessian_vector_product(V, params, v)
    for index in np.ndindex(*leads):
        one = {name: array[index] for name, array in params.items()}
        alone = bptt(V, one)
        assert_equal_to_rounding(found.value[index], alone.value)
        assert_same_params({k: g[index] for k, g in found.params.items()}, alone.params)
        product = hessian_vector_product(V, one, v)
        assert_same_params({k: g[index] for k, g in products.items()}, product, units=5000)


@every_own_cell
def test_float32_stays_float32(kind):
    V, params = problem(kind, dtype=np.float32)
    exact = bptt(*problem(kind)).params
    found = bptt(V, params).params
    assert {array.dtype for array in found.values()} == {np.dtype("f4")}
    assert_same_params(found, {name: array.astype("f4") for name, array in exact.items()})


@every_own_cell
def test_jacobians_are_those_of_automatic_differentiation(kind):
    V, params = problem(kind, batch=())
    states, jacobians = state_jacobians(V.cell, params, V.state + 0.1, V.inputs)
    before = np.concatenate([[V.state + 0.1], states[:-1]])
    for t, u in enumerate(V.inputs):
        expected = autograd.jacobian(lambda x, u=u: V.cell.step(params, x, u))(before[t])
        assert_equal_to_rounding(jacobians[t], expected)


@every_own_cell
def test_a_cell_of_ones_own_is_trained_and_looked_into(kind):
    V, params = problem(kind)
    data = Sequences(V, batch_size=3)
    run = train(data, params, epochs=30, rng=np.random.default_rng(0), rate=0.02, progress=False)
    assert run.history["cost"][-1] < 0.9 * run.history["cost"][0]
    u = np.array([0.3, -0.2])
    system = CellMap(V.cell, {k: run.params[k] for k in V.cell.param_shapes()}, u)
    spectrum = lyapunov_spectrum(system, np.full(V.cell.state_size, 0.1), steps=100)
    assert np.isfinite(spectrum.exponents).all()
    starts = np.random.default_rng(0).normal(size=(8, V.cell.state_size)) / 2
    points = find_fixed_points(system, starts).points
    np.testing.assert_allclose(V.cell.step(system.params, points, u), points, atol=1e-9, rtol=0)


def test_a_branch_of_a_cell_of_ones_own_is_followed():
    # h' = tanh(w |h| + b) has a fold where w h + b turns back on itself: for h > 0 that of the
    # tanh neuron, w (1 − h²) = 1 and b = artanh(h) − w h, b = −0.2 … at w = 2.
    cell = OWN_CELLS["folded"](0, 1)
    w = 2.0

    def family(bias):
        params = {"weight_ih": np.zeros((1, 0)), "weight_hh": np.array([[w]])}
        return CellMap(cell, params | {"bias": bias[..., np.newaxis]})

    branch = follow_branch(family, 0.0, np.array([0.95]), low=-1.0, high=0.5)
    h = np.sqrt(1 - 1 / w)
    folds = [one.value for one in branch.bifurcations if one.name == "fold"]
    assert np.abs(np.array(folds) - (np.arctanh(h) - w * h)).min() < 1e-8


# ------------------------------------------------------------------------------------ bad cells


def bad(**members):
    """A cell whose step or other member is wrong."""

    def step(self, params, state, inputs):
        z = linear(params["weight_ih"], inputs) + linear(params["weight_hh"], state)
        return tanh(z + params["bias"])

    return type("Bad", (Cell,), {"step": step} | members)


def step_of(change):
    def step(self, params, state, inputs):
        z = linear(params["weight_ih"], inputs) + linear(params["weight_hh"], state)
        return change(tanh(z + params["bias"]), state)

    return {"step": step}


def assign(z, state):
    z = z * 1.0
    z[..., 0] = 0.0
    return z


def change_state(z, state):
    state *= 0.5
    return z


BAD = {
    "another shape": (
        step_of(lambda z, x: z[..., :1]),
        ValueError,
        "return the shape of the state",
    ),
    "a sum over units": (step_of(lambda z, x: anp.sum(z, -1)), ValueError, "return the shape"),
    "nothing": (step_of(lambda z, x: None), ValueError, "return the shape of the state"),
    "other parameters": (
        {"param_shapes": lambda self, output_size=None: {"weight": (3, 3)}},
        ValueError,
        r"does not run on parameters of shapes .*'weight'",
    ),
    "no shapes": (
        {"param_shapes": lambda self, output_size=None: {"weight": 3}},
        TypeError,
        r"param_shapes of Bad\(2, 3\) must map names to shapes",
    ),
    "no output size": (
        {"param_shapes": lambda self: {"weight": (3,)}},
        TypeError,
        r"param_shapes of Bad\(2, 3\) must take output_size",
    ),
    "wrong sizes": (
        {"param_shapes": lambda self, output_size=None: {"weight_ih": (3, 2), "bias": (3,)}},
        ValueError,
        "does not run on parameters of shapes",
    ),
    "hidden": (
        {"hidden": lambda self, state: 2 * state[..., :3]},
        ValueError,
        "hidden of .* must select 3 entries",
    ),
    "too few hidden": (
        {"hidden": lambda self, state: state[..., :2]},
        ValueError,
        "hidden of .* must select 3 entries",
    ),
    "branch on the batch": (
        step_of(lambda z, x: z if anp.mean(x) > 0 else 0.5 * z),
        ValueError,
        "must treat the members of a batch one by one",
    ),
    "statistics of the batch": (
        step_of(lambda z, x: z - anp.mean(z)),
        ValueError,
        "must treat the members of a batch one by one",
    ),
    "plain numpy": (
        step_of(lambda z, x: np.linalg.solve(2 * np.eye(3), z[..., np.newaxis])[..., 0]),
        TypeError,
        "cannot be differentiated; it must be written with autograd.numpy",
    ),
    "float": (step_of(lambda z, x: z * float(anp.ravel(z)[0])), ValueError, "one by one"),
    "asarray": (step_of(lambda z, x: np.asarray(z, float)), TypeError, "cannot be differentiated"),
    "joined by plain numpy": (
        step_of(lambda z, x: np.concatenate([z[..., :1], z[..., 1:]], axis=-1)),
        TypeError,
        "cannot be differentiated; .* an array of objects",
    ),
    "assignment": (step_of(assign), TypeError, "cannot be differentiated"),
    "in place": (step_of(change_state), ValueError, "must not change its arguments"),
    "detached": (
        step_of(lambda z, x: z * autograd.tracer.getval(z)),
        ValueError,
        "is differentiated wrongly",
    ),
    "no step": ({"step": Cell.step}, NotImplementedError, "Bad must have a step"),
}


@pytest.mark.parametrize("wrong", BAD)
def test_a_bad_cell_is_named_at_the_first_call(wrong):
    members, error, message = BAD[wrong]
    cell = bad(**members)(2, 3)
    try:
        params = {name: np.zeros(shape) for name, shape in cell.param_shapes().items()}
    except TypeError:
        params = {"weight": np.zeros(3)}
    with pytest.raises(error, match=message) as raised:
        rollout(cell, params, np.zeros(3), np.zeros((4, 2)))
    assert "Bad" in str(raised.value)


def test_a_good_cell_is_tried_once():
    calls = []
    members = step_of(lambda z, x: calls.append(1) or z)
    cell = bad(**members)(2, 3)
    params = cell.init_params(np.random.default_rng(0))
    rollout(cell, params, np.zeros(3), np.zeros((4, 2)))
    first = len(calls)
    rollout(cell, params, np.zeros(3), np.zeros((4, 2)))
    assert len(calls) == first + 4


def test_saturated_units_have_second_derivatives():
    # g / cosh² would overflow, and give 0 · ∞.
    V, params = problem("minimal gated unit")
    params = {name: 1e4 * array for name, array in params.items()}
    product = hessian_vector_product(V, params, params)
    assert all(np.isfinite(array).all() for array in product.values())


# --------------------------------------------------------------------------- as it is documented


def test_a_cell_is_added_as_contributing_says():
    text = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = text.split("## How a cell is added")[1].split("\n## ")[0]
    code = "\n".join(re.findall(r"```python\n(.*?)```", section, re.DOTALL))
    names = {}
    exec(code, names)
    cell = next(
        kind(2, 3) for kind in names.values() if isinstance(kind, type) and kind.__base__ is Cell
    )
    rng = np.random.default_rng(0)
    params = cell.init_params(rng, output_size=1)
    V = Cost(cell, rng.normal(size=(8, 4, 2)), rng.normal(size=(8, 4, 1)))
    assert_same_params(bptt(V, params).params, autograd.grad(V.step_by_step)(params))
    assert len(section.split()) < 250
