"""Branches of fixed points: how they depend on a parameter, and where they bifurcate."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from rnnpedagogy._validation import (
    an_instance,
    choice,
    finite,
    positive,
    real_array,
    real_number,
    takes,
)
from rnnpedagogy.dynamics.normal_forms import SINGULAR, Bifurcation, describe, scale_of
from rnnpedagogy.dynamics.systems import image_of

TOLERANCE = 1e-12  # largest |F(x) − x|, relative to 1 + |x|, in the maximum norm
MU_DIFFERENCE = 1e-5  # step in μ, relative to max(1, |μ|): its error is about 1e-10
NEWTON_STEPS = 10
QUICK = 4  # Newton steps after which the arclength step may grow again
LARGEST_TURN = 0.95  # the cosine of the angle between neighbouring tangents is at least this
HALVINGS = 20  # of the arclength step, before the branch is given up
SEPARATIONS = 10  # halvings to tell apart bifurcations that hide each other
LOCATED = 1e-6  # what a test function may be at most at its zero: far below, unless it jumps
SMALL = 128  # scales of the nonlinearity are a unit of the state, if that is less than one
CROSSING = 1e-4  # where the smallest singular value is below, the tangent is that of a crossing


@dataclass(frozen=True)
class Branch:
    """A branch of fixed points, in order along it.

    Attributes
    ----------
    values : array, shape (K,)
        The parameter ``μ``.
    states : array, shape (K, n)
        The fixed points.
    eigenvalues : array, shape (K, n)
        Their multipliers, complex, the largest first.
    stable : array of bool, shape (K,)
        Whether all multipliers are inside the unit circle.
    bifurcations : tuple of Bifurcation
        In order along the branch.
    missed : tuple of int
        The points after which more multipliers cross the unit circle than the bifurcations found
        account for: something happens between them and the next that has no name here.
    stopped : tuple of two str
        Why there are no points before the first and after the last one: ``"start"``, ``"low"``,
        ``"high"``, ``"points"``, ``"closed"``, or ``"step"`` if even the smallest step failed.
    """

    values: np.ndarray
    states: np.ndarray
    eigenvalues: np.ndarray
    stable: np.ndarray
    bifurcations: tuple
    missed: tuple
    stopped: tuple


@takes(value=finite, step=positive, low=real_number, high=real_number)
def follow_branch(
    family,
    value,
    state,
    *,
    step=0.05,
    points=200,
    low=-np.inf,
    high=np.inf,
    direction="both",
    period=1,
):
    r"""Follow a branch of fixed points through its folds, and find where it bifurcates.

    The solutions :math:`y = (x, \mu)` of :math:`F_\mu(x) = x` are a curve with the tangent
    :math:`t`. From :math:`y` the next point is found by Newton's method for

    .. math:: F_\mu(x) = x, \qquad t \cdot \bigl((x, \mu) - y\bigr) = h ,

    which is regular at a fold, where :math:`\mu` turns back (pseudo-arclength continuation). The
    step :math:`h` is halved where Newton's method fails, the tangent turns by more than 18 degrees
    or the point is on another branch, and doubled again where the method is quick.

    Bifurcations are changes of sign along the curve, located by a secant method: of the parameter's
    component of the tangent (fold), of the determinant of the equations above (a crossing with
    another branch: pitchfork if :math:`p \cdot F_{xx}[q, q] = 0`, else transcritical), of
    :math:`\det(A + I)` (flip), of :math:`\prod_{i<j} (\lambda_i \lambda_j - 1)` where the critical
    pair is complex (Neimark–Sacker; a neutral saddle has a real one). At the strong resonances, the
    angles 0, π, 2π/3 and π/2, more happens than a closed curve that is born. Where more multipliers
    cross than these account for, the step is halved, up to ten times; if that does not tell them
    apart, as where two equal ones cross together, ``missed`` says where. Not seen are multipliers
    that cross and come back within one step.

    Parameters
    ----------
    family : callable
        As for `orbit_diagram` with a single start: maps parameter values, an array of shape
        ``(K,)``, to one system whose states have the shape ``(K, n)``. Its parameters should be
        smooth in the value; it is also called for values slightly outside ``[low, high]``.
    value : float
        Parameter ``μ`` at which the branch is entered.
    state : array, shape (n,)
        A state near a fixed point there; Newton's method corrects it.
    step : float
        Largest arclength between two points, Euclidean in ``(x, μ)``; also the first step. A map
        in small units, whose Jacobian changes by a tenth within ``s < 1/128`` of the state, is
        followed in ``(x/128s, μ)``.
    points : int
        Largest number of steps in each direction.
    low, high : float
        Bounds of ``μ``, on which the branch ends exactly.
    direction : {"up", "down", "both"}
        Whether ``μ`` at first grows, falls, or the branch is followed to both sides.
    period : int
        Follow fixed points of this iterate, points of a periodic orbit; multipliers are those of
        the product of the Jacobians.

    Returns
    -------
    Branch

    Raises
    ------
    ValueError
        If the bounds do not enclose the value, or Newton's method finds no fixed point from the
        state.

    Notes
    -----
    A point is fixed if ``|F(x) − x| ≤ 1e-12 (1 + |x|)`` in the maximum norm.

    The derivative by ``μ`` is a central difference with the step ``1e-5 max(1, |μ|)``. It steers
    Newton's method and the location of crossings, to about ``1e-9``; the points of the branch and
    all other bifurcations do not depend on its error.

    References
    ----------
    H. B. Keller, Numerical solution of bifurcation and nonlinear eigenvalue problems, in:
    Applications of Bifurcation Theory (1977). Yu. A. Kuznetsov, Elements of Applied Bifurcation
    Theory, chapters 4, 5 and 10.
    """
    value = real_array("value", value, shape=()).astype(float)
    state = real_array("state", state, shape=("n",)).astype(float)
    choice("direction", direction, ("up", "down", "both"))
    if not low <= value <= high:
        raise ValueError(f"value must lie between low = {low} and high = {high}, got {value}")
    equations = _equations(family, period, value, state)
    along_mu = np.append(np.zeros_like(state), 1.0)
    start = equations.correct(np.append(state / equations.unit, value), along_mu)
    if start is None:
        raise ValueError(
            f"state must be near a fixed point at value = {value}, Newton's method finds none"
        )

    def walk(sense):
        return _walk(equations, start, sense, step, points, low, high)

    nothing = [start], [], [], "start"
    before, found_before, missed_before, first = nothing if direction == "up" else walk(-1)
    closed = first == "closed"
    after, found_after, missed, last = nothing if direction == "down" or closed else walk(1)
    at_start = len(before) - 1
    bifurcations = [replace(f, index=at_start - 1 - f.index) for f in reversed(found_before)]
    bifurcations += [replace(f, index=at_start + f.index) for f in found_after]
    curve = before[:0:-1] + after
    y = np.array([point.y for point in curve])
    eigenvalues = np.array([point.eigenvalues for point in curve])
    return Branch(
        values=y[:, -1],
        states=equations.unit * y[:, :-1],
        eigenvalues=eigenvalues,
        stable=np.abs(eigenvalues[:, 0]) < 1,
        bifurcations=tuple(bifurcations),
        missed=(*(at_start - 1 - k for k in missed_before[::-1]), *(at_start + k for k in missed)),
        stopped=(first, first if closed else last),
    )


@takes(bifurcation=an_instance(Bifurcation))
def switch_branch(family, bifurcation, *, distance=0.01):
    r"""A point on the other branch at a crossing, or on the orbit of double period at a flip.

    The equations :math:`F_\mu(x) = x` (at a flip those of the second iterate) have two directions
    :math:`(dx, d\mu)` at the bifurcation. Newton's method starts at a distance along the one that
    is orthogonal to the known branch, and stays in the hyperplane parallel to that branch.

    Parameters
    ----------
    family : callable
        As for `follow_branch`.
    bifurcation : Bifurcation
        A pitchfork, transcritical bifurcation or flip.
    distance : float
        Distance in ``(x, μ)`` between the hyperplane and the bifurcation; its sign selects the
        side.

    Returns
    -------
    value : float
        The parameter.
    state : array, shape (n,)
        A fixed point there; at a flip a point of the periodic orbit.
    period : int
        The period to be passed to `follow_branch`.

    Raises
    ------
    ValueError
        If nothing branches off there, or Newton's method fails.

    Examples
    --------
    Two fixed points branch off from zero where the weight of a neuron passes one:

    >>> import autograd.numpy as np
    >>> from rnnpedagogy.dynamics import Map, follow_branch, switch_branch
    >>> def family(weights):
    ...     return Map(lambda x: np.tanh(weights[..., np.newaxis] * x))
    >>> trunk = follow_branch(family, 0.5, np.zeros(1), low=0.5, high=2.0)
    >>> (pitchfork,) = trunk.bifurcations
    >>> value, state, period = switch_branch(family, pitchfork)
    >>> arms = follow_branch(family, value, state, period=period, low=0.5, high=2.0)
    >>> print(pitchfork.name, np.sort(arms.states[[0, -1], 0]).round(3))
    pitchfork [-0.958  0.958]
    """
    kind = choice("bifurcation.name", bifurcation.name, ("pitchfork", "transcritical", "flip"))
    period = bifurcation.period * (2 if kind == "flip" else 1)
    equations = _equations(family, period, bifurcation.value, bifurcation.state)
    units = np.append(np.full_like(bifurcation.state, equations.unit), 1.0)
    y = np.append(bifurcation.state, bifurcation.value) / units
    plane = np.linalg.svd(equations.extended(y)[2])[2][-2:]
    along, across = plane @ (bifurcation.tangent / units)
    direction = np.array([-across, along]) @ plane / np.hypot(along, across)
    point = equations.correct(y + distance * direction, direction)
    if point is None:
        raise ValueError(f"distance must be smaller, Newton's method fails at {distance!r}")
    return float(point.y[-1]), equations.unit * point.y[:-1], period


@dataclass(frozen=True)
class _Point:
    """A solution ``y = (x, μ)``; ``A = ∂F/∂x``, the tangent, and how quickly it was found."""

    y: np.ndarray
    A: np.ndarray
    extended: np.ndarray  # (A − I, ∂F/∂μ)
    tangent: np.ndarray
    eigenvalues: np.ndarray
    smallest: float  # singular value of the extended matrix: zero at a branch point
    newton_steps: int


@dataclass(frozen=True)
class _Equations:
    """``F^p(x; μ) − x = 0`` with its derivatives, for states in a unit."""

    family: Callable
    period: int
    unit: float = 1.0

    @np.errstate(over="ignore", invalid="ignore")  # orbits that leave are not followed
    def linearise(self, values, states):
        """Images of states and the matrices ``∂F^p/∂x`` there: ``(K, n)`` and ``(K, n, n)``."""
        images, A = image_of(self.family(values), self.unit * states, self.period)
        return images / self.unit, A

    @np.errstate(over="ignore", invalid="ignore")
    def extended(self, y):
        """``F^p(x) − x``, ``A = ∂F^p/∂x`` and the matrix ``(A − I, ∂F^p/∂μ)`` at ``y``."""
        x, mu = y[:-1], y[-1]
        difference = MU_DIFFERENCE * max(1.0, abs(mu))
        values = np.array([mu, mu - difference, mu + difference])
        images, A = self.linearise(values, np.broadcast_to(x, (3, len(x))))
        by_mu = (images[2] - images[1]) / (values[2] - values[1])
        return images[0] - x, A[0], np.column_stack([A[0] - np.eye(len(x)), by_mu])

    def correct(self, y, normal):
        """The solution in the hyperplane through ``y`` by Newton's method, or None."""
        origin, converged = y, False
        for count in range(NEWTON_STEPS):
            error, A, extended = self.extended(y)
            if not (np.isfinite(error).all() and np.isfinite(extended).all()):
                return None
            within = np.abs(error).max() <= TOLERANCE * (1 + np.abs(y[:-1]).max())
            if within and converged:
                return self._point(y, A, extended, normal, count)
            # One more step: close to a crossing a small residual does not mean a small error.
            converged = within
            # Least squares: at a crossing the matrix is singular, the equations still agree.
            right = np.append(error, normal @ (y - origin))
            y = y - np.linalg.lstsq(np.vstack([extended, normal]), right, rcond=SINGULAR)[0]
        return None

    def _point(self, y, A, extended, reference, count):
        _, singular, rows = np.linalg.svd(extended)
        null = rows[np.append(singular, 0.0) <= SINGULAR * singular[0]]
        tangent = null.T @ (null @ reference)
        length = np.linalg.norm(tangent)
        tangent = tangent / length if length > 0 else null[-1]  # a start exactly on a fold
        eigenvalues = np.linalg.eigvals(A).astype(complex)
        eigenvalues = eigenvalues[np.argsort(-np.abs(eigenvalues), kind="stable")]
        return _Point(y, A, extended, tangent, eigenvalues, singular[-1], count)


def _equations(family, period, value, state):
    """The equations, in a smaller unit if the map is in small units: steps see what it sees."""
    direction = np.full(len(state), len(state) ** -0.5)
    scale = scale_of(_Equations(family, 1).linearise, value, state, direction)
    return _Equations(family, period, min(1.0, SMALL * scale))


def _walk(equations, start, sense, step, points, low, high):
    """Points, bifurcations, and where some are missed, in one direction, and why it ends."""
    curve, found, missed = [start], [], []
    h = step
    while True:
        here = curve[-1]
        if here.y[-1] >= high and sense * here.tangent[-1] > 0:
            return curve, found, missed, "high"
        if here.y[-1] <= low and sense * here.tangent[-1] < 0:
            return curve, found, missed, "low"
        if len(curve) > points:
            return curve, found, missed, "points"
        there = _next(equations, here, sense * h, low, high)
        closed = there is not None and len(curve) > 2 and _passes(start, here, there, sense)
        ends = (here, start if closed else there)[::sense]
        more = None if there is None else _bifurcations(equations, *ends)
        hidden = more is not None and _hidden(*ends, more)
        if more is None or (hidden and h > step / 2**SEPARATIONS):
            h /= 2
            if h < step / 2**HALVINGS:
                return curve, found, missed, "step"
            continue
        found += [replace(one, index=len(curve) - 1) for one in more[::sense]]
        missed += [len(curve) - 1] if hidden else []
        curve.append(start if closed else there)
        if closed:
            return curve, found, missed, "closed"
        if there.newton_steps <= QUICK:
            h = min(2 * h, step)


def _next(equations, here, h, low, high):
    """The next point, on a bound if it would be beyond; None if the step is too long."""
    there = equations.correct(here.y + h * here.tangent, here.tangent)
    if there is None or here.tangent @ there.tangent < LARGEST_TURN:
        return None
    bound = np.clip(there.y[-1], low, high)
    if there.y[-1] == bound:
        return there
    share = (bound - here.y[-1]) / (there.y[-1] - here.y[-1])
    y = _between(here, there, share)
    y[-1] = bound
    along_mu = np.append(np.zeros(len(y) - 1), np.copysign(1.0, here.tangent[-1]))
    there = equations.correct(y, along_mu)
    if there is None or here.tangent @ there.tangent < LARGEST_TURN:
        return None
    return replace(there, y=np.append(there.y[:-1], bound))


def _passes(start, here, there, sense):
    """Whether the branch comes back through its start."""
    before, after = (sense * (p.y - start.y) @ start.tangent for p in (here, there))
    near = np.linalg.norm(there.y - start.y) <= np.linalg.norm(there.y - here.y)
    return before < 0 <= after and near and start.tangent @ there.tangent >= LARGEST_TURN


def _between(a, b, share):
    """The cubic curve from ``a`` to ``b`` that has their tangents, at a share of the way."""
    length = np.copysign(np.linalg.norm(b.y - a.y), a.tangent @ (b.y - a.y))
    s, r = share, 1 - share
    ends = r * r * (1 + 2 * s) * a.y + s * s * (1 + 2 * r) * b.y
    return ends + length * s * r * (r * a.tangent - s * b.tangent)


# ------------------------------------------------------------------------------- test functions


def _fold(point):
    return point.tangent[-1]


def _crossing(point):
    sign, _ = np.linalg.slogdet(np.vstack([point.extended, point.tangent]))
    return sign * point.smallest


def _flip(point):
    sign, _ = np.linalg.slogdet(point.A + np.eye(len(point.A)))
    return sign * np.abs(point.eigenvalues + 1).min()


def _pair(point):
    """The smallest ``|λ_i λ_j − 1|`` with the sign of the product of all: as smooth as that."""
    i, j = np.triu_indices(len(point.eigenvalues), 1)
    factors = point.eigenvalues[i] * point.eigenvalues[j] - 1
    size = np.abs(factors)
    if not size.all():
        return 0.0
    return np.sign(np.prod(factors / size).real) * size.min(initial=1.0)


TESTS = {_fold: "fold", _crossing: "crossing", _flip: "flip", _pair: "Neimark–Sacker"}


def _bifurcations(equations, a, b):
    """Bifurcations between two points; None if a test function jumps: another branch."""
    found = []
    for test in TESTS:
        if (test(a) >= 0) != (test(b) >= 0):
            point = _locate(equations, a, b, test)
            if point is None:
                return None
            if test is not _fold or point.smallest > CROSSING:  # else a crossing, met sideways
                found.append(describe(equations, point, TESTS[test]))
    found = [one for one in found if one is not None]
    return sorted(found, key=lambda one: (b.y - a.y) @ np.append(one.state, one.value))


def _hidden(a, b, found):
    """Whether more multipliers cross the unit circle than the bifurcations found account for."""
    outside = [np.count_nonzero(np.abs(point.eigenvalues) > 1) for point in (a, b)]
    known = sum(2 if one.name == "Neimark–Sacker" else 1 for one in found)
    return abs(outside[1] - outside[0]) > known


def _locate(equations, a, b, test):
    """The point between two others at which a test function is zero (Illinois method)."""
    normal = (a.tangent + b.tangent) / np.linalg.norm(a.tangent + b.tangent)
    ends, values, moved = [a, b], [test(a), test(b)], None
    for _ in range(60):
        width = np.linalg.norm(ends[1].y - ends[0].y)
        y = _between(*ends, values[0] / (values[0] - values[1]))
        point = equations.correct(y, normal)
        if point is None or np.linalg.norm(point.y - y) > width:
            return None
        value = test(point)
        if abs(value) <= 1e-13 or width <= 1e-12:
            break
        side = 0 if (value >= 0) == (values[0] >= 0) else 1
        if side == moved:  # again: the other end has stayed, and counts half
            values[1 - side] /= 2
        ends[side], values[side], moved = point, value, side
    # The tangent has no direction at a crossing: there its turn may jump.
    zero = abs(value) <= LOCATED or (test is _fold and point.smallest <= CROSSING)
    return point if zero else None
