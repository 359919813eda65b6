"""Activation functions: the value of each, its slope and its bounds, in one place."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import autograd.numpy as anp
import numpy as np
from autograd.extend import defvjp, primitive


def tanh_into(z, out):
    """``tanh(z)`` into ``out``; of a complex number to first order in the imaginary part.

    ``tanh(a + ib) = t + ib(1 − t²) + O(b²)`` with ``t = tanh(a)``: for the complex step, whose
    imaginary part is below ``1e-20``, this is exact to rounding, while the library's complex tanh
    is not needed.
    """
    if not np.iscomplexobj(z):
        return np.tanh(z, out=out)
    t = np.tanh(z.real)
    out.imag = z.imag * (1 - t * t)
    out.real = t
    return out


@primitive
def tanh(z):
    """The hyperbolic tangent, with the derivative ``1 − tanh²``, which never overflows."""
    z = np.asarray(z)
    return tanh_into(z, np.empty_like(z))


defvjp(tanh, lambda t, z: lambda g: g * (1 - t * t))


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
    apply : callable
        ``φ(z)`` in the place of ``z``, fast; also of complex ``z``, to first order.
    slope : callable
        ``φ'(z)`` from ``h = φ(z)``.
    largest : callable
        The largest ``|φ(z)|`` for ``|z|`` up to a bound.
    steepest, sharpest : float
        ``sup |φ'|`` and ``sup |φ''|``, which is infinite where the slope jumps.
    """

    value: Callable
    apply: Callable
    slope: Callable
    largest: Callable
    steepest: float
    sharpest: float


def _apply_sigmoid(z):
    z *= 0.5
    tanh_into(z, out=z)
    z *= 0.5
    z += 0.5


def _apply_softsign(z):
    z /= 1 + absolute(z)


def _apply_relu(z):
    z *= z.real > 0


ACTIVATIONS = {
    "tanh": Activation(
        value=tanh,
        apply=lambda z: tanh_into(z, out=z),
        slope=lambda h: 1 - h * h,
        largest=np.tanh,
        steepest=1.0,
        sharpest=4 / (3 * math.sqrt(3)),
    ),
    "sigmoid": Activation(
        value=sigmoid,
        apply=_apply_sigmoid,
        slope=lambda h: h * (1 - h),
        largest=lambda size: 0.5 + 0.5 * np.tanh(0.5 * size),
        steepest=0.25,
        sharpest=1 / (6 * math.sqrt(3)),
    ),
    "softsign": Activation(
        value=lambda z: z / (1 + absolute(z)),
        apply=_apply_softsign,
        slope=lambda h: (1 - absolute(h)) ** 2,
        largest=lambda size: size / (1 + size),
        steepest=1.0,
        sharpest=2.0,
    ),
    "relu": Activation(
        value=lambda z: anp.where(anp.real(z) > 0, z, 0.0),  # slope 0 at 0, as in the fast code
        apply=_apply_relu,
        slope=lambda h: (h.real > 0).astype(h.dtype),
        largest=lambda size: size,
        steepest=1.0,
        sharpest=math.inf,
    ),
    "identity": Activation(
        value=lambda z: z,
        apply=lambda z: z,
        slope=np.ones_like,
        largest=lambda size: size,
        steepest=1.0,
        sharpest=0.0,
    ),
}
