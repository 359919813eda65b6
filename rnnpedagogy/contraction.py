"""How fast a network certainly contracts: bounds on its Jacobian, and the best norm for them.

A step contracts in some norm if its Jacobian does, everywhere in a convex set that no step leaves.
What is known of the Jacobian are bounds on its entries, unit by unit; the norm is fitted to them.
"""

from dataclasses import dataclass

import autograd.numpy as anp
import numpy as np
from autograd import make_vjp
from autograd.builtins import dict as traced_dict

from rnnpedagogy._validation import finite, real_array, takes
from rnnpedagogy.cells import GRU, LSTM, Elman, absolute, sigmoid
from rnnpedagogy.stability import _by_gate, _join

SHARE = 0.9  # w, the weight of the cell states in the norm of `ContractingLSTM`


@takes
def jacobian_bounds(cell, params, *, input_bound=1.0, rounds=20):
    r"""Bounds on the entries of :math:`\partial f/\partial x`, on a box that no step leaves.

    Every gate is bounded by its own largest value and slope, unit by unit: its argument lies within
    ``b_j ± (Σ_k |W_jk| h̄_k + ū Σ_k |W_u,jk|)``. For an `LSTM`, with the bounds
    :math:`\bar i, \bar f, \bar g, \bar o` on gates and :math:`i', f', g', o'` on their slopes,

    .. math::

        \bar c &= \frac{\bar i \bar g}{1 - \bar f}, \quad \bar h = \bar o \tanh \bar c, \quad
        C = \bar c f' |W_f| + \bar g i' |W_i| + \bar i g' |W_g|, \\
        M &= \begin{pmatrix} \tanh(\bar c)\, o' |W_o| + \bar o\, C & \bar o \bar f \\
                            C & \bar f \end{pmatrix} .

    For `Elman` with tanh it is ``|f'| |W|``. For a `GRU` the update gate ``z`` weighs the old state
    and the new value, so that there are two matrices, for its smallest and its largest value, and
    each row of the Jacobian is bounded by a mean of theirs.

    Parameters
    ----------
    cell : Elman with the activation "tanh", LSTM, ContractingLSTM or GRU
    params : dict of array
        Leading axes give one set of bounds for each set of parameters.
    input_bound : float
        ``ū ≥ |u|`` for every entry of every input.
    rounds : int
        How often the box is made smaller, from ``|h| ≤ 1``. Orbits from the state zero are in all
        of these boxes.

    Returns
    -------
    array, shape (…, k, n, n)
        ``|J Δx|_i ≤ max_k (M_k |Δx|)_i``; ``k = 2`` for a GRU, 1 otherwise.
    """
    if type(cell) not in _BOUNDS or getattr(cell, "activation", "tanh") != "tanh":
        raise TypeError(f"cell must be an Elman with tanh, an LSTM or a GRU, got {cell!r}")
    own = {name: params[name] for name in cell.param_shapes() if name in params}
    arrays, _ = cell.check_params(own)
    weights, _ = cell.reparametrise(arrays)
    G, H = cell.gates, cell.hidden_size

    def gates(array, *rest):
        return array.astype(np.float64).reshape(*array.shape[: -1 - len(rest)], G, H, *rest)

    W = np.abs(gates(weights["weight_hh"], H))
    driven = input_bound * np.abs(gates(weights["weight_ih"], cell.input_size)).sum(axis=-1)
    bias, extra = gates(weights["bias"]), np.abs(weights.get("bias_n", np.zeros(H)))
    h = np.ones((*W.shape[:-3], H))
    for _ in range(rounds + 1):
        reach = np.einsum("...ghk,...k->...gh", W, h)
        h, matrices = _BOUNDS[type(cell)](W, bias, driven, reach, h, extra)
    return np.stack(matrices, axis=-3)


def _elman_bounds(W, bias, driven, reach, h, extra):
    largest, slope = _tanh_bounds(bias[..., 0, :], (driven + reach)[..., 0, :])
    return largest, [slope[..., np.newaxis] * W[..., 0, :, :]]


def _lstm_bounds(W, bias, driven, reach, h, extra):
    reach = reach + driven
    (i, f, o), (d_i, d_f, d_o) = _each(_sigmoid_bounds, bias, reach, (0, 1, 3))
    g, d_g = _tanh_bounds(bias[..., 2, :], reach[..., 2, :])
    # 1/(1 − f), finite also where f rounds to one
    c = i * g * (1 + np.exp(np.minimum((bias + reach)[..., 1, :], 300)))
    W_i, W_f, W_g, W_o = np.moveaxis(W, -3, 0)
    C = _rows(c * d_f, W_f) + _rows(g * d_i, W_i) + _rows(i * d_g, W_g)
    to_h = np.concatenate([_rows(np.tanh(c) * d_o, W_o) + _rows(o, C), _diagonal(o * f)], axis=-1)
    to_c = np.concatenate([C, _diagonal(f)], axis=-1)
    return o * np.tanh(c), [np.concatenate([to_h, to_c], axis=-2)]


def _gru_bounds(W, bias, driven, reach, h, extra):
    (r, z), (d_r, d_z) = _each(_sigmoid_bounds, bias, reach + driven, (0, 1))
    q = reach[..., 2, :] + extra
    n, d_n = _tanh_bounds(bias[..., 2, :], driven[..., 2, :] + r * q)
    least, _ = _sigmoid_bounds(bias[..., 1, :], -(reach + driven)[..., 1, :])
    W_r, W_z, W_n = np.moveaxis(W, -3, 0)
    N, Z = _rows(d_n * r, W_n) + _rows(d_n * q * d_r, W_r), _rows((h + n) * d_z, W_z)
    return n, [_diagonal(one) + Z + _rows(1 - one, N) for one in (least, z)]


def _sigmoid_bounds(bias, reach):
    """Largest value and slope of ``σ`` on ``bias ± reach``."""
    nearest = sigmoid(np.maximum(np.abs(bias) - np.abs(reach), 0))
    return sigmoid(bias + reach), nearest * (1 - nearest)


def _tanh_bounds(bias, reach):
    """Largest absolute value and slope of ``tanh`` on ``bias ± reach``."""
    nearest = np.tanh(np.maximum(np.abs(bias) - reach, 0))
    return np.tanh(np.abs(bias) + reach), 1 - nearest**2


def _each(function, bias, reach, gates):
    found = [function(bias[..., gate, :], reach[..., gate, :]) for gate in gates]
    return zip(*found, strict=True)


def _rows(factors, matrix):
    return factors[..., np.newaxis] * matrix


def _diagonal(entries):
    return entries[..., np.newaxis] * np.eye(entries.shape[-1])


@dataclass(frozen=True)
class DiagonalNorm:
    """The best rate that a norm with weights certifies, from both sides.

    Attributes
    ----------
    rate : array
        A rate of contraction in the norm with these ``weights``.
    lower : array
        No norm of this kind, with whatever weights, certifies less.
    weights : array, shape (…, n)
        ``v > 0``; the norm is that of ``x/v``.
    """

    rate: np.ndarray
    lower: np.ndarray
    weights: np.ndarray


@takes(bounds=real_array)
def best_max_norm(bounds, *, iterations=1000, tolerance=1e-9):
    r"""Fit the norm ``max_i |x_i|/v_i`` to bounds on a Jacobian, by power iteration.

    With :math:`F(v)_i = \max_k (M_k v)_i`, for every ``v > 0`` (Collatz–Wielandt),

    .. math:: \min_i F(v)_i/v_i \;\le\; \inf_{w > 0} \max_i F(w)_i/w_i \;\le\; \max_i F(v)_i/v_i .

    For one matrix the middle is its Perron root. If the matrix is reducible the infimum need not
    be attained, and a gap may remain. No ratio of two weights exceeds ``1e12``.

    Parameters
    ----------
    bounds : array, shape (…, k, n, n)
        As from `jacobian_bounds`.
    iterations : int
        Largest number of iterations.
    tolerance : float
        Relative gap at which the iteration ends.

    Returns
    -------
    DiagonalNorm
    """
    bounds = real_array("bounds", bounds, shape=(..., "k", "n", "n"))
    if bounds.shape[-1] != bounds.shape[-2] or (bounds < 0).any() or np.isinf(bounds.sum(-1)).any():
        raise ValueError(f"bounds must be square, with finite sums, not negative, got {bounds}")
    v = np.ones(bounds.shape[:-3] + bounds.shape[-1:])
    for _ in range(iterations):
        image = (bounds @ v[..., np.newaxis, :, np.newaxis])[..., 0].max(axis=-2)
        ratios = image / v
        rate, lower = ratios.max(axis=-1), ratios.min(axis=-1)
        found = DiagonalNorm(rate, lower, v)
        if (rate - lower <= tolerance * rate).all():
            break
        shift = np.maximum(0.1 * rate, np.finfo(float).tiny)  # against cycles
        v = image + shift[..., np.newaxis] * v
        v = np.maximum(v / v.max(axis=-1, keepdims=True), 1e-12)
    return found


@takes(W=real_array)
def best_two_norm(W, *, iterations=30):
    r"""Fit the norm ``‖S x‖₂`` with a diagonal ``S`` to a matrix, for the rate ``‖S W S⁻¹‖₂``.

    The rate is convex in ``log S``. In its place, for ``p = 4, 8, …, 4096``, the Schatten norm
    :math:`(\sum_k \sigma_k^{2p})^{1/2p}` of :math:`S W S^{-1} = U \Sigma V^\mathsf{T}`, which is
    smooth, is minimised by the method of Broyden, Fletcher, Goldfarb and Shanno. For every matrix
    :math:`Z \ge 0` the quotient below bounds the rate of all ``S``,

    .. math:: \|S W S^{-1}\|_2^2 \ge \min_i (W Z W^\mathsf{T})_{ii} / Z_{ii},

    and :math:`Z = S^{-1} V \Sigma^{2p} V^\mathsf{T} S^{-1}` gives a good one. For a tanh network
    ``W`` is the recurrent matrix, each row times the largest slope of its unit.

    Parameters
    ----------
    W : array, shape (n, n)
    iterations : int
        Largest number of steps for each ``p``.

    Returns
    -------
    DiagonalNorm
        With the weights ``1/S``; if ``W`` is reducible, or nearly so, a gap may remain.
    """
    W = real_array("W", W, shape=("n", "n")).astype(np.float64)
    if W.shape[0] != W.shape[1] or np.isinf(np.linalg.norm(W)):
        raise ValueError(f"W must be square, with a finite norm, got shape {W.shape}: {W}")
    s, lower = np.zeros(len(W)), 0.0
    if not W.any():
        return DiagonalNorm(0.0, 0.0, np.exp(s))
    for p in 2.0 ** np.arange(2, 13):
        s, quotient = _minimise(lambda s, p=p: _schatten(W, s, p), s, iterations)
        lower = max(lower, quotient)
    scaled = np.exp(s)[:, np.newaxis] * W * np.exp(-s)
    return DiagonalNorm(np.linalg.norm(scaled, 2), lower, np.exp(s.min() - s))


def _schatten(W, s, p):
    """Logarithm of the Schatten norm of ``S W S⁻¹``, its derivative in ``log S``, the quotient."""
    U, sigma, Vt = np.linalg.svd(np.exp(s)[:, np.newaxis] * W * np.exp(-s))
    share = (sigma / sigma[0]) ** (2 * p)
    rows, columns = U**2 @ share, share @ Vt**2
    value = np.log(sigma[0]) + np.log(share.sum()) / (2 * p)
    quotient = np.sqrt(np.min(U**2 @ (share * sigma**2) / np.maximum(columns, 1e-300)))
    return value, (rows - columns) / share.sum(), quotient


def _minimise(function, s, iterations):
    """A quasi-Newton method for a convex function; where it ends, and what it found beside."""
    (value, slope, found), B = function(s), np.eye(len(s))
    for _ in range(iterations):
        step, t = -B @ slope, 1.0
        new = function(s + step)
        while new[0] > value + 1e-4 * t * slope @ step and t > 1e-9:
            t /= 2
            new = function(s + t * step)
        d, y = t * step, new[1] - slope
        if y @ d <= 1e-300 or new[0] >= value:
            break
        s, (value, slope, found) = s + d, new
        V = np.eye(len(s)) - np.outer(d, y) / (y @ d)
        B = V @ B @ V.T + np.outer(d, d) / (y @ d)
    return s, found


def _within(params, phi, rate, input_bound, *, soft):
    """Recurrent weights that contract at a rate, and the largest forget bias that goes with them.

    ``phi`` bounds the forget gates, unit by unit. A row that uses ``a`` of its room ``r`` is scaled
    by ``r/(r + a)``, or by ``min(1, r/a)`` if it is not ``soft``.
    """

    def factor(room, used):
        return (room / (room + used if soft else np.maximum(room, used)))[..., np.newaxis]

    i, f, g, o = anp.split(params["weight_hh"], 4, axis=-2)
    from_input = anp.split(params["weight_ih"], 4, axis=-2)[1]
    used = (_sums(i) + _sums(f) / (1 - phi)) / 4 + _sums(g)
    scale = factor(SHARE * (rate - phi), used)
    scale_o = factor((1 - SHARE) * rate, _sums(o) / 4)
    weights = anp.concatenate([scale * i, scale * f, scale * g, scale_o * o], axis=-2)
    taken = _sums(scale * f) + input_bound * _sums(from_input)
    return weights, anp.log(phi / (1 - phi)) - taken


def _sums(W):
    return anp.sum(absolute(W), axis=-1)


class ContractingLSTM(LSTM):
    r"""An `LSTM` that contracts by construction, at a given rate, whatever its parameters.

    Unit by unit, with norms of rows of absolute values, ``w = 0.9`` and the rate ``λ``,

    .. math::

        \varphi &= \lambda\, \sigma(b_f), \qquad r = w\,(\lambda - \varphi), \\
        a &= \tfrac14 \|W_i\| + \|W_g\| + \tfrac14 \|W_f\|/(1 - \varphi), \\
        W_{i,f,g} &\mapsto \frac{r}{r + a}\, W_{i,f,g}, \qquad
        W_o \mapsto \frac{(1 - w) \lambda}{(1 - w) \lambda + \frac14 \|W_o\|}\, W_o ,

    and the forget bias becomes what lets no forget gate exceed ``φ``. The step is that of an LSTM
    with these weights; it contracts by ``λ`` in the norm ``max(‖h‖_∞, ‖c‖_∞/w)``, on
    ``|h| ≤ 1, |c_j| ≤ 1/(1 − φ_j)``.

    Parameters
    ----------
    input_size, hidden_size : int
        ``m ≥ 0`` and ``H ≥ 1``.
    rate : float
        ``λ``, between 0 and 1.
    input_bound : float
        ``ū ≥ |u|`` for every entry of every input.
    """

    @takes
    def __init__(self, input_size, hidden_size, *, rate=0.95, input_bound=1.0):
        super().__init__(input_size, hidden_size)
        self.rate, self.input_bound = _a_rate("rate", rate), input_bound

    def lstm_params(self, params):
        """The parameters of the `LSTM` that this is, without the readout's."""
        i, f, g, o = anp.split(params["bias"], 4, axis=-1)
        phi = anp.maximum(self.rate * sigmoid(f), np.finfo(f.dtype).tiny)  # its logit is finite
        weights, largest = _within(params, phi, self.rate, self.input_bound, soft=True)
        bias = anp.concatenate([i, largest, g, o], axis=-1)
        return traced_dict({"weight_ih": params["weight_ih"], "weight_hh": weights, "bias": bias})

    def step(self, params, state, inputs):
        return super().step(self.lstm_params(params), state, inputs)

    def reparametrise(self, params):
        pull_back, weights = make_vjp(self.lstm_params)(params)
        return weights, pull_back


def _a_rate(name, value, largest=1.0):
    if not 0 < finite(name, value) < largest:
        raise ValueError(f"{name} must lie between 0 and {largest}, got {value!r}")
    return float(value)


@takes(rate=_a_rate)
def project_to_rate(params, *, rate, phi, input_bound=1.0, nearest=True):
    r"""Put an LSTM's parameters into the region of a `ContractingLSTM`, those inside stay.

    No forget gate may exceed ``φ``: unit by unit, :math:`(b_f, W_{uf})` goes to the nearest point
    at which :math:`b_f + \bar u \|W_{uf}\|` leaves room for that. Then the rows of
    :math:`W_i, W_f, W_g` are scaled by ``min(1, r/a)`` and those of :math:`W_o` accordingly, with
    ``r`` and ``a`` as for `ContractingLSTM`, which has the same region but for this common ``φ``.

    Parameters
    ----------
    params : dict of array
        Parameters of an `LSTM`, and any others, which are returned as they are.
    rate : float
        ``λ``, between 0 and 1.
    phi : float
        Largest ``φ``, between 0 and the rate.
    input_bound : float
        ``ū ≥ |u|`` for every entry of every input.
    nearest : bool
        Otherwise the bias alone is lowered, as by `project_contracting_lstm`.

    Returns
    -------
    dict of array
    """
    phi = _a_rate("phi", phi, rate)
    W_hh, W_ih, bias = _by_gate(params)
    dtype, sizes = bias["f"].dtype, np.abs(W_ih["f"])
    own = sigmoid(_sums(W_hh["f"]) + input_bound * _sums(sizes) + bias["f"])
    allowed = np.clip(own, np.finfo(dtype).tiny, phi)
    weights, largest = _within(params, allowed, rate, input_bound, soft=False)
    excess = np.where(own > phi, np.maximum(bias["f"] - largest, 0), 0)
    if nearest:  # the excess t + ū Σ min(|W|, ū t) is a minimum over how many entries vanish
        gone = np.cumsum(np.sort(np.pad(sizes, [(0, 0)] * (sizes.ndim - 1) + [(1, 0)])), axis=-1)
        left = np.arange(sizes.shape[-1], -1, -1)
        t = (excess[..., np.newaxis] - input_bound * gone) / (1 + input_bound**2 * left)
        excess = np.maximum(t.max(axis=-1), 0)
        shrunk = np.maximum(sizes - input_bound * excess[..., np.newaxis], 0)
        W_ih["f"] = np.copysign(shrunk, W_ih["f"]).astype(dtype)
    bias["f"] = (bias["f"] - excess).astype(dtype)
    new = {"weight_ih": _join(W_ih, -2), "weight_hh": weights, "bias": _join(bias, -1)}
    return dict(params) | new


_BOUNDS = {Elman: _elman_bounds, GRU: _gru_bounds}
_BOUNDS |= dict.fromkeys((LSTM, ContractingLSTM), _lstm_bounds)
