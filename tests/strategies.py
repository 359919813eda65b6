"""Cells, costs and shapes that the tests of the core share.

All arrays are read-only: a function that modifies its input fails whichever test calls it.
"""

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rnnpedagogy.cells import GRU, LSTM, Elman
from rnnpedagogy.costs import Cost
from rnnpedagogy.linear_units import LinearRecurrentUnit
from rnnpedagogy.orthogonal import OrthogonalRNN

CELLS = {
    "tanh": Elman,
    "sigmoid": lambda m, H: Elman(m, H, activation="sigmoid"),
    "relu": lambda m, H: Elman(m, H, activation="relu"),
    "identity": lambda m, H: Elman(m, H, activation="identity"),
    "LSTM": LSTM,
    "GRU": GRU,
}
ORTHOGONAL = {  # apart, as many tests ask for a weight_hh among the parameters
    "modrelu": OrthogonalRNN,
    "orthogonal tanh": lambda m, H: OrthogonalRNN(m, H, activation="tanh"),
    "orthogonal identity": lambda m, H: OrthogonalRNN(m, H, activation="identity"),
    "Cayley": lambda m, H: OrthogonalRNN(m, H, activation="identity", parametrisation="cayley"),
    "Householder": lambda m, H: OrthogonalRNN(
        m, H, activation="tanh", parametrisation="householder"
    ),
}
LINEAR = {"linear unit": lambda m, H: LinearRecurrentUnit(m, 2 * H)}
ALL_CELLS = CELLS | ORTHOGONAL | LINEAR
every_cell = pytest.mark.parametrize("kind", CELLS)
every_cell_of_all = pytest.mark.parametrize("kind", ALL_CELLS)
every_dtype = pytest.mark.parametrize("dtype", [np.float64, np.float32])
every_loss = pytest.mark.parametrize("loss", ["squared error", "cross-entropy"])
every_at = pytest.mark.parametrize("at", ["all", "last"])
some_examples = settings(max_examples=25, deadline=None, derandomize=True)

# Two ways to the same number differ by a few roundings for each operation on the longest way
# through the computation: here at most 10 steps of sums of at most 10 terms, forwards and
# backwards, with derivatives of about one, which do not amplify. With a constant of 2.5 that is
# 500 units.
UNITS = 500


def assert_equal_to_rounding(actual, expected, *, units=UNITS):
    """Same shape, same type, and a distance of at most ``units`` roundings of the largest entry."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape
    assert actual.dtype == expected.dtype
    scale = np.abs(expected).max(initial=0.0)
    assert np.abs(actual - expected).max(initial=0.0) <= units * np.finfo(actual.dtype).eps * scale


def assert_same_params(actual, expected, *, units=UNITS):
    """The same names and shapes, and vectors that are equal to rounding."""
    assert list(actual) == list(expected)
    for name in expected:
        assert np.shape(actual[name]) == np.shape(expected[name]), name
    assert_equal_to_rounding(together(actual), together(expected), units=units)


def together(params):
    """All entries of all parameters, whatever their leading axes."""
    return np.concatenate([np.ravel(array) for array in params.values()])


def read_only(array):
    array = np.array(array)
    array.flags.writeable = False
    return array


def draw_params(cell, rng, *, outputs=None, leads=(), dtype=np.float64):
    """Normal parameters of a fitting size; ``leads``: the leading axes, name by name or for all."""
    shapes = cell.param_shapes(outputs)
    if not isinstance(leads, dict):
        leads = dict.fromkeys(shapes, leads)
    scale = 1 / np.sqrt(cell.hidden_size)
    return {
        name: read_only((scale * rng.normal(size=leads[name] + shape)).astype(dtype))
        for name, shape in shapes.items()
    }


def problem(
    kind,
    *,
    size=(2, 3, 2),
    steps=7,
    inputs=(),
    state=(),
    targets=(),
    leads=(),
    dtype=np.float64,
    loss="squared error",
    at="all",
    seed=0,
):
    """A cost and a point ``θ``; ``inputs``, ``state``, ``targets``, ``leads`` are batch shapes."""
    rng = np.random.default_rng(seed)
    m, H, p = size
    cell = ALL_CELLS[kind](m, H)
    if loss == "squared error":
        y = rng.normal(size=(steps, *targets, p)).astype(dtype)
    else:
        y = rng.integers(p, size=(steps, *targets))
    cost = Cost(
        cell,
        read_only(rng.normal(size=(steps, *inputs, m)).astype(dtype)),
        read_only(y),
        state=read_only(rng.normal(size=(*state, cell.state_size)).astype(dtype)),
        loss=loss,
        at=at,
    )
    return cost, draw_params(cell, rng, outputs=p, leads=leads, dtype=dtype)


def scalar_network(w, N, activation="tanh", target=1.0):
    """``x' = φ(w x + b)``, ``x_0 = 0``, ``ŷ = x``, a constant target."""
    cell = Elman(0, 1, activation=activation)
    params = {
        "weight_ih": np.zeros((1, 0)),
        "weight_hh": np.array([[w]]),
        "bias": np.zeros(1),
        "weight_ho": np.ones((1, 1)),
        "bias_o": np.zeros(1),
    }
    return Cost(cell, np.zeros((N, 0)), np.full((N, 1), target)), params


def batch_shapes(count):
    """``count`` shapes of up to two axes that broadcast against each other."""
    return hnp.mutually_broadcastable_shapes(
        num_shapes=count, min_dims=0, max_dims=2, max_side=3
    ).map(lambda drawn: drawn.input_shapes)


kinds = st.sampled_from(list(CELLS))
