"""What an orbit has settled on, told from its returns and its exponents."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from rnnpedagogy.dynamics.fixed_points import is_stable, leads_to_root
from rnnpedagogy.dynamics.lyapunov import lyapunov_spectrum
from rnnpedagogy.dynamics.point_sets import last_returns, spacing

EPS = np.finfo(float).eps
EXPONENTS = 2  # that are computed: without the second, no orbit is a closed curve
BLOCKS = 10  # of an orbit, for the standard errors of its exponents
PIECES = 8  # closed curves that an orbit may visit in turn
LONGEST = 2000  # states of an orbit that are compared with one another
TOGETHER = 1  # logarithm of what nearby orbits approach a closed curve by, at least
SEPARATED = 8  # logarithm of a growth that no closed curve shows: there it swings within bounds


@dataclass(frozen=True)
class Attractor:
    """What one or several orbits settle on, and the numbers that say so.

    Attributes
    ----------
    kind : str
        "fixed point", "cycle", "closed curve", "chaotic", "still moving" or "undecided".
    states : array, shape (p, n) or (steps, n)
        The points of the cycle in their order; of anything else the orbit that was looked at, or
        its last states if it hardly moves.
    exponents, standard_error : array, shape (k,)
        The largest Lyapunov exponents along the orbit; of one that returns, from the multipliers.
    scale : float
        States within this distance of ``states`` count as on the attractor.
    evidence : str
        The numbers that decided.
    period : int or None
        Minimal period of a fixed point (1) or a cycle, up to the tolerance.
    eigenvalues : array, shape (n,), or None
        Multipliers of a fixed point or a cycle, as `is_stable` gives them.
    residual : float
        ``‖F^p(x) − x‖`` at the first point of a cycle, otherwise NaN.
    count : int
        The starts whose orbits settle here.
    """

    kind: str
    states: np.ndarray
    exponents: np.ndarray
    standard_error: np.ndarray
    scale: float
    evidence: str
    period: int | None = None
    eigenvalues: np.ndarray | None = None
    residual: float = np.nan
    count: int = 0


def classify(system, orbits, periods, floor, largest_period):
    """The `Attractor` of each orbit ``(T, G, n)``; the period of one that does not return is 0."""
    tolerances = floor * np.maximum(1, np.abs(orbits).max(axis=(0, 2)))
    found = [None] * len(periods)
    for k in np.flatnonzero(periods):
        found[k] = _classify_periodic(system, orbits[:, k], periods[k], tolerances[k])
    moving = np.flatnonzero(np.equal(periods, 0))
    if moving.size:
        spectra = zip(*_exponents(system, orbits[:, moving]), strict=True)
        for k, (mean, error) in zip(moving, spectra, strict=True):
            found[k] = _classify_aperiodic(orbits[:, k], mean, error, tolerances[k], largest_period)
    return found


def _exponents(system, orbits):
    """Exponents along orbits ``(T, G, n)`` and their errors, each of shape ``(G, k)``."""
    steps, count = len(orbits) - 1, min(EXPONENTS, orbits.shape[-1])
    turn = steps // (BLOCKS + 1)  # of the frame, until it is that of the orbit
    found = lyapunov_spectrum(
        system, orbits[0], steps=steps - turn, transient=turn, exponents=count, blocks=BLOCKS
    )
    return found.exponents, np.nan_to_num(found.standard_error)  # minus infinity has no scatter


def _classify_periodic(system, orbit, period, tolerance):
    """What an orbit is on that returns after a period, up to the tolerance."""
    near = is_stable(system, orbit[-1], period=period)
    moves = last_returns(orbit, period)
    move = moves[-1]
    rounding = EPS * max(1.0, np.abs(orbit[-1]).max())  # hides a slower approach
    left = max(move, rounding) / (1 - near.radius) if near.radius < 1 else np.inf
    kind, text, scale = "undecided", f"at rest to {move:.1g}, which nothing draws it to", tolerance
    if left <= tolerance and not leads_to_root(system, orbit[-1], period):
        text = f"moves by {move:.1g}, where there is nothing to come to"
    elif left <= tolerance:
        shortest = 1 + int(np.argmax(moves <= 2 * left))  # of points no further from the limit
        if shortest < period:
            period, near = shortest, is_stable(system, orbit[-1], period=shortest)
        kind = "fixed point" if period == 1 else "cycle"
        text, scale = f"{left:.1g} from the limit", 10 * tolerance
    elif near.radius < 1 and (approach := _approach(orbit, period, left, near.radius)):
        kind, text, scale = "still moving", approach, 2 * left
    with np.errstate(divide="ignore"):  # a multiplier may be zero
        means = np.log(np.abs(near.eigenvalues[:EXPONENTS])) / period
    error, text = np.zeros_like(means), f"multiplier {near.radius:.6g}, {text}"
    known = None if kind in ("undecided", "still moving") else period
    found = kind, orbit[-period:], means, error, float(scale), text, known
    return Attractor(*found, near.eigenvalues, near.residual)


def _classify_aperiodic(orbit, exponents, error, tolerance, largest_period):
    """What an orbit is on that does not return."""
    first = exponents[0]
    zero = 3 * error[0] + 0.1 / len(orbit)  # nearby orbits approach by less than a tenth
    scale = tolerance + 2 * spacing(orbit)
    kind, text = "", ""
    if first < -3 * error[0]:  # or it may be a swing
        growth = first * np.arange(1, largest_period + 1)
        left = last_returns(orbit, largest_period) / -np.expm1(growth)
        p = int(np.argmin(left))
        if text := _approach(orbit, p + 1, left[p], np.exp(growth[p])):
            kind, scale = "still moving", 2 * left[p]
    moves = _all_returns(orbit)
    if not kind and (first < -zero or moves.min() <= tolerance):
        kind, text = "undecided", _long_period(moves, tolerance)
    elif not kind and first > zero:
        kind, text = _chaos(orbit, first)
    if not kind:
        kind, text, gap = _curve(orbit, moves, exponents, error)
        scale = max(scale, gap)
    text = f"λ₁ = {first:.3g} ± {error[0]:.1g}, {text}"
    return Attractor(kind, orbit, exponents, error, float(scale), text)


def _approach(orbit, period, left, factor):
    """How an orbit comes closer to a limit, in words; nothing if it does not."""
    moves = np.abs(orbit[period:] - orbit[:-period]).max(axis=1)
    third = len(moves) // 3
    moves = [part.max() for part in np.array_split(moves, 3)]
    # The factor over a period says how far it should fall: at least half of that is asked for.
    expected = min(factor ** (2 * third / period), 0.9)
    if moves[2] == 0 or moves[2] > moves[0] * (1 + expected) / 2:
        return ""
    rates = [(later / sooner) ** (1 / third) for sooner, later in pairwise(moves)]
    return (
        f"{left:.1g} from a limit, seen every {period} steps, contraction {rates[0]:.6g} "
        f"then {rates[1]:.6g} a step"
    )


def _long_period(moves, tolerance):
    """What an orbit does that contracts but comes to no limit."""
    k = int(np.argmin(moves))
    if moves[k] > tolerance:
        return "but the orbit comes to no limit"
    return f"a cycle longer than the largest period: {moves[k]:.1g} from itself after {k + 1}"


def _chaos(orbit, exponent):
    """Whether an orbit with a positive exponent stays on one bounded set; nothing if unclear."""
    apart, ratio = _drift(orbit)
    growth = exponent * len(orbit)
    text = (
        f"nearby orbits separate by e^{growth:.3g}, halves {apart:.2g} sizes apart, "
        f"their sizes {ratio:.2g} to one"
    )
    if apart > 1 or ratio > 1.5:
        return "still moving", text
    return ("chaotic" if growth > SEPARATED else ""), text


def _curve(orbit, moves, exponents, error):
    """Whether an orbit whose exponent is zero goes around a closed curve, and the longest gap."""
    if len(exponents) < 2:
        return "undecided", "and no second exponent", 0.0
    text = f"λ₂ = {exponents[1]:.3g} ± {error[1]:.1g}"
    # An orbit that shrinks onto a weakly stable focus has λ₂ = 3 λ₁, both near zero.
    if exponents[1] > -3 * error[1] - TOGETHER / len(orbit):
        return "undecided", text, 0.0
    size = np.ptp(orbit, axis=0).max()
    back = moves.min() / size
    gaps = []
    for pieces in range(1, PIECES + 1):
        gaps.append(_longest_gap(orbit[:LONGEST:pieces]))
        if gaps[-1] <= 0.1:
            break
    else:
        pieces = 1  # no number of pieces has small gaps
    gap = gaps[pieces - 1]
    text += f", back to {back:.2g} of its size, longest gap {gap:.2g}"
    text += f" in each of {pieces} pieces" if pieces > 1 else ""
    closed = back <= 0.1 and gap <= 0.1 and _drift(orbit)[1] <= 1.05
    return "closed curve" if closed else "undecided", text, gap * size


def _all_returns(orbit):
    """``max_t ‖x_{t+k} − x_t‖_∞`` for ``k`` from one to half the length."""
    orbit = orbit[:LONGEST]
    return np.array([np.abs(orbit[k:] - orbit[:-k]).max() for k in range(1, len(orbit) // 2 + 1)])


def _drift(orbit):
    """Distance of the means of two halves in units of their size, and the ratio of the sizes."""
    halves = np.array_split(orbit, 2)
    means = [half.mean(axis=0) for half in halves]
    small, large = sorted(np.sqrt(half.var(axis=0).sum()) for half in halves)
    return np.linalg.norm(means[1] - means[0]) / large, large / max(small, EPS * large)


def _longest_gap(points):
    """Longest edge of the shortest tree through all points, relative to their extent."""
    away = np.full(len(points), np.inf)
    longest, at = 0.0, 0
    for _ in range(len(points) - 1):
        away = np.minimum(away, np.abs(points - points[at]).max(axis=1))
        away[at] = np.nan  # is in the tree
        at = np.nanargmin(away)
        longest = max(longest, away[at])
    return longest / np.ptp(points, axis=0).max()
