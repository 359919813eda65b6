"""Running a cell over time, over batches of inputs, of initial states and of parameters."""

from dataclasses import dataclass

import numpy as np

from rnnpedagogy._columns import Layout, multiply_all
from rnnpedagogy._validation import broadcast_shapes, real_array, takes
from rnnpedagogy.cells import Cell, readout


@takes
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
        ``x_1, …, x_N``. Where an orbit leaves the finite numbers it goes on as infinity or NaN, and
        with it costs and gradients, under NumPy's warning.
    """
    run = lay_out(cell, *checked(cell, params, state, inputs))
    states = np.empty((len(run.inputs), *run.state.shape), run.state.dtype)
    for segment, part, _ in run.segments():
        states[segment] = part[1:]
    return run.layout.rows(states)


@takes
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
    """
    params, lead = cell.check_params(params)
    if "weight_ho" not in params:
        raise ValueError("params must include a linear readout, weight_ho and bias_o")
    states = real_array("states", states, shape=("time", ..., cell.state_size))
    broadcast_shapes("the leading axes of parameters and states", lead, states.shape[1:-1])
    return readout(params, cell.hidden(states))


CACHE = 2**21  # bytes of gates in a segment of a run …
SHORTEST = 8  # … and its steps, at least
MANY = 32  # outputs


@dataclass(frozen=True)
class Run:
    """A cell, its weights and its data in the inner layout, ready for passes over time."""

    cell: Cell
    layout: Layout
    weights: object  # as the cell lays them out
    output_weights: dict  # weight_ho and bias_o in the inner layout, if there are any
    state: np.ndarray  # (n, columns)
    inputs: np.ndarray  # (N, …, m), outer layout: converted segment by segment

    def forward(self, state, inputs):
        """States ``x_0 … x_N``, shape ``(N + 1, n, columns)``, and what `backward` needs."""
        inputs = self.layout.columns(inputs, self.state.dtype)
        states = np.empty((len(inputs) + 1, *state.shape), state.dtype)
        states[0] = state
        return states, self.cell.forward(self.weights, self.layout, inputs, states)

    def backward(self, inputs, states, tape, d_hidden, d_state, **wanted):
        """The adjoint of `forward`, see `Cell.backward`."""
        inputs = self.layout.columns(inputs, self.state.dtype)
        return self.cell.backward(
            self.weights, self.layout, inputs, states, tape, d_hidden, d_state, **wanted
        )

    def outputs(self, states):
        """``W_ho h + b_o`` after each step, ``(N, …, p)``.

        One product over all steps, of states turned into rows, where so many outputs pay for that.
        """
        hidden, (W, b) = states[1:, self.cell.hidden_part], self.output_weights.values()
        if not self.layout.shared or len(W) < MANY:
            return self.layout.rows(multiply_all(W, hidden) + b)
        flat = self._flat(hidden) @ W.T
        flat += b.T
        return flat.reshape(len(hidden), *self.layout.batch, -1)

    def pull_back_outputs(self, states, d_outputs):
        """The adjoint of `outputs`: derivatives in ``h``, as columns, and in the readout."""
        hidden, (W, _) = states[1:, self.cell.hidden_part], self.output_weights.values()
        layout, dtype = self.layout, states.dtype
        if not layout.shared or len(W) < MANY:
            d_outputs = layout.columns(d_outputs, dtype)
            d_hidden = multiply_all(W.swapaxes(0, 1), d_outputs)
            d_weight, d_bias = layout.outer_sum(d_outputs, hidden), layout.bias_sum(d_outputs)
        else:
            flat = d_outputs.reshape(-1, len(W))
            d_hidden = layout.columns((flat @ W).reshape(*d_outputs.shape[:-1], -1), dtype)
            d_weight = (flat.T @ self._flat(hidden)).reshape(*layout.lead, *W.shape)
            d_bias = flat.sum(axis=0).reshape(*layout.lead, -1)
        return d_hidden, {"weight_ho": d_weight, "bias_o": d_bias}

    def _flat(self, columns):
        """Columns ``(N, F, B)`` as one matrix with a row for each step of each sequence."""
        return np.ascontiguousarray(columns.swapaxes(1, 2)).reshape(-1, columns.shape[1])

    def segments(self, length=None):
        """Run through all inputs in segments, each a slice of the steps with its `forward`.

        Unless ``length`` says otherwise, a segment has as many steps as the processor's cache
        holds: what is done for all of its steps at once then need not wait for the memory.
        """
        if length is None:
            step = self.cell.gates * self.state[: self.cell.hidden_size].nbytes
            length = max(SHORTEST, CACHE // max(step, 1))
        state = self.state
        for k in range(0, len(self.inputs), length):
            segment = slice(k, min(k + length, len(self.inputs)))
            states, tape = self.forward(state, self.inputs[segment])
            yield segment, states, tape
            state = states[-1]


def checked(cell, params, state, inputs):
    """Check the arguments of `rollout`: the weights, their leading axes, state and inputs."""
    params, lead = cell.check_params(params)
    state = real_array("state", state, shape=(..., cell.state_size))
    inputs = real_array("inputs", inputs, shape=("time", ..., cell.input_size))
    weights, _ = weights_of(cell, params)
    return weights, lead, state, inputs


def weights_of(cell, params):
    """`Cell.reparametrise` for parameters among which there may be a readout."""
    return cell.reparametrise({name: params[name] for name in cell.param_shapes()})


def lay_out(cell, weights, lead, state, inputs, *, output_weights=(), batch=None):
    """The `Run` of a cell with weights that are known to be good, or complex.

    ``weights`` are those of `weights_of`, with all leading axes ``lead``; ``batch`` holds further
    axes of sequences, those of the targets or of unit vectors.
    """
    names = "parameters, state and inputs" + ("" if batch is None else " and targets")
    batch = broadcast_shapes(
        f"the leading axes of {names}", lead, state.shape[:-1], inputs.shape[1:-1], batch or ()
    )
    layout, output_weights = Layout(lead, batch), dict(output_weights)
    dtype = np.result_type(state, inputs, *weights.values(), *output_weights.values())
    weights = {name: w.astype(dtype, copy=False) for name, w in weights.items()}
    output_weights = {name: w.astype(dtype, copy=False) for name, w in output_weights.items()}
    return Run(
        cell=cell,
        layout=layout,
        weights=cell.lay_out(weights, layout),
        output_weights={name: layout.weight(w) for name, w in output_weights.items()},
        state=layout.columns(state[np.newaxis], dtype)[0],
        inputs=inputs,
    )
