"""Multiple shooting: a long sequence cut into segments, each with a first state of its own."""

from dataclasses import dataclass

import numpy as np

from rnnpedagogy._validation import all_of, arrays_by_name, choice, positive, real_array, takes
from rnnpedagogy.costs import READOUT, SquaredError
from rnnpedagogy.rollout import lay_out, weights_of

STEP, TINY = 1e-100, 1e-200  # the complex step; what keeps a system regular
DAMPING, LESS, MORE = 1e-3, 1 / 3, 4.0  # of Levenberg and Marquardt: at first, and what follows


@dataclass(frozen=True)
class Shot:
    """Where a search has arrived, from each of ``B`` starts.

    Attributes
    ----------
    coordinates : array, shape (B, d)
        ``s``.
    states : array, shape (B, K, n)
        The first states of the segments.
    value : array, shape (B,)
        The relaxed cost.
    gap : array, shape (B,)
        The largest entry of a gap between a segment and the next.
    """

    coordinates: np.ndarray
    states: np.ndarray
    value: np.ndarray
    gap: np.ndarray


@takes(params=arrays_by_name, directions=all_of(arrays_by_name))
class MultipleShooting:
    r"""The cost of a sequence in segments, over parameters and the segments' first states.

    The parameters are :math:`\theta(s) = \theta_0 + \sum_j s_j d_j`. With the end
    :math:`F(\xi_k, s)` of the run over segment ``k`` from its first state :math:`\xi_k`, the
    relaxed cost is

    .. math::

        V_\rho(s, \xi) = \frac1N \sum_{t=1}^N \|\hat y_t - y_t\|^2
        + \frac\rho N \sum_{k=1}^{K-1} \|\xi_{k+1} - F(\xi_k, s)\|^2,

    and :math:`\xi_1 = x_0` is fixed.

    Parameters
    ----------
    cost : Cost
        Of one sequence, without axes of a batch: squared error at all steps.
    params : dict of array
        ``θ_0``, readout included, without leading axes.
    directions : sequence of dict of array
        ``d_1, …, d_d``; arrays that are not named do not move.
    length : int
        Steps of a segment, a divisor of ``N``.

    References
    ----------
    H. G. Bock, K. J. Plitt, A multiple shooting algorithm for direct solution of optimal control
    problems, IFAC World Congress 1984. A. H. Ribeiro, K. Tiels, J. Umenberger, T. B. Schön, L. A.
    Aguirre, On the smoothness of nonlinear system identification, Automatica 121 (2020).
    """

    def __init__(self, cost, params, directions, *, length):
        if cost.batch or cost.at != "all" or not isinstance(cost.loss, SquaredError):
            raise ValueError(
                "cost must be a squared error at all steps of one sequence, got "
                f"batch axes {cost.batch}, at={cost.at!r}"
            )
        if cost.steps % length:
            raise ValueError(f"length must divide the {cost.steps} steps, got {length}")
        self.cost = cost
        self.params, _ = cost.check_params(params, single="MultipleShooting")
        for name in set().union(*directions):
            choice("directions", name, self.params)
        self.directions = [
            {name: real_array(name, way[name], shape=self.params[name].shape) for name in way}
            for way in directions
        ]
        self.length, self.count = length, cost.steps // length
        self.inputs, self.targets = (
            array.reshape(self.count, length, array.shape[-1])
            for array in (cost.inputs, cost.targets)
        )
        self.inputs = self.inputs.swapaxes(0, 1)  # time first, segments are the batch
        self.targets = self.targets.reshape(self.count, -1)

    @takes(penalty=positive)
    def minimise(self, coordinates, states, *, penalty=1.0, steps=50, hold=False):
        r"""Levenberg and Marquardt's method on the relaxed cost, from many starts at once.

        With the residuals ``r(z)`` of all unknowns ``z = (s, ξ)``, their derivative ``J`` and
        :math:`V_\rho = \|r\|^2`, a step is tried that solves
        :math:`(J^\mathsf{T} J + \mu \operatorname{diag} J^\mathsf{T} J)\, \delta =
        -J^\mathsf{T} r`; it is taken if it makes the cost smaller, and ``μ`` is then divided by
        three, else multiplied by four. ``J`` comes from one run with complex steps. To meet the
        constraint, call it again with a larger penalty.

        Parameters
        ----------
        coordinates : array, shape (B, d)
            ``s`` at the start.
        states : array, shape (B, K, n)
            First states of the segments at the start; the first of them is not used.
        penalty : float
            ``ρ``.
        steps : int
            How many steps are tried.
        hold : bool
            Leave ``s`` where it is, and minimise over the states alone.

        Returns
        -------
        Shot

        References
        ----------
        Nocedal, J., Wright, S. J., Numerical Optimization, 2nd ed., sections 10.3 and 17.1.
        """
        d, n, K = len(self.directions), self.cost.cell.state_size, self.count
        s = real_array("coordinates", coordinates, shape=("B", d))
        states = real_array("states", states, shape=(len(s), K, n)).copy()
        states[:, 0] = self.cost.state
        z = np.concatenate([s, states[:, 1:].reshape(len(s), -1)], axis=1)
        value, slope, matrix, gap = self._expand(z, penalty)
        damping, free = np.full(len(z), DAMPING), slice(d if hold else 0, None)
        for _ in range(steps):
            scaling = 1 + damping[:, np.newaxis, np.newaxis] * np.eye(z.shape[1])
            system = matrix * scaling + TINY * np.eye(z.shape[1])
            move = np.zeros_like(z)
            move[:, free] = -np.linalg.solve(system[:, free, free], slope[:, free, None])[..., 0]
            found = self._expand(z + move, penalty)
            better = found[0] < value
            z[better] += move[better]
            for old, new in zip((value, slope, matrix, gap), found, strict=True):
                old[better] = new[better]
            damping = np.where(better, damping * LESS, damping * MORE)
        states[:, 1:] = z[:, d:].reshape(len(z), K - 1, n)
        return Shot(z[:, :d], states, value, gap)

    def _expand(self, z, penalty):
        """Value, half the gradient and ``JᵀJ`` of the relaxed cost, and the largest gap."""
        B, d, n, K = len(z), len(self.directions), self.cost.cell.state_size, self.count
        states = np.broadcast_to(self.cost.state, (B, K, n)).copy()
        states[:, 1:] = z[:, d:].reshape(B, K - 1, n)
        outputs, ends = self._run(z[:, :d], states)  # (d + n, B, K, …)
        own = outputs.shape[-1]
        # Residuals of each segment, and their derivatives in s, its first state, and the next one.
        r = np.zeros((B, K, own + n))
        J = np.zeros((d + 2 * n, *r.shape))
        r[..., :own] = outputs[0].real - self.targets
        J[: d + n, ..., :own] = outputs.imag / STEP
        r[:, :-1, own:] = missed = states[:, 1:] - ends[0, :, :-1].real
        J[: d + n, :, :-1, own:] = -ends[:, :, :-1].imag / STEP
        J[d + n :, :, :-1, own:] = np.eye(n)[:, np.newaxis, np.newaxis]
        weight = np.r_[np.ones(own), np.full(n, penalty)] / self.cost.steps
        J, weighted = np.moveaxis(J, 0, -1), weight[:, np.newaxis]
        slopes = np.einsum("bkr,bkri->bki", weight * r, J)
        squares = J.swapaxes(-1, -2) @ (weighted * J)
        slope = np.zeros((B, d + (K + 1) * n))
        matrix = np.zeros((*slope.shape, slope.shape[1]))
        for k in range(K):
            at = np.r_[:d, d + k * n : d + (k + 2) * n]
            slope[:, at] += slopes[:, k]
            matrix[:, at[:, np.newaxis], at] += squares[:, k]
        kept = np.r_[:d, d + n : d + K * n]  # the first state is fixed, after the last comes none
        gap = np.abs(missed).max(axis=(1, 2), initial=0.0)
        value = (weight * r**2).sum(axis=(1, 2))
        return value, slope[:, kept], matrix[:, kept[:, np.newaxis], kept], gap

    def _run(self, s, states):
        """Outputs and ends of all segments, with a complex step in ``s`` and in their states."""
        d, n, (B, K) = s.shape[1], states.shape[-1], states.shape[:2]
        moves = 1j * STEP * np.eye(d + n)[:, np.newaxis]
        s, states = s + moves[..., :d], states + moves[:, :, np.newaxis, d:]
        params = {}
        for name, array in self.params.items():
            params[name] = np.broadcast_to(array, (d + n, B, 1, *array.shape)).astype(complex)
            for j, way in enumerate(self.directions):
                if name in way:
                    params[name] += np.multiply.outer(s[..., j], way[name])[:, :, np.newaxis]
        weights, _ = weights_of(self.cost.cell, params)
        sizes = {"batch": (K,), "output_weights": {name: params[name] for name in READOUT}}
        run = lay_out(self.cost.cell, weights, (d + n, B, 1), states, self.inputs, **sizes)
        found, _ = run.forward(run.state, run.inputs)
        outputs = np.moveaxis(run.outputs(found), 0, -2).reshape(d + n, B, K, -1)
        return outputs, run.layout.rows(found[-1:])[0]
