"""Recurrent cells: one step ``x_t = f(x_{t-1}, u_t; θ)`` of a state-space model, and its adjoint.

Each cell says the same thing three times:

- ``step``: the equation, for reading and for automatic differentiation;
- ``_forward``: the same equation over a whole sequence, fast;
- ``_backward``: the hand-derived adjoint of ``_forward``.

Tests hold the three equal to rounding. The fast pair works on columns (see `_columns`):
``drive[t]`` holds
``W_ih u_t + bias``, ``states[t]`` the state before step ``t``.
"""

import math
from collections.abc import Mapping

import autograd.numpy as anp
import numpy as np

from rnnpedagogy._columns import multiply, tanh
from rnnpedagogy._validation import (
    broadcast_shapes,
    choice,
    float_type,
    positive_integer,
    real_array,
)


def sigmoid(z):
    """The logistic function ``σ(z) = 1 / (1 + e^{-z}) = ½ + ½ tanh(z/2)``, without overflow."""
    return 0.5 + 0.5 * anp.tanh(0.5 * z)


def linear(weight, x):
    """``W x`` with features last; leading axes of both broadcast."""
    return anp.einsum("...gh,...h->...g", weight, x)


def absolute(z):
    """``|z|`` on the real line, and its analytic continuation ``z sign(Re z)`` beside it.

    The complex step needs the continuation; the modulus of a complex number has no derivative.
    """
    return z * anp.sign(anp.real(z))


class Cell:
    """What all cells have in common: sizes, parameters, the place of ``h`` in the state.

    Parameters
    ----------
    input_size : int
        Number of inputs ``m``; 0 for an autonomous system.
    hidden_size : int
        Number of units ``H``.
    """

    gates = 1  # blocks of H rows in weight_ih, weight_hh and bias
    blocks = 1  # blocks of H entries in the state
    # σ(z) = ½ + ½ tanh(z/2): with its rows of z halved, a sigmoid gate shares one call of tanh with
    # the others.
    gate_slopes = (1.0,)

    def __init_subclass__(cls):
        """A cell with a step of its own must not inherit the fast code of another step."""
        if "step" in vars(cls) and "_forward" not in vars(cls):
            cls._forward, cls._backward = Cell._forward, Cell._backward

    def __init__(self, input_size, hidden_size):
        self.input_size = positive_integer("input_size", input_size, minimum=0)
        self.hidden_size = positive_integer("hidden_size", hidden_size)

    def __repr__(self):
        return f"{type(self).__name__}({self.input_size}, {self.hidden_size})"

    @property
    def state_size(self):
        """Number of entries ``n`` of the state."""
        return self.blocks * self.hidden_size

    def hidden(self, state):
        """The part ``h`` of the state that the readout sees, shape ``(…, H)``."""
        return state[..., : self.hidden_size]

    def param_shapes(self, output_size=None):
        """Names and shapes of the parameters, with a linear readout if ``output_size`` is given."""
        rows, hidden = self.gates * self.hidden_size, self.hidden_size
        shapes = {
            "weight_ih": (rows, self.input_size),
            "weight_hh": (rows, hidden),
            "bias": (rows,),
        }
        if output_size is not None:
            output_size = positive_integer("output_size", output_size)
            shapes |= {"weight_ho": (output_size, hidden), "bias_o": (output_size,)}
        return shapes

    def init_params(self, rng, *, output_size=None, dtype=np.float64):
        """Draw all parameters from the uniform distribution on ``[−1/√H, 1/√H]``.

        Parameters
        ----------
        rng : numpy.random.Generator
            Source of randomness.
        output_size : int, optional
            Number of outputs ``p`` of a linear readout ``ŷ = W_ho h + b_o``; without it, no
            readout.
        dtype : {numpy.float64, numpy.float32}
            Type of the parameters, and with it of all that is computed from them.

        Returns
        -------
        dict of numpy.ndarray
            The parameters ``θ``, with the shapes of `param_shapes`.

        Raises
        ------
        TypeError, ValueError
            If ``rng`` is not a generator or ``dtype`` not one of the two.
        """
        if not isinstance(rng, np.random.Generator):
            raise TypeError(f"rng must be a numpy.random.Generator, got {rng!r}")
        dtype = float_type("dtype", dtype)
        bound = 1 / np.sqrt(self.hidden_size)
        return {
            name: rng.uniform(-bound, bound, size=shape).astype(dtype)
            for name, shape in self.param_shapes(output_size).items()
        }

    def check_params(self, params):
        """Return the parameters as arrays and their common leading axes, or raise.

        Raises
        ------
        ValueError, TypeError
            If a name is missing or unknown, a shape or dtype is wrong, or a value is not finite.
        """
        if not isinstance(params, Mapping):
            raise TypeError(f"params must be a dictionary of arrays, got {params!r}")
        output_size = None
        if "bias_o" in params:
            output_size = real_array("bias_o", params["bias_o"], shape=(..., "p")).shape[-1]
        shapes = self.param_shapes(output_size)
        if params.keys() != shapes.keys():
            raise ValueError(
                f"params must have the keys {sorted(shapes)} for {self!r}, got {sorted(params)}"
            )
        arrays = {
            name: real_array(name, params[name], shape=(..., *shape))
            for name, shape in shapes.items()
        }
        leads = [arrays[name].shape[: arrays[name].ndim - len(shapes[name])] for name in shapes]
        return arrays, broadcast_shapes("the leading axes of the parameters", *leads)

    def zero_state(self, *, dtype=np.float64):
        """The state zero, shape ``(n,)``."""
        return np.zeros(self.state_size, dtype=float_type("dtype", dtype))

    def step(self, params, state, inputs):
        """One step ``x_t = f(x_{t-1}, u_t; θ)``, written to be read; differentiable by autograd.

        Parameters
        ----------
        params : dict of array
            Parameters, leading axes allowed.
        state : array, shape (…, n)
            ``x_{t-1}``.
        inputs : array, shape (…, m)
            ``u_t``.

        Returns
        -------
        array, shape (…, n)
            ``x_t``.
        """
        raise NotImplementedError

    def weights(self, params):
        """The weights with which the fast code runs, and how gradients come back from them.

        Here the parameters themselves. A cell whose parameters describe ``weight_hh`` in another
        way computes it here, once for a whole run. Weights are matrices and biases vectors, and
        are named so; the weights of weights are themselves.

        Returns
        -------
        weights : dict of array
        pull_back : callable
            Maps the derivatives in the weights to those in ``params``; others pass through.
        """
        return params, lambda gradient: gradient

    def extra_gradients(self, d_recurrent, states, layout):
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

    def _forward(self, weights, drive, states):
        """Run over ``drive``, fill ``states[1:]`` and return what the adjoint needs to remember."""
        raise NotImplementedError(f"{type(self).__name__} has no fast code, only a step")

    def _backward(self, weights, tape, states, d_hidden, d_state):
        """Adjoint of `_forward`.

        ``d_hidden[t]`` is the direct derivative of the cost with respect to ``h`` after step ``t``,
        ``d_state`` the adjoint ``λ`` of the last state. Returns the adjoints of ``W_ih u + bias``
        and of ``W_hh h`` for all steps, and the adjoint of the first state.
        """
        raise NotImplementedError(f"{type(self).__name__} has no fast code, only a step")


ACTIVATIONS = {
    "tanh": anp.tanh,
    "softsign": lambda z: z / (1 + absolute(z)),
    "relu": lambda z: anp.where(z > 0, z, 0.0),  # slope 0 at 0, as in the fast code
    "identity": lambda z: z,
}


class Elman(Cell):
    r"""Elman's network, state :math:`x = h`.

    .. math:: h_t = \varphi(W_{ih} u_t + W_{hh} h_{t-1} + b)

    Parameters
    ----------
    input_size, hidden_size : int
        ``m ≥ 0`` and ``H ≥ 1``.
    activation : {"tanh", "softsign", "relu", "identity"}
        The function φ; softsign is ``z / (1 + |z|)``.

    References
    ----------
    J. L. Elman, Finding structure in time, Cognitive Science 14 (1990).
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
        return ACTIVATIONS[self.activation](z)

    def _forward(self, weights, drive, states):
        for z, h, h_next in zip(drive, states[:-1], states[1:], strict=True):
            np.add(z, multiply(weights["weight_hh"], h), out=h_next)
            self._activate(weights, h_next)

    def _activate(self, weights, z):
        """``φ(z)`` in the place of ``z``."""
        if self.activation == "tanh":
            tanh(z, out=z)
        elif self.activation == "softsign":
            z /= 1 + absolute(z)
        elif self.activation == "relu":
            z *= z.real > 0

    def _backward(self, weights, tape, states, d_hidden, d_state):
        transposed = weights["weight_hh"].swapaxes(0, 1)
        d_z = self._slopes(states[1:])  # the loop turns the slopes into the adjoint of z
        for d_h, d_z_t in zip(d_hidden[::-1], d_z[::-1], strict=True):
            d_z_t *= d_state + d_h
            d_state = multiply(transposed, d_z_t)
        return d_z, d_z, d_state

    def _slopes(self, h):
        """``φ'(z)`` for all steps at once, from ``h = φ(z)``."""
        if self.activation == "tanh":
            return 1 - h * h
        if self.activation == "softsign":
            return (1 - absolute(h)) ** 2
        if self.activation == "relu":
            return (h.real > 0).astype(h.dtype)
        return np.ones_like(h)


class LSTM(Cell):
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
        c = sigmoid(z_f) * c + sigmoid(z_i) * anp.tanh(z_g)
        h = sigmoid(z_o) * anp.tanh(c)
        return anp.concatenate([h, c], axis=-1)

    def _forward(self, weights, drive, states):
        H = self.hidden_size
        weight_hh, gates = self._halve_for_tanh(weights["weight_hh"], drive)
        slope = np.broadcast_to(self._gate_rows(self.gate_slopes, gates[0]), gates[0].shape).copy()
        offset = 1 - slope
        offset[2 * H : 3 * H] = 0
        h, c = states[:, :H], states[:, H:]
        tanh_c = np.empty_like(c[1:])
        steps = gates, *np.split(gates, 4, axis=1), h[:-1], c[:-1], h[1:], c[1:], tanh_c
        for a, i, f, g, o, h_t, c_t, h_next, c_next, tanh_c_next in zip(*steps, strict=True):
            a += multiply(weight_hh, h_t)
            tanh(a, out=a)
            a *= slope
            a += offset
            np.multiply(f, c_t, out=c_next)
            c_next += i * g
            tanh(c_next, out=tanh_c_next)
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


class GRU(Cell):
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
        n = anp.tanh(u_n + r * (h_n + params["bias_n"]))
        return (1 - z) * n + z * state

    def extra_gradients(self, d_recurrent, states, layout):
        return {"bias_n": layout.bias_sum(d_recurrent[:, 2 * self.hidden_size :])}

    def _forward(self, weights, drive, states):
        H = self.hidden_size
        weight_hh, gates = self._halve_for_tanh(weights["weight_hh"], drive)
        reset_products = np.empty_like(gates[:, :H])  # q = W_hn h + b_hn
        for a, q, h, h_next in zip(gates, reset_products, states[:-1], states[1:], strict=True):
            product = multiply(weight_hh, h)
            r_z, n = a[: 2 * H], a[2 * H :]
            r_z += product[: 2 * H]
            tanh(r_z, out=r_z)
            r_z *= 0.5
            r_z += 0.5
            np.add(product[2 * H :], weights["bias_n"], out=q)
            n += r_z[:H] * q
            tanh(n, out=n)
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


def flatten(params):
    """All parameters as one vector ``θ ∈ R^d``, in the order of the dictionary.

    Parameters
    ----------
    params : dict of array
        A parameter set, without leading axes.

    Returns
    -------
    array, shape (d,)
    """
    return np.concatenate([np.ravel(array) for array in params.values()])


def unflatten(vector, shapes):
    """The inverse of `flatten`; leading axes of ``vector`` become leading axes of every parameter.

    Parameters
    ----------
    vector : array, shape (…, d)
        Points of the parameter space.
    shapes : dict
        Names and shapes as `Cell.param_shapes` gives them, or a parameter set to take them from.

    Returns
    -------
    dict of array

    Raises
    ------
    ValueError
        If the last axis of ``vector`` does not have ``d`` entries.
    """
    shapes = {
        name: shape if isinstance(shape, tuple) else np.shape(shape)
        for name, shape in shapes.items()
    }
    ends = np.cumsum([math.prod(shape) for shape in shapes.values()])
    if np.shape(vector)[-1:] != (ends[-1],):
        raise ValueError(f"got vector of shape {np.shape(vector)}, expected (…, {ends[-1]})")
    parts = np.split(vector, ends[:-1], axis=-1)
    return {
        name: part.reshape(part.shape[:-1] + shape)
        for (name, shape), part in zip(shapes.items(), parts, strict=True)
    }
