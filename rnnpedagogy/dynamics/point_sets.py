"""Orbits as sets of points: how near they are, how dense, and when they return."""

import numpy as np


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
    """Whether nineteen in twenty points of each orbit are near the other, and not on one side."""
    near = _reach(orbit, other) <= distance and _reach(other, orbit) <= distance
    return near and not _apart(orbit, other)


def _apart(orbit, other):
    """Whether a plane fitted to first halves has nineteen in twenty later points on their side.

    In many dimensions all points of a chaotic set are as far from each other as from another set.
    """
    half = min(len(orbit), len(other)) // 2
    first = np.concatenate([orbit[:half], other[:half]])
    later = np.concatenate([orbit[-half:], other[-half:]]) - first.mean(axis=0)
    sides = np.repeat([1.0, -1.0], half)
    plane = np.linalg.lstsq(first - first.mean(axis=0), sides, rcond=1e-9)[0]
    return (later @ plane * sides > 0).mean() >= 0.95


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
