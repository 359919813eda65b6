"""How rough the cost is: bounds on its slope and its curvature, and measurements of both.

A bound holds for every parameter of a region: `step_bounds` gives the constants of one step,
`cost_bounds` what they become over ``N`` steps. A measurement is taken at single parameters
(`gradient_norms`, `hessian_norms`, `hessian_spectrum`) or sought over a region (`supremum`).
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import cache

import numpy as np

from rnnpedagogy._validation import choice, integer_array, positive_integer, real_array
from rnnpedagogy.cells import GRU, LSTM, Elman, flatten, unflatten
from rnnpedagogy.gradients import bptt, hessian_vector_product


def _non_negative(name, value):
    """Return ``value`` as a float, or raise if it is not a finite number of at least zero."""
    array = np.asarray(value)
    if array.ndim or array.dtype.kind not in "fiu" or not 0 <= array < np.inf:
        raise ValueError(f"{name} must be a finite number of at least 0, got {value!r}")
    return float(array)


class _Constants:
    """Mixin of a dataclass all of whose fields are finite numbers that are not negative."""

    def __post_init__(self):
        for field in fields(self):
            value = _non_negative(field.name, getattr(self, field.name))
            object.__setattr__(self, field.name, value)


@dataclass(frozen=True)
class StepBounds(_Constants):
    r"""Lipschitz constants of one step ``f(x, u; θ)`` and of its Jacobians, on a stated region.

    Norms are Euclidean, that of ``θ`` over all arrays together; those of Jacobians are spectral.

    Attributes
    ----------
    L_x, L_theta : float
        Lipschitz constants of ``f`` in ``x`` and in ``θ``.
    K_xx, K_xtheta : float
        Lipschitz constants of ``∂f/∂x`` in ``x`` and in ``θ``; the latter is also that of
        ``∂f/∂θ`` in ``x``.
    K_thetatheta : float
        Lipschitz constant of ``∂f/∂θ`` in ``θ``.
    """

    L_x: float
    L_theta: float
    K_xx: float
    K_xtheta: float
    K_thetatheta: float


@dataclass(frozen=True)
class ReadoutBounds(_Constants):
    """Lipschitz constants of the readout ``ŷ = W_ho h + b_o`` and of its Jacobians, on a region.

    It is linear in the state and in the parameters, so that the constants ``M_xx`` and ``M_θθ`` are
    zero.

    Attributes
    ----------
    G_x, G_theta : float
        Lipschitz constants of ``ŷ`` in ``x`` and in ``θ``.
    M_xtheta : float
        Lipschitz constant of ``∂ŷ/∂x`` in ``θ``.
    """

    G_x: float
    G_theta: float
    M_xtheta: float


class _Bound:
    """Bounds on a vector ``v(x, θ)`` and its derivatives, all over a region.

    ``x`` and ``θ`` are split into blocks, such as ``h``, ``c`` and the parameters of each gate.

    Attributes
    ----------
    sup : float
        Bound on the absolute value of the entries.
    first : array, shape (blocks,)
        Bounds on the spectral norms of ``∂v/∂block``.
    second : array, shape (blocks, blocks)
        Bounds on the norms of the second derivatives as bilinear maps.
    """

    def __init__(self, sup, first, second=0.0):
        self.sup, self.first = sup, first
        self.second = np.broadcast_to(second, (len(first), len(first)))

    def __add__(self, other):
        return _Bound(self.sup + other.sup, self.first + other.first, self.second + other.second)

    def __mul__(self, other):
        """``v ⊙ w``, by the product rule and ``‖v ⊙ w‖₂ ≤ ‖v‖_∞ ‖w‖₂ ≤ ‖v‖₂ ‖w‖₂``."""
        crossed = np.outer(self.first, other.first)
        return _Bound(
            self.sup * other.sup,
            self.first * other.sup + self.sup * other.first,
            self.second * other.sup + self.sup * other.second + crossed + crossed.T,
        )

    def through(self, activation):
        """``φ(v)``, entry by entry, by the chain rule."""
        size, slope, curvature = ACTIVATION_BOUNDS[activation]
        crossed = np.outer(self.first, self.first)
        second = curvature * crossed + slope * self.second
        return _Bound(float(size(self.sup)), slope * self.first, second)


# Of each activation φ: the largest |φ(z)| for |z| up to a bound, and sup |φ'|, sup |φ''|.
ACTIVATION_BOUNDS = {
    "tanh": (np.tanh, 1.0, 4 / (3 * math.sqrt(3))),
    "sigmoid": (lambda size: 0.5 + 0.5 * np.tanh(0.5 * size), 0.25, 1 / (6 * math.sqrt(3))),
    "softsign": (lambda size: size / (1 + size), 1.0, 2.0),
    "identity": (lambda size: size, 1.0, 0.0),
}


def step_bounds(cell, *, weight_hh, weight_ih=0.0, bias=0.0, inputs=0.0, state=None, names=None):
    r"""Constants of one step of a cell, for all parameters and states of a region.

    The region is ``‖W_hh‖₂ ≤ weight_hh``, ``‖W_ih‖₂ ≤ weight_ih``, ``max |bias| ≤ bias``,
    ``‖u_t‖₂ ≤ inputs`` and ``max |h| ≤ 1``, which no step leaves. The equations of the cell are run
    through once more, with bounds in the place of numbers: bounds on the entries of a vector, on
    its first and on its second derivatives obey the rules of the sum, the product and the chain.
    For `Elman`, with :math:`w` = ``weight_hh``, :math:`r^2 = H + \sup\|u\|^2 + 1` and
    :math:`\kappa = \sup|\varphi''|`, they give

    .. math::

        L_x = w, \quad L_\theta = r, \quad K_{xx} = \kappa w^2, \quad
        K_{x\theta} = \kappa w r + 1, \quad K_{\theta\theta} = \kappa r^2 .

    Parameters
    ----------
    cell : Elman, LSTM or GRU
        Not with the activation "relu", whose slope jumps.
    weight_hh, weight_ih, bias : float or sequence of float
        Bounds on the parameters; of a cell with gates one number for each gate, or one that bounds
        each gate's block of rows. ``bias`` also bounds ``bias_n`` of a GRU.
    inputs : float
        Bound on ``‖u_t‖₂``.
    state : float, optional
        Bound on the entries of the state that no trajectory exceeds, where it is not the one that
        the equations imply: of ``h`` for `Elman` (necessary with the activation "identity") and
        `GRU`, where it is one otherwise; of ``c`` for `LSTM`, where it is ``1/(1 − φ)`` otherwise,
        with the largest value ``φ`` of the forget gate.
    names : iterable of str, optional
        The parameters that vary, such as ``["bias"]``; all if not given. The others stay fixed
        within the region.

    Returns
    -------
    StepBounds

    Raises
    ------
    ValueError, TypeError
        If a bound is negative or not finite, a name is unknown, or the cell has no such bounds.
    """
    if type(cell) not in _STEPS:
        raise TypeError(
            f"cell must be an Elman, LSTM or GRU, got {cell!r}: "
            "bounds of another step can be passed to StepBounds"
        )
    region = _Region(
        hidden_size=cell.hidden_size,
        weights={
            "weight_hh": _per_gate("weight_hh", weight_hh, cell),
            "weight_ih": _per_gate("weight_ih", weight_ih, cell),
            "bias": _per_gate("bias", bias, cell),
        },
        inputs=_non_negative("inputs", inputs),
        state=None if state is None else _non_negative("state", state),
        names=_check_names(cell, names),
    )
    after, states = _STEPS[type(cell)](cell, region)
    first = np.stack([bound.first for bound in after])
    second = np.stack([bound.second for bound in after])
    x, theta = slice(None, states), slice(states, None)
    return StepBounds(
        L_x=np.linalg.norm(first[:, x], 2),
        L_theta=np.linalg.norm(first[:, theta], 2),
        K_xx=_bilinear_norm(second[:, x, x]),
        K_xtheta=_bilinear_norm(second[:, x, theta]),
        K_thetatheta=_bilinear_norm(second[:, theta, theta]),
    )


def _per_gate(name, value, cell):
    array = np.asarray(value)
    fits = array.dtype.kind in "fiu" and array.shape in ((), (cell.gates,))
    if not fits or not ((array >= 0) & (array < np.inf)).all():
        each = f" or {cell.gates} of them, one for each gate" if cell.gates > 1 else ""
        raise ValueError(f"{name} must be a finite number of at least 0{each}, got {value!r}")
    return np.broadcast_to(array, (cell.gates,))


def _check_names(cell, names):
    """The parameters that vary: all, or those that are named."""
    known = tuple(cell.param_shapes(1))
    if names is None:
        return known
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise TypeError(f"names must be a list of parameter names, got {names!r}")
    names = tuple(names)
    if not names:
        raise ValueError("names must hold at least one parameter name")
    return tuple(choice("names", name, known) for name in dict.fromkeys(names))


def _bilinear_norm(blocks):
    """Bound on a bilinear map from the norms of its blocks: the smallest norm of an unfolding."""
    unfoldings = (np.moveaxis(blocks, k, 0).reshape(blocks.shape[k], -1) for k in range(3))
    return min(np.linalg.norm(unfolding, 2) for unfolding in unfoldings)


@dataclass(frozen=True)
class _Region:
    """Where the bounds of `step_bounds` hold."""

    hidden_size: int
    weights: dict
    inputs: float
    state: float | None
    names: tuple

    def affine(self, terms, gate, block, blocks, h=1.0):
        """``W_hh h + W_ih u + b`` of a gate, or some of its ``terms``.

        ``h`` is the block 0, the parameters of these terms are the block ``block`` of ``blocks``.
        """
        # ‖∂z/∂W_hh‖ = ‖h‖₂, ‖∂z/∂W_ih‖ = ‖u‖₂, ‖∂z/∂b‖ = 1
        norm_h = math.sqrt(self.hidden_size) * h
        slopes = {"weight_hh": norm_h, "weight_ih": self.inputs, "bias": 1.0, "bias_n": 1.0}
        weights = self.weights | {"bias_n": self.weights["bias"]}
        first, second = np.zeros(blocks), np.zeros((blocks, blocks))
        if "weight_hh" in terms:
            first[0] = self.weights["weight_hh"][gate]
            second[0, block] = second[block, 0] = "weight_hh" in self.names
        first[block] = math.hypot(*(slopes[name] for name in terms if name in self.names))
        return _Bound(sum(slopes[name] * weights[name][gate] for name in terms), first, second)


AFFINE = ("weight_hh", "weight_ih", "bias")


def _elman_step(cell, region):
    if cell.activation == "relu":
        raise ValueError(
            "activation must be 'tanh', 'softsign' or 'identity', got 'relu': its slope jumps, so "
            "that the Jacobians are not Lipschitz continuous"
        )
    if cell.activation == "identity" and region.state is None:
        raise ValueError("state must be given with the activation 'identity', got None")
    h = 1.0 if region.state is None else region.state
    return [region.affine(AFFINE, 0, 1, 2, h).through(cell.activation)], 1


def _lstm_step(cell, region):
    z = [region.affine(AFFINE, gate, 2 + gate, 6) for gate in range(4)]
    with np.errstate(over="ignore"):
        largest = 1 + np.exp(z[1].sup) if region.state is None else region.state  # 1/(1 − σ(z_f))
    if not np.isfinite(largest):
        raise ValueError(
            "state must be given where the bound on the cell state overflows, got None"
        )
    c = _Bound(largest, np.eye(6)[1])
    i, f, o = (z[gate].through("sigmoid") for gate in (0, 1, 3))
    c = f * c + i * z[2].through("tanh")
    return [o * c.through("tanh"), c], 2


def _gru_step(cell, region):
    h = _Bound(1.0 if region.state is None else region.state, np.eye(5)[0])
    r, z = (region.affine(AFFINE, gate, 1 + gate, 5, h.sup).through("sigmoid") for gate in (0, 1))
    from_state = region.affine(("weight_hh", "bias_n"), 2, 3, 5, h.sup)
    n = (region.affine(("weight_ih", "bias"), 2, 4, 5) + r * from_state).through("tanh")
    return [z * n + z * h], 1  # 1 − σ(z) = σ(−z) has the bounds of σ(z)


_STEPS = {Elman: _elman_step, LSTM: _lstm_step, GRU: _gru_step}


def readout_bounds(cell, *, weight_ho, state=1.0, names=None):
    r"""Constants of the readout ``ŷ = W_ho h + b_o`` for ``‖W_ho‖₂ ≤ weight_ho``.

    .. math::

        G_x = \|W_{ho}\|_2, \qquad G_\theta = \sqrt{\|h\|^2 + 1}, \qquad M_{x\theta} = 1 .

    Parameters
    ----------
    cell : Cell
        Says how many entries ``h`` has.
    weight_ho : float
        Bound on the spectral norm of the readout.
    state : float
        Bound on the entries of ``h``.
    names : iterable of str, optional
        The parameters that vary; all if not given. Without ``weight_ho`` and ``bias_o`` among them
        only ``G_x`` remains.

    Returns
    -------
    ReadoutBounds

    Raises
    ------
    ValueError, TypeError
        If a bound is negative or not finite, or a name is unknown.
    """
    names = _check_names(cell, names)
    norm_h = math.sqrt(cell.hidden_size) * _non_negative("state", state)
    return ReadoutBounds(
        G_x=_non_negative("weight_ho", weight_ho),
        G_theta=math.hypot(norm_h * ("weight_ho" in names), "bias_o" in names),
        M_xtheta=float("weight_ho" in names),
    )


@dataclass(frozen=True)
class CostBounds:
    """Bounds on the slope and the curvature of the cost, for several sequence lengths.

    Attributes
    ----------
    lengths : array, shape (k,)
        Sequence lengths ``N``.
    log_lipschitz, log_smooth : array, shape (k,)
        Natural logarithms of ``L_V`` and of ``L'_V``.
    step, readout, error
        As they were passed.
    """

    lengths: np.ndarray
    log_lipschitz: np.ndarray
    log_smooth: np.ndarray
    step: StepBounds
    readout: ReadoutBounds
    error: float


def cost_bounds(step, readout, *, error, lengths):
    r"""The constants of Theorem S: how steep and how curved the cost can be at most.

    For the squared error, averaged over all ``N`` steps (and over sequences), and outputs that
    never err by more than ``error``:

    .. math::

        S_t &= \textstyle\sum_{i<t} L_x^i, \qquad
        E_t = L_x E_{t-1} + K_{xx} (L_\theta S_{t-1})^2 + 2 K_{x\theta} L_\theta S_{t-1}
              + K_{\theta\theta}, \quad E_0 = 0, \\
        P_t &= G_x L_\theta S_t + G_\theta, \qquad
        F_t = G_x E_t + 2 M_{x\theta} L_\theta S_t, \\
        L_V &= \frac2N \sum_{t=1}^N \sup\|\hat y - y\| \, P_t, \qquad
        L'_V = \frac2N \sum_{t=1}^N \bigl( \sup\|\hat y - y\| \, F_t + P_t^2 \bigr).

    ``L_θ S_t`` bounds the sensitivity ``∂x_t/∂θ``, ``E_t`` its Lipschitz constant; ``P_t`` and
    ``F_t`` are the same for the output. Everything is computed in logarithms: ``L_x^{2N}``
    overflows.

    Parameters
    ----------
    step : StepBounds
        Constants of the cell on a region that the trajectories do not leave.
    readout : ReadoutBounds
        Constants of the readout on the same region.
    error : float
        Bound on ``‖ŷ_t − y_t‖₂`` on that region.
    lengths : sequence of int
        Sequence lengths ``N``.

    Returns
    -------
    CostBounds

    Raises
    ------
    ValueError, TypeError
        If the error is negative or not finite, or a length is not a positive integer.

    References
    ----------
    A. H. Ribeiro et al., Beyond exploding and vanishing gradients, AISTATS 2020, Theorem 2: the
    rates; the constants are this book's.
    """
    error = _non_negative("error", error)
    lengths = integer_array("lengths", lengths, shape=("k",))
    if lengths.min() < 1:
        raise ValueError(f"lengths must be at least 1, got {lengths.min()}")
    add, two = np.logaddexp, math.log(2)
    with np.errstate(divide="ignore"):  # the logarithm of zero is −∞
        L_x, L_theta, K_xx, K_xtheta, K_thetatheta = np.log([*vars(step).values()])
        G_x, G_theta, M_xtheta = np.log([*vars(readout).values()])
        log_error = np.log(error)

    S = E = slopes = curvatures = -np.inf
    log_lipschitz, log_smooth = np.empty((2, lengths.max()))
    for t in range(lengths.max()):
        X = L_theta + S  # of the step before
        E = add(add(L_x + E, K_xx + 2 * X), add(two + K_xtheta + X, K_thetatheta))
        S = add(0.0, L_x + S)
        X = L_theta + S
        P = add(G_x + X, G_theta)
        F = add(G_x + E, two + M_xtheta + X)
        slopes = add(slopes, log_error + P)
        curvatures = add(curvatures, add(log_error + F, 2 * P))
        log_lipschitz[t], log_smooth[t] = slopes, curvatures
    average = two - np.log(lengths)
    return CostBounds(
        lengths=lengths,
        log_lipschitz=average + log_lipschitz[lengths - 1],
        log_smooth=average + log_smooth[lengths - 1],
        step=step,
        readout=readout,
        error=error,
    )


@dataclass(frozen=True)
class GrowthFit:
    """A rate of growth with its confidence interval.

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
    model, confidence
        As they were passed.
    """

    rate: float
    interval: tuple
    intercept: float
    residual_std: float
    lengths: np.ndarray
    model: str
    confidence: float


def growth_rate(lengths, log_values, *, model="exponential", start=None, confidence=0.95):
    r"""How fast a quantity grows with the sequence length, by least squares.

    .. math:: \log v = a + \gamma N \quad\text{or}\quad \log v = a + \gamma \log N

    The interval is :math:`\hat\gamma \pm t \, s / \sqrt{\sum_k (x_k - \bar x)^2}` with the
    quantile :math:`t` of Student's distribution with ``k − 2`` degrees of freedom. It measures the
    scatter about the line, not how far the law is from a line: leave out the lengths at which the
    growth has not settled.

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
    confidence : float
        Probability that the interval covers the rate, if the scatter is independent and normal.

    Returns
    -------
    GrowthFit

    Raises
    ------
    ValueError, TypeError
        If fewer than three different lengths remain, a length is not positive, a value not finite,
        or a setting out of range.
    """
    lengths = real_array("lengths", np.asarray(lengths, dtype=float), shape=("k",))
    log_values = np.asarray(log_values, dtype=float)
    log_values = real_array("log_values", log_values, shape=lengths.shape)
    choice("model", model, ("exponential", "power"))
    if lengths.min() <= 0:
        raise ValueError(f"lengths must be positive, got {lengths.min()}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence}")
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
    margin = _student_quantile(confidence, freedom) * residual_std / np.linalg.norm(centred)
    return GrowthFit(
        rate=float(rate),
        interval=(float(rate - margin), float(rate + margin)),
        intercept=float(intercept),
        residual_std=float(residual_std),
        lengths=lengths,
        model=model,
        confidence=confidence,
    )


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


def gradient_norms(cost, params, *, names=None):
    """``‖∇V(θ)‖₂`` of each parameter set of a batch.

    Parameters
    ----------
    cost : Cost
        The function ``V``.
    params : dict of array
        The points ``θ``; leading axes tell them apart.
    names : iterable of str, optional
        The parameters that vary, such as ``["bias"]``; all if not given.

    Returns
    -------
    array, shape (…)
        With the leading axes of the parameters.

    Raises
    ------
    ValueError, TypeError
        If the parameters do not fit the cost, or a name is unknown.
    """
    names = _check_names(cost.cell, names)
    found = bptt(cost, params)
    return _norm(_vectors(found.params, names, np.ndim(found.value)))


def _vectors(arrays, names, axes):
    """The named arrays as vectors, shape ``(…, d)``, behind the given number of leading axes."""
    parts = [arrays[name].reshape(*arrays[name].shape[:axes], -1) for name in names]
    return np.concatenate(parts, axis=-1)


def _norm(vectors):
    """The Euclidean norm over the last axis, whose squares neither overflow nor underflow."""
    size = np.abs(vectors).max(axis=-1, initial=0.0)
    scaled = vectors / np.where(size > 0, size, 1)[..., np.newaxis]
    return size * np.linalg.norm(scaled, axis=-1)


@dataclass(frozen=True)
class HessianNorms:
    """Spectral norms of the Hessian at a batch of points.

    Attributes
    ----------
    values : array, shape (…)
        The largest absolute value of a Ritz value: never more than the norm, but for rounding.
    residuals : array, shape (…)
        Some eigenvalue of the Hessian lies within this distance of the Ritz value.
    converged : array of bool, shape (…)
        Whether the residual is at most ``tolerance`` times the value.
    steps : int
        Number of Hessian-vector products at each point.
    tolerance : float
        As it was passed.
    """

    values: np.ndarray
    residuals: np.ndarray
    converged: np.ndarray
    steps: int
    tolerance: float


def hessian_norms(cost, params, rng, *, names=None, steps=30, tolerance=1e-6):
    """``‖∇²V(θ)‖₂`` of each parameter set of a batch, by the method of `lanczos` for all at once.

    Parameters
    ----------
    cost : Cost
        The function ``V``.
    params : dict of array
        The points ``θ``; leading axes tell them apart.
    rng : numpy.random.Generator
        Draws the first vectors.
    names : iterable of str, optional
        The parameters that vary: the Hessian is restricted to them; all if not given.
    steps : int
        Largest number of Hessian-vector products; as many as there are parameters are exact.
    tolerance : float
        Stop when all residuals are at most ``tolerance`` times the value.

    Returns
    -------
    HessianNorms

    Raises
    ------
    ValueError, TypeError
        If the parameters do not fit the cost, a name is unknown or a number out of range.
    """
    names = _check_names(cost.cell, names)
    params, lead = cost.check_params(params)
    steps = positive_integer("steps", steps)
    if not 0 < tolerance < 1:
        raise ValueError(f"tolerance must lie between 0 and 1, got {tolerance}")
    all_shapes = cost.cell.param_shapes(params["bias_o"].shape[-1])
    shapes = {name: all_shapes[name] for name in names}
    dtype = np.result_type(*params.values())
    fixed = {name: np.zeros(all_shapes[name], dtype) for name in params if name not in names}

    def operator(vectors):
        product = hessian_vector_product(cost, params, fixed | unflatten(vectors, shapes))
        return _vectors(product, names, len(lead))

    d = sum(math.prod(shape) for shape in shapes.values())
    steps = min(steps, d)
    start = rng.normal(size=(*lead, d)).astype(dtype)
    basis = [start / _norm(start)[..., np.newaxis]]
    tridiagonal = np.zeros((*lead, steps + 1, steps + 1), dtype)
    for k in range(steps):
        image = operator(basis[-1])
        tridiagonal[..., k, k] = np.sum(basis[-1] * image, axis=-1)
        Q = np.stack(basis, axis=-1)
        for _ in range(2):  # twice is enough
            coefficients = np.einsum("...dk,...d->...k", Q, image)
            image = image - np.einsum("...dk,...k->...d", Q, coefficients)
        values, vectors = np.linalg.eigh(tridiagonal[..., : k + 1, : k + 1])
        first = np.argmax(np.abs(values), axis=-1)[..., np.newaxis]
        norms = np.abs(np.take_along_axis(values, first, axis=-1)[..., 0])
        last = np.take_along_axis(vectors[..., -1, :], first, axis=-1)[..., 0]
        # An invariant subspace leaves nothing but rounding, which is taken as zero: the basis is
        # continued with zero vectors, which add nothing but the eigenvalue zero.
        beyond = _norm(image)
        beyond = np.where(beyond > d * np.finfo(dtype).eps * norms, beyond, 0)
        residuals = beyond * np.abs(last)
        converged = residuals <= tolerance * norms
        if converged.all():
            break
        inverse = np.where(beyond > 0, 1 / np.where(beyond > 0, beyond, 1), 0)
        basis.append(image * inverse[..., np.newaxis])
        tridiagonal[..., k, k + 1] = tridiagonal[..., k + 1, k] = beyond
    return HessianNorms(norms, residuals, converged, k + 1, tolerance)


@dataclass(frozen=True)
class Supremum:
    """The largest value of a function that a search has found: a lower estimate of its supremum.

    Attributes
    ----------
    value : float
        The largest value.
    point : array, shape (d,)
        Where it was found.
    history : array, shape (rounds + 1,)
        The largest value after the sampling and after each round of the ascent.
    evaluations : int
        Number of points at which the function was evaluated.
    starts, rounds, keep, tries, shrink
        As they were passed.
    """

    value: float
    point: np.ndarray
    history: np.ndarray
    evaluations: int
    starts: int
    rounds: int
    keep: int
    tries: int
    shrink: float


def supremum(
    function, sample, project=None, *, rng, starts=256, rounds=100, keep=8, tries=16, shrink=1e-16
):
    """A lower estimate of the supremum of a function over a region, by sampling and ascent.

    The best of the sampled points are each moved at random, again and again, and stay where the
    function is larger. Peaks can be narrower than the region by many orders of magnitude, in some
    directions and not in others. So the distance of a move is drawn from all orders between
    ``shrink`` times the spread of the sampled points and that spread, or is near that of the last
    move that succeeded; and its direction is either any, or along one coordinate, or along the line
    to another of the best points. No derivative is needed. A peak of which nothing is seen from
    the sampled points is not found: sample on a logarithmic scale around the places where one is to
    be expected.

    Parameters
    ----------
    function : callable
        Points of shape ``(k, d)`` to values of shape ``(k,)``; of what varies by orders of
        magnitude take the logarithm. ``−∞`` is allowed.
    sample : callable
        ``sample(rng, k)`` draws ``k`` points of the region, shape ``(k, d)``.
    project : callable, optional
        Maps points of shape ``(k, d)`` into the region; not needed where that is the whole space.
    rng : numpy.random.Generator
        Source of randomness.
    starts, rounds, keep, tries : int
        Number of sampled points, of rounds, of points that are improved, and of moves that are
        tried in each round from each of them.
    shrink : float
        The smallest move, relative to the spread of the sampled points.

    Returns
    -------
    Supremum

    Raises
    ------
    ValueError, TypeError
        If a setting is out of range, a shape is wrong, or a value is NaN or ``+∞``.
    """
    starts = positive_integer("starts", starts)
    rounds = positive_integer("rounds", rounds, minimum=0)
    keep = min(positive_integer("keep", keep), starts)
    tries = positive_integer("tries", tries)
    if not 0 < shrink < 1:
        raise ValueError(f"shrink must lie between 0 and 1, got {shrink}")

    def evaluate(points):
        values = np.asarray(function(points))
        if values.shape != points.shape[:1]:
            raise ValueError(
                f"got function(points) of shape {values.shape}, expected {points.shape[:1]}"
            )
        if not (values < np.inf).all():
            raise ValueError(f"function must be less than infinity, got {values.max()}")
        return values

    points = real_array("sample(rng, starts)", sample(rng, starts), shape=(starts, "d"))
    d = points.shape[1]
    spread = points.std(axis=0)
    values = evaluate(points)
    best = np.argsort(-values)[:keep]
    points, values = points[best], values[best]
    sizes = np.ones(keep)  # of the last move that succeeded, relative to the spread
    history = [values.max()]
    for _ in range(rounds):
        size = shrink ** rng.uniform(size=(keep, tries))
        near = sizes[:, np.newaxis] * np.exp(rng.normal(size=size.shape))
        size = np.where(rng.uniform(size=size.shape) < 0.5, size, near)[..., np.newaxis]
        move = rng.normal(size=(keep, tries, d)) * spread
        one = np.eye(d)[rng.integers(d, size=(keep, tries))]
        to_another = points[rng.integers(keep, size=(keep, tries))] - points[:, np.newaxis]
        kind = rng.integers(3, size=(keep, tries, 1))
        move = size * np.choose(kind, [move, move * one, to_another * rng.normal(size=kind.shape)])
        trials = (points[:, np.newaxis] + move).reshape(-1, d)
        if project is not None:
            trials = real_array("project(points)", project(trials), shape=trials.shape)
        trial_values = evaluate(trials).reshape(keep, tries)
        k, j = np.arange(keep), np.argmax(trial_values, axis=1)
        better = trial_values[k, j] > values
        points[better] = trials.reshape(keep, tries, d)[k, j][better]
        values = np.where(better, trial_values[k, j], values)
        sizes = np.where(better, size[k, j, 0], sizes)
        history.append(values.max())
    top = np.argmax(values)
    return Supremum(
        value=float(values[top]),
        point=points[top],
        history=np.array(history),
        evaluations=starts + rounds * keep * tries,
        starts=starts,
        rounds=rounds,
        keep=keep,
        tries=tries,
        shrink=shrink,
    )


STEPS_AT_ONCE = 16  # of the grid, evaluated as one batch
BISECTIONS = 45  # leave of the ratio of two grid points nothing but rounding


def largest_decreasing_step(cost, params, *, names=None, start=1e-3, stop=1e3, factor=1.05):
    r"""The step of gradient descent below which the cost is smaller than before.

    .. math::

        \eta_1 = \min\{\eta > 0 : V(\theta - \eta \nabla V(\theta)) = V(\theta)\} \ge 2 / L'_V

    The unit of length is :math:`\eta_0 = 2 \|g\| / \|H g\|` with the gradient :math:`g` and the
    Hessian :math:`H` at :math:`\theta`. Where the cost is quadratic, :math:`\eta_0 \le \eta_1`,
    with equality if :math:`g` is an eigenvector. The cost is evaluated at the steps ``start``,
    ``start · factor``, ``start · factor²``, …, ``stop`` in this unit. Between the first at which it
    is not smaller than at :math:`\theta` and the one before, :math:`\eta_1` is found by bisection.
    A rise and fall between two neighbours of the grid is overlooked: the result is exact or too
    large.

    Parameters
    ----------
    cost : Cost
        The function ``V``.
    params : dict of array
        The points ``θ``; leading axes tell them apart.
    names : iterable of str, optional
        The parameters that vary; all if not given.
    start, stop : float
        First and last step of the grid, in units of ``η_0``.
    factor : float
        Ratio of neighbouring steps of the grid.

    Returns
    -------
    array, shape (…)
        ``η_1``, with the leading axes of the parameters. Infinite where the cost is smaller on the
        whole grid. NaN where ``start`` is not far below: the first step decreases the cost by less
        than half of what the gradient promises, or that drowns in rounding, or ``η_0`` does not
        exist since ``g`` or ``H g`` is zero.

    Raises
    ------
    ValueError, TypeError
        If the parameters do not fit the cost, a name is unknown or a setting out of range.
    """
    names = _check_names(cost.cell, names)
    if not 0 < start < stop < np.inf:
        raise ValueError(f"start and stop must be 0 < start < stop, got {start} and {stop}")
    if not 1 < factor < np.inf:
        raise ValueError(f"factor must be greater than 1, got {factor}")
    params, lead = cost.check_params(params)
    here, axes = bptt(cost, params), len(lead)
    g = {name: array * (name in names) for name, array in here.params.items()}
    product = hessian_vector_product(cost, params, g)
    slope, curvature = (_norm(_vectors(arrays, names, axes)) for arrays in (g, product))
    exists = (slope > 0) & (curvature > 0)
    unit = 2 * np.where(exists, slope, 0) / np.where(exists, curvature, 1)

    batch = cost.arrange(params, lead).layout.batch
    between = (1,) * (len(batch) - len(lead))  # axes that keep several steps apart from the batch

    def change(steps):
        """``V(θ − ηg) − V(θ)`` for several steps ``η`` of each point, shape ``(k, …)``."""
        moved = dict(params)
        for name in names:
            core = (1,) * (g[name].ndim - len(lead))
            moved[name] = params[name] - steps.reshape(-1, *between, *lead, *core) * g[name]
        with np.errstate(over="ignore", invalid="ignore"):  # a cost of infinity is not smaller
            return cost(moved).reshape(steps.shape) - here.value

    # The start must be far below: where the gradient rules and well above rounding.
    theta = _vectors({name: params[name] + np.zeros_like(g[name]) for name in names}, names, axes)
    noise = np.finfo(here.value.dtype).eps * (here.value + _norm(theta) * slope)
    promise = start * unit * slope**2
    begins = (promise > 100 * noise) & (change(start * unit[np.newaxis])[0] < -promise / 2)
    unit = np.where(begins, unit, 0)

    low, high = np.where(begins, np.inf, np.nan) * np.ones((2, *lead))
    count = math.ceil(math.log(stop / start) / math.log(factor))
    grid = np.append(start * factor ** np.arange(count), stop)
    for k in range(0, count, STEPS_AT_ONCE):
        steps = np.multiply.outer(grid[k : k + STEPS_AT_ONCE + 1], unit)
        larger = ~(change(steps[1:]) < 0)
        first = np.argmax(larger, axis=0)[np.newaxis]
        found = larger.any(axis=0) & (high == np.inf)
        low = np.where(found, np.take_along_axis(steps, first, axis=0)[0], low)
        high = np.where(found, np.take_along_axis(steps, first + 1, axis=0)[0], high)
        if not (high == np.inf).any():
            break
    bracketed = np.isfinite(high)
    for _ in range(BISECTIONS):
        middle = np.where(bracketed, low / 2 + high / 2, 0)
        smaller = change(middle[np.newaxis])[0] < 0
        low, high = np.where(smaller, middle, low), np.where(smaller, high, middle)
    return np.where(bracketed, high, np.where(begins, np.inf, np.nan))


@dataclass(frozen=True)
class Lanczos:
    """Extreme eigenvalues of a symmetric operator.

    Attributes
    ----------
    eigenvalues : array, shape (k,)
        Ritz values, in descending order of their absolute value.
    eigenvectors : array, shape (d, k)
        Ritz vectors, in the same order.
    residuals : array, shape (k,)
        ``‖A y − λ y‖`` of each pair; some eigenvalue of ``A`` lies within it of ``λ``.
    converged : bool
        Whether the residual of the first pair is at most ``tolerance · |λ|``.
    steps : int
        Number of products with the operator.
    tolerance : float
        As it was passed.
    """

    eigenvalues: np.ndarray
    eigenvectors: np.ndarray
    residuals: np.ndarray
    converged: bool
    steps: int
    tolerance: float

    @property
    def norm(self):
        """The spectral norm of the operator: the largest absolute value of an eigenvalue."""
        return abs(float(self.eigenvalues[0]))


def lanczos(operator, start, *, max_steps=100, tolerance=1e-8):
    r"""Extreme eigenvalues of a symmetric operator from products with vectors.

    An orthonormal basis :math:`Q_k` of :math:`b, Ab, \dots, A^{k-1} b` is built by the three-term
    recursion, with full re-orthogonalisation, and :math:`A` is replaced by the tridiagonal
    :math:`T_k = Q_k^\mathsf{T} A Q_k`. The eigenvalue of largest *magnitude*, of either sign,
    decides when to stop.

    Parameters
    ----------
    operator : callable
        ``A``: an array of shape ``(d,)`` to one of the same shape.
    start : array, shape (d,)
        The vector ``b``; it must not be orthogonal to the eigenvector that is sought, which a
        random one is not.
    max_steps : int
        Largest number of products.
    tolerance : float
        Stop when the residual of the first Ritz pair is at most ``tolerance · |λ|``.

    Returns
    -------
    Lanczos

    Raises
    ------
    ValueError, TypeError
        If the start is zero, it or a product is not a finite real vector of its size, or a number
        is out of range.

    References
    ----------
    G. H. Golub, C. F. Van Loan, Matrix Computations, 4th ed., section 10.1.
    """
    start = real_array("start", start, shape=("d",))
    max_steps = positive_integer("max_steps", max_steps)
    if not 0 < tolerance < 1:
        raise ValueError(f"tolerance must lie between 0 and 1, got {tolerance}")
    size = np.linalg.norm(start)
    if size == 0:
        raise ValueError("start must not be the zero vector")
    basis, diagonal, off_diagonal = [start / size], [], []
    while True:
        image = real_array("operator(vector)", operator(basis[-1]), shape=start.shape)
        diagonal.append(basis[-1] @ image)
        for _ in range(2):  # twice is enough
            Q = np.stack(basis, axis=1)
            image = image - Q @ (Q.T @ image)
        beyond = np.linalg.norm(image)
        tridiagonal = np.diag(diagonal) + np.diag(off_diagonal, 1) + np.diag(off_diagonal, -1)
        values, vectors = np.linalg.eigh(tridiagonal)
        order = np.argsort(-np.abs(values))
        values, vectors = values[order], vectors[:, order]
        residuals = beyond * np.abs(vectors[-1])
        # An invariant subspace leaves nothing but rounding: its Ritz values are eigenvalues.
        exhausted = beyond <= len(start) * np.finfo(start.dtype).eps * np.abs(values[0])
        converged = bool(exhausted or residuals[0] <= tolerance * np.abs(values[0]))
        if converged or len(diagonal) == min(max_steps, len(start)):
            return Lanczos(values, Q @ vectors, residuals, converged, len(diagonal), tolerance)
        basis.append(image / beyond)
        off_diagonal.append(beyond)


def hessian_spectrum(cost, params, rng, *, max_steps=100, tolerance=1e-8):
    """Extreme eigenvalues of ``∇²V(θ)`` by `lanczos` on exact Hessian-vector products.

    Parameters
    ----------
    cost : Cost
        The function ``V``.
    params : dict of array
        The point ``θ``, without leading axes.
    rng : numpy.random.Generator
        Draws the first vector.
    max_steps, tolerance
        As for `lanczos`.

    Returns
    -------
    Lanczos
        Its ``norm`` is the spectral norm of the Hessian: the local smoothness constant of the cost.

    Raises
    ------
    ValueError, TypeError
        If the parameters do not fit the cost, or have leading axes.
    """
    params, _ = cost.check_params(params, single="hessian_spectrum")
    theta = flatten(params)

    def operator(vector):
        return flatten(hessian_vector_product(cost, params, unflatten(vector, params)))

    start = rng.normal(size=theta.size).astype(theta.dtype)
    return lanczos(operator, start, max_steps=max_steps, tolerance=tolerance)
