"""Derivatives of the state: the Jacobians along a trajectory, and their products."""

from dataclasses import dataclass

import numpy as np

from rnnpedagogy._columns import align
from rnnpedagogy._validation import real_array, takes
from rnnpedagogy.rollout import checked, lay_out


def step_derivatives(cell, weights, lead, state, inputs, *, of_weights=True):
    """One step, pulled back from each unit vector of the new state: the last axis of the batch.

    ``state`` and ``inputs`` have no time axis; ``lead``, the leading axes of the weights, ends
    with the axis of the unit vectors. Returns the state after the step, the Jacobian and, if
    wanted, the gradients in the weights.
    """
    n = cell.state_size
    state, inputs = state[..., np.newaxis, :], inputs[np.newaxis, ..., np.newaxis, :]
    run = lay_out(cell, weights, lead, state, inputs, batch=(n,))
    states, tape = run.forward(run.state, run.inputs)
    units = run.layout.columns(np.eye(n)[np.newaxis], states.dtype)[0]
    nothing = np.zeros_like(states[1:, cell.hidden_part])
    gradient, _, d_state = run.backward(
        run.inputs, states, tape, nothing, units, of_weights=of_weights
    )
    rows = run.layout.rows
    return rows(states[1:])[0, ..., 0, :], rows(d_state[np.newaxis])[0], gradient


@takes
def state_jacobians(cell, params, state, inputs):
    r"""The matrices :math:`A_t = \partial x_t/\partial x_{t-1}` along a trajectory.

    Parameters
    ----------
    cell, params, state, inputs
        As for `rollout`.

    Returns
    -------
    states : array, shape (N, …, n)
        ``x_1, …, x_N``.
    jacobians : array, shape (N, …, n, n)
        ``A_1, …, A_N``; row ``i`` of ``A_t`` holds the derivatives of entry ``i`` of ``x_t``.
    """
    weights, lead, state, inputs = checked(cell, params, state, inputs)
    run = lay_out(cell, weights, lead, state, inputs)
    columns, _ = run.forward(run.state, run.inputs)
    states = run.layout.rows(columns)
    steps, *batch, n = states[1:].shape
    # One step from every state of the trajectory: time becomes the first axis of the batch.
    inputs = np.broadcast_to(align(inputs, states.ndim), (steps, *batch, cell.input_size))
    jacobians = np.empty((steps, *batch, n, n), states.dtype)
    chunk = max(1, 2**18 // (n * cell.gates * states[0].size))  # fits the cache
    for k in range(0, steps, chunk):
        some = slice(k, min(k + chunk, steps))
        jacobians[some] = _jacobian(cell, weights, lead, states[some], inputs[some])
    return states[1:], jacobians


def _jacobian(cell, weights, lead, state, inputs):
    """``∂x'/∂x`` of one step from many states, by fast code or from all unit vectors."""
    run = lay_out(cell, weights, lead, state, inputs[np.newaxis])
    states, tape = run.forward(run.state, run.inputs)
    found = cell.jacobian(run.weights, run.layout, states, tape)
    if found is None:
        sets = {name: np.expand_dims(array, len(lead)) for name, array in weights.items()}
        _, found, _ = step_derivatives(cell, sets, (*lead, 1), state, inputs, of_weights=False)
    return found


@dataclass(frozen=True)
class JacobianProducts:
    """Products of many Jacobians, scaled so that they neither overflow nor underflow.

    Attributes
    ----------
    log_scale : array, shape (N, …)
        Logarithm of the Frobenius norm of each product; −∞ for a product that is zero.
    direction : array, shape (N, …, n, n)
        The product divided by its Frobenius norm.
    """

    log_scale: np.ndarray
    direction: np.ndarray

    @property
    def log_norm(self):
        """Logarithm of the spectral norm of each product, shape ``(N, …)``."""
        with np.errstate(divide="ignore"):
            return self.log_scale + np.log(np.linalg.norm(self.direction, 2, axis=(-2, -1)))


def jacobian_products(jacobians, *, to_end=False):
    r"""The products :math:`\partial x_t/\partial x_0 = A_t \cdots A_1` for all ``t``.

    Parameters
    ----------
    jacobians : array, shape (N, …, n, n)
        ``A_1, …, A_N`` as `state_jacobians` returns them.
    to_end : bool
        Return :math:`\partial x_N/\partial x_{t-1} = A_N \cdots A_t` instead: what backpropagation
        multiplies with.

    Returns
    -------
    JacobianProducts
    """
    jacobians = real_array("jacobians", jacobians, shape=("time", ..., "n", "n"))
    if jacobians.shape[-1] != jacobians.shape[-2]:
        raise ValueError(f"got jacobians of shape {jacobians.shape}, expected (time, …, n, n)")
    log_scale = np.empty(jacobians.shape[:-2], jacobians.dtype)
    direction = np.empty_like(jacobians)
    product, total = np.eye(jacobians.shape[-1], dtype=jacobians.dtype), 0.0
    order = range(len(jacobians))
    for t in reversed(order) if to_end else order:
        product = product @ jacobians[t] if to_end else jacobians[t] @ product
        for norm in (1, "fro"):  # sums of entries first: their squares may over- or underflow
            size = np.linalg.norm(product, norm, axis=(-2, -1))
            product = product / np.where(size > 0, size, 1)[..., np.newaxis, np.newaxis]
            with np.errstate(divide="ignore"):
                total = total + np.log(size)
        log_scale[t], direction[t] = total, product
    return JacobianProducts(log_scale, direction)
