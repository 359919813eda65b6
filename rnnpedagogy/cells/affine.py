"""Cells that see input and state through ``W_ih u + b`` and ``W_hh h``, with fast code.

Each says the same thing three times:

- ``step``: the equation, for reading and for automatic differentiation;
- ``_forward``: the same equation over a whole sequence, fast;
- ``_backward``: the hand-derived adjoint of ``_forward``.

Tests hold the three equal to rounding. The fast pair works on columns (see `_columns`):
``drive[t]`` holds ``W_ih u_t + bias``, ``states[t]`` the state before step ``t``.
"""

import numpy as np

from rnnpedagogy._columns import affine_all, multiply, multiply_all, with_ones
from rnnpedagogy._validation import choice
from rnnpedagogy.cells.activations import ACTIVATIONS
from rnnpedagogy.cells.cell import Cell, linear


class AffineCell(Cell):
    """The frame of the fast code: what is done for all steps at once, around the loops over time.

    A subclass has beside its `step` two methods.

    ``_forward(weights, drive, states)``
        Runs over ``drive``, fills ``states[1:]`` and returns what the adjoint needs to remember.
    ``_backward(weights, tape, states, d_hidden, d_state)``
        Its adjoint, with the arguments of `backward`; returns the adjoints of ``W_ih u + bias`` and
        of ``W_hh h`` for all steps, and the adjoint of the first state.

    `jacobian` is right without further code on two conditions: units act on each other through
    ``W_hh`` alone, and ``_backward`` takes ``W_hh h`` from the tape, since it is called with the
    matrix zero. A subclass for which one fails needs a `jacobian` of its own.
    """

    # σ(z) = ½ + ½ tanh(z/2): with its rows of z halved, a sigmoid gate shares one call of tanh with
    # the others.
    gate_slopes = (1.0,)

    def lay_out(self, weights, layout):
        return {name: layout.weight(array) for name, array in weights.items()}

    def forward(self, weights, layout, inputs, states):
        drive = affine_all(weights["weight_ih"], weights["bias"], inputs)
        return self._forward(weights, drive, states)

    def backward(self, weights, layout, inputs, states, tape, d_hidden, d_state,
                 *, of_weights=True, of_inputs=False):  # fmt: skip
        d_drive, d_recurrent, d_state = self._backward(weights, tape, states, d_hidden, d_state)
        gradient = d_inputs = None
        if of_weights:
            gradient = self._affine_gradients(
                layout, d_drive, d_recurrent, inputs, states[:-1, : self.hidden_size]
            ) | self._extra_gradients(d_recurrent, states, layout)
        if of_inputs:
            d_inputs = multiply_all(weights["weight_ih"].swapaxes(0, 1), d_drive)
        return gradient, d_inputs, d_state

    def jacobian(self, weights, layout, states, tape):
        """``∂x'/∂x`` of a single step, shape ``(*batch, n, n)``.

        Gates act on each unit alone. So one pull-back of ones stands for those of the unit vectors
        of a whole block: entry ``j`` of its ``δ`` is all that unit ``j`` sends through ``W_hh``.
        """
        H, W = self.hidden_size, weights["weight_hh"]
        by_gate = W.reshape(-1, H, *W.shape[1:])
        without = weights | {"weight_hh": np.zeros_like(W)}  # leaves what does not go through W_hh
        nothing = np.zeros_like(states[1:, :H])
        A = np.zeros((*states.shape[2:], *2 * (self.state_size,)), states.dtype)
        unit = np.arange(H)
        for rows in range(0, self.state_size, H):
            ones = np.zeros_like(states[0])
            ones[rows : rows + H] = 1
            _, delta, direct = self._backward(without, tape, states, nothing, ones)
            delta = delta[0].reshape(-1, H, *delta.shape[2:])
            A[..., rows : rows + H, :H] = np.einsum("gh...,ghk...->...hk", delta, by_gate)
            for columns in range(0, self.state_size, H):
                own = np.moveaxis(direct[columns : columns + H], 0, -1)
                A[..., rows + unit, columns + unit] += own
        return A.reshape(*layout.batch, *A.shape[-2:])

    def _affine_gradients(self, layout, d_drive, d_recurrent, inputs, hidden):
        """``Σ δ hᵀ``, ``Σ δ uᵀ`` and ``Σ δ``: one product where both parts have the same δ."""
        H, ones = self.hidden_size, with_ones(inputs)
        if d_drive is d_recurrent:
            both = layout.outer_sum(d_drive, np.concatenate([hidden, ones], axis=1))
            recurrent, rest = both[..., :H], both[..., H:]
        else:
            recurrent = layout.outer_sum(d_recurrent, hidden)
            rest = layout.outer_sum(d_drive, ones)
        return {"weight_ih": rest[..., :-1], "weight_hh": recurrent, "bias": rest[..., -1]}

    def _extra_gradients(self, d_recurrent, states, layout):
        """Gradients of the weights that only this cell has, from the adjoint of ``W_hh h``.

        ``states`` are those before, between and after the steps, as in `_backward`.
        """
        return {}

    def _gate_rows(self, values, like):
        """One number per gate as a column of ``G·H`` rows that broadcasts against ``like``."""
        column = np.repeat(np.asarray(values, dtype=like.real.dtype), self.hidden_size)
        return column.reshape(-1, *(1,) * (like.ndim - 1))

    def _halve_for_tanh(self, weight_hh, drive):
        """The recurrent weight and the drive with the rows of the sigmoid gates halved."""
        weight_hh = self._gate_rows(self.gate_slopes, weight_hh) * weight_hh
        drive *= self._gate_rows(self.gate_slopes, drive[0])
        return weight_hh, drive


class Elman(AffineCell):
    r"""Elman's network, state :math:`x = h`.

    .. math:: h_t = \varphi(W_{ih} u_t + W_{hh} h_{t-1} + b)

    Parameters
    ----------
    input_size, hidden_size : int
        ``m ≥ 0`` and ``H ≥ 1``.
    activation : {"tanh", "sigmoid", "softsign", "relu", "identity"}
        The function φ; softsign is ``z / (1 + |z|)``.

    References
    ----------
    Elman, J. L., Finding structure in time, Cognitive Science 14 (1990).
    """

    activations = tuple(ACTIVATIONS)

    def __init__(self, input_size, hidden_size, *, activation="tanh"):
        super().__init__(input_size, hidden_size)
        self.activation = choice("activation", activation, self.activations)

    def __repr__(self):
        sizes = f"{self.input_size}, {self.hidden_size}"
        return f"{type(self).__name__}({sizes}, activation={self.activation!r})"

    def step(self, params, state, inputs):
        z = (
            linear(params["weight_ih"], inputs)
            + linear(params["weight_hh"], state)
            + params["bias"]
        )
        return ACTIVATIONS[self.activation].value(z)

    def _forward(self, weights, drive, states):
        for z, h, h_next in zip(drive, states[:-1], states[1:], strict=True):
            np.add(z, multiply(weights["weight_hh"], h), out=h_next)
            self._activate(weights, h_next)

    def _activate(self, weights, z):
        """``φ(z)`` in the place of ``z``."""
        ACTIVATIONS[self.activation].into(z, z)

    def _backward(self, weights, tape, states, d_hidden, d_state):
        transposed = weights["weight_hh"].swapaxes(0, 1)
        d_z = self._slopes(states[1:])  # the loop turns the slopes into the adjoint of z
        for d_h, d_z_t in zip(d_hidden[::-1], d_z[::-1], strict=True):
            d_z_t *= d_state + d_h
            d_state = multiply(transposed, d_z_t)
        return d_z, d_z, d_state

    def _slopes(self, h):
        """``φ'(z)`` for all steps at once, from ``h = φ(z)``."""
        return ACTIVATIONS[self.activation].slope(h)
