"""Is a gradient right? A comparison with a finite difference whose own error is known."""

from dataclasses import dataclass
from math import comb

import numpy as np

from rnnpedagogy._validation import parameters, real_array, takes
from rnnpedagogy.cells import flatten, unflatten
from rnnpedagogy.gradients import bptt, hessian_vector_product


@dataclass(frozen=True)
class GradientCheck:
    """A directional derivative, from a gradient and from a central difference.

    Attributes
    ----------
    derivative, difference : float
        ``⟨∇V, v⟩`` and ``(V(θ + hv) − V(θ − hv)) / 2h``.
    error, bound : float
        Their distance, and how large it may be: ``safety · (truncation + rounding)``.
    step : float
        The step ``h``, chosen where truncation and rounding balance.
    truncation, rounding : float
        Estimates of the two errors of the central difference at that step.
    """

    derivative: float
    difference: float
    error: float
    bound: float
    step: float
    truncation: float
    rounding: float

    @property
    def passed(self):
        """Whether the error is within its bound."""
        return self.error <= self.bound


@takes(gradient=parameters)
def check_gradient(cost, params, rng, *, gradient=None, safety=10.0):
    r"""Compare a gradient with a central difference along a random direction, with an error bound.

    With :math:`\varphi(s) = V(\theta + s v)`, :math:`\|v\| = 1`, the central difference errs by
    about :math:`h^2 |\varphi'''| / 6 + \sigma / h`. The third derivative comes from Hessian-vector
    products at two points, the noise ``σ`` of the evaluated cost from a table of differences of
    nearby values.

    Both estimates take the cost to be smooth from ``θ − hv`` to ``θ + hv``. With the ReLU, whose
    kinks they do not see, a right gradient is rejected if one of many pre-activations changes its
    sign in between: check a single short sequence then.

    Parameters
    ----------
    cost : Cost
        The function ``V``.
    params : dict of array
        The point ``θ``, without leading axes.
    rng : numpy.random.Generator
        Draws the direction.
    gradient : dict of array, optional
        The gradient to be checked; that of `bptt` if not given.
    safety : float
        Factor between the estimated error and the bound.

    Returns
    -------
    GradientCheck

    References
    ----------
    The noise estimate follows J. Moré, S. Wild, Estimating computational noise, SIAM J. Sci.
    Comput. 33 (2011).
    """
    params, _ = cost.check_params(params, single="check_gradient")
    theta = flatten(params)
    eps = float(np.finfo(theta.dtype).eps)
    v = rng.normal(size=theta.size).astype(theta.dtype)
    v /= np.linalg.norm(v)
    batch_axes = (1,) * len(cost.batch)

    def along(steps):
        points = theta + np.asarray(steps, theta.dtype).reshape(-1, *batch_axes, 1) * v
        return cost(unflatten(points, params)).ravel()

    def curvature(s):
        moved = unflatten((theta + s * v).astype(theta.dtype), params)
        return float(flatten(hessian_vector_product(cost, moved, unflatten(v, params))) @ v)

    noise = max(_noise(along(eps ** (2 / 3) * np.arange(9))), eps * abs(float(cost(params))))
    apart = eps ** (1 / 3)
    third = abs(curvature(apart) - curvature(-apart)) / (2 * apart)
    step = min((3 * noise / third) ** (1 / 3) if third > 0 else np.inf, 1e-2)
    plus, minus = along([step, -step])
    difference = float(plus - minus) / (2 * step)
    gradient = bptt(cost, params).params if gradient is None else gradient
    if gradient.keys() != params.keys():
        raise ValueError(f"gradient must have the keys {sorted(params)}, got {sorted(gradient)}")
    gradient = {
        name: real_array(f"gradient[{name!r}]", gradient[name], shape=array.shape)
        for name, array in params.items()
    }
    derivative = float(flatten(gradient) @ v)
    truncation, rounding = step**2 * third / 6, noise / step
    error, bound = abs(derivative - difference), safety * (truncation + rounding)
    return GradientCheck(derivative, difference, error, bound, step, truncation, rounding)


def _noise(values):
    """Standard deviation of the rounding noise in equally spaced values of a smooth function.

    The k-th difference of independent noise of variance ``σ²`` has variance ``binom(2k, k) σ²``,
    while a smooth function leaves almost nothing in high differences. The median over several ``k``
    is taken.
    """
    orders = range(3, len(values) - 1)
    estimates = [np.sqrt(np.mean(np.diff(values, k) ** 2) / comb(2 * k, k)) for k in orders]
    return float(np.median(estimates))
