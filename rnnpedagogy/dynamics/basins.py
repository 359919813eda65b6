"""Basins: which attractor each start of a grid leads to."""

from dataclasses import dataclass

import numpy as np

from rnnpedagogy._validation import integer_array, real_array, takes
from rnnpedagogy.dynamics.attractors import BOUND, DIVERGED, counted, identify_attractors, place
from rnnpedagogy.dynamics.orbits import settle
from rnnpedagogy.dynamics.point_sets import distances
from rnnpedagogy.dynamics.systems import CellMap, check_autonomous

ENDS, ROUNDS, SAMPLES = 8, 4, 64  # last states that tell of a start; samples of a grid, their size
NEAR = 1e-3  # how near to a fixed point or a cycle a last state is, relative to its size
UNDECIDED = -2
SETTLED = ("fixed point", "cycle", "closed curve", "chaotic")


@dataclass(frozen=True)
class Basins:
    """Which attractor each point of a grid of starts leads to.

    Attributes
    ----------
    x, y : array, shape (X,) and (Y,)
        The two coordinates of the starts.
    labels : array, shape (Y, X)
        Index into ``attractors``, −1 for diverged, −2 for undecided or still moving.
    attractors : tuple of Attractor
        Those that were found; their counts are those of the grid.
    """

    x: np.ndarray
    y: np.ndarray
    labels: np.ndarray
    attractors: tuple


@takes
def basins_of_attraction(system, x, y, *, at=None, axes=(0, 1), transient=1000, steps=1000):
    """Which attractor each start of a grid leads to.

    The whole grid is run, the attractors of a sample of 64 starts are found by
    `identify_attractors`, and a start belongs to the attractor that one of its last states is near.
    Starts that end near none are sampled in their turn.

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

    Returns
    -------
    Basins

    Notes
    -----
    Near to a fixed point or a cycle is a distance of ``1e-3``, relative to the larger of one and
    the largest entry of its states; for other kinds their ``scale`` is the measure. Attractors that
    are closer than that are not told apart, and a start whose orbit is that near to one attractor,
    on its way to another, at the end of the transient is misplaced. Exactly on a boundary, starts
    end at a saddle: they stay undecided.
    """
    x, y = real_array("x", x, shape=("X",)), real_array("y", y, shape=("Y",))
    check_autonomous(system)
    if at is None:
        at = np.zeros(system.cell.state_size if isinstance(system, CellMap) else 2)
    at = real_array("at", at, shape=("n",)).astype(np.result_type(at, x, y))
    axes = tuple(integer_array("axes", axes, shape=(2,), below=len(at)).tolist())
    if axes[0] == axes[1]:
        raise ValueError(f"axes must be two different coordinates, got {axes}")

    starts = np.tile(at, (len(y), len(x), 1))
    starts[..., axes[0]] = x
    starts[..., axes[1]] = y[:, np.newaxis]
    ends = settle(system, starts.reshape(-1, len(at)), ENDS, transient, bound=BOUND)
    labels = np.where(np.isfinite(ends[-1]).all(axis=-1), UNDECIDED, DIVERGED)
    known, rng = [], np.random.default_rng(0)
    left = np.flatnonzero(labels == UNDECIDED)
    for _ in range(ROUNDS):
        if not left.size:
            break
        some = rng.permutation(left)[:SAMPLES]
        found = identify_attractors(system, ends[-1, some], transient=transient, steps=steps)
        labels[some] = _extend(known, found)
        left = np.setdiff1d(left, some)
        labels[left] = _assign(ends[:, left], known)
        left = left[labels[left] == UNDECIDED]
    labels = labels.reshape(len(y), len(x))
    return Basins(x=x, y=y, labels=labels, attractors=counted(known, labels))


def _extend(known, found):
    """Add what was found to what is known, and say which of it each start found."""
    index = {DIVERGED: DIVERGED}
    for k, one in enumerate(found.attractors):
        index[k] = place(one, known) if one.kind in SETTLED else UNDECIDED
    return [index[label] for label in found.labels]


def _assign(ends, known):
    """The attractor that one of the last states ``(T, S, n)`` of each orbit is near."""
    labels = np.full(ends.shape[1], UNDECIDED)
    sets = [
        (k, a.states, max(a.scale, NEAR * max(1, np.abs(a.states).max()) if a.period else 0))
        for k, a in enumerate(known)
    ]
    for states in ends[::-1]:
        left = np.flatnonzero(labels == UNDECIDED)
        nearest = np.ones(left.size)
        for k, cloud, reach in sets:
            away = distances(states[left], cloud) / reach
            labels[left[away <= nearest]] = k
            nearest = np.minimum(nearest, away)
    return labels
