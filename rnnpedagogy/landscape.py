"""The cost along a line and on a plane of parameter space, and how many minima a line crosses."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rnnpedagogy._validation import (
    arrays_by_name,
    choice,
    finite,
    parameters,
    positive_integer,
    real_array,
    takes,
)
from rnnpedagogy.costs import Cost
from rnnpedagogy.gradients import bptt
from rnnpedagogy.rollout import SHORTEST

RESOLVED = 0.02  # largest relative change that counts as none when a grid is refined
FLOATS = 2**21  # numbers that a batch of points may have in memory at once, about


@takes(params=arrays_by_name)
def random_direction(params, rng, *, scale="each"):
    r"""A random direction in parameter space, as large as the parameters themselves.

    A normal vector treats all entries alike, while the arrays of a network differ in size; so each
    array ``d_k`` of the direction is given the norm of the array ``θ_k`` that it moves,

    .. math:: \|d_k\| = \|\theta_k\| .

    Taken literally this zeroes the direction of every array that is zero, as biases often are, and
    the picture shows a cost whose biases cannot move. An array that is zero is therefore moved as
    far as one of its size moves on average: :math:`\|d_k\| = \sqrt{\text{size}}` times the root
    mean square of all parameters.

    Parameters
    ----------
    params : dict of array
        The point ``θ``.
    rng : numpy.random.Generator
        Source of randomness.
    scale : {"each", "all"}
        Whether each array is scaled, as above, or the direction as a whole, to ``‖d‖ = ‖θ‖``.

    Returns
    -------
    dict of array
        The direction ``d``, with the names, shapes and types of ``params``.

    Raises
    ------
    ValueError
        If all parameters are zero.

    References
    ----------
    H. Li, Z. Xu, G. Taylor, C. Studer, T. Goldstein, Visualizing the loss landscape of neural nets,
    NeurIPS 2018; there filter by filter instead of array by array.
    """
    choice("scale", scale, ("each", "all"))
    params = _check_arrays("params", params)
    typical = _norm(params.values()) / math.sqrt(sum(array.size for array in params.values()) or 1)
    if typical == 0:
        raise ValueError("params must not all be zero: a direction is as large as they are")
    drawn = {name: rng.normal(size=array.shape) for name, array in params.items()}
    whole = _norm(params.values()) / _norm(drawn.values())
    direction = {}
    for name, array in params.items():
        factor = whole
        if scale == "each" and array.size:
            size = np.linalg.norm(array) or math.sqrt(array.size) * typical
            factor = size / np.linalg.norm(drawn[name])
        direction[name] = (factor * drawn[name]).astype(array.dtype)
    return direction


def _norm(arrays):
    return math.hypot(*(np.linalg.norm(array) for array in arrays))


def _check_arrays(name, arrays):
    if not isinstance(arrays, Mapping):
        raise TypeError(f"{name} must be a dictionary of arrays, got {arrays!r}")
    return {key: real_array(f"{name}[{key!r}]", array) for key, array in arrays.items()}


@dataclass(frozen=True)
class LineProfile:
    """A cost along a line ``θ + s d``.

    Attributes
    ----------
    steps : array, shape (K,)
        ``s``.
    values : array, shape (K,)
        ``V(θ + s d)``.
    slopes : array, shape (K,), or None
        ``dV/ds``, if they were asked for.
    """

    steps: np.ndarray
    values: np.ndarray
    slopes: np.ndarray | None


@takes(direction=parameters, cost=None, steps=None)
def cost_along_line(cost, params, direction, steps, *, slopes=False):
    r"""The cost along a line of parameter space, and its slope.

    .. math::

        s \mapsto V(\theta + s d), \qquad
        \frac{dV}{ds} = \langle \nabla V(\theta + s d), d \rangle

    All points of the line are parameter sets of one batched run (of a few runs, if there are so
    many that the memory is a concern).

    Parameters
    ----------
    cost : Cost or callable
        ``V``; a callable maps parameters with a leading axis ``K`` to an array of shape ``(K,)``.
    params : dict of array
        The point ``θ``, without leading axes.
    direction : dict of array
        The direction ``d``, with shapes as in ``params``; parameters that it does not name stay.
    steps : array, shape (K,)
        ``s``.
    slopes : bool
        Also compute the slopes, by `bptt`: about three times the work, and for a `Cost` only.

    Returns
    -------
    LineProfile

    Notes
    -----
    Where the states leave the finite numbers, so does the cost: its value is infinite or NaN there.
    """
    steps = real_array("steps", steps, shape=("K",))
    params = _check_point(cost, params, "cost_along_line")
    direction = _check_direction("direction", direction, params)
    if not slopes:
        return LineProfile(steps, _evaluate(cost, params, [direction], [steps]), None)
    if not isinstance(cost, Cost):
        raise TypeError(f"cost must be a Cost if slopes are asked for, got {cost!r}")
    parts = []
    for points in _points(cost, params, [direction], [steps], kept=cost.steps):
        with np.errstate(over="ignore", invalid="ignore"):
            gradient = bptt(cost, points)
            slope = sum(
                (gradient.params[name] * array).reshape(gradient.value.size, -1).sum(axis=-1)
                for name, array in direction.items()
            )
        parts.append((gradient.value.ravel(), slope))
    values, slopes = (np.concatenate(part) for part in zip(*parts, strict=True))
    return LineProfile(steps, values, slopes)


@takes(cost=None)
def cost_on_plane(cost, params, first, second, xs, ys):
    r"""The cost on a plane of parameter space, :math:`V(\theta + x\,d_1 + y\,d_2)`.

    Parameters
    ----------
    cost, params
        As for `cost_along_line`.
    first, second : dict of array
        The directions ``d_1`` and ``d_2``, as for `cost_along_line`.
    xs, ys : array, shape (X,) and (Y,)
        Coordinates on the plane.

    Returns
    -------
    array, shape (Y, X)
        Row ``j``, column ``i`` holds the cost at ``xs[i]``, ``ys[j]``: the order in which
        ``pcolormesh(xs, ys, …)`` draws it.
    """
    xs, ys = real_array("xs", xs, shape=("X",)), real_array("ys", ys, shape=("Y",))
    params = _check_point(cost, params, "cost_on_plane")
    pair = {"first": first, "second": second}
    directions = [_check_direction(name, one, params) for name, one in pair.items()]
    coordinates = [np.tile(xs, len(ys)), np.repeat(ys, len(xs))]
    return _evaluate(cost, params, directions, coordinates).reshape(len(ys), len(xs))


def _check_point(cost, params, caller):
    if isinstance(cost, Cost):
        return cost.check_params(params, single=caller)[0]
    if not callable(cost):
        raise TypeError(f"cost must be a Cost or a function of the parameters, got {cost!r}")
    return _check_arrays("params", params)


def _check_direction(name, direction, params):
    direction = _check_arrays(name, direction)
    if not direction or not direction.keys() <= params.keys():
        raise ValueError(f"{name} must have keys among {sorted(params)}, got {sorted(direction)}")
    return {
        key: real_array(f"{name}[{key!r}]", array, shape=params[key].shape)
        for key, array in direction.items()
    }


@np.errstate(over="ignore", invalid="ignore")
def _evaluate(cost, params, directions, coordinates):
    points = _points(cost, params, directions, coordinates)
    return np.concatenate([np.ravel(cost(some)) for some in points])


def _points(cost, params, directions, coordinates, *, kept=SHORTEST):
    """``θ + Σ_j c_j d_j`` for all points, as many at a time as the memory holds.

    ``kept`` steps of a run are in memory at once: a few for a value, all for a gradient.
    """
    batch, floats = (), sum(array.size for array in params.values())
    if isinstance(cost, Cost):
        batch = cost.batch
        width = cost.cell.gates * cost.cell.hidden_size + cost.cell.state_size
        floats += kept * width * math.prod(batch)
    chunk = max(1, FLOATS // max(1, floats))
    for k in range(0, len(coordinates[0]), chunk):
        points = dict(params)
        for direction, coordinate in zip(directions, coordinates, strict=True):
            for name, array in direction.items():
                c = coordinate[k : k + chunk].astype(array.dtype)
                # The axes of a batch of sequences come between those of the points and the array.
                c = c.reshape(-1, *(1,) * (len(batch) + array.ndim))
                points[name] = points[name] + c * array
        yield points


def local_minima(values):
    """The places of the local minima inside a sequence.

    Parameters
    ----------
    values : array, shape (K,)
        A function on a grid.

    Returns
    -------
    array of int
        Indices of values that are lower than what is on both sides. A flat bottom is one minimum,
        at its middle; neither end, nor a flat stretch that reaches it, is one.
    """
    values = real_array("values", values, shape=("K",))
    before_change = np.flatnonzero(values[1:] != values[:-1])
    first, last = np.append(0, before_change + 1), np.append(before_change, len(values) - 1)
    down = np.diff(values[first]) < 0
    bottom = np.flatnonzero(down[:-1] & ~down[1:]) + 1
    return (first[bottom] + last[bottom]) // 2


def total_variation(values):
    r"""The total variation :math:`\sum_k |v_{k+1} - v_k|` of a function on a grid.

    On a finer grid it is larger, or the same; its limit is :math:`\int |V'(s)|\,ds`.

    Parameters
    ----------
    values : array, shape (K, …)
        Functions on a grid.

    Returns
    -------
    array, shape (…)
    """
    values = real_array("values", values, shape=("K", ...))
    return np.abs(np.diff(values, axis=0)).sum(axis=0)


@takes
def minima_bound(total_variation, span):
    r"""How many local minima a function must have inside an interval: Proposition M.

    A continuous function with values in an interval of length ``M`` varies by at most ``M`` on each
    of its monotone pieces; where a piece that goes down ends inside, there is a minimum. So there
    are at least

    .. math:: \Bigl\lceil \tfrac12 \Bigl(\frac{TV}{M} - 2\Bigr) \Bigr\rceil

    local minima inside the interval, or none if that is negative.

    Parameters
    ----------
    total_variation, span : float
        ``TV`` and ``M``.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If a function varies that has no span.
    """
    if span == 0:
        if total_variation > 0:
            raise ValueError(f"span must be positive if the variation is, got {span}")
        return 0
    # The variation is a sum, which rounding may raise: a bound must not follow it.
    pieces = total_variation / span * (1 - 1e-9)
    return max(0, math.ceil((pieces - 2) / 2))


@dataclass(frozen=True)
class MinimaCount:
    """The number of local minima of a function on an interval, found by refining a grid.

    Attributes
    ----------
    count : int
        Local minima inside the interval, on the finest grid. A lower bound unless ``converged``.
    converged : bool
        Whether the last refinement changed neither the count nor the variation by more than 2 %,
        and the variation agrees with the integral of the slope where that is known.
    points : int
        Points of the finest grid.
    total_variation : float
        On the finest grid: a lower bound, too.
    slope_integral : float or None
        ``∫ |V'(s)| ds`` by the trapezoidal rule on the finest grid, if there are slopes.
    """

    count: int
    converged: bool
    points: int
    total_variation: float
    slope_integral: float | None


@takes(low=finite, high=finite)
def count_minima(function, low, high, *, points=1025, max_points=2**20 + 1):
    r"""Count the local minima of a function on an interval, refining the grid until it is resolved.

    The step of the grid is halved until, within 2 %, the count stays the same, the total
    variation stays the same, and that variation agrees with the integral of the slope,

    .. math:: \sum_k |V(s_{k+1}) - V(s_k)| \approx \int |V'(s)|\,ds ,

    whose right side sees what happens between the points as well. Without slopes a function that
    repeats itself between the points can deceive the grid.

    Parameters
    ----------
    function : callable
        Maps an array ``s`` to values, or to a pair of values and slopes.
    low, high : float
        The interval.
    points : int
        Points of the first grid, its ends included.
    max_points : int
        Largest number of points: what is not resolved by then is returned as a lower bound.

    Returns
    -------
    MinimaCount

    Notes
    -----
    Only new points are evaluated. Where a function is flat, or varies faster than ``s`` can be
    resolved, rounding makes minima of its own.

    Examples
    --------
    >>> import numpy as np
    >>> found = count_minima(lambda s: (np.cos(20 * s), -20 * np.sin(20 * s)), 0.0, np.pi)
    >>> found.count, found.converged
    (10, True)
    """
    if not -math.inf < low < high < math.inf:
        raise ValueError(f"low must be below high, and both finite, got {low} and {high}")
    points = positive_integer("points", points, minimum=3)
    max_points = positive_integer("max_points", max_points, minimum=points)

    def agree(a, b):
        return abs(a - b) <= RESOLVED * max(abs(a), abs(b))

    s = np.linspace(low, high, points)
    table = _tabulate(function, s)
    counts, variations = [], []
    while True:
        values, *slopes = table
        counts.append(len(local_minima(values)))
        variations.append(float(total_variation(values)))
        integral, pairs = None, [counts[-2:], variations[-2:]]
        if slopes:
            sizes = np.abs(slopes[0])
            integral = float((sizes[1:] + sizes[:-1]) @ np.diff(s) / 2)
            pairs.append((variations[-1], integral))
        converged = len(counts) > 1 and all(agree(*pair) for pair in pairs)
        if converged or 2 * len(s) - 1 > max_points:
            break
        s = np.linspace(low, high, 2 * len(s) - 1)
        finer = np.empty((len(table), len(s)), table.dtype)
        finer[:, ::2] = table
        finer[:, 1::2] = _tabulate(function, s[1::2])
        table = finer
    return MinimaCount(counts[-1], converged, len(s), variations[-1], integral)


def _tabulate(function, s):
    """Values, and slopes if there are any, as the rows of an array."""
    found = function(s)
    found = found if isinstance(found, tuple) else (found,)
    if len(found) > 2:
        raise ValueError(f"function must return values, or a pair with slopes, got {len(found)}")
    names = ("values of the function", "slopes of the function")
    rows = zip(names, found, strict=False)
    return np.stack([real_array(name, row, shape=s.shape) for name, row in rows])
