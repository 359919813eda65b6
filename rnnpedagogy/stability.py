"""LSTM networks that contract: a certificate, and projections onto networks that have one."""

import math
from dataclasses import dataclass

import numpy as np

from rnnpedagogy._validation import broadcast_shapes, float_array, non_negative, real_array, takes
from rnnpedagogy.cells import LSTM

GATES = "ifgo"  # the order of the blocks of H rows
# Published bounds on the sum of absolute values in a row: of the matrices that multiply h …
ROW_SUMS = {"i": 0.395, "f": 0.155, "g": 0.099, "o": 0.395}
INPUT_TO_FORGET = 0.25  # … and of the one that takes the input to the forget gate


# Where the certificate ends at these row sums: a = (1 − φ)(1 − o), and with r = 1 − φ
# _FROM_I_AND_G + ¼ W_f/r = r _FROM_O.
_FROM_I_AND_G, _FROM_O = ROW_SUMS["i"] / 4 + ROW_SUMS["g"], 1 - ROW_SUMS["o"] / 4
_ROOT = math.sqrt(_FROM_I_AND_G**2 + _FROM_O * ROW_SUMS["f"])
LARGEST_PHI = 1 - (_FROM_I_AND_G + _ROOT) / (2 * _FROM_O)


@dataclass(frozen=True)
class Certificate:
    r"""Whether an LSTM network contracts, and how fast, as far as the sizes of its weights tell.

    For two states ``(h, c)`` in the set ``|h| ≤ 1``, ``|c| ≤ c̄`` and one input, the differences
    before and after a step obey, entry by entry,

    .. math::

        \begin{pmatrix} \|\Delta h'\|_\infty \\ \|\Delta c'\|_\infty \end{pmatrix} \le
        \begin{pmatrix} o + a & \varphi \\ a & \varphi \end{pmatrix}
        \begin{pmatrix} \|\Delta h\|_\infty \\ \|\Delta c\|_\infty \end{pmatrix} .

    The largest eigenvalue of this matrix is the rate, its eigenvector ``(1, w)`` weighs the norm
    ``max(‖Δh‖, ‖Δc‖/w)`` in which every step contracts by the rate at least. The set is mapped into
    itself. All attributes have the leading axes of the parameters.

    Attributes
    ----------
    holds : array of bool
        Whether ``a < (1 − φ)(1 − o)``, which says that the rate is below one.
    rate : array
        The largest eigenvalue (Perron root) ``λ``; an upper bound on the contraction of one step
        also where it is above one.
    phi : array
        ``φ``, bound on the forget gate: ``σ(max_j (Σ_k |W_f,jk| + ū Σ_k |W_uf,jk| + b_f,j))``.
    a : array
        ``a = ¼‖W_i‖ + ‖W_g‖ + ¼ c̄ ‖W_f‖``, how much the cell state takes up of ``h``; norms are
        the largest row sums of absolute values.
    o : array
        ``o = ¼‖W_o‖``, how much the output gate takes up of ``h``.
    cell_bound : array
        ``c̄ = 1/(1 − φ)``.
    weight : array
        ``w``, the weight of the cell state in the norm.
    """

    holds: np.ndarray
    rate: np.ndarray
    phi: np.ndarray
    a: np.ndarray
    o: np.ndarray
    cell_bound: np.ndarray
    weight: np.ndarray

    @takes(state=float_array, other=float_array)
    def distance(self, state, other):
        """The norm ``max(‖Δh‖_∞, ‖Δc‖_∞ / w)`` of the difference of states, shape ``(…, 2H)``."""
        broadcast_shapes("state and other", state.shape, other.shape)
        h, c = np.split(np.abs(np.subtract(state, other)), 2, axis=-1)
        return np.maximum(h.max(axis=-1), c.max(axis=-1) / self.weight)


@takes
def contraction_certificate(params, *, input_bound=1.0):
    r"""Certify that an LSTM network contracts for all inputs of bounded size.

    With :math:`\varphi`, ``a`` and ``o`` as in `Certificate`, the network contracts if

    .. math:: a < (1 - \varphi)(1 - o) .

    The condition is sufficient, not necessary.

    Parameters
    ----------
    params : dict of array
        Parameters of an `LSTM`; leading axes give one certificate for each set, anything but the
        cell's own parameters is ignored.
    input_bound : float
        ``ū ≥ |u|`` for every entry of every input.

    Returns
    -------
    Certificate

    References
    ----------
    The conditions of J. Miller, M. Hardt, Stable recurrent models, ICLR 2019, section 2.2, are of
    this kind; the matrix, its rate and the bias in ``φ`` are the book's own (C6.1).
    """
    W_hh, W_ih, bias = _by_gate(params)
    size = {gate: _row_sums(W_hh[gate]).max(axis=-1) for gate in GATES}
    largest = _row_sums(W_hh["f"]) + input_bound * _row_sums(W_ih["f"]) + bias["f"]
    largest = largest.max(axis=-1)
    phi = np.exp(-np.logaddexp(0, -largest))  # σ, with all digits of small values
    cell_bound = 1 + np.exp(np.minimum(largest, 700))  # also where φ rounds to one
    a = size["i"] / 4 + size["g"] + cell_bound * size["f"] / 4
    o = size["o"] / 4
    # Where a or φ is zero one of the two weights would be: a rounding in its place is a larger,
    # and still a valid, bound.
    eps = np.finfo(float).eps
    a, phi = np.maximum(a, eps), np.maximum(phi, eps)
    # λ − (o + a), a root of x² − (φ − o − a) x − aφ; without cancellation.
    spread = phi - o - a
    larger = (np.abs(spread) + np.hypot(spread, 2 * np.sqrt(a * phi))) / 2
    gap = np.where(spread > 0, larger, a * phi / larger)
    holds = a < (1 - phi) * (1 - o)
    return Certificate(holds, o + a + gap, phi, a, o, cell_bound, weight=gap / phi)


@takes
def project_stable_lstm(params):
    r"""Scale rows of an LSTM's weights into the published region of stable networks.

    The sum of absolute values in a row of :math:`W_i, W_f, W_g, W_o`, the matrices that multiply
    ``h``, becomes at most 0.395, 0.155, 0.099, 0.395, and in a row of the matrix from the input to
    the forget gate at most 0.25. Rows within their bound stay as they are, bit by bit.

    With a forget bias of zero and inputs of at most one, ``φ ≤ σ(0.155 + 0.25) < 0.600`` and the
    network contracts (see `contraction_certificate`). **The biases stay as they are:** with a
    larger forget bias nothing is certain, and two attractors are possible.

    Parameters
    ----------
    params : dict of array
        Parameters of an `LSTM`, leading axes allowed, and any others, which are returned as they
        are.

    Returns
    -------
    dict of array
        A new dictionary with new weights; all else is shared.

    References
    ----------
    J. Miller, M. Hardt, Stable recurrent models, ICLR 2019: the conditions in section 2.2, the
    constants in the experiments.
    """
    W_hh, W_ih, _ = _by_gate(params)
    W_hh = {gate: _shrink_rows(W_hh[gate], ROW_SUMS[gate]) for gate in GATES}
    W_ih["f"] = _shrink_rows(W_ih["f"], INPUT_TO_FORGET)
    return dict(params) | {"weight_hh": _join(W_hh, -2), "weight_ih": _join(W_ih, -2)}


def project_contracting_lstm(params, *, input_bound=1.0, phi=0.6):
    r"""`project_stable_lstm`, and the forget bias lowered until the network certainly contracts.

    Unit by unit, the forget bias becomes at most what the weights leave of its argument,

    .. math::

        b_{f,j} \le \sigma^{-1}(\varphi) - \sum_k |W_{f,jk}| - \bar u \sum_k |W_{uf,jk}| ,

    so that no forget gate exceeds ``φ``. The default 0.6 is what the published constants give at a
    bias of zero; a rate of contraction of at most 0.93 is then certain.

    Parameters
    ----------
    params : dict of array
        As for `project_stable_lstm`.
    input_bound : float
        ``ū ≥ |u|`` for every entry of every input.
    phi : float
        ``φ``, bound on the forget gate: between 0 and 0.655, where the certificate ends.

    Returns
    -------
    dict of array
    """
    input_bound = non_negative("input_bound", input_bound)
    if not 0 < non_negative("phi", phi) < LARGEST_PHI:
        raise ValueError(f"phi must lie between 0 and {LARGEST_PHI:.3f}, got {phi!r}")
    params = project_stable_lstm(params)
    W_hh, W_ih, bias = _by_gate(params)
    used = _row_sums(W_hh["f"]) + input_bound * _row_sums(W_ih["f"])
    largest = math.log(phi / (1 - phi))
    lowered = np.minimum(bias["f"], largest - used).astype(bias["f"].dtype)
    # Rounded down: what `contraction_certificate` adds up is no larger than it may be.
    bias["f"] = np.where(used + lowered > largest, np.nextafter(lowered, -np.inf), lowered)
    return params | {"bias": _join(bias, -1)}


def _by_gate(params):
    """Recurrent weights, input weights and bias of an LSTM, each as a dictionary of its gates."""
    names = ("weight_hh", "weight_ih", "bias")
    if missing := [name for name in names if name not in params]:
        raise ValueError(f"params must be those of an LSTM: {' and '.join(missing)} missing")
    H = real_array("weight_hh", params["weight_hh"], shape=(..., "4H", "H")).shape[-1]
    m = (0, *np.shape(params["weight_ih"]))[-1]
    arrays, _ = LSTM(m, H).check_params({name: params[name] for name in names})
    return tuple(
        dict(zip(GATES, np.split(arrays[name], 4, axis), strict=True))
        for name, axis in zip(names, (-2, -2, -1), strict=True)
    )


def _join(by_gate, axis):
    return np.concatenate([by_gate[gate] for gate in GATES], axis=axis)


def _row_sums(W):
    return np.abs(W).sum(axis=-1, dtype=np.float64)


def _shrink_rows(W, largest):
    """Scale the rows whose absolute values sum to more than ``largest``."""
    sums = _row_sums(W)[..., np.newaxis]
    # A little more than necessary: rounding n terms and their sum must not lead over the bound.
    safe = largest * (1 - (W.shape[-1] + 1) * np.finfo(W.dtype).eps)
    return (W * np.where(sums > largest, safe / np.maximum(sums, largest), 1)).astype(W.dtype)
