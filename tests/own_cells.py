"""Cells that a user might write: nothing but equations."""

import autograd.numpy as anp

from rnnpedagogy.cells import LSTM, Cell, linear, sigmoid, tanh


class MinimalGatedUnit(Cell):
    """One gate: ``f = σ(…)``, ``h' = (1 − f) h + f tanh(W u + V (f h) + b)`` (Zhou et al. 2016)."""

    gates = 2

    def step(self, params, state, inputs):
        u_f, u_n = anp.split(linear(params["weight_ih"], inputs) + params["bias"], 2, axis=-1)
        V_f, V_n = anp.split(params["weight_hh"], 2, axis=-2)
        f = sigmoid(u_f + linear(V_f, state))
        return (1 - f) * state + f * tanh(u_n + linear(V_n, f * state))


class PeepholeLSTM(Cell):
    """An LSTM whose gates see the cell state (Gers et al. 2002); the state is ``[c, h]``."""

    gates = 4
    blocks = 2

    def param_shapes(self, output_size=None):
        return super().param_shapes(output_size) | {"peephole": (3, self.hidden_size)}

    def hidden(self, state):
        return state[..., self.hidden_size :]

    def step(self, params, state, inputs):
        c, h = anp.split(state, 2, axis=-1)
        z = linear(params["weight_ih"], inputs) + linear(params["weight_hh"], h) + params["bias"]
        z_i, z_f, z_g, z_o = anp.split(z, 4, axis=-1)
        see_i, see_f, see_o = (params["peephole"][..., k, :] for k in range(3))
        c_new = sigmoid(z_f + see_f * c) * c + sigmoid(z_i + see_i * c) * tanh(z_g)
        return anp.concatenate([c_new, sigmoid(z_o + see_o * c_new) * tanh(c_new)], axis=-1)


class SecondOrderRNN(Cell):
    """Inputs choose the matrix: ``h' = tanh(Σ_jk T_ijk u_j h_k + W u + b)`` (Giles et al. 1992)."""

    def param_shapes(self, output_size=None):
        shapes = super().param_shapes(output_size)
        del shapes["weight_hh"]
        return {"tensor": (self.hidden_size, self.input_size, self.hidden_size)} | shapes

    def step(self, params, state, inputs):
        chosen = anp.einsum("...ijk,...j,...k->...i", params["tensor"], inputs, state)
        return anp.tanh(chosen + linear(params["weight_ih"], inputs) + params["bias"])


class Folded(Cell):
    """A step that is not analytic: ``h' = tanh(W u + V |h| + b)``."""

    def step(self, params, state, inputs):
        z = linear(params["weight_ih"], inputs) + linear(params["weight_hh"], anp.abs(state))
        return tanh(z + params["bias"])


class Leaky(LSTM):
    """A cell of the book with a step of its own: it must not run on the fast code of another."""

    def step(self, params, state, inputs):
        return 0.5 * state + 0.5 * super().step(params, state, inputs)


OWN_CELLS = {
    "minimal gated unit": MinimalGatedUnit,
    "peepholes": PeepholeLSTM,
    "second order": SecondOrderRNN,
    "folded": Folded,
    "leaky": Leaky,
}
