"""Fixed points and cycles of a map, stable or not, and what decides their stability."""

from dataclasses import dataclass

import numpy as np

from rnnpedagogy._validation import real_array, takes
from rnnpedagogy.dynamics.systems import check_autonomous, image_of

EPS, TINY = np.finfo(float).eps, np.finfo(float).tiny
NEWTON_STEP = 1e-4  # from what is called a fixed point, relative to 1 + ‖x‖, at most
STEPS_LEFT = 50  # of Newton's method, each at least a quarter shorter than the last
HALVINGS = 10  # of a Newton step that does not reduce the residual
FLOATS = 2**20  # numbers that the Jacobians of a batch of starts may hold at once, about


@dataclass(frozen=True)
class Stability:
    """How a map acts near a fixed point or a cycle; the question is ``stability.stable``.

    The answer has three values, so that the whole object has no truth value: ``if`` raises.

    Attributes
    ----------
    stable : bool or None
        True if all multipliers are inside the unit circle, False if one is outside, None if none is
        outside and one on it, where the linearisation does not decide.
    kind : str
        With "inside", "on" and "outside" up to a tolerance: "stable node" or "stable focus" if
        all multipliers are inside; "marginal" if none is outside and one on the circle; "saddle" if
        one is outside and one inside, complex or not; otherwise "unstable node" or "unstable
        focus". Node or focus is decided by the multiplier of largest modulus, which nearby orbits
        follow in the long run: a focus if it is not real (of several within the tolerance, if any
        is not real). A negative one, whose orbits change sides at each step, is a node as well.
    eigenvalues : array, shape (n,)
        The multipliers, complex, in descending order of their modulus: the eigenvalues of the
        Jacobian, along a cycle of ``A_p ⋯ A_1``.
    radius : float
        The spectral radius, ``|λ_1|``.
    residual : float
        ``‖F^p(x) − x‖``: whether this is a fixed point or a cycle at all.
    """

    stable: bool | None
    kind: str
    eigenvalues: np.ndarray
    radius: float
    residual: float

    def __bool__(self):
        raise TypeError("a Stability has no truth value: ask for .stable, which may be None")


@dataclass(frozen=True)
class _Found:
    """What `FixedPoints` and `Cycles` say alike."""

    residuals: np.ndarray
    stability: tuple
    counts: np.ndarray
    labels: np.ndarray
    estimated: float


@dataclass(frozen=True)
class FixedPoints(_Found):
    """Fixed points that were found from a set of starts, and points at which orbits are slow.

    Attributes
    ----------
    residuals, stability, counts, labels
        ``‖F(x) − x‖`` and `Stability` of each point, how many starts ended there, and the point at
        which each start ended, or −1.
    estimated : float
        How many there are at least, as far as the repeats tell: with ``f_1`` of them found once and
        ``f_2`` found twice, ``K + f_1 (f_1 − 1)/(2 f_2 + 2)`` (Chao's estimate).
    points : array, shape (K, n)
        In lexicographic order of the coordinates, up to the distance within which points are one.
    slow_points : array, shape (M, n)
        Local minima of ``‖F(x) − x‖`` that are not fixed points, in the same order.
    slow_residuals : array, shape (M,)
        ``‖F(x) − x‖``: how far an orbit moves there in one step.
    """

    points: np.ndarray
    slow_points: np.ndarray
    slow_residuals: np.ndarray


@dataclass(frozen=True)
class Cycles(_Found):
    """Cycles of one minimal period that were found from a set of starts.

    Attributes
    ----------
    residuals, stability, counts, labels, estimated
        As in `FixedPoints`; ``‖F^p(x) − x‖`` at the first point of each cycle, and the label −1
        also for a start that ended on a cycle of a shorter period.
    orbits : array, shape (K, p, n)
        ``x, F(x), …, F^{p-1}(x)`` for each cycle, beginning with its first point in lexicographic
        order; so are the cycles.
    """

    orbits: np.ndarray


@takes
def is_stable(system, point, *, period=1, tolerance=1e-6):
    r"""Whether orbits that start near a fixed point, or a point of a cycle, return to it.

    The eigenvalues of :math:`A_p \cdots A_1`, with :math:`A_t = F'(x_{t-1})`, decide: they are the
    same at all points of a cycle and in all coordinates. Ask for ``is_stable(…).stable``, which is
    True, False or, where the linearisation does not decide, None.

    Parameters
    ----------
    system : Map or CellMap
        An autonomous one: a cell has one input for all times.
    point : array, shape (n,)
        The point; that it is fixed is not asked for, the result holds its residual.
    period : int
        Period ``p`` of the cycle, 1 for a fixed point.
    tolerance : float
        Multipliers within this distance of the unit circle count as on it, and those within this
        distance of the real axis as real.

    Returns
    -------
    Stability

    Raises
    ------
    ValueError
        If the system is not autonomous, or the orbit of the point leaves the finite numbers.
    """
    point = real_array("point", point, shape=("n",)).astype(float)
    check_autonomous(system)
    with np.errstate(over="ignore", invalid="ignore"):  # reported below
        image, product = image_of(system, point[np.newaxis], period)
    if not (np.isfinite(image).all() and np.isfinite(product).all()):
        raise ValueError(f"the orbit of point left the finite numbers within {period} steps")
    eigenvalues = np.linalg.eigvals(product[0]).astype(complex)
    eigenvalues = eigenvalues[np.lexsort((-eigenvalues.imag, -np.abs(eigenvalues)))]
    radius, residual = float(np.abs(eigenvalues[0])), float(np.linalg.norm(image - point))
    return Stability(*_classify(eigenvalues, tolerance), eigenvalues, radius, residual)


@takes
def find_fixed_points(
    system, starts, *, tolerance=1e-10, slow=1e-2, iterations=200, merge=1e-5, within=np.inf
):
    r"""Fixed points :math:`x = F(x)`, stable or not, by damped Newton iterations from many starts.

    With :math:`r = F(x) - x` and :math:`J = F'(x) - I`, each start takes Newton's steps
    :math:`J \delta = -r`, halved until half the squared speed :math:`q = \tfrac12 \|r\|^2` falls.
    Where that fails, as near a singular ``J``, it goes on from there to a local minimum of ``q`` by
    the steps of Levenberg and Marquardt,

    .. math:: (J^\mathsf{T} J + \nu \|r\| I)\,\delta = -J^\mathsf{T} r ,

    where ``ν`` grows until ``q`` falls, and stops when only rounding is left. Near a fold, where
    two fixed points are about to meet, it takes longer, and a point is known to the square root of
    rounding (``1e-8``) only; near a cusp to its cube root. ``merge`` has to be larger than that.

    A small residual is not enough for a fixed point: Newton's steps from there have to be at most
    ``1e-4 (1 + ‖x‖)`` long, and to fall until only rounding is left. Where a gate is saturated,
    orbits are slow for no other reason, and the next fixed point, if any, is far. Where even the
    rounding of ``J`` is larger than what is left of it, as for ``x' = x + 1/x`` far out, nothing
    tells such a point from a fixed one: it is called marginal, and ``within`` leaves it out. And
    nothing says that all are found: ``estimated`` is a guess from below, more starts, best taken
    from orbits and with noise added, find more.

    Where all points of a curve or a surface are fixed (an integrator), each start ends at a
    ``marginal`` point of its own. No end is an error: a start ends at a fixed point, or at a local
    minimum of ``q``, which is reported as a slow point if orbits are slow there, or nowhere.

    Parameters
    ----------
    system : Map or CellMap
        An autonomous one: a cell has one input for all times, and one parameter set.
    starts : array, shape (S, n)
        Where the iterations start; they run in float64.
    tolerance : float
        A point is fixed if ``‖r‖ ≤ tolerance · (1 + ‖x‖)``.
    slow : float
        Any other local minimum of ``q`` is a slow point if ``‖r‖ ≤ slow · (1 + ‖x‖)``.
    iterations : int
        Largest number of steps from each start, those included that did not reduce ``q``.
    merge : float
        Points at a distance of at most ``merge · (1 + ‖x‖)`` are one; the one with the smallest
        residual is kept.
    within : float
        Points with an entry of larger modulus are left out: one for a GRU, whose orbits from zero
        never leave that cube.

    Returns
    -------
    FixedPoints

    References
    ----------
    D. Sussillo, O. Barak, Opening the black box: low-dimensional dynamics in high-dimensional
    recurrent neural networks, Neural Computation 25 (2013), for ``q`` and slow points; J. Fan,
    Y. Yuan, On the quadratic convergence of the Levenberg–Marquardt method without nonsingularity
    assumption, Computing 74 (2005), for the damping; A. Chao, Nonparametric estimation of the
    number of classes in a population, Scandinavian Journal of Statistics 11 (1984).
    """
    x, residuals, settled, found = _search(system, starts, 1, tolerance, iterations, slow)
    inside = np.abs(x).max(axis=-1) <= within
    fixed = found & inside
    is_slow = settled & inside & _below(x, residuals, slow) & ~_below(x, residuals, tolerance)
    orbits, entries = _entries(system, x[:, np.newaxis], residuals, fixed, merge)
    slow_orbits, slow_kept, _ = _distinct(x[:, np.newaxis], residuals, is_slow, merge)
    return FixedPoints(
        points=orbits[:, 0],
        slow_points=slow_orbits[:, 0],
        slow_residuals=residuals[slow_kept],
        **entries,
    )


@takes
def find_cycles(system, starts, period, *, tolerance=1e-10, iterations=200, merge=1e-5):
    r"""Cycles of a minimal period ``p``: fixed points of :math:`F^p`, each cycle once.

    As `find_fixed_points`, with :math:`F^p` and :math:`A_p \cdots A_1` for ``F`` and its Jacobian.
    A chaotic map has a number of cycles that grows exponentially with the period, and needs more
    starts than that to find them all; rounding, amplified by the multiplier of a cycle, limits what
    ``tolerance`` can be asked for.

    Parameters
    ----------
    system : Map or CellMap
        An autonomous one: a cell has one input for all times, and one parameter set.
    starts : array, shape (S, n)
        Where the iterations start; they run in float64.
    period : int
        Period ``p``. Cycles of a shorter one are not reported: those whose points come back to
        within ``merge · (1 + ‖x‖)`` after a proper divisor of ``p`` steps.
    tolerance : float
        A cycle is found if ``‖F^p(x) − x‖ ≤ tolerance · (1 + ‖x‖)``.
    iterations : int
        Largest number of steps from each start, those included that did not reduce ``q``.
    merge : float
        Two cycles are one if all points of one are within ``merge · (1 + ‖x‖)`` of those of the
        other, from some point on; the one with the smallest residual is kept.

    Returns
    -------
    Cycles
    """
    x, residuals, _, found = _search(system, starts, period, tolerance, iterations)
    orbits = np.zeros((len(x), period, x.shape[-1]))
    orbits[:, 0] = x
    if period > 1:
        orbits[found, 1:] = np.moveaxis(system.run(x[found], 0, period - 1), 0, 1)
    for divisor in range(1, period // 2 + 1):
        if period % divisor == 0:
            back = np.roll(orbits, divisor, axis=1)
            found &= _distance(back, orbits) > _radius(orbits, merge)
    orbits, entries = _entries(system, orbits, residuals, found, merge)
    return Cycles(orbits=orbits, **entries)


# ------------------------------------------------------------------------------------ the solver


def _search(system, starts, period, tolerance, iterations, slow=0.0):
    """Minima of ``q`` from all starts, the speeds there, whether the iteration ended itself, and
    whether there is a root.

    A start that is heading for a minimum above ``slow`` may be given up.
    """
    starts = real_array("starts", starts, shape=("starts", "n")).astype(float)
    check_autonomous(system)
    chunk = max(1, FLOATS // (period * starts.shape[-1] ** 2))
    parts = [
        _solve(system, starts[k : k + chunk], period, tolerance, iterations, slow)
        for k in range(0, len(starts), chunk)
    ]
    x, speed, settled = (np.concatenate(part) for part in zip(*parts, strict=True))
    found = _below(x, speed, tolerance)
    found[found] = [leads_to_root(system, one, period) for one in x[found]]
    return x, speed, settled, found


def _solve(system, x, period, tolerance, iterations, slow):
    """Newton's method from all starts, then descent from where it did not find a root."""
    x, speed = _newton(system, x, period, tolerance, iterations)
    settled = _below(x, speed, tolerance)
    k = np.flatnonzero(~settled)
    x[k], speed[k], settled[k] = _minimise(system, x[k], period, tolerance, iterations, slow)
    return x, speed, settled


@np.errstate(over="ignore", invalid="ignore", divide="ignore")  # a speed that is not finite, if so
def _iterate(system, x, period, iterations, advance):
    """Go on from all points that are running; where that ends, the speeds, and which still run.

    ``advance(k, x, r, J, speed)`` maps the points with the indices ``k``, and what is known there,
    to new ones; it says which of these are better, and which points may go on.
    """
    x = x.copy()
    r, J, speed = _defect(system, x, period)
    running = np.isfinite(speed) & (speed > 0)
    for _ in range(iterations):
        k = np.flatnonzero(running)
        if not k.size:
            break
        new, better, running[k] = advance(k, x[k], r[k], J[k], speed[k])
        k = k[better]
        x[k] = new[better]
        r[k], J[k], speed[k] = _defect(system, x[k], period)
        running[k] = np.isfinite(speed[k]) & (speed[k] > 0)
    return x, speed, running


def _newton(system, x, period, tolerance, iterations):
    """Newton's method for ``r = 0`` from all starts, until halving its steps no longer helps.

    Below the tolerance a step has to halve the residual, as it does even where it converges slowly
    (at a root of order ``m``, by ``(1 − 1/m)^m``), until only rounding is left.
    """

    def advance(_k, x, r, J, speed):
        step = _newton_step(r, J)
        enough = np.where(_below(x, speed, tolerance), 0.5, 1 - 1e-4) * speed
        new, better = x.copy(), np.zeros(len(x), bool)
        for _ in range(HALVINGS):
            left = np.flatnonzero(~better)
            if not left.size:
                break
            trial, trial_r = _try(system, x[left], step[left], period)
            better[left] = np.linalg.norm(trial_r, axis=-1) < enough[left]
            new[left] = trial
            step /= 2
        return new, better, better

    return _iterate(system, x, period, iterations, advance)[:2]


def _minimise(system, x, period, tolerance, iterations, slow):
    """Minimise ``q = ½ ‖r‖²`` from all starts by the steps of Levenberg and Marquardt.

    A start is given up where ``q`` falls so slowly that all ``iterations`` together would not make
    a slow point of it, unless it is the damping that makes the steps short.
    """
    nu = np.ones(len(x))

    def advance(k, x, r, J, speed):
        step, predicted = _damped_step(r, J, nu[k] * speed)
        trial, trial_r = _try(system, x, step, period)
        q = speed**2 / 2
        gain = (q - np.sum(trial_r**2, axis=-1) / 2) / predicted
        better = gain > 1e-4
        growth = np.where(gain > 0.75, 0.25, np.where(gain > 0.25, 1.0, 4.0))
        enough = (slow * (1 + np.linalg.norm(x, axis=-1))) ** 2 / 2
        hopeless = (nu[k] <= 1) & (10 * iterations * predicted < q - enough)
        nu[k] = np.maximum(nu[k] * growth, 1e-8)
        goes_on = (better | ~(predicted <= EPS * q)) & ~hopeless
        return trial, better, np.where(_below(x, speed, tolerance), gain > 0.75, goes_on)

    x, speed, running = _iterate(system, x, period, iterations, advance)
    return x, speed, ~running & np.isfinite(speed)


def _try(system, x, step, period):
    """Where a step leads, or ``x`` if it has no finite end, and the defect there."""
    trial = np.where(np.isfinite(x + step), x + step, x)
    return trial, system.run(trial, 0, period)[-1] - trial


def _below(x, speed, tolerance):
    """Whether the speed is below a tolerance, relative to the size of ``x``."""
    return speed <= tolerance * (1 + np.linalg.norm(x, axis=-1))


def _newton_step(r, J):
    try:
        return -np.linalg.solve(J, r[..., np.newaxis])[..., 0]
    except np.linalg.LinAlgError:  # one is singular: the shortest step, up to rounding
        return _damped_step(r, J, 0)[0]


def _damped_step(r, J, damping):
    """The step of Levenberg and Marquardt, and the fall of ``q`` that the linear model predicts."""
    transposed = J.swapaxes(-1, -2)
    gradient = (transposed @ r[..., np.newaxis])[..., 0]
    matrix = transposed @ J
    # No smaller than the rounding of the matrix, which might be singular otherwise.
    damping = damping + EPS * np.trace(matrix, axis1=-2, axis2=-1) + TINY
    matrix += damping[:, np.newaxis, np.newaxis] * np.eye(r.shape[-1])
    step = -np.linalg.solve(matrix, gradient[..., np.newaxis])[..., 0]
    predicted = np.sum(step * (damping[:, np.newaxis] * step - gradient), axis=-1) / 2
    return step, predicted


def _defect(system, x, period):
    """``r = F^p(x) − x``, its derivative ``A_p ⋯ A_1 − I`` and ``‖r‖``, for points ``(S, n)``.

    The norm is infinite where it or a derivative is not a finite number.
    """
    if not len(x):
        return x, np.empty((*x.shape, x.shape[-1])), np.empty(0)
    image, product = image_of(system, x, period)
    r, J = image - x, product - np.eye(x.shape[-1])
    usable = np.isfinite(r).all(axis=-1) & np.isfinite(J).all(axis=(-1, -2))
    return r, J, np.where(usable, np.linalg.norm(r, axis=-1), np.inf)


def leads_to_root(system, x, period):
    """Whether Newton's steps from a point are short and fall, until only rounding is left."""
    last = NEWTON_STEP * (1 + np.linalg.norm(x))
    for _ in range(STEPS_LEFT):
        r, J, speed = _defect(system, x[np.newaxis], period)
        rounding = 100 * EPS * (1 + np.linalg.norm(x))
        step = _newton_step(r, J)[0]
        length = np.linalg.norm(step)
        if speed <= rounding * max(1, np.abs(J).max()) or length <= rounding:
            return True
        if not length <= 0.75 * last:
            return False
        x, last = x + step, length
    return False


# ------------------------------------------------------------------- one entry for each solution


def _distance(orbits, others):
    """Largest distance between corresponding points of orbits, shape ``(…, p, n)`` to ``(…)``."""
    return np.linalg.norm(orbits - others, axis=-1).max(axis=-1)


def _radius(orbits, merge):
    return merge * (1 + np.linalg.norm(orbits, axis=-1).max(axis=-1))


def _entries(system, orbits, residuals, found, merge):
    """The distinct orbits among those found, and what is said of them."""
    orbits, kept, labels = _distinct(orbits, residuals, found, merge)
    period = orbits.shape[1]
    counts = np.bincount(labels[labels >= 0], minlength=len(kept))
    once, twice = (counts == 1).sum(), (counts == 2).sum()
    return orbits, {
        "residuals": residuals[kept],
        # One after another, as the Jacobians may be large.
        "stability": tuple(is_stable(system, orbit[0], period=period) for orbit in orbits),
        "counts": counts,
        "labels": labels,
        "estimated": float(len(kept) + once * (once - 1) / (2 * twice + 2)),
    }


def _distinct(orbits, residuals, found, merge):
    """The distinct orbits among those found, the starts that they are of, and labels."""
    period, n = orbits.shape[1:]
    labels = np.full(len(orbits), -1)
    kept = []
    for s in np.argsort(residuals, kind="stable"):
        if found[s] and labels[s] < 0:
            left = np.flatnonzero(found & (labels < 0))
            shifted = [
                _distance(np.roll(orbits[s], i, axis=0), orbits[left]) for i in range(period)
            ]
            labels[left[np.min(shifted, axis=0) <= _radius(orbits[s], merge)]] = len(kept)
            kept.append(s)
    kept = np.array(kept, int)
    orbits = orbits[kept]
    for k, orbit in enumerate(orbits):
        orbits[k] = np.roll(orbit, -_lexicographic(orbit, merge)[0], axis=0)
    order = _lexicographic(orbits.reshape(-1, period * n), merge)
    labels[found] = np.argsort(order)[labels[found]]
    return orbits[order], kept[order], labels


def _lexicographic(rows, merge):
    """The order of rows by their first entry, then the second …, up to ``merge``."""
    return np.lexsort((np.round(rows / merge) if merge else rows).T[::-1])


# ------------------------------------------------------------------------------------- stability


def _classify(eigenvalues, tolerance):
    """What multipliers, sorted by their modulus, say: `Stability.stable` and `Stability.kind`."""
    modulus = np.abs(eigenvalues)
    leading = eigenvalues[modulus >= modulus[0] - tolerance]
    form = "node" if (np.abs(leading.imag) <= tolerance).all() else "focus"
    if modulus[0] < 1 - tolerance:
        return True, f"stable {form}"
    if modulus[0] <= 1 + tolerance:
        return None, "marginal"
    if modulus[-1] < 1 - tolerance:
        return False, "saddle"
    return False, f"unstable {form}"
