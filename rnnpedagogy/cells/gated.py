"""Cells with gates: the LSTM and the GRU, their equations, fast code and adjoints."""

import autograd.numpy as anp
import numpy as np

from rnnpedagogy._columns import multiply
from rnnpedagogy.cells.activations import sigmoid, tanh, tanh_into
from rnnpedagogy.cells.affine import AffineCell
from rnnpedagogy.cells.cell import linear


class LSTM(AffineCell):
    r"""Long short-term memory, state :math:`x = [h, c]`.

    .. math::

        i, f, o &= \sigma(W_{i,f,o}\,[u_t, h_{t-1}] + b_{i,f,o}), \qquad
        g = \tanh(W_g\,[u_t, h_{t-1}] + b_g), \\
        c_t &= f \odot c_{t-1} + i \odot g, \qquad h_t = o \odot \tanh(c_t).

    The rows of ``weight_ih``, ``weight_hh`` and ``bias`` hold the gates in the order
    ``i, f, g, o``.

    References
    ----------
    S. Hochreiter, J. Schmidhuber, Long short-term memory, Neural Computation 9 (1997); the forget
    gate is due to F. Gers, J. Schmidhuber, F. Cummins, Learning to forget, Neural Computation 12
    (2000).
    """

    gates = 4
    blocks = 2
    gate_slopes = (0.5, 0.5, 1.0, 0.5)

    def step(self, params, state, inputs):
        h, c = anp.split(state, 2, axis=-1)
        z = linear(params["weight_ih"], inputs) + linear(params["weight_hh"], h)
        z = z + params["bias"]
        z_i, z_f, z_g, z_o = anp.split(z, 4, axis=-1)
        c = sigmoid(z_f) * c + sigmoid(z_i) * tanh(z_g)
        h = sigmoid(z_o) * tanh(c)
        return anp.concatenate([h, c], axis=-1)

    def _forward(self, weights, drive, states):
        H = self.hidden_size
        weight_hh, gates = self._halve_for_tanh(weights["weight_hh"], drive)
        slope = np.broadcast_to(self._gate_rows(self.gate_slopes, gates[0]), gates[0].shape).copy()
        offset = 1 - slope
        offset[2 * H : 3 * H] = 0
        h, c = states[:, :H], states[:, H:]
        tanh_c, product = np.empty_like(c[1:]), np.empty_like(gates[0])
        steps = gates, *np.split(gates, 4, axis=1), h[:-1], c[:-1], h[1:], c[1:], tanh_c
        for a, i, f, g, o, h_t, c_t, h_next, c_next, tanh_c_next in zip(*steps, strict=True):
            a += multiply(weight_hh, h_t, out=product)
            tanh_into(a, out=a)
            a *= slope
            a += offset
            np.multiply(f, c_t, out=c_next)
            c_next += i * g
            tanh_into(c_next, out=tanh_c_next)
            np.multiply(o, tanh_c_next, out=h_next)
        return gates, tanh_c

    def _backward(self, weights, tape, states, d_hidden, d_state):
        H = self.hidden_size
        transposed = weights["weight_hh"].swapaxes(0, 1)
        gates, tanh_c = tape
        i, f, g, o = np.split(gates, 4, axis=1)
        # What does not depend on the recursion, for all steps at once: dc/dz for the first
        # three gates, dh/dz for the last one, and dh/dc.
        d_z = np.empty_like(gates)
        d_z[:, :H] = g * i * (1 - i)
        d_z[:, H : 2 * H] = states[:-1, H:] * f * (1 - f)
        d_z[:, 2 * H : 3 * H] = i * (1 - g * g)
        d_z[:, 3 * H :] = tanh_c * o * (1 - o)
        dh_dc = o * (1 - tanh_c * tanh_c)
        by_gate = d_z.reshape(len(d_z), 4, H, *d_z.shape[2:])
        d_h, d_c = d_state[:H], d_state[H:]
        steps = d_z, by_gate[:, :3], by_gate[:, 3], d_hidden, dh_dc, f
        for d_z_t, d_ifg, d_o, d_hidden_t, dh_dc_t, f_t in zip(
            *(all_t[::-1] for all_t in steps), strict=True
        ):
            d_h = d_h + d_hidden_t
            d_c = d_c + d_h * dh_dc_t
            d_ifg *= d_c
            d_o *= d_h
            d_h = multiply(transposed, d_z_t)
            d_c *= f_t
        return d_z, d_z, np.concatenate([d_h, d_c])


class GRU(AffineCell):
    r"""Gated recurrent unit, state :math:`x = h`, with the reset gate after the recurrent product.

    .. math::

        r, z &= \sigma(W_{ih}^{r,z} u_t + W_{hh}^{r,z} h_{t-1} + b_{r,z}), \\
        n &= \tanh\bigl(W_{ih}^n u_t + b_n + r \odot (W_{hh}^n h_{t-1} + b_{hn})\bigr), \\
        h_t &= (1 - z) \odot n + z \odot h_{t-1}.

    The rows of ``weight_ih``, ``weight_hh`` and ``bias`` hold the gates in the order ``r, z, n``;
    ``bias_n`` is :math:`b_{hn}`, the bias inside the reset product.

    References
    ----------
    K. Cho et al., Learning phrase representations using RNN encoder–decoder, EMNLP 2014; the reset
    gate after the product as in the large libraries.
    """

    gates = 3
    gate_slopes = (0.5, 0.5, 1.0)

    def param_shapes(self, output_size=None):
        return super().param_shapes(output_size) | {"bias_n": (self.hidden_size,)}

    def step(self, params, state, inputs):
        from_inputs = linear(params["weight_ih"], inputs) + params["bias"]
        from_state = linear(params["weight_hh"], state)
        u_r, u_z, u_n = anp.split(from_inputs, 3, axis=-1)
        h_r, h_z, h_n = anp.split(from_state, 3, axis=-1)
        r, z = sigmoid(u_r + h_r), sigmoid(u_z + h_z)
        n = tanh(u_n + r * (h_n + params["bias_n"]))
        return (1 - z) * n + z * state

    def _extra_gradients(self, d_recurrent, states, layout):
        return {"bias_n": layout.bias_sum(d_recurrent[:, 2 * self.hidden_size :])}

    def _forward(self, weights, drive, states):
        H = self.hidden_size
        weight_hh, gates = self._halve_for_tanh(weights["weight_hh"], drive)
        reset_products = np.empty_like(gates[:, :H])  # q = W_hn h + b_hn
        for a, q, h, h_next in zip(gates, reset_products, states[:-1], states[1:], strict=True):
            product = multiply(weight_hh, h)
            r_z, n = a[: 2 * H], a[2 * H :]
            r_z += product[: 2 * H]
            tanh_into(r_z, out=r_z)
            r_z *= 0.5
            r_z += 0.5
            np.add(product[2 * H :], weights["bias_n"], out=q)
            n += r_z[:H] * q
            tanh_into(n, out=n)
            np.subtract(h, n, out=h_next)
            h_next *= r_z[H:]
            h_next += n
        return gates, reset_products

    def _backward(self, weights, tape, states, d_hidden, d_state):
        H = self.hidden_size
        transposed = weights["weight_hh"].swapaxes(0, 1)
        gates, q = tape
        r, z, n = np.split(gates, 3, axis=1)
        # dh'/d(pre-activation) for all steps at once, four blocks: r, z, what enters n through
        # the product and what enters it directly. The loop multiplies with the adjoint of h'.
        d_all = np.empty((len(gates), 4 * H, *gates.shape[2:]), gates.dtype)
        d_all[:, 3 * H :] = (1 - z) * (1 - n * n)
        d_all[:, 2 * H : 3 * H] = d_all[:, 3 * H :] * r
        d_all[:, H : 2 * H] = (states[:-1] - n) * z * (1 - z)
        d_all[:, :H] = d_all[:, 3 * H :] * q * r * (1 - r)
        for t in reversed(range(len(gates))):
            d_state = d_state + d_hidden[t]
            by_gate = d_all[t].reshape(4, H, *d_state.shape[1:])
            by_gate *= d_state
            d_state = multiply(transposed, d_all[t, : 3 * H]) + d_state * z[t]
        d_inputs = np.concatenate([d_all[:, : 2 * H], d_all[:, 3 * H :]], axis=1)
        return d_inputs, d_all[:, : 3 * H], d_state
