"""Any recurrent cell: one step ``x_t = f(x_{t-1}, u_t; θ)``, and all that follows from it.

A cell is its equation. What is written here runs every cell from its `Cell.step` alone: forwards
one step after another, backwards by the automatic differentiation of single steps, never of a whole
run. Cells with fast code replace `Cell.forward` and `Cell.backward` and what prepares them; tests
hold both equal to rounding.
"""

import autograd.numpy as anp
import numpy as np
from autograd import make_vjp
from autograd.extend import vspace

from rnnpedagogy._check_step import check_step, shapes_of
from rnnpedagogy._validation import broadcast_shapes, positive_integer, real_array, takes

#: What a cell says of itself, and the code that may say the same in a faster way.
EQUATION = {"step", "hidden", "param_shapes", "gates", "blocks"}
FAST = ("reparametrise", "lay_out", "forward", "backward", "jacobian")


def linear(weight, x):
    """``W x`` with features last; leading axes of both broadcast."""
    if np.ndim(weight) == 2:
        return anp.dot(x, weight.T)
    return anp.einsum("...gh,...h->...g", weight, x)


def readout(params, hidden):
    """The linear readout ``ŷ = W_ho h + b_o``, features last."""
    return linear(params["weight_ho"], hidden) + params["bias_o"]


class Cell:
    """What all cells have in common: sizes, parameters, the place of ``h`` in the state.

    A new cell is a subclass with a method `step`, written with ``autograd.numpy`` or with `linear`,
    `sigmoid` and `tanh` of this package, and, where they differ, with ``gates``, ``blocks``,
    `param_shapes` and `hidden`. It runs everywhere.

    Parameters
    ----------
    input_size : int
        Number of inputs ``m``; 0 for an autonomous system.
    hidden_size : int
        Number of units ``H``.
    """

    gates = 1  # blocks of H rows in weight_ih, weight_hh and bias
    blocks = 1  # blocks of H entries in the state

    def __init_subclass__(cls):
        """A cell with an equation of its own must not inherit the fast code of another one."""
        own = vars(cls).keys()
        if own & EQUATION and not own & {*FAST, "_forward"}:
            for name in FAST:
                setattr(cls, name, getattr(Cell, name))

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

    @property
    def hidden_part(self):
        """Where ``h`` is in the state, a slice or indices."""
        at = self.hidden(np.arange(self.state_size))
        consecutive = np.array_equal(at, at[0] + np.arange(len(at)))
        return slice(at[0], at[0] + len(at)) if consecutive else at

    def param_shapes(self, output_size=None):
        """Names and shapes of the parameters, with a linear readout if ``output_size`` is given."""
        rows, hidden = self.gates * self.hidden_size, self.hidden_size
        shapes = {
            "weight_ih": (rows, self.input_size),
            "weight_hh": (rows, hidden),
            "bias": (rows,),
        }
        return shapes | self.readout_shapes(output_size)

    def readout_shapes(self, output_size):
        """Names and shapes of the readout's parameters, none if there is no readout."""
        if output_size is None:
            return {}
        output_size = positive_integer("output_size", output_size)
        return {"weight_ho": (output_size, self.hidden_size), "bias_o": (output_size,)}

    @takes
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
        """
        bound = 1 / np.sqrt(self.hidden_size)
        return {
            name: rng.uniform(-bound, bound, size=shape).astype(dtype)
            for name, shape in self.param_shapes(output_size).items()
        }

    @takes
    def check_params(self, params):
        """Return the parameters as arrays and their common leading axes, or raise.

        Every array comes back with as many leading axes as they have in common, some of size one.

        Raises
        ------
        ValueError, TypeError
            If a name is missing or unknown, a shape or dtype is wrong, or a value is not finite.
        """
        output_size = None
        if "bias_o" in params:
            output_size = real_array("bias_o", params["bias_o"], shape=(..., "p")).shape[-1]
        shapes = shapes_of(self, output_size)
        if params.keys() != shapes.keys():
            raise ValueError(
                f"params must have the keys {sorted(shapes)} for {self!r}, got {sorted(params)}"
            )
        arrays = {
            name: real_array(name, params[name], shape=(..., *shape))
            for name, shape in shapes.items()
        }
        return pad_leading(arrays, shapes)

    @takes
    def zero_state(self, *, dtype=np.float64):
        """The state zero, shape ``(n,)``."""
        return np.zeros(self.state_size, dtype)

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
        raise NotImplementedError(f"{type(self).__name__} must have a step")

    # ------------------------------------------------------ the seam: fast code replaces these five

    def reparametrise(self, params):
        """The weights with which the cell runs, and how gradients come back from them.

        Here the parameters themselves. A cell whose parameters describe ``weight_hh`` in another
        way computes it here, once for a whole run.

        Returns
        -------
        weights : dict of array
            With the leading axes of ``params``.
        pull_back : callable
            Maps the derivatives in the weights to those in ``params``.
        """
        return params, lambda gradient: gradient

    def lay_out(self, weights, layout):
        """The weights as `forward` and `backward` want them: here one set for each leading index.

        Where all sequences share one set the leading axes go, and products are those of matrices.
        """
        check_step(self)
        axes = len(layout.lead)
        if layout.shared:
            return {name: array.reshape(array.shape[axes:]) for name, array in weights.items()}
        shapes = {name: layout.lead + array.shape[axes:] for name, array in weights.items()}
        return {name: np.broadcast_to(weights[name], shape) for name, shape in shapes.items()}

    def forward(self, weights, layout, inputs, states):
        """Run over ``inputs`` and fill ``states[1:]``; returns what the adjoint needs to remember.

        Inputs ``(T, m, columns)`` and states ``(T + 1, n, columns)`` are in the inner layout.
        """
        x = layout.rows(states)
        for t, u in enumerate(layout.rows(inputs)):
            x[t + 1] = _to_first_order(self.step, weights, x[t], u)

    def backward(self, weights, layout, inputs, states, tape, d_hidden, d_state,
                 *, of_weights=True, of_inputs=False):  # fmt: skip
        r"""Adjoint of `forward`: :math:`\lambda_{t-1} = A_t^\mathsf{T} \lambda_t + \dots`.

        ``d_hidden[t]`` is the direct derivative of the cost with respect to ``h`` after step ``t``,
        ``d_state`` the adjoint ``λ`` of the last state.

        Returns
        -------
        gradient : dict of array, or None
            ``Σ_t B_tᵀ λ_t``, summed over the sequences of each set of weights, if wanted.
        d_inputs : array, shape (T, m, columns), or None
            Derivatives in the inputs, if wanted.
        d_state : array, shape (n, columns)
            The adjoint of the first state.
        """
        by_weights, by_state, by_inputs = (_pull_back(self.step, k) for k in range(3))
        x, u, d_h = layout.rows(states[:-1]), layout.rows(inputs), layout.rows(d_hidden)
        adjoints, h = np.empty_like(x), self.hidden_part
        adjoint = layout.rows(d_state[np.newaxis])[0]
        for t in reversed(range(len(u))):
            adjoints[t] = adjoint
            adjoints[t][..., h] += d_h[t]
            adjoint = _to_first_order(by_state, weights, x[t], u[t], adjoints[t])
        d_state = layout.columns(adjoint[np.newaxis], states.dtype)[0]
        gradient = d_inputs = None
        if of_weights:  # time is one more axis of the batch: one pull-back for all steps
            gradient = _to_first_order(by_weights, weights, x, u, adjoints)
            if layout.shared:
                gradient = {name: g.reshape(layout.lead + g.shape) for name, g in gradient.items()}
        if of_inputs:
            rows = _to_first_order(by_inputs, weights, x, u, adjoints)
            d_inputs = layout.columns(rows, states.dtype)
        return gradient, d_inputs, d_state

    def jacobian(self, weights, layout, states, tape):
        """``∂x'/∂x`` of a single step, shape ``(*batch, n, n)``; None without fast code for it."""


def pad_leading(arrays, shapes, whose="the parameters"):
    """Arrays with the given shapes behind leading axes, padded to as many of these; their shape."""
    leads = {name: array.shape[: array.ndim - len(shapes[name])] for name, array in arrays.items()}
    lead = broadcast_shapes(f"the leading axes of {whose}", *leads.values())
    padded = {
        name: array.reshape((1,) * (len(lead) - len(leads[name])) + array.shape)
        for name, array in arrays.items()
    }
    return padded, lead


def _pull_back(step, argument):
    """``(w, x, u, λ)`` to ``Jᵀ λ``, ``J`` being the derivative of a step in one argument."""
    return lambda w, x, u, adjoint: make_vjp(step, argument)(w, x, u)[0](adjoint)


def _to_first_order(function, *arguments):
    """``function(*arguments)``; of complex arguments ``a + ib`` the value ``f(a) + i f'(a) b``.

    So the complex step (see `hessian_vector_product`) is exact for any step that can be
    differentiated twice, analytic or not: ``f'(a) b`` is the transpose of the transposed
    derivative, which automatic differentiation gives.
    """
    if not np.iscomplexobj(arguments[-1]):
        return function(*arguments)
    real, imaginary = (tuple(_each(part, a) for a in arguments) for part in (np.real, np.imag))
    transposed, value = make_vjp(lambda a: function(*a))(real)
    derivative, _ = make_vjp(transposed)(vspace(value).zeros())
    return _each(lambda a, b: a + 1j * b, value, derivative(imaginary))


def _each(function, *arrays):
    """Apply a function to arrays, or to those of dictionaries name by name."""
    if not isinstance(arrays[0], dict):
        return function(*arrays)
    return {name: function(*(some[name] for some in arrays)) for name in arrays[0]}
