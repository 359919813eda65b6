"""Attractors: the sets that orbits settle on, each once."""

from collections import Counter
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from rnnpedagogy._validation import positive_integer, real_array, takes
from rnnpedagogy.dynamics.classification import BLOCKS, classify
from rnnpedagogy.dynamics.orbits import settle
from rnnpedagogy.dynamics.point_sets import cover, distances, last_returns, spacing
from rnnpedagogy.dynamics.systems import check_autonomous

DIVERGED = -1
APERIODIC = ("closed curve", "chaotic")
LONGER = 4  # how much longer than before an orbit that does not return is run, for a second look
BOUND = 1e8  # an orbit with a larger entry has diverged


@dataclass(frozen=True)
class Attractors:
    """The attractors that a set of starts leads to.

    Attributes
    ----------
    attractors : tuple of Attractor
        In the order of the first start that leads to each. Orbits that are "still moving" or
        "undecided" have entries too.
    labels : array, shape (S,)
        The entry of each start, −1 for an orbit that diverged.
    """

    attractors: tuple
    labels: np.ndarray

    def __str__(self):
        rows = [f"{'starts':>6}  {'kind':<13}{'period':>6}  evidence"]
        rows += [
            f"{a.count:>6}  {a.kind:<13}{a.period or '':>6}  {a.evidence}" for a in self.attractors
        ]
        lost = (self.labels == DIVERGED).sum()
        return "\n".join(rows + [f"{lost:>6}  diverged"] * bool(lost))


@takes
def identify_attractors(
    system, starts, *, transient=2000, steps=1000, largest_period=64, tolerance=1e-6
):
    r"""What the orbits of a set of starts settle on: each attractor once, and why it is called so.

    All orbits are run at once, and those that settle on the same set are merged. Of each set one
    orbit is looked at. One with an entry above ``1e8`` has diverged. With :math:`d_p`
    the largest :math:`\|x_t - x_{t-p}\|_\infty` at its end, :math:`\rho_p` the largest multiplier
    along its last ``p`` steps, and :math:`\lambda_1 \ge \lambda_2` the largest two exponents along
    it, it is called

    - *fixed point* or *cycle* if :math:`d_p / (1 - \rho_p)`, an estimate of the distance that is
      left to the limit, is at most the tolerance; the smallest such ``p`` is the period;
    - *still moving* if :math:`\lambda_1 < 0` beyond its error, the distance is larger, and falls: a
      fixed point on the brink of stability, approached like a power of the time, ends here;
    - *closed curve* if :math:`\lambda_1` is zero within its error and :math:`\lambda_2` so negative
      that nearby orbits have stopped approaching it (by a factor of ``e`` in the run, at least),
      :math:`\max_t \|x_{t+k} - x_t\|_\infty` is small against the orbit for some ``k``, and the
      points, or each ``q``-th of them, hang together without a gap;
    - *chaotic* if :math:`\lambda_1 > 0` by three standard errors, nearby orbits separate by more
      than a factor ``e^8`` in the run, and mean and size of its halves agree;
    - *undecided* otherwise, such as an orbit at rest on a point that repels, or between two that
      have just vanished: Newton's method, too, has to find a fixed point or a cycle.

    What is called a closed curve or chaotic is run on, four times as long, and looked at again:
    long transients look like either. What is then found counts.

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
    tolerance : float
        Distance to the limit, relative to the larger of one and the largest entry of the orbit; at
        least a thousand roundings.

    Returns
    -------
    Attractors

    Notes
    -----
    Cycles less than ten tolerances apart are one. Orbits of other kinds are one if nineteen in
    twenty points of each lie within a few spacings of the points of the other, and no plane has
    nineteen in twenty on either side. A chaotic orbit may yet leave, one near the end of a cascade
    of periods may be anything: more steps tell.
    """
    starts = real_array("starts", starts, shape=("S", "n"))
    check_autonomous(system)
    steps = positive_integer("steps", steps, minimum=max(4 * largest_period, 4 * BLOCKS))

    orbits = settle(system, starts, steps, transient, bound=BOUND)
    kept = np.flatnonzero(np.isfinite(orbits[-1]).all(axis=-1))
    labels = np.full(len(starts), DIVERGED)
    floor = max(tolerance, 1e3 * np.finfo(orbits.dtype).eps)
    attractors = []
    if kept.size:
        orbits = orbits[:, kept].astype(float)
        groups, periods = _group(orbits, floor, largest_period)
        seen = orbits[:, [group[0] for group in groups]]
        found = classify(system, seen, periods, floor, largest_period)
        longer = LONGER * (transient + steps)
        found = _look_again(system, found, seen[-1], longer, steps, floor, largest_period)
        for group, one in zip(groups, found, strict=True):
            labels[kept[group]] = place(one, attractors)
    return Attractors(attractors=counted(attractors, labels), labels=labels)


def _look_again(system, found, ends, transient, steps, floor, largest_period):
    """What is found, where those that do not return have been run for longer."""
    again = np.array([k for k, one in enumerate(found) if one.kind in APERIODIC], int)
    if not again.size:
        return found
    later = settle(system, ends[again], steps, transient, bound=BOUND).astype(float)
    stay = np.isfinite(later[-1]).all(axis=-1)
    for k in again[~stay]:
        text = f"{found[k].evidence}, and diverges later"
        found[k] = replace(found[k], kind="still moving", evidence=text)
    again, later = again[stay], later[:, stay]
    *_, periods = _periods(later, floor, largest_period)
    for k, one in zip(again, classify(system, later, periods, floor, largest_period), strict=True):
        found[k] = found[k] if one.kind == found[k].kind else one
    return found


def _group(orbits, floor, largest_period):
    """Groups of orbits ``(T, S, n)`` on the same set, slowest first, and periods, 0 for none."""
    size, moves, period = _periods(orbits, floor, largest_period)
    reach = cache(lambda k: 2 * spacing(orbits[:, k]) + size[k])
    groups, periods, left = [], [], np.arange(len(period))
    while left.size:
        one, rest = left[0], left[1:]
        rest = rest[period[rest] == period[one]]
        if period[one]:
            near = distances(orbits[-1, rest], orbits[-period[one] :, one]) <= 10 * size[one]
            group = np.append(one, rest[near])
            groups.append(group[np.argsort(-moves[period[one] - 1, group], kind="stable")])
        else:
            known = orbits[:, one]
            same = [k for k in rest if cover(orbits[:, k], known, max(reach(k), reach(one)))]
            groups.append(np.array([one, *same]))
        periods.append(int(period[one]))
        left = np.setdiff1d(left, groups[-1])
    return groups, periods


def _periods(orbits, floor, largest_period):
    """What is no distance for each orbit, how far it is from itself after ``p``, and its period."""
    size = floor * np.maximum(1, np.abs(orbits).max(axis=(0, 2)))
    moves = last_returns(orbits, largest_period)
    first = 1 + np.argmax(moves <= size, axis=0)
    return size, moves, np.where(moves.min(axis=0) <= size, first, 0)


def place(one, known):
    """The index of a set among those that are known, to which it is added if it is new."""
    for k, other in enumerate(known):
        if _same(one, other):
            return k
    known.append(one)
    return len(known) - 1


def counted(attractors, labels):
    """The attractors with the number of starts that have each label."""
    counts = Counter(np.ravel(labels).tolist())
    return tuple(replace(one, count=counts[k]) for k, one in enumerate(attractors))


def _same(one, other):
    """Whether two sets that were looked at are one after all."""
    if (one.kind, one.period) != (other.kind, other.period):
        return False
    scale = max(one.scale, other.scale)
    if one.kind in APERIODIC:
        return cover(one.states, other.states, scale)
    return distances(one.states[-1:], other.states)[0] <= scale
