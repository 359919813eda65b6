"""Searches: the largest value of a function over a region, the largest step that still descends."""

import math
from dataclasses import dataclass

import numpy as np

from rnnpedagogy._validation import parameter_names, positive_integer, real_array, takes
from rnnpedagogy._vectors import hessian_products, norm_of, shapes_of, vectors_of
from rnnpedagogy.cells import unflatten
from rnnpedagogy.gradients import bptt

SMALLEST_MOVE = 1e-16  # relative to the spread of the sampled points
START, STOP, FACTOR = 1e-3, 1e3, 1.05  # a grid of steps: its ends, the ratio of neighbours
BISECTIONS = 45  # leave of the ratio of two grid points nothing but rounding


@dataclass(frozen=True)
class Supremum:
    """The largest value of a function that a search has found: a lower estimate of its supremum.

    Attributes
    ----------
    value : float
        The largest value.
    point : array, shape (d,)
        Where it was found.
    history : array, shape (rounds + 1,)
        The largest value after the sampling and after each round of the ascent.
    """

    value: float
    point: np.ndarray
    history: np.ndarray


@takes(starts=positive_integer)
def supremum(function, sample, project=None, *, rng, starts=256, rounds=100, keep=8, tries=16):
    """A lower estimate of the supremum of a function over a region, by sampling and ascent.

    The best of the sampled points are each moved at random, again and again, and stay where the
    function is larger. Peaks can be narrower than the region by many orders of magnitude, in some
    directions and not in others. So the distance of a move is drawn from all orders between
    ``1e-16`` times the spread of the sampled points and that spread, or is near that of the last
    move that succeeded; and its direction is either any, or along one coordinate, or along the line
    to another of the best points. No derivative is needed. A peak of which nothing is seen from
    the sampled points is not found: sample on a logarithmic scale around the places where one is to
    be expected.

    Parameters
    ----------
    function : callable
        Points of shape ``(k, d)`` to values of shape ``(k,)``; of what varies by orders of
        magnitude take the logarithm. ``−∞`` is allowed.
    sample : callable
        ``sample(rng, k)`` draws ``k`` points of the region, shape ``(k, d)``.
    project : callable, optional
        Maps points of shape ``(k, d)`` into the region; not needed where that is the whole space.
    rng : numpy.random.Generator
        Source of randomness.
    starts, rounds, keep, tries : int
        Number of sampled points, of rounds, of points that are improved, and of moves that are
        tried in each round from each of them.

    Returns
    -------
    Supremum

    Raises
    ------
    ValueError, TypeError
        If a value is NaN or ``+∞``.
    """
    keep = min(keep, starts)

    def evaluate(points):
        values = np.asarray(function(points))
        if values.shape != points.shape[:1]:
            raise ValueError(
                f"got function(points) of shape {values.shape}, expected {points.shape[:1]}"
            )
        if not (values < np.inf).all():
            raise ValueError(f"function must be less than infinity, got {values.max()}")
        return values

    points = real_array("sample(rng, starts)", sample(rng, starts), shape=(starts, "d"))
    spread = points.std(axis=0)
    values = evaluate(points)
    best = np.argsort(-values)[:keep]
    points, values = points[best], values[best]
    sizes = np.ones(keep)  # of the last move that succeeded, relative to the spread
    history = [values.max()]
    for _ in range(rounds):
        trial_sizes = _move_sizes(sizes, tries, rng)
        moves = trial_sizes[..., np.newaxis] * _directions(points, spread, tries, rng)
        trials = (points[:, np.newaxis] + moves).reshape(keep * tries, -1)
        if project is not None:
            trials = real_array("project(points)", project(trials), shape=trials.shape)
        trial_values = evaluate(trials)
        best = np.argmax(trial_values.reshape(keep, tries), axis=1) + tries * np.arange(keep)
        better = trial_values[best] > values
        points[better] = trials[best][better]
        values = np.where(better, trial_values[best], values)
        sizes = np.where(better, trial_sizes.ravel()[best], sizes)
        history.append(values.max())
    top = np.argmax(values)
    return Supremum(value=float(values[top]), point=points[top], history=np.array(history))


def _move_sizes(sizes, tries, rng):
    """Sizes of moves from each point: of any order, or near that of the last that succeeded."""
    any_order = SMALLEST_MOVE ** rng.uniform(size=(len(sizes), tries))
    near = sizes[:, np.newaxis] * np.exp(rng.normal(size=any_order.shape))
    return np.where(rng.uniform(size=any_order.shape) < 0.5, any_order, near)


def _directions(points, spread, tries, rng):
    """Directions of moves from each point: any, along one coordinate, or to another point."""
    keep, d = points.shape
    anywhere = rng.normal(size=(keep, tries, d)) * spread
    coordinate = np.eye(d)[rng.integers(d, size=(keep, tries))]
    to_another = points[rng.integers(keep, size=(keep, tries))] - points[:, np.newaxis]
    kind = rng.integers(3, size=(keep, tries, 1))
    length = rng.normal(size=kind.shape)
    return np.choose(kind, [anywhere, anywhere * coordinate, to_another * length])


@takes
def largest_decreasing_step(cost, params, *, names=None):
    r"""The step of gradient descent below which the cost is smaller than before.

    .. math::

        \eta_1 = \min\{\eta > 0 : V(\theta - \eta \nabla V(\theta)) = V(\theta)\} \ge 2 / L'_V

    The unit of length is :math:`\eta_0 = 2 \|g\| / \|H g\|` with the gradient :math:`g` and the
    Hessian :math:`H` at :math:`\theta`. Where the cost is quadratic, :math:`\eta_0 \le \eta_1`,
    with equality if :math:`g` is an eigenvector. The cost is evaluated at steps from 0.001 to 1000
    in this unit, each 5 % longer than the one before. Between the first at which it is not smaller
    than at :math:`\theta` and the one before, :math:`\eta_1` is found by bisection. A rise and fall
    between two neighbours of the grid is overlooked: the result is exact or too large.

    Parameters
    ----------
    cost : Cost
        The function ``V``.
    params : dict of array
        The points ``θ``; leading axes tell them apart.
    names : iterable of str, optional
        The parameters that vary; all if not given.

    Returns
    -------
    array, shape (…)
        ``η_1``, with the leading axes of the parameters. Infinite where the cost is smaller on the
        whole grid. NaN where the grid does not begin far below: its first step decreases the cost
        by less than half of what the gradient promises, or that drowns in rounding, or ``η_0`` does
        not exist since ``g`` or ``H g`` is zero.
    """
    names = parameter_names(cost.cell, names)
    params, lead = cost.check_params(params)
    shapes, here = shapes_of(cost, params, names), bptt(cost, params)
    g = vectors_of(here.params, names, len(lead))
    sets = {name: np.broadcast_to(params[name], here.params[name].shape) for name in names}
    theta = vectors_of(sets, names, len(lead))
    slope, curvature = norm_of(g), norm_of(hessian_products(cost, params, lead, shapes)(g))
    exists = (slope > 0) & (curvature > 0)
    unit = 2 * np.where(exists, slope, 0) / np.where(exists, curvature, 1)

    def change(step):
        """``V(θ − ηg) − V(θ)`` for a step ``η`` of each point, shape ``(…)``."""
        moved = params | unflatten(theta - step[..., np.newaxis] * g, shapes)
        with np.errstate(over="ignore", invalid="ignore"):  # a cost of infinity is not smaller
            return cost(moved) - here.value

    def narrow(low, high, step, where):
        """Move ``low`` to a step with which the cost is smaller, else ``high``."""
        step = np.where(where, step, 0)
        smaller = change(step) < 0
        return np.where(where & smaller, step, low), np.where(where & ~smaller, step, high)

    # The start must be far below: where the gradient rules and well above rounding.
    low = START * unit
    noise = np.finfo(here.value.dtype).eps * (here.value + norm_of(theta) * slope)
    begins = (low * slope**2 > 100 * noise) & (change(low) < -low * slope**2 / 2)

    high = np.where(begins, np.inf, np.nan)
    count = math.ceil(math.log(STOP / START) / math.log(FACTOR))
    for multiple in np.append(START * FACTOR ** np.arange(1, count), STOP):
        searched = high == np.inf
        if not searched.any():
            break
        low, high = narrow(low, high, multiple * unit, searched)

    found = np.isfinite(high)
    for _ in range(BISECTIONS):
        low, high = narrow(low, high, low / 2 + high / 2, found)
    return high
