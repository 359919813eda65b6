"""Attractors: what orbits settle on, told from the orbits and their exponents, and the basins."""

from collections import Counter
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from rnnpedagogy._validation import integer_array, non_negative, positive_integer, real_array
from rnnpedagogy.dynamics.fixed_points import is_stable
from rnnpedagogy.dynamics.lyapunov import grow
from rnnpedagogy.dynamics.orbits import settle
from rnnpedagogy.dynamics.systems import CellMap, check_autonomous

EPS = np.finfo(float).eps
BLOCKS = 10  # of an orbit, for the standard errors of its exponents
PIECES = 8  # closed curves that an orbit may visit in turn
ENDS, ROUNDS = 8, 4  # last states that a start is told by, and samples of a grid
LONGEST = 2000  # states of an orbit that are compared with one another
DIVERGED, UNDECIDED = -1, -2
SEPARATED = 8  # logarithm of a growth that no closed curve shows: there it swings within bounds
SETTLED = ("fixed point", "cycle", "closed curve", "chaotic")


@dataclass(frozen=True)
class Attractor:
    """What one or several orbits settle on, and the numbers that say so.

    Attributes
    ----------
    kind : str
        "fixed point", "cycle", "closed curve", "chaotic", "still moving" or "undecided".
    period : int or None
        Minimal period of a fixed point (1) or a cycle, up to ``tolerance``.
    states : array, shape (p, n) or (steps, n)
        The points of the cycle in their order; of anything else the orbit that was looked at, or
        its last states if it hardly moves.
    exponents, standard_error : array, shape (k,)
        The largest Lyapunov exponents along the orbit; of one that returns, from the multipliers.
    eigenvalues : array, shape (n,), or None
        Multipliers of a fixed point or a cycle, as `is_stable` gives them.
    residual : float
        ``‖F^p(x) − x‖`` at the first point of a cycle, otherwise NaN.
    scale : float
        States within this distance of ``states`` count as on the attractor.
    count : int
        The starts whose orbits settle here.
    evidence : str
        The numbers that decided.
    """

    kind: str
    period: int | None
    states: np.ndarray
    exponents: np.ndarray
    standard_error: np.ndarray
    eigenvalues: np.ndarray | None
    residual: float
    scale: float
    count: int
    evidence: str


@dataclass(frozen=True)
class Attractors:
    """The attractors that a set of starts leads to, with the settings that produced them.

    Attributes
    ----------
    attractors : tuple of Attractor
        In the order of the first start that leads to each. Orbits that are "still moving" or
        "undecided" have entries too.
    labels : array, shape (S,)
        The entry of each start, −1 for an orbit that diverged.
    transient, steps, largest_period, tolerance, bound
        As they were passed.
    """

    attractors: tuple
    labels: np.ndarray
    transient: int
    steps: int
    largest_period: int
    tolerance: float
    bound: float

    def __str__(self):
        rows = [f"{'starts':>6}  {'kind':<13}{'period':>6}  evidence"]
        rows += [
            f"{a.count:>6}  {a.kind:<13}{a.period or '':>6}  {a.evidence}" for a in self.attractors
        ]
        lost = (self.labels == DIVERGED).sum()
        return "\n".join(rows + [f"{lost:>6}  diverged"] * bool(lost))


@dataclass(frozen=True)
class Basins:
    """Which attractor each point of a grid of starts leads to, with the settings used.

    Attributes
    ----------
    x, y : array, shape (X,) and (Y,)
        The two coordinates of the starts.
    labels : array, shape (Y, X)
        Index into ``attractors``, −1 for diverged, −2 for undecided or still moving.
    attractors : tuple of Attractor
        Those that were passed or found; their counts are those of the grid.
    at : array, shape (n,)
        The other coordinates.
    axes : tuple of int
        Which coordinates ``x`` and ``y`` are.
    transient, steps, near, bound
        As they were passed.
    """

    x: np.ndarray
    y: np.ndarray
    labels: np.ndarray
    attractors: tuple
    at: np.ndarray
    axes: tuple
    transient: int
    steps: int
    near: float
    bound: float


def identify_attractors(
    system,
    starts,
    *,
    transient=2000,
    steps=1000,
    largest_period=64,
    exponents=2,
    tolerance=1e-6,
    bound=1e8,
):
    r"""What the orbits of a set of starts settle on: each attractor once, and why it is called so.

    All orbits are run at once, and those that settle on the same set are merged. Of each set one
    orbit is looked at. With :math:`d_p` the largest :math:`\|x_t - x_{t-p}\|_\infty` at its end,
    :math:`\rho_p` the largest multiplier along its last ``p`` steps, and
    :math:`\lambda_1 \ge \lambda_2` the exponents along it, it is called

    - *fixed point* or *cycle* if :math:`d_p / (1 - \rho_p)`, an estimate of the distance that is
      left to the limit, is at most the tolerance; the smallest such ``p`` is the period;
    - *still moving* if :math:`\lambda_1 < 0`, the distance is larger, and falls: a fixed point on
      the brink of stability, approached like a power of the time, ends here;
    - *closed curve* if :math:`\lambda_1` is zero within its error and :math:`\lambda_2` negative,
      :math:`\max_t \|x_{t+k} - x_t\|_\infty` is small against the orbit for some ``k``, and the
      points, or each ``q``-th of them, hang together without a gap;
    - *chaotic* if :math:`\lambda_1 > 0` by three standard errors, nearby orbits separate by more
      than a factor ``e^8`` in the run, and mean and size of its halves agree;
    - *undecided* otherwise, such as an orbit at rest on a point that repels.

    Parameters
    ----------
    system : Map or CellMap
        An autonomous one: a cell has one input for all times.
    starts : array, shape (S, n)
        One orbit starts from each.
    transient, steps : int
        Steps thrown away and steps looked at.
    largest_period : int
        Longest period of a cycle.
    exponents : int
        How many exponents are computed, at most; without the second, no orbit is a closed curve.
    tolerance : float
        Distance to the limit, relative to the larger of one and the largest entry of the orbit; at
        least a thousand roundings.
    bound : float
        An orbit with a larger entry has diverged.

    Returns
    -------
    Attractors

    Raises
    ------
    ValueError, TypeError
        If the system is not autonomous, an array not finite or of the wrong shape, or a number out
        of range.

    Notes
    -----
    Cycles less than ten tolerances apart are one. Orbits of other kinds are one if nineteen in
    twenty points of each lie within a few spacings of the points of the other: attractors closer
    than that are not told apart, and in many dimensions that is not close. A chaotic orbit may yet
    leave, one near the end of a cascade of periods may be anything: more steps tell.
    """
    starts = real_array("starts", starts, shape=("S", "n"))
    check_autonomous(system)
    transient = positive_integer("transient", transient, minimum=0)
    largest_period = positive_integer("largest_period", largest_period)
    steps = positive_integer("steps", steps, minimum=max(4 * largest_period, 4 * BLOCKS))
    exponents = min(positive_integer("exponents", exponents), starts.shape[1])
    tolerance = non_negative("tolerance", tolerance)
    bound = non_negative("bound", bound)

    orbits = settle(system, starts, steps, transient, bound=bound)
    kept = np.flatnonzero(np.isfinite(orbits[-1]).all(axis=-1))
    labels = np.full(len(starts), DIVERGED)
    floor = max(tolerance, 1e3 * np.finfo(orbits.dtype).eps)
    attractors = []
    if kept.size:
        orbits = orbits[:, kept].astype(float)
        groups, periods = _group(orbits, floor, largest_period)
        seen = orbits[:, [group[0] for group in groups]]
        found = _classify(system, seen, periods, exponents, floor, largest_period)
        for group, one in zip(groups, found, strict=True):
            index = next((k for k, other in enumerate(attractors) if _same(one, other)), None)
            if index is None:
                index = len(attractors)
                attractors.append(one)
            labels[kept[group]] = index
    counts = Counter(labels.tolist())
    return Attractors(
        attractors=tuple(replace(a, count=counts[k]) for k, a in enumerate(attractors)),
        labels=labels,
        transient=transient,
        steps=steps,
        largest_period=largest_period,
        tolerance=tolerance,
        bound=bound,
    )


def basins_of_attraction(
    system,
    x,
    y,
    *,
    at=None,
    axes=(0, 1),
    transient=1000,
    steps=1000,
    samples=64,
    attractors=None,
    near=1e-3,
    bound=1e8,
):
    """Which attractor each start of a grid leads to.

    The whole grid is run, the attractors of a sample are found by `identify_attractors`, and a
    start belongs to the attractor that one of its last states is near. Starts that end near none
    are sampled in their turn.

    Parameters
    ----------
    system : Map or CellMap
        An autonomous one: a cell has one input for all times.
    x, y : array, shape (X,) and (Y,)
        Two coordinates of the starts.
    at : array, shape (n,), optional
        The other coordinates; zero if not given, in a state of two for a `Map`.
    axes : tuple of int
        Which coordinates ``x`` and ``y`` are.
    transient : int
        Steps that the grid is run.
    steps : int
        Steps that the orbits of the samples are looked at after the transient.
    samples : int
        Starts that are sampled at a time.
    attractors : Attractors, optional
        Known ones, in place of the first sample.
    near : float
        How near to a fixed point or a cycle a last state is, relative to the larger of one and the
        largest entry of its states; for other kinds their ``scale`` is the measure.
    bound : float
        An orbit with a larger entry has diverged.

    Returns
    -------
    Basins

    Raises
    ------
    ValueError, TypeError
        If the system is not autonomous, an array not finite or of the wrong shape, or a number out
        of range.

    Notes
    -----
    Attractors that are closer than what counts as near are not told apart, and a start whose orbit
    is that near to one attractor, on its way to another, at the end of the transient is misplaced.
    Exactly on a boundary, starts end at a saddle: they stay undecided.
    """
    x, y = real_array("x", x, shape=("X",)), real_array("y", y, shape=("Y",))
    check_autonomous(system)
    if at is None:
        at = np.zeros(system.cell.state_size if isinstance(system, CellMap) else 2)
    at = real_array("at", at, shape=("n",)).astype(np.result_type(at, x, y))
    axes = tuple(integer_array("axes", axes, shape=(2,), below=len(at)).tolist())
    if axes[0] == axes[1]:
        raise ValueError(f"axes must be two different coordinates, got {axes}")
    transient = positive_integer("transient", transient, minimum=0)
    steps = positive_integer("steps", steps)
    samples = positive_integer("samples", samples)
    near = non_negative("near", near)
    bound = non_negative("bound", bound)

    starts = np.tile(at, (len(y), len(x), 1))
    starts[..., axes[0]] = x
    starts[..., axes[1]] = y[:, np.newaxis]
    ends = settle(system, starts.reshape(-1, len(at)), ENDS, transient, bound=bound)
    labels = np.where(np.isfinite(ends[-1]).all(axis=-1), UNDECIDED, DIVERGED)
    known = [] if attractors is None else list(attractors.attractors)
    settings = {"transient": transient, "steps": steps, "bound": bound}
    rng = np.random.default_rng(0)
    left = np.flatnonzero(labels == UNDECIDED)
    if known:
        labels[left] = _assign(ends[:, left], known, near)
    for _ in range(ROUNDS):
        left = left[labels[left] == UNDECIDED]
        if not left.size:
            break
        some = rng.permutation(left)[:samples]
        labels[some] = _extend(known, identify_attractors(system, ends[-1, some], **settings))
        left = np.setdiff1d(left, some)
        labels[left] = _assign(ends[:, left], known, near)
    counts = Counter(labels.tolist())
    return Basins(
        x=x,
        y=y,
        labels=labels.reshape(len(y), len(x)),
        attractors=tuple(replace(a, count=counts[k]) for k, a in enumerate(known)),
        at=at,
        axes=axes,
        transient=transient,
        steps=steps,
        near=near,
        bound=bound,
    )


def _extend(known, found):
    """Add what was found to what is known, and say which of it each start found."""
    index = {DIVERGED: DIVERGED}
    for k, one in enumerate(found.attractors):
        if one.kind not in SETTLED:
            index[k] = UNDECIDED
            continue
        index[k] = next((j for j, other in enumerate(known) if _same(one, other)), len(known))
        if index[k] == len(known):
            known.append(one)
    return [index[label] for label in found.labels]


def _assign(ends, known, near):
    """The attractor that one of the last states ``(T, S, n)`` of each orbit is near."""
    labels = np.full(ends.shape[1], UNDECIDED)
    sets = [
        (k, a.states, max(a.scale, near * max(1, np.abs(a.states).max()) if a.period else 0))
        for k, a in enumerate(known)
        if a.kind in SETTLED
    ]
    for states in ends[::-1]:
        left = np.flatnonzero(labels == UNDECIDED)
        nearest = np.ones(left.size)
        for k, cloud, reach in sets:
            away = _nearest(states[left], cloud) / reach
            labels[left[away <= nearest]] = k
            nearest = np.minimum(nearest, away)
    return labels


# -------------------------------------------------------------------- orbits that share a set


def _group(orbits, floor, largest_period):
    """Groups of orbits ``(T, S, n)`` on the same set, slowest first, and periods, 0 for none."""
    size = floor * np.maximum(1, np.abs(orbits).max(axis=(0, 2)))
    returns = _returns(orbits, largest_period)
    period = np.where(returns.min(axis=0) <= size, 1 + np.argmax(returns <= size, axis=0), 0)
    centre, spread = orbits.mean(axis=0), orbits.std(axis=0)
    scales = {}
    groups, periods, left = [], [], np.arange(len(period))
    while left.size:
        one, rest = left[0], left[1:]
        rest = rest[period[rest] == period[one]]
        if period[one]:
            near = _nearest(orbits[-1, rest], orbits[-period[one] :, one]) <= 10 * size[one]
            group = np.append(one, rest[near])
            groups.append(group[np.argsort(-returns[period[one] - 1, group], kind="stable")])
        else:
            apart = np.abs(centre[rest] - centre[one])
            rest = rest[(apart <= (spread[rest] + spread[one]) / 2 + size[one]).all(axis=1)]
            for k in (one, *rest):
                if k not in scales:
                    scales[k] = _spacing(orbits[:, k])
            same = [
                k
                for k in rest
                if _cover(orbits[:, k], orbits[:, one], 2 * max(scales[k], scales[one]) + size[k])
            ]
            groups.append(np.array([one, *same]))
        periods.append(int(period[one]))
        left = np.setdiff1d(left, groups[-1])
    return groups, periods


def _returns(orbits, largest):
    """Largest ``‖x_t − x_{t−p}‖_∞`` over the last ``P`` states, for ``p`` up to ``P``."""
    end = orbits[-largest:]
    return np.stack(
        [np.abs(end - orbits[-largest - p : -p]).max(axis=(0, -1)) for p in range(1, largest + 1)]
    )


def _nearest(points, cloud):
    """Distance of each point to a cloud, shapes ``(M, n)`` and ``(N, n)`` to ``(M,)``."""
    middle = cloud.mean(axis=0)
    squares = ((cloud - middle) ** 2).sum(axis=1)
    nearest = np.empty(len(points), int)
    chunk = max(1, 2**18 // len(cloud))
    for k in range(0, len(points), chunk):
        products = (points[k : k + chunk] - middle) @ (cloud - middle).T
        nearest[k : k + chunk] = (squares - 2 * products).argmin(axis=1)
    # The square that says which one is nearest has lost half of the digits of the distance.
    return np.linalg.norm(points - cloud[nearest], axis=1)


def _spacing(orbit):
    """Distance within which nineteen in twenty of an orbit's later points have an earlier one."""
    half = len(orbit) // 2
    return np.quantile(_nearest(_sample(orbit[half:]), orbit[:half]), 0.95)


def _cover(orbit, other, distance):
    """Whether nineteen in twenty points of each orbit are near the other."""
    return all(
        np.quantile(_nearest(_sample(a), b), 0.95) <= distance
        for a, b in ((orbit, other), (other, orbit))
    )


def _sample(orbit):
    return orbit[:: max(1, len(orbit) // 200)]


def _same(one, other):
    """Whether two sets that were looked at are one after all."""
    if (one.kind, one.period) != (other.kind, other.period):
        return False
    scale = max(one.scale, other.scale)
    if one.kind in ("closed curve", "chaotic"):
        return _cover(one.states, other.states, scale)
    return _nearest(one.states[-1:], other.states)[0] <= scale


# ------------------------------------------------------------------------- what an orbit is on


def _classify(system, orbits, periods, exponents, floor, largest_period):
    """The `Attractor` of each orbit ``(T, G, n)``; periods are those of `_group`."""
    tolerances = floor * np.maximum(1, np.abs(orbits).max(axis=(0, 2)))
    found = [None] * len(periods)
    for k in np.flatnonzero(periods):
        found[k] = _returning(system, orbits[:, k], periods[k], exponents, tolerances[k])
    moving = np.flatnonzero(np.equal(periods, 0))
    if moving.size:
        spectra = zip(*_exponents(system, orbits[:, moving], exponents), strict=True)
        for k, (mean, error) in zip(moving, spectra, strict=True):
            found[k] = _moving(orbits[:, k], mean, error, tolerances[k], largest_period)
    return found


def _exponents(system, orbits, count):
    """Exponents along given orbits ``(T, G, n)`` and their errors, each of shape ``(G, k)``."""
    _, G, n = orbits.shape
    frame = np.linalg.qr(np.random.default_rng(0).normal(size=(G, n, count)))[0]
    chunk = max(1, 2**20 // (G * n * n))
    means = []
    for block in np.array_split(orbits[:-1], BLOCKS + 1):  # the first one turns the frame
        growth = 0.0
        for k in range(0, len(block), chunk):
            _, jacobians = system.linearise(block[k : k + chunk], 0, 1)
            frame, more = grow(frame, jacobians[0], 1)
            growth = growth + more
        means.append(growth / len(block))
    means = np.array(means[1:])
    order = np.argsort(-means.mean(axis=0), axis=-1)
    means = np.take_along_axis(means, order[np.newaxis], axis=-1)
    with np.errstate(invalid="ignore"):  # minus infinity has no scatter
        error = np.nan_to_num(means.std(axis=0, ddof=1)) / np.sqrt(BLOCKS)
    return means.mean(axis=0), error


def _returning(system, orbit, period, exponents, tolerance):
    """What an orbit is on that returns after a period, up to the tolerance."""
    near = is_stable(system, orbit[-1], period=period)
    returns = _returns(orbit, period)
    move = returns[-1]
    rounding = EPS * max(1.0, np.abs(orbit[-1]).max())  # hides a slower approach
    left = max(move, rounding) / (1 - near.radius) if near.radius < 1 else np.inf
    kind, text, scale = "undecided", f"at rest to {move:.1g}, which nothing draws it to", tolerance
    if left <= tolerance:
        shortest = 1 + int(np.argmax(returns <= 2 * left))  # of points no further from the limit
        if shortest < period:
            period, near = shortest, is_stable(system, orbit[-1], period=shortest)
        kind = "fixed point" if period == 1 else "cycle"
        text, scale = f"{left:.1g} from the limit", 10 * tolerance
    elif near.radius < 1 and (approach := _approach(orbit, period, left, near.radius)):
        kind, text, scale = "still moving", approach, 2 * left
    with np.errstate(divide="ignore"):  # a multiplier may be zero
        means = np.log(np.abs(near.eigenvalues[:exponents])) / period
    return Attractor(
        kind=kind,
        period=None if kind in ("undecided", "still moving") else period,
        states=orbit[-period:],
        exponents=means,
        standard_error=np.zeros_like(means),
        eigenvalues=near.eigenvalues,
        residual=near.residual,
        scale=float(scale),
        count=0,
        evidence=f"multiplier {near.radius:.6g}, {text}",
    )


def _moving(orbit, exponents, error, tolerance, largest_period):
    """What an orbit is on that does not return."""
    first = exponents[0]
    zero = 3 * error[0] + 0.1 / len(orbit)  # nearby orbits approach by less than a tenth
    scale = tolerance + 2 * _spacing(orbit)
    kind, text = "", ""
    if first < 0:
        growth = first * np.arange(1, largest_period + 1)
        left = _returns(orbit, largest_period) / -np.expm1(growth)
        p = int(np.argmin(left))
        if text := _approach(orbit, p + 1, left[p], np.exp(growth[p])):
            kind, scale = "still moving", 2 * left[p]
    again = _return_distances(orbit).min() <= tolerance
    if not kind and (first < -zero or again):
        kind, text = "undecided", _long_period(orbit, tolerance)
    elif not kind and first > zero:
        kind, text = _chaos(orbit, first)
    if not kind:
        kind, text, gap = _curve(orbit, exponents, error)
        scale = max(scale, gap)
    return Attractor(
        kind=kind,
        period=None,
        states=orbit,
        exponents=exponents,
        standard_error=error,
        eigenvalues=None,
        residual=np.nan,
        scale=float(scale),
        count=0,
        evidence=f"λ₁ = {first:.3g} ± {error[0]:.1g}, {text}",
    )


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


def _long_period(orbit, tolerance):
    """What an orbit does that contracts but comes to no limit."""
    returns = _return_distances(orbit)
    k = int(np.argmin(returns))
    if returns[k] > tolerance:
        return "but the orbit comes to no limit"
    return f"a cycle longer than the largest period: {returns[k]:.1g} from itself after {k + 1}"


def _chaos(orbit, exponent):
    """Whether an orbit with a positive exponent stays on one bounded set; nothing if unclear."""
    drift, ratio = _drift(orbit)
    growth = exponent * len(orbit)
    text = (
        f"nearby orbits separate by e^{growth:.3g}, halves {drift:.2g} sizes apart, "
        f"their sizes {ratio:.2g} to one"
    )
    if drift > 1 or ratio > 1.5:
        return "still moving", text
    return ("chaotic" if growth > SEPARATED else ""), text


def _curve(orbit, exponents, error):
    """Whether an orbit whose exponent is zero goes around a closed curve, and the longest gap."""
    if len(exponents) < 2:
        return "undecided", "and no second exponent", 0.0
    text = f"λ₂ = {exponents[1]:.3g} ± {error[1]:.1g}"
    if exponents[1] > -3 * error[1] - 0.1 / len(orbit):
        return "undecided", text, 0.0
    size = np.ptp(orbit, axis=0).max()
    back = _return_distances(orbit).min() / size
    gaps = [_longest_gap(orbit[:LONGEST:q]) for q in range(1, PIECES + 1)]
    pieces = int(np.argmax(np.array(gaps) <= 0.1))  # the first, or none of them
    gap = gaps[pieces]
    text += f", back to {back:.2g} of its size, longest gap {gap:.2g}"
    text += f" in each of {pieces + 1} pieces" if pieces else ""
    closed = back <= 0.1 and gap <= 0.1 and _drift(orbit)[1] <= 1.05
    return "closed curve" if closed else "undecided", text, gap * size


def _return_distances(orbit):
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
