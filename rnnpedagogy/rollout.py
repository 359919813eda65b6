"""Running a cell over time, over batches of inputs, of initial states and of parameters."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rnnpedagogy._columns import Layout, affine_all
from rnnpedagogy._validation import broadcast_shapes, real_array


def rollout(cell, params, state, inputs):
    """Run ``x_t = f(x_{t-1}, u_t; θ)`` from ``x_0`` over a sequence of inputs.

    All leading axes broadcast: a batch of initial states, of input sequences and of parameter sets
    is one vectorised run.

    Parameters
    ----------
    cell : Cell
        The map ``f``.
    params : dict of array
        ``θ``; leading axes, if any, tell parameter sets apart and broadcast against the batch.
    state : array, shape (…, n)
        ``x_0``.
    inputs : array, shape (N, …, m)
        ``u_1, …, u_N``.

    Returns
    -------
    array, shape (N, …, n)
        ``x_1, …, x_N``.

    Raises
    ------
    ValueError, TypeError
        If a shape does not fit the cell, a sequence is empty, or a value is not a finite real
        float.
    """
    run = prepare(cell, params, state, inputs)
    states = np.empty((len(run.inputs), *run.state.shape), run.state.dtype)
    for segment, part, _ in run.segments():
        states[segment] = part[1:]
    return run.layout.rows(states)


def outputs(cell, params, states):
    """The linear readout ``ŷ_t = W_ho h_t + b_o``.

    Parameters
    ----------
    cell : Cell
        Says which part of the state is ``h``.
    params : dict of array
        Holds ``weight_ho``, shape ``(…, p, H)``, and ``bias_o``, shape ``(…, p)``.
    states : array, shape (N, …, n)
        A trajectory as `rollout` returns it.

    Returns
    -------
    array, shape (N, …, p)

    Raises
    ------
    ValueError, TypeError
        If the readout is missing, or a shape does not fit the cell.
    """
    params, lead = cell.check_params(params)
    if "weight_ho" not in params:
        raise ValueError("params must include a linear readout, weight_ho and bias_o")
    states = real_array("states", states, shape=("time", ..., cell.state_size))
    broadcast_shapes("the leading axes of parameters and states", lead, states.shape[1:-1])
    hidden = cell.hidden(states)
    return np.einsum("...ph,...h->...p", params["weight_ho"], hidden) + params["bias_o"]


CACHE = 2**21  # bytes of gates in a segment of a run …
SHORTEST = 8  # … and its steps, at least


@dataclass(frozen=True)
class Run:
    """A cell, its weights and its data in the inner layout, ready for fast passes."""

    cell: object
    layout: Layout
    weights: dict
    state: np.ndarray  # (n, columns)
    inputs: np.ndarray  # (N, …, m), outer layout: converted segment by segment
    pull_back: Callable  # gradients in the weights to gradients in the parameters

    def input_columns(self, inputs):
        """A segment of inputs in the inner layout."""
        return self.layout.columns(inputs, self.state.dtype)

    def forward(self, state, inputs):
        """States ``x_0 … x_N``, shape ``(N + 1, n, columns)``, and what the adjoint needs."""
        weight_ih, bias = self.weights["weight_ih"], self.weights["bias"]
        drive = affine_all(weight_ih, bias, self.input_columns(inputs))
        states = np.empty((len(drive) + 1, *state.shape), state.dtype)
        states[0] = state
        return states, self.cell._forward(self.weights, drive, states)

    def segments(self, length=None):
        """Run through all inputs in segments, each a slice of the steps with its `forward`.

        Unless ``length`` says otherwise, a segment has as many steps as the processor's cache
        holds: what is done for all of its steps at once then need not wait for the memory.
        """
        if length is None:
            step = self.cell.gates * self.state[: self.cell.hidden_size].nbytes
            length = max(SHORTEST, CACHE // step)
        state = self.state
        for k in range(0, len(self.inputs), length):
            segment = slice(k, min(k + length, len(self.inputs)))
            states, tape = self.forward(state, self.inputs[segment])
            yield segment, states, tape
            state = states[-1]


def prepare(cell, params, state, inputs):
    """Check the arguments of `rollout` and bring them into the inner layout."""
    params, lead = cell.check_params(params)
    state = real_array("state", state, shape=(..., cell.state_size))
    inputs = real_array("inputs", inputs, shape=("time", ..., cell.input_size))
    return arrange(cell, params, lead, state, inputs)


def arrange(cell, params, lead, state, inputs, *, extra_batch=()):
    """`prepare` without the checks, for parameters that are known to be good, or complex."""
    names = "parameters, state and inputs" + (" and targets" if extra_batch else "")
    shapes = [lead, state.shape[:-1], inputs.shape[1:-1], extra_batch]
    batch = broadcast_shapes(f"the leading axes of {names}", *shapes[: None if extra_batch else 3])
    layout = Layout(lead, batch)
    dtype = np.result_type(state, inputs, *params.values())
    weights, pull_back = cell.weights(params)
    weights = {
        name: layout.weight(array.astype(dtype, copy=False), core_axes(name))
        for name, array in weights.items()
    }
    state = layout.columns(state[np.newaxis], dtype)[0]
    return Run(cell, layout, weights, state, inputs, pull_back)


def core_axes(name):
    """How many axes a weight has without leading ones: two for a matrix, one for a bias."""
    return 2 if name.startswith("weight") else 1
