"""Layers whose recurrence is linear and diagonal, computed by a scan over time."""

from math import isqrt

import autograd.numpy as anp
import numpy as np

from rnnpedagogy._columns import affine_all, multiply_all
from rnnpedagogy._validation import broadcast_shapes, float_array, positive_integer, takes
from rnnpedagogy.cells import Cell, linear


class _Layer(Cell):
    """A layer whose ``W_ih`` meets the inputs of all steps at once."""

    def lay_out(self, weights, layout):
        return {name: layout.weight(array) for name, array in weights.items()}

    def backward(self, weights, layout, inputs, states, tape, d_hidden, d_state,
                 *, of_weights=True, of_inputs=False):  # fmt: skip
        d_hidden = d_hidden.copy()
        d_hidden[-1] += d_state
        d_drive, d_state, own = self._backward(weights, layout, states, d_hidden)
        gradient = d_inputs = None
        if of_weights:
            gradient = {"weight_ih": layout.outer_sum(d_drive, inputs)} | own()
        if of_inputs:
            d_inputs = multiply_all(weights["weight_ih"].swapaxes(0, 1), d_drive)
        return gradient, d_inputs, d_state


class Rectifier(_Layer):
    r"""A layer without memory, :math:`h_t = \max(0, W_{ih} u_t + b)`.

    It is what linear units lack, and stands below or above them in a `Stack`.

    Parameters
    ----------
    input_size, hidden_size : int
        ``m`` and ``H``.
    """

    def param_shapes(self, output_size=None):
        shapes = super().param_shapes(output_size)
        del shapes["weight_hh"]
        return shapes

    def step(self, params, state, inputs):
        z = linear(params["weight_ih"], inputs) + params["bias"] + 0 * state
        return anp.where(anp.real(z) > 0, z, 0.0)

    def forward(self, weights, layout, inputs, states):
        z = affine_all(weights["weight_ih"], weights["bias"], inputs)
        np.multiply(z, z.real > 0, out=states[1:])

    def _backward(self, weights, layout, states, d_hidden):
        d_hidden *= states[1:].real > 0
        return d_hidden, np.zeros_like(states[0]), lambda: {"bias": layout.bias_sum(d_hidden)}


class LinearRecurrentUnit(_Layer):
    r"""Linear units that do not see each other, each with a complex eigenvalue in the unit disc.

    .. math::

        z_t = \lambda z_{t-1} + \sqrt{1 - |\lambda|^2}\, B u_t, \qquad
        \lambda = \exp(-e^\nu + i e^\omega), \qquad x_t = (\operatorname{Re} z_t,
        \operatorname{Im} z_t)

    Whatever the parameters ν (``log_decay``) and ω (``log_phase``) are, ``|λ| < 1``. The root makes
    white noise of variance one, seen with weight one, a state of variance one. A complex number is
    a pair of reals: ``weight_ih`` holds the real parts of the rows of ``B`` above their imaginary
    parts, and a linear readout of ``x`` is the real part of a complex one of ``z``.

    Here ``B`` and the readout are the only maps, and the root is a function of ``λ``; the authors
    give it parameters of its own, start the eigenvalues on a ring that does not depend on the
    length, and stack blocks of such layers with others between them.

    Parameters
    ----------
    input_size, hidden_size : int
        ``m``, and the number ``H`` of entries of the state, which is even: there are ``H/2``
        units.
    horizon : int
        A number of steps ``T``. `init_params` draws the decay ``e^ν`` per step from the uniform
        distribution on ``[0.1/T, 3/T]``, and the phase ``e^ω`` from that on ``[0, 3/T]``.

    References
    ----------
    A. Orvieto, S. L. Smith, A. Gu, A. Fernando, C. Gulcehre, R. Pascanu, S. De, Resurrecting
    recurrent neural networks for long sequences, ICML 2023.
    """

    def __init__(self, input_size, hidden_size, *, horizon=100):
        super().__init__(input_size, hidden_size)
        if self.hidden_size % 2:
            raise ValueError(f"hidden_size must be even, a number of pairs, got {hidden_size!r}")
        self.horizon = positive_integer("horizon", horizon)

    def param_shapes(self, output_size=None):
        shapes = super().param_shapes(output_size)
        del shapes["weight_hh"], shapes["bias"]
        units = (self.hidden_size // 2,)
        return {"log_decay": units, "log_phase": units} | shapes

    def init_params(self, rng, *, output_size=None, dtype=np.float64):
        """Draw eigenvalues as `horizon` says, and ``B`` with standard deviation ``1/√m``."""
        params = super().init_params(rng, output_size=output_size, dtype=dtype)
        shape, m = params["log_decay"].shape, max(self.input_size, 1)
        params["log_decay"] = np.log(rng.uniform(0.1, 3, shape) / self.horizon).astype(dtype)
        params["log_phase"] = np.log((1 - rng.uniform(size=shape)) * 3 / self.horizon).astype(dtype)
        B = rng.normal(size=params["weight_ih"].shape) / np.sqrt(m)
        return params | {"weight_ih": B.astype(dtype)}

    def step(self, params, state, inputs):
        (a, b), root = _eigenvalues(params)
        p, q = _halves(state)
        turned = anp.concatenate([a * p - b * q, b * p + a * q], axis=-1)
        return turned + anp.concatenate([root, root], axis=-1) * linear(params["weight_ih"], inputs)

    def reparametrise(self, params):
        (a, b), root = _eigenvalues(params)
        decay, phase = (np.exp(params[name]) for name in ("log_decay", "log_phase"))
        roots, B = np.concatenate([root, root], axis=-1)[..., np.newaxis], params["weight_ih"]

        def pull_back(gradient):
            d_a, d_b = _halves(gradient["eigenvalue"])
            d_root = sum(_halves((gradient["weight_ih"] * B).sum(axis=-1)))
            d_decay = d_root * (a * a + b * b) / root - (d_a * a + d_b * b)
            return {
                "log_decay": decay * d_decay,
                "log_phase": phase * (d_b * a - d_a * b),
                "weight_ih": roots * gradient["weight_ih"],
            }

        return {"eigenvalue": np.concatenate([a, b], axis=-1), "weight_ih": roots * B}, pull_back

    def forward(self, weights, layout, inputs, states):
        drive = multiply_all(weights["weight_ih"], inputs)
        states[1:] = scan(weights["eigenvalue"], drive, states[0])

    def _backward(self, weights, layout, states, d_hidden):
        a, b = _pairs(weights["eigenvalue"])
        conjugate = np.concatenate([a, -b])
        adjoints = scan(conjugate, d_hidden[::-1], np.zeros_like(states[0]))[::-1]
        p, q = _pairs(adjoints[0])
        d_state = np.concatenate([a * p + b * q, a * q - b * p])

        def own():
            (p, q), (x, y) = _pairs(adjoints, 1), _pairs(states[:-1], 1)
            products = np.concatenate([x * p + y * q, x * q - y * p], axis=1)
            return {"eigenvalue": layout.bias_sum(products)}

        return adjoints, d_state, own


@takes(eigenvalues=float_array, drive=float_array, start=float_array)
def scan(eigenvalues, drive, start):
    r"""All states of :math:`z_t = \lambda z_{t-1} + d_t`, in about :math:`2\sqrt N` steps.

    Time is cut into :math:`\sqrt N` chunks. All of them run at once, each as if it started from
    zero. Then what was there before is added, times the powers of λ: to the ends of the chunks one
    after the other, to all other steps at once. For the map :math:`z \mapsto \lambda z + d` of a
    chunk is of the same kind as that of a step.

    Parameters
    ----------
    eigenvalues : array, shape (H, …)
        Pairs of reals: real parts in the first half of the rows, imaginary parts in the second.
    drive : array, shape (N, H, …)
        ``d_1, …, d_N``, pairs alike.
    start : array, shape (H, …)
        ``z_0``. All axes behind the rows broadcast.

    Returns
    -------
    array, shape (N, H, …)
        ``z_1, …, z_N``.

    References
    ----------
    G. E. Blelloch, Prefix sums and their applications, Carnegie Mellon University, CMU-CS-90-190
    (1990).

    Examples
    --------
    A rotation by a right angle, driven by nothing:

    >>> import numpy as np
    >>> scan(np.array([0.0, 1.0]), np.zeros((3, 2)), np.array([1.0, 0.0]))
    array([[ 0.,  1.],
           [-1.,  0.],
           [ 0., -1.]])
    """
    if drive.ndim < 2 or len(drive) == 0 or drive.shape[1] % 2:
        raise ValueError(f"drive must have shape (N, H, …) with H even, got {drive.shape}")
    shape = drive.shape[1:]
    for name, array in {"eigenvalues": eigenvalues, "start": start}.items():
        rows = array.shape[:1] == shape[:1]
        if not rows or broadcast_shapes(f"{name} and drive", array.shape, shape) != shape:
            raise ValueError(f"{name} must broadcast to drive[0], {shape}, got {array.shape}")
    steps, length = len(drive), isqrt(len(drive) - 1) + 1
    chunks = -(-steps // length)
    z = np.zeros((chunks * length, *shape), np.result_type(eigenvalues, drive, start))
    z[:steps] = drive
    # Axes: step of a chunk, part, chunk, unit, …: what is done at once lies side by side.
    z = np.ascontiguousarray(np.moveaxis(z.reshape(chunks, length, 2, -1, *shape[1:]), 0, 2))
    powers = _powers(eigenvalues, length, z.shape[3:])
    last, room = z[-1], np.empty_like(z[0])
    _add_product(z[0, :, :1], powers[0], _pairs(start)[:, np.newaxis], room[:, :1])
    for t in range(1, length):
        _add_product(z[t], powers[0], z[t - 1], room)
    for k in range(1, chunks):
        _add_product(last[:, k : k + 1], powers[-1], last[:, k - 1 : k], room[:, :1])
    for t in range(length - 1):
        _add_product(z[t, :, 1:], powers[t], last[:, :-1], room[:, 1:])
    return np.moveaxis(z, 2, 0).reshape(-1, *shape)[:steps]


def _eigenvalues(params):
    """Real and imaginary part of ``λ``, and ``√(1 − |λ|²)``."""
    decay, phase = anp.exp(params["log_decay"]), anp.exp(params["log_phase"])
    size = anp.exp(-decay)
    return (size * anp.cos(phase), size * anp.sin(phase)), anp.sqrt(-anp.expm1(-2 * decay))


def _halves(array):
    """Real and imaginary parts of pairs along the last axis."""
    half = array.shape[-1] // 2
    return array[..., :half], array[..., half:]


def _pairs(array, axis=0):
    """A view with the real and the imaginary part on a first axis of their own."""
    shape = array.shape
    return np.moveaxis(array.reshape(*shape[:axis], 2, -1, *shape[axis + 1 :]), axis, 0)


def _powers(eigenvalues, count, shape):
    """``λ, …, λ^count``, each as ``a`` and ``(−b, b)``, spread over units and columns."""
    powers = np.empty((count, *_pairs(eigenvalues).shape), eigenvalues.dtype)
    powers[0] = _pairs(eigenvalues)
    for k in range((count - 1).bit_length()):
        known = 2**k
        (a, b), (p, q) = powers[known - 1], powers[: count - known][:known].swapaxes(0, 1)
        powers[known : 2 * known] = np.stack([a * p - b * q, b * p + a * q], axis=1)
    powers = np.ascontiguousarray(np.broadcast_to(powers, (count, 2, *shape)))
    crossed = np.stack([-powers[:, 1], powers[:, 1]], axis=1)
    return list(zip(powers[:, 0], crossed[:, :, np.newaxis], strict=True))


def _add_product(into, factor, z, room):
    """Add ``(a + ib) z``, with ``room`` for what is on the way."""
    a, crossed = factor
    into += np.multiply(a, z, out=room)
    into += np.multiply(crossed, z[::-1], out=room)
