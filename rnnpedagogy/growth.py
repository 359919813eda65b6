"""How fast a quantity grows with the sequence length."""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np

from rnnpedagogy._validation import choice, finite, number_array, real_array, takes

CONFIDENCE = 0.95  # that an interval covers the rate


@dataclass(frozen=True)
class GrowthFit:
    """A rate of growth with its confidence interval, of 95 %.

    Attributes
    ----------
    rate : float
        Growth of the logarithm per step ("exponential"), or the exponent of ``N`` ("power").
    interval : tuple of float
        Lower and upper end of the confidence interval of the rate.
    intercept : float
        Logarithm of the fitted value at ``N = 0``, or at ``N = 1``.
    residual_std : float
        Standard deviation of the logarithms about the line.
    lengths : array, shape (k,)
        The lengths that were used.
    """

    rate: float
    interval: tuple
    intercept: float
    residual_std: float
    lengths: np.ndarray


@takes(lengths=number_array, log_values=number_array, start=finite)
def growth_rate(lengths, log_values, *, model="exponential", start=None):
    r"""How fast a quantity grows with the sequence length, by least squares.

    .. math:: \log v = a + \gamma N \quad\text{or}\quad \log v = a + \gamma \log N

    The interval is :math:`\hat\gamma \pm t \, s / \sqrt{\sum_k (x_k - \bar x)^2}` with the
    quantile :math:`t` of Student's distribution with ``k − 2`` degrees of freedom. It measures the
    scatter about the line, not how far the law is from a line: leave out the lengths at which the
    growth has not settled. Where the scatter is independent and normal, the interval
    covers the rate in 95 % of cases.

    Parameters
    ----------
    lengths : sequence of float
        Sequence lengths ``N``, positive.
    log_values : sequence of float
        Natural logarithms of the quantity, one for each length.
    model : {"exponential", "power"}
        Fit against ``N`` or against ``log N``.
    start : float, optional
        Use only lengths of at least this.

    Returns
    -------
    GrowthFit

    Raises
    ------
    ValueError, TypeError
        If fewer than three different lengths remain, a length is not positive, or a value or its
        square not finite.
    """
    lengths = real_array("lengths", lengths.astype(float), shape=("k",))
    log_values = real_array("log_values", log_values.astype(float), shape=lengths.shape)
    choice("model", model, ("exponential", "power"))
    if lengths.min() <= 0:
        raise ValueError(f"lengths must be positive, got {lengths.min()}")
    if start is not None:
        used = lengths >= start
        lengths, log_values = lengths[used], log_values[used]
    if len(np.unique(lengths)) < 3:
        raise ValueError(
            f"lengths must hold at least three different values from start on, got {lengths}"
        )
    x = lengths if model == "exponential" else np.log(lengths)
    centred = x - x.mean()
    rate = centred @ log_values / (centred @ centred)
    intercept = log_values.mean() - rate * x.mean()
    freedom = len(x) - 2
    residual_std = np.linalg.norm(log_values - intercept - rate * x) / math.sqrt(freedom)
    margin = _student_quantile(CONFIDENCE, freedom) * residual_std / np.linalg.norm(centred)
    if not np.isfinite([centred @ centred, margin]).all():
        raise ValueError("lengths and log_values must have squares that are finite numbers")
    interval = float(rate - margin), float(rate + margin)
    return GrowthFit(float(rate), interval, float(intercept), float(residual_std), lengths)


@cache
def _student_quantile(confidence, freedom):
    """The ``t`` with ``P(|T| ≤ t) = confidence`` for Student's distribution.

    With ``T = √ν tan φ`` the density of ``φ`` is proportional to ``cos(φ)^{ν−1}``.
    """
    nodes, weights = np.polynomial.legendre.leggauss(200)

    def integral(angle):
        return angle / 2 * (weights @ np.cos(angle / 2 * (1 + nodes)) ** (freedom - 1))

    low, high = 0.0, math.pi / 2
    wanted = confidence * integral(high)
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if integral(middle) < wanted else (low, middle)
    return math.sqrt(freedom) * math.tan(low)
