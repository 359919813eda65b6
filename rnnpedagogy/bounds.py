"""How steep and how curved the cost can be at most: the constants of the theorem."""

import math
from dataclasses import dataclass

import numpy as np

from rnnpedagogy._validation import an_instance, integer_array, non_negative, parameter_names, takes
from rnnpedagogy.cells import ACTIVATIONS, GRU, LSTM, Elman


class _Constants:
    """Mixin of a dataclass all of whose fields are finite numbers that are not negative."""

    def __post_init__(self):
        for name, value in vars(self).items():
            non_negative(name, value)


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
        phi = ACTIVATIONS[activation]
        crossed = np.outer(self.first, self.first)
        second = phi.sharpest * crossed + phi.steepest * self.second
        return _Bound(float(phi.largest(self.sup)), phi.steepest * self.first, second)


def step_bounds(
    cell, *, weight_hh, weight_ih=0.0, bias=0.0, inputs=0.0, state=None, names=None, condition=1.0
):
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

    Hidden vectors, and the cell states of an LSTM, may be measured by :math:`\|S h\|` with one
    diagonal matrix :math:`S` whose smallest entry is one and whose largest is ``condition``. Then
    ``weight_hh`` bounds :math:`\|S W_{hh} S^{-1}\|_2`. Since
    :math:`\|v\| \le \|S v\| \le \text{condition} \cdot \|v\|`, parameters count that many times,
    everything else is as before: the constants of a linear readout need not be changed.

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
    condition : float
        Largest entry of the diagonal matrix that defines the norm of states, at least 1.

    Returns
    -------
    StepBounds
    """
    if type(cell) not in _STEPS:
        raise TypeError(
            f"cell must be an Elman, LSTM or GRU, got {cell!r}: "
            "bounds of another step can be passed to StepBounds"
        )
    weights = {"weight_hh": weight_hh, "weight_ih": weight_ih, "bias": bias}
    weights = {name: _per_gate(name, value, cell) for name, value in weights.items()}
    weights["bias_n"] = weights["bias"]
    inputs, names = non_negative("inputs", inputs), parameter_names(cell, names)
    if non_negative("condition", condition) < 1:
        raise ValueError(f"condition must be at least 1, got {condition}")
    state = None if state is None else non_negative("state", state)

    def affine(gate, block, blocks, h=1.0, terms=("weight_hh", "weight_ih", "bias")):
        """``W_hh h + W_ih u + b`` of a gate, or some of its ``terms``.

        ``h`` is the block 0, the parameters of these terms are the block ``block`` of ``blocks``.
        """
        # ‖∂z/∂W_hh‖ = ‖h‖₂, ‖∂z/∂W_ih‖ = ‖u‖₂, ‖∂z/∂b‖ = 1, and |W_hh h| ≤ ‖S W_hh S⁻¹‖ ‖S h‖₂
        norm_h = math.sqrt(cell.hidden_size) * h
        slopes = {"weight_hh": norm_h, "weight_ih": inputs, "bias": 1.0, "bias_n": 1.0}
        sizes = slopes | {"weight_hh": condition * norm_h}
        first, second = np.zeros(blocks), np.zeros((blocks, blocks))
        if "weight_hh" in terms:
            first[0] = weights["weight_hh"][gate]
            second[0, block] = second[block, 0] = condition * ("weight_hh" in names)
        first[block] = condition * math.hypot(*(slopes[name] for name in terms if name in names))
        return _Bound(sum(sizes[name] * weights[name][gate] for name in terms), first, second)

    after = _STEPS[type(cell)](cell, affine, state)
    first = np.stack([bound.first for bound in after])
    second = np.stack([bound.second for bound in after])
    x, theta = slice(None, len(after)), slice(len(after), None)
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


def _bilinear_norm(blocks):
    """Bound on a bilinear map from the norms of its blocks: the smallest norm of an unfolding."""
    unfoldings = (np.moveaxis(blocks, k, 0).reshape(blocks.shape[k], -1) for k in range(3))
    return min(np.linalg.norm(unfolding, 2) for unfolding in unfoldings)


def _elman_step(cell, affine, state):
    if cell.activation == "relu":
        raise ValueError(
            "activation must be 'tanh', 'softsign' or 'identity', got 'relu': its slope jumps, so "
            "that the Jacobians are not Lipschitz continuous"
        )
    if cell.activation == "identity" and state is None:
        raise ValueError("state must be given with the activation 'identity', got None")
    h = 1.0 if state is None else state
    return [affine(0, 1, 2, h).through(cell.activation)]


def _lstm_step(cell, affine, state):
    z = [affine(gate, 2 + gate, 6) for gate in range(4)]
    with np.errstate(over="ignore"):
        largest = 1 + np.exp(z[1].sup) if state is None else state  # 1/(1 − σ(z_f))
    if not np.isfinite(largest):
        raise ValueError(
            "state must be given where the bound on the cell state overflows, got None"
        )
    c = _Bound(largest, np.eye(6)[1])
    i, f, o = (z[gate].through("sigmoid") for gate in (0, 1, 3))
    c = f * c + i * z[2].through("tanh")
    return [o * c.through("tanh"), c]


def _gru_step(cell, affine, state):
    h = _Bound(1.0 if state is None else state, np.eye(5)[0])
    r, z = (affine(gate, 1 + gate, 5, h.sup).through("sigmoid") for gate in (0, 1))
    from_state = affine(2, 3, 5, h.sup, ("weight_hh", "bias_n"))
    n = (affine(2, 4, 5, terms=("weight_ih", "bias")) + r * from_state).through("tanh")
    return [z * n + z * h]  # 1 − σ(z) = σ(−z) has the bounds of σ(z)


_STEPS = {Elman: _elman_step, LSTM: _lstm_step, GRU: _gru_step}


@takes
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
    """
    names = parameter_names(cell, names)
    norm_h = math.sqrt(cell.hidden_size) * non_negative("state", state)
    return ReadoutBounds(
        G_x=non_negative("weight_ho", weight_ho),
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
    """

    lengths: np.ndarray
    log_lipschitz: np.ndarray
    log_smooth: np.ndarray


@takes(step=an_instance(StepBounds), readout=an_instance(ReadoutBounds), error=non_negative)
def cost_bounds(step, readout, *, error, lengths):
    r"""The constants of Theorem S: how steep and how curved the cost can be at most.

    For the squared error, averaged over all ``N`` steps (and over sequences), and outputs that
    never err by more than ``error``:

    .. math::

        S_t &= \textstyle\sum_{i<t} L_x^i, \qquad E_0 = 0, \\
        E_t &= L_x E_{t-1} + K_{xx} (L_\theta S_{t-1})^2 + 2 K_{x\theta} L_\theta S_{t-1}
              + K_{\theta\theta}, \\
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

    References
    ----------
    A. H. Ribeiro et al., Beyond exploding and vanishing gradients, AISTATS 2020, Theorem 2: the
    rates; the constants are this book's.
    """
    lengths = integer_array("lengths", lengths, shape=("k",))
    if lengths.min() < 1:
        raise ValueError(f"lengths must be at least 1, got {lengths.min()}")
    add, two = np.logaddexp, math.log(2)
    with np.errstate(divide="ignore"):  # the logarithm of zero is −∞
        L_x, L_theta, K_xx, K_xtheta, K_thetatheta = np.log([*vars(step).values()])
        G_x, G_theta, M_xtheta = np.log([*vars(readout).values()])
        log_error = np.log(error)

    S = E = X = slopes = curvatures = -np.inf
    log_lipschitz, log_smooth = np.empty((2, lengths.max()))
    for t in range(lengths.max()):
        E = add(add(L_x + E, K_xx + 2 * X), add(two + K_xtheta + X, K_thetatheta))
        S = add(0.0, L_x + S)
        X = L_theta + S  # E takes that of the step before
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
    )
