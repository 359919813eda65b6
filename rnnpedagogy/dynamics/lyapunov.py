"""Lyapunov exponents: how fast nearby orbits separate."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from rnnpedagogy._validation import real_array, takes


@dataclass(frozen=True)
class LyapunovSpectrum:
    """Lyapunov exponents of an orbit.

    Attributes
    ----------
    exponents : array, shape (…, k)
        Natural logarithms of growth per step, in descending order.
    standard_error : array, shape (…, k)
        From the scatter of the block means; NaN for a single block.
    block_means : array, shape (blocks, …, k)
        The exponents of consecutive blocks of the orbit.
    kaplan_yorke_dimension : array, shape (…)
        ``j + (λ_1 + … + λ_j)/|λ_{j+1}|`` with the largest ``j`` for which the sum is not negative;
        NaN if the computed exponents do not reach a negative sum.
    state : array, shape (…, n)
        The last state of the orbit.
    """

    exponents: np.ndarray
    standard_error: np.ndarray
    block_means: np.ndarray
    kaplan_yorke_dimension: np.ndarray
    state: np.ndarray


@takes
def lyapunov_spectrum(
    system, state, *, steps, transient=0, exponents=None, interval=1, blocks=10, rng=None
):
    r"""Lyapunov exponents of an orbit by repeated QR factorisation.

    An orthonormal frame is carried along the orbit, :math:`A_t Q_{t-1} = Q_t R_t`, and

    .. math:: \lambda_i = \lim_{T\to\infty} \frac1T \sum_{t=1}^{T} \log |(R_t)_{ii}| .

    Parameters
    ----------
    system : Map or CellMap
        Anything with a method ``linearise(state, start, stop)``.
    state : array, shape (…, n)
        Where the orbit starts; leading axes give one spectrum for each start.
    steps : int
        Length ``T`` of the orbit that is averaged over.
    transient : int
        Steps thrown away at the start; the frame is carried along already.
    exponents : int, optional
        How many exponents, from the largest; all ``n`` if not given.
    interval : int
        Steps between two factorisations; with a large one the smaller exponents drown in rounding.
    blocks : int
        Number of blocks for the standard error.
    rng : numpy.random.Generator, optional
        Draws the first frame; a generator seeded with 0 if not given.

    Returns
    -------
    LyapunovSpectrum

    Raises
    ------
    ValueError
        If more exponents are asked for than the state has entries, or the orbit leaves the finite
        numbers.

    References
    ----------
    G. Benettin, L. Galgani, A. Giorgilli, J.-M. Strelcyn, Lyapunov characteristic exponents,
    Meccanica 15 (1980).
    """
    state = real_array("state", state, shape=(..., "n"))
    n = state.shape[-1]
    count = n if exponents is None else exponents
    if count > n:
        raise ValueError(f"exponents must be at most {n}, the size of the state, got {count}")
    if blocks * interval > steps:
        raise ValueError(
            f"steps must be at least blocks · interval = {blocks * interval}, got {steps}"
        )
    rng = np.random.default_rng(0) if rng is None else rng
    frame = np.linalg.qr(rng.normal(size=(*state.shape[:-1], n, count)).astype(state.dtype))[0]

    edges = transient + np.linspace(0, steps, blocks + 1).round().astype(int)
    block_means = np.empty((blocks, *state.shape[:-1], count))
    state, frame, _ = _carry(system, state, frame, 0, transient, interval)
    for k, (start, stop) in enumerate(pairwise(edges)):
        state, frame, growth = _carry(system, state, frame, start, stop, interval)
        block_means[k] = growth / (stop - start)

    mean = np.tensordot(np.diff(edges) / steps, block_means, axes=1)
    order = np.argsort(-mean, axis=-1)
    mean = np.take_along_axis(mean, order, axis=-1)
    block_means = np.take_along_axis(block_means, order[np.newaxis], axis=-1)
    error = np.full_like(mean, np.nan)
    if blocks > 1:
        with np.errstate(invalid="ignore"):  # minus infinity has no scatter
            error = block_means.std(axis=0, ddof=1) / np.sqrt(blocks)
    return LyapunovSpectrum(mean, error, block_means, _kaplan_yorke(mean), state)


def _carry(system, state, frame, start, stop, interval):
    """Carry a state and a frame from ``start`` to ``stop``; the sum of the logarithms of growth."""
    growth = np.zeros((*frame.shape[:-2], frame.shape[-1]))
    chunk = interval * max(1, 2**20 // (1 + interval * state.size * state.shape[-1]))
    for begin in range(start, stop, chunk):
        end = min(begin + chunk, stop)
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows is reported below
            states, jacobians = system.linearise(state, begin, end)
        if states.shape[1:] != state.shape:
            raise ValueError(
                f"got state of shape {state.shape}, expected {states.shape[1:]}: "
                "one start for each orbit"
            )
        if not np.isfinite(states).all():
            raise ValueError(f"the orbit left the finite numbers between steps {begin} and {end}")
        state = states[-1]
        frame, more = grow(frame, jacobians, interval)
        growth += more
    return state, frame, growth


def grow(frame, jacobians, interval):
    """Carry a frame through Jacobians ``A_1, …, A_T``; the sum of the logarithms of growth."""
    growth = 0.0
    for k in range(0, len(jacobians), interval):
        with np.errstate(over="ignore", invalid="ignore"):  # reported below
            for jacobian in jacobians[k : k + interval]:
                frame = jacobian @ frame
        if not np.isfinite(frame).all():
            raise ValueError(f"the frame overflowed, interval must be smaller than {interval}")
        frame, triangle = np.linalg.qr(frame)
        with np.errstate(divide="ignore"):  # a zero growth is minus infinity
            growth = growth + np.log(np.abs(np.diagonal(triangle, axis1=-2, axis2=-1)))
    return frame, growth


def _kaplan_yorke(exponents):
    """The Kaplan–Yorke dimension of spectra in descending order, shape ``(…, k)`` to ``(…)``."""
    sums = np.cumsum(exponents, axis=-1)
    reached = (sums < 0).any(axis=-1)
    j = np.argmax(sums < 0, axis=-1)[..., np.newaxis]  # the first negative partial sum
    before = np.where(j > 0, np.take_along_axis(sums, np.maximum(j - 1, 0), axis=-1), 0.0)
    last = np.abs(np.take_along_axis(exponents, j, axis=-1))
    return np.where(reached, (j + before / np.where(last > 0, last, 1.0))[..., 0], np.nan)
