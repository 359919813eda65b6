"""Activation functions: the value of each, its slope and its bounds, in one place."""

from collections.abc import Callable
from dataclasses import dataclass

import autograd.numpy as anp
import numpy as np
from autograd.extend import defvjp, primitive


def tanh_into(z, out):
    """``tanh(z)`` into ``out``; of a complex number to first order in the imaginary part.

    ``tanh(a + ib) = t + ib(1 − t²) + O(b²)`` with ``t = tanh(a)``: for the complex step, whose
    imaginary part is below ``1e-8``, this is exact to rounding, while the library's complex tanh
    is not needed.
    """
    if not np.iscomplexobj(z):
        return np.tanh(z, out=out)
    t = np.tanh(z.real)
    out.imag = z.imag * (1 - t * t)
    out.real = t
    return out


@primitive
def _tanh(z):
    z = np.asarray(z)
    return tanh_into(z, np.empty_like(z))


defvjp(_tanh, lambda t, z: lambda g: g * (1 - t * t))


def tanh(z):
    """The hyperbolic tangent, with the derivative ``1 − tanh²``, which never overflows."""
    return _tanh(z)


def sigmoid(z):
    """The logistic function ``σ(z) = 1 / (1 + e^{-z}) = ½ + ½ tanh(z/2)``, without overflow."""
    return 0.5 + 0.5 * tanh(0.5 * z)


def absolute(z):
    """``|z|`` on the real line, and its analytic continuation ``z sign(Re z)`` beside it.

    The complex step needs the continuation; the modulus of a complex number has no derivative.
    """
    return z * anp.sign(anp.real(z))


@dataclass(frozen=True)
class Activation:
    """A function φ that acts entry by entry, and what has to be known of it.

    Attributes
    ----------
    value : callable
        ``φ(z)``, to be read and to be differentiated automatically.
    into : callable
        ``into(z, out)`` writes ``φ(z)`` into ``out``, fast; of complex ``z`` to first order.
    slope : callable
        ``φ'(z)`` from ``h = φ(z)``.
    largest : callable
        The largest ``|φ(z)|`` for ``|z|`` up to a bound.
    steepest, sharpest : float
        ``sup |φ'|`` and ``sup |φ''|``, which is infinite where the slope jumps.
    """

    value: Callable
    into: Callable
    slope: Callable
    largest: Callable
    steepest: float
    sharpest: float


def softsign(z):
    """``z / (1 + |z|)``."""
    return z / (1 + absolute(z))


def relu(z):
    """``max(z, 0)``, with slope zero at zero, as in the fast code."""
    return anp.where(anp.real(z) > 0, z, 0.0)


def _sigmoid_into(z, out):
    np.multiply(z, 0.5, out=out)
    tanh_into(out, out)
    out *= 0.5
    out += 0.5


def _same(size):
    return size


# The names of the columns are those of `Activation`.
ACTIVATIONS = {
    name: Activation(*row)
    for name, *row in [
        ("tanh", tanh, tanh_into, lambda h: 1 - h * h, np.tanh, 1.0, 4 / 27**0.5),
        ("sigmoid", sigmoid, _sigmoid_into, lambda h: h * (1 - h), sigmoid, 0.25, 1 / 108**0.5),
        ("softsign", softsign, lambda z, out: np.divide(z, 1 + absolute(z), out=out),
         lambda h: (1 - absolute(h)) ** 2, softsign, 1.0, 2.0),
        ("relu", relu, lambda z, out: np.multiply(z, z.real > 0, out=out),
         lambda h: (h.real > 0).astype(h.dtype), _same, 1.0, np.inf),
        ("identity", _same, lambda z, out: np.copyto(out, z), np.ones_like, _same, 1.0, 0.0),
    ]
}  # fmt: skip
