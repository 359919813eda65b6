"""Orbits as sets of points: how near they are, how dense, and when they return."""

import numpy as np

EPS = np.finfo(float).eps
LONGEST = 2000  # states of an orbit that are compared with one another


def distances(points, cloud):
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


def spacing(orbit):
    """Distance within which nineteen in twenty of an orbit's later points have an earlier one."""
    half = len(orbit) // 2
    return _reach(orbit[half:], orbit[:half])


def cover(orbit, other, distance):
    """Whether nineteen in twenty points of each orbit are near the other."""
    return _reach(orbit, other) <= distance and _reach(other, orbit) <= distance


def _reach(orbit, cloud):
    """Distance within which nineteen in twenty of an orbit's points are near a cloud."""
    some = orbit[:: max(1, len(orbit) // 200)]
    return np.quantile(distances(some, cloud), 0.95)


def last_returns(orbits, largest):
    """Largest ``‖x_t − x_{t−p}‖_∞`` over the last ``P`` states, for ``p`` up to ``P``."""
    end = orbits[-largest:]
    return np.stack(
        [np.abs(end - orbits[-largest - p : -p]).max(axis=(0, -1)) for p in range(1, largest + 1)]
    )


def all_returns(orbit):
    """``max_t ‖x_{t+k} − x_t‖_∞`` for ``k`` from one to half the length."""
    orbit = orbit[:LONGEST]
    return np.array([np.abs(orbit[k:] - orbit[:-k]).max() for k in range(1, len(orbit) // 2 + 1)])


def drift(orbit):
    """Distance of the means of two halves in units of their size, and the ratio of the sizes."""
    halves = np.array_split(orbit, 2)
    means = [half.mean(axis=0) for half in halves]
    small, large = sorted(np.sqrt(half.var(axis=0).sum()) for half in halves)
    return np.linalg.norm(means[1] - means[0]) / large, large / max(small, EPS * large)


def longest_gap(points):
    """Longest edge of the shortest tree through all points, relative to their extent."""
    away = np.full(len(points), np.inf)
    longest, at = 0.0, 0
    for _ in range(len(points) - 1):
        away = np.minimum(away, np.abs(points - points[at]).max(axis=1))
        away[at] = np.nan  # is in the tree
        at = np.nanargmin(away)
        longest = max(longest, away[at])
    return longest / np.ptp(points, axis=0).max()
