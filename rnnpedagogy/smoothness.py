"""How steep and how curved the cost is: measured at given parameters, or sought over a region."""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np

from rnnpedagogy._validation import choice, parameter_names, positive_integer, real_array
from rnnpedagogy.cells import unflatten
from rnnpedagogy.gradients import bptt, hessian_vector_product


@dataclass(frozen=True)
class Lanczos:
    """Extreme eigenvalues of a symmetric operator, or of each of a batch.

    Where a Krylov space of a batch is exhausted before the others have converged, eigenvalues zero
    with zero eigenvectors fill up its row.

    Attributes
    ----------
    eigenvalues : array, shape (…, k)
        Ritz values, in descending order of their absolute value.
    eigenvectors : array, shape (…, d, k)
        Ritz vectors, in the same order.
    residuals : array, shape (…, k)
        ``‖A y − λ y‖`` of each pair; some eigenvalue of ``A`` lies within it of ``λ``.
    converged : bool, or array of bool, shape (…)
        Whether the residual of the first pair is at most ``tolerance · |λ|``.
    steps : int
        Number of products with each operator.
    tolerance : float
        As it was passed.
    """

    eigenvalues: np.ndarray
    eigenvectors: np.ndarray
    residuals: np.ndarray
    converged: bool | np.ndarray
    steps: int
    tolerance: float

    @property
    def norm(self):
        """The largest absolute value of a Ritz value, a float or an array of shape ``(…)``.

        It is the spectral norm of the operator, or a lower estimate where that has not converged.
        """
        norm = np.abs(self.eigenvalues[..., 0])
        return norm if norm.ndim else float(norm)


def lanczos(operator, start, *, max_steps=100, tolerance=1e-8):
    r"""Extreme eigenvalues of a symmetric operator, or a batch, from products with vectors.

    An orthonormal basis :math:`Q_k` of :math:`b, Ab, \dots, A^{k-1} b` is built by the three-term
    recursion, with full re-orthogonalisation, and :math:`A` is replaced by the tridiagonal
    :math:`T_k = Q_k^\mathsf{T} A Q_k`. The eigenvalue of largest *magnitude*, of either sign,
    decides when to stop.

    Parameters
    ----------
    operator : callable
        ``A``: an array of shape ``(…, d)`` to one of the same shape. Leading axes tell the
        operators of a batch apart.
    start : array, shape (…, d)
        The vectors ``b``; none may be orthogonal to the eigenvector that is sought, which a random
        one is not.
    max_steps : int
        Largest number of products with each operator; ``d`` of them give all that can be found.
    tolerance : float
        Stop when the residual of the first Ritz pair of each is at most ``tolerance · |λ|``.

    Returns
    -------
    Lanczos

    Raises
    ------
    ValueError, TypeError
        If a start is zero, they or the products are not finite real arrays of this shape, or a
        number is out of range.

    References
    ----------
    G. H. Golub, C. F. Van Loan, Matrix Computations, 4th ed., section 10.1.
    """
    start = real_array("start", start, shape=(..., "d"))
    max_steps = positive_integer("max_steps", max_steps)
    if not 0 < tolerance < 1:
        raise ValueError(f"tolerance must lie between 0 and 1, got {tolerance}")
    size = _norm(start)[..., np.newaxis]
    if not size.all():
        raise ValueError("start must not be the zero vector")
    *lead, d = start.shape
    max_steps = min(max_steps, d)
    rounding = d * np.finfo(start.dtype).eps
    basis = [start / size]
    tridiagonal = np.zeros((*lead, max_steps, max_steps), start.dtype)
    for k in range(max_steps):
        image = real_array("operator(vector)", operator(basis[k]), shape=start.shape)
        tridiagonal[..., k, k] = np.sum(basis[k] * image, axis=-1)
        Q = np.stack(basis, axis=-1)
        for _ in range(2):  # twice is enough
            coefficients = np.einsum("...dk,...d->...k", Q, image)
            image = image - np.einsum("...dk,...k->...d", Q, coefficients)
        values, vectors = np.linalg.eigh(tridiagonal[..., : k + 1, : k + 1])
        order = np.argsort(-np.abs(values), axis=-1)
        values = np.take_along_axis(values, order, axis=-1)
        vectors = np.take_along_axis(vectors, order[..., np.newaxis, :], axis=-1)
        # An invariant subspace leaves nothing but rounding: its Ritz values are eigenvalues. Zero
        # vectors continue its basis, which add nothing but eigenvalues zero.
        beyond, norm = _norm(image), np.abs(values[..., 0])
        beyond = np.where(beyond > rounding * norm, beyond, 0)[..., np.newaxis]
        residuals = beyond * np.abs(vectors[..., -1, :])
        converged = residuals[..., 0] <= tolerance * norm
        if converged.all() or k + 1 == max_steps:
            break
        basis.append(np.where(beyond > 0, image, 0) / np.where(beyond > 0, beyond, 1))
        tridiagonal[..., k, k + 1] = tridiagonal[..., k + 1, k] = beyond[..., 0]
    return Lanczos(
        eigenvalues=values,
        eigenvectors=Q @ vectors,
        residuals=residuals,
        converged=converged if lead else bool(converged),
        steps=k + 1,
        tolerance=tolerance,
    )


def hessian_spectrum(cost, params, rng, *, names=None, max_steps=100, tolerance=1e-8):
    """Extreme eigenvalues of ``∇²V(θ)`` by `lanczos` on exact Hessian-vector products.

    Parameters
    ----------
    cost : Cost
        The function ``V``.
    params : dict of array
        The points ``θ``; leading axes tell them apart.
    rng : numpy.random.Generator
        Draws the first vectors.
    names : iterable of str, optional
        The parameters that vary: the Hessian is restricted to them, in this order; all, in the
        order of ``params``, if not given.
    max_steps, tolerance
        As for `lanczos`.

    Returns
    -------
    Lanczos
        With the leading axes of the parameters. Its ``norm`` is the spectral norm of the Hessian:
        the local smoothness constant of the cost.

    Raises
    ------
    ValueError, TypeError
        If the parameters do not fit the cost, a name is unknown or a number out of range.
    """
    params, lead = cost.check_params(params)
    names = tuple(params) if names is None else parameter_names(cost.cell, names)
    shapes = _shapes(cost, params, names)
    d = sum(math.prod(shape) for shape in shapes.values())
    start = rng.normal(size=(*lead, d)).astype(np.result_type(*params.values()))
    operator = _hessian(cost, params, lead, shapes)
    return lanczos(operator, start, max_steps=max_steps, tolerance=tolerance)


def _shapes(cost, params, names):
    """The shapes of the named parameters, without leading axes."""
    shapes = cost.cell.param_shapes(params["bias_o"].shape[-1])
    return {name: shapes[name] for name in names}


def _hessian(cost, params, lead, shapes):
    """The products ``∇²V(θ) v`` with vectors of the parameters whose shapes are given."""
    zero = {name: np.zeros_like(array) for name, array in params.items()}

    def operator(vectors):
        product = hessian_vector_product(cost, params, zero | unflatten(vectors, shapes))
        return _vectors(product, shapes, len(lead))

    return operator


def gradient_norms(cost, params, *, names=None):
    """``‖∇V(θ)‖₂`` of each parameter set of a batch.

    Parameters
    ----------
    cost : Cost
        The function ``V``.
    params : dict of array
        The points ``θ``; leading axes tell them apart.
    names : iterable of str, optional
        The parameters that vary, such as ``["bias"]``; all if not given.

    Returns
    -------
    array, shape (…)
        With the leading axes of the parameters.

    Raises
    ------
    ValueError, TypeError
        If the parameters do not fit the cost, or a name is unknown.
    """
    names = parameter_names(cost.cell, names)
    found = bptt(cost, params)
    return _norm(_vectors(found.params, names, np.ndim(found.value)))


def _vectors(arrays, names, axes):
    """The named arrays as vectors, shape ``(…, d)``, behind the given number of leading axes."""
    parts = [arrays[name].reshape(*arrays[name].shape[:axes], -1) for name in names]
    return np.concatenate(parts, axis=-1)


def _norm(vectors):
    """The Euclidean norm over the last axis, whose squares neither overflow nor underflow."""
    size = np.abs(vectors).max(axis=-1, initial=0.0)
    scaled = vectors / np.where(size > 0, size, 1)[..., np.newaxis]
    return size * np.linalg.norm(scaled, axis=-1)


@dataclass(frozen=True)
class GrowthFit:
    """A rate of growth with its confidence interval.

    Attributes
    ----------
    rate : float
        Growth of the logarithm per step ("exponential"), or the exponent of ``N`` ("power").
    interval : tuple of float
        Lower and upper end of the confidence interval of the rate.
    intercept : float
        Logarithm of the fitted value at ``N = 0``, or at ``N = 1``.
    residual_std : float
        Standard deviation of the logarithms about the line.
    lengths : array, shape (k,)
        The lengths that were used.
    model, confidence
        As they were passed.
    """

    rate: float
    interval: tuple
    intercept: float
    residual_std: float
    lengths: np.ndarray
    model: str
    confidence: float


def growth_rate(lengths, log_values, *, model="exponential", start=None, confidence=0.95):
    r"""How fast a quantity grows with the sequence length, by least squares.

    .. math:: \log v = a + \gamma N \quad\text{or}\quad \log v = a + \gamma \log N

    The interval is :math:`\hat\gamma \pm t \, s / \sqrt{\sum_k (x_k - \bar x)^2}` with the
    quantile :math:`t` of Student's distribution with ``k − 2`` degrees of freedom. It measures the
    scatter about the line, not how far the law is from a line: leave out the lengths at which the
    growth has not settled.

    Parameters
    ----------
    lengths : sequence of float
        Sequence lengths ``N``, positive.
    log_values : sequence of float
        Natural logarithms of the quantity, one for each length.
    model : {"exponential", "power"}
        Fit against ``N`` or against ``log N``.
    start : float, optional
        Use only lengths of at least this.
    confidence : float
        Probability that the interval covers the rate, if the scatter is independent and normal.

    Returns
    -------
    GrowthFit

    Raises
    ------
    ValueError, TypeError
        If fewer than three different lengths remain, a length is not positive, a value not finite,
        or a setting out of range.
    """
    lengths = real_array("lengths", np.asarray(lengths, dtype=float), shape=("k",))
    log_values = np.asarray(log_values, dtype=float)
    log_values = real_array("log_values", log_values, shape=lengths.shape)
    choice("model", model, ("exponential", "power"))
    if lengths.min() <= 0:
        raise ValueError(f"lengths must be positive, got {lengths.min()}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence}")
    if start is not None:
        used = lengths >= start
        lengths, log_values = lengths[used], log_values[used]
    if len(np.unique(lengths)) < 3:
        raise ValueError(
            f"lengths must hold at least three different values from start on, got {lengths}"
        )
    x = lengths if model == "exponential" else np.log(lengths)
    centred = x - x.mean()
    rate = centred @ log_values / (centred @ centred)
    intercept = log_values.mean() - rate * x.mean()
    freedom = len(x) - 2
    residual_std = np.linalg.norm(log_values - intercept - rate * x) / math.sqrt(freedom)
    margin = _student_quantile(confidence, freedom) * residual_std / np.linalg.norm(centred)
    return GrowthFit(
        rate=float(rate),
        interval=(float(rate - margin), float(rate + margin)),
        intercept=float(intercept),
        residual_std=float(residual_std),
        lengths=lengths,
        model=model,
        confidence=confidence,
    )


@cache
def _student_quantile(confidence, freedom):
    """The ``t`` with ``P(|T| ≤ t) = confidence`` for Student's distribution.

    With ``T = √ν tan φ`` the density of ``φ`` is proportional to ``cos(φ)^{ν−1}``.
    """
    nodes, weights = np.polynomial.legendre.leggauss(200)

    def integral(angle):
        return angle / 2 * (weights @ np.cos(angle / 2 * (1 + nodes)) ** (freedom - 1))

    low, high = 0.0, math.pi / 2
    wanted = confidence * integral(high)
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if integral(middle) < wanted else (low, middle)
    return math.sqrt(freedom) * math.tan(low)


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
    evaluations : int
        Number of points at which the function was evaluated.
    starts, rounds, keep, tries, shrink
        As they were passed.
    """

    value: float
    point: np.ndarray
    history: np.ndarray
    evaluations: int
    starts: int
    rounds: int
    keep: int
    tries: int
    shrink: float


def supremum(
    function, sample, project=None, *, rng, starts=256, rounds=100, keep=8, tries=16, shrink=1e-16
):
    """A lower estimate of the supremum of a function over a region, by sampling and ascent.

    The best of the sampled points are each moved at random, again and again, and stay where the
    function is larger. Peaks can be narrower than the region by many orders of magnitude, in some
    directions and not in others. So the distance of a move is drawn from all orders between
    ``shrink`` times the spread of the sampled points and that spread, or is near that of the last
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
    shrink : float
        The smallest move, relative to the spread of the sampled points.

    Returns
    -------
    Supremum

    Raises
    ------
    ValueError, TypeError
        If a setting is out of range, a shape is wrong, or a value is NaN or ``+∞``.
    """
    starts = positive_integer("starts", starts)
    rounds = positive_integer("rounds", rounds, minimum=0)
    keep = min(positive_integer("keep", keep), starts)
    tries = positive_integer("tries", tries)
    if not 0 < shrink < 1:
        raise ValueError(f"shrink must lie between 0 and 1, got {shrink}")

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
    d = points.shape[1]
    spread = points.std(axis=0)
    values = evaluate(points)
    best = np.argsort(-values)[:keep]
    points, values = points[best], values[best]
    sizes = np.ones(keep)  # of the last move that succeeded, relative to the spread
    history = [values.max()]
    for _ in range(rounds):
        size = shrink ** rng.uniform(size=(keep, tries))
        near = sizes[:, np.newaxis] * np.exp(rng.normal(size=size.shape))
        size = np.where(rng.uniform(size=size.shape) < 0.5, size, near)[..., np.newaxis]
        move = rng.normal(size=(keep, tries, d)) * spread
        one = np.eye(d)[rng.integers(d, size=(keep, tries))]
        to_another = points[rng.integers(keep, size=(keep, tries))] - points[:, np.newaxis]
        kind = rng.integers(3, size=(keep, tries, 1))
        move = size * np.choose(kind, [move, move * one, to_another * rng.normal(size=kind.shape)])
        trials = (points[:, np.newaxis] + move).reshape(-1, d)
        if project is not None:
            trials = real_array("project(points)", project(trials), shape=trials.shape)
        trial_values = evaluate(trials).reshape(keep, tries)
        k, j = np.arange(keep), np.argmax(trial_values, axis=1)
        better = trial_values[k, j] > values
        points[better] = trials.reshape(keep, tries, d)[k, j][better]
        values = np.where(better, trial_values[k, j], values)
        sizes = np.where(better, size[k, j, 0], sizes)
        history.append(values.max())
    top = np.argmax(values)
    return Supremum(
        value=float(values[top]),
        point=points[top],
        history=np.array(history),
        evaluations=starts + rounds * keep * tries,
        starts=starts,
        rounds=rounds,
        keep=keep,
        tries=tries,
        shrink=shrink,
    )


BISECTIONS = 45  # leave of the ratio of two grid points nothing but rounding


def largest_decreasing_step(cost, params, *, names=None, start=1e-3, stop=1e3, factor=1.05):
    r"""The step of gradient descent below which the cost is smaller than before.

    .. math::

        \eta_1 = \min\{\eta > 0 : V(\theta - \eta \nabla V(\theta)) = V(\theta)\} \ge 2 / L'_V

    The unit of length is :math:`\eta_0 = 2 \|g\| / \|H g\|` with the gradient :math:`g` and the
    Hessian :math:`H` at :math:`\theta`. Where the cost is quadratic, :math:`\eta_0 \le \eta_1`,
    with equality if :math:`g` is an eigenvector. The cost is evaluated at the steps ``start``,
    ``start · factor``, ``start · factor²``, …, ``stop`` in this unit. Between the first at which it
    is not smaller than at :math:`\theta` and the one before, :math:`\eta_1` is found by bisection.
    A rise and fall between two neighbours of the grid is overlooked: the result is exact or too
    large.

    Parameters
    ----------
    cost : Cost
        The function ``V``.
    params : dict of array
        The points ``θ``; leading axes tell them apart.
    names : iterable of str, optional
        The parameters that vary; all if not given.
    start, stop : float
        First and last step of the grid, in units of ``η_0``.
    factor : float
        Ratio of neighbouring steps of the grid.

    Returns
    -------
    array, shape (…)
        ``η_1``, with the leading axes of the parameters. Infinite where the cost is smaller on the
        whole grid. NaN where ``start`` is not far below: the first step decreases the cost by less
        than half of what the gradient promises, or that drowns in rounding, or ``η_0`` does not
        exist since ``g`` or ``H g`` is zero.

    Raises
    ------
    ValueError, TypeError
        If the parameters do not fit the cost, a name is unknown or a setting out of range.
    """
    names = parameter_names(cost.cell, names)
    if not 0 < start < stop < np.inf:
        raise ValueError(f"start and stop must be 0 < start < stop, got {start} and {stop}")
    if not 1 < factor < np.inf:
        raise ValueError(f"factor must be greater than 1, got {factor}")
    params, lead = cost.check_params(params)
    shapes, here = _shapes(cost, params, names), bptt(cost, params)
    g = _vectors(here.params, names, len(lead))
    sets = {name: np.broadcast_to(params[name], here.params[name].shape) for name in names}
    theta = _vectors(sets, names, len(lead))
    slope, curvature = _norm(g), _norm(_hessian(cost, params, lead, shapes)(g))
    exists = (slope > 0) & (curvature > 0)
    unit = 2 * np.where(exists, slope, 0) / np.where(exists, curvature, 1)

    def change(step):
        """``V(θ − ηg) − V(θ)`` for a step ``η`` of each point, shape ``(…)``."""
        moved = params | unflatten(theta - step[..., np.newaxis] * g, shapes)
        with np.errstate(over="ignore", invalid="ignore"):  # a cost of infinity is not smaller
            return cost(moved) - here.value

    # The start must be far below: where the gradient rules and well above rounding.
    low = start * unit
    noise = np.finfo(here.value.dtype).eps * (here.value + _norm(theta) * slope)
    begins = (low * slope**2 > 100 * noise) & (change(low) < -low * slope**2 / 2)

    high = np.where(begins, np.inf, np.nan)
    count = math.ceil(math.log(stop / start) / math.log(factor))
    for multiple in np.append(start * factor ** np.arange(1, count), stop):
        searched = high == np.inf
        if not searched.any():
            break
        step = np.where(searched, multiple * unit, 0)
        smaller = change(step) < 0
        low = np.where(searched & smaller, step, low)
        high = np.where(searched & ~smaller, step, high)

    found = np.isfinite(high)
    for _ in range(BISECTIONS):
        middle = np.where(found, low / 2 + high / 2, 0)
        smaller = change(middle) < 0
        low = np.where(found & smaller, middle, low)
        high = np.where(found & ~smaller, middle, high)
    return high
