"""How steep and how curved the cost is at given parameters."""

import math
from dataclasses import dataclass

import numpy as np

from rnnpedagogy._validation import parameter_names, real_array, takes
from rnnpedagogy._vectors import hessian_products, norm_of, shapes_of, vectors_of
from rnnpedagogy.gradients import bptt


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
    """

    eigenvalues: np.ndarray
    eigenvectors: np.ndarray
    residuals: np.ndarray
    converged: bool | np.ndarray
    steps: int

    @property
    def norm(self):
        """The largest absolute value of a Ritz value, a float or an array of shape ``(…)``.

        It is the spectral norm of the operator, or a lower estimate where that has not converged.
        """
        norm = np.abs(self.eigenvalues[..., 0])
        return norm if norm.ndim else float(norm)


@takes(start=real_array)
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

    References
    ----------
    Golub, G. H., Van Loan, C. F., Matrix Computations, 4th ed., section 10.1.

    Examples
    --------
    >>> import numpy as np
    >>> from rnnpedagogy.hessian import lanczos
    >>> eigenvalues = np.linspace(-3, 2, 200)
    >>> found = lanczos(lambda vector: eigenvalues * vector, np.ones(200))
    >>> print(found.converged, found.steps < 100, found.eigenvalues[0].round(6))
    True True -3.0
    """
    start = real_array("start", start, shape=(..., "d"))
    if not 0 < tolerance < 1:
        raise ValueError(f"tolerance must lie between 0 and 1, got {tolerance}")
    size = norm_of(start)[..., np.newaxis]
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
        beyond, norm = norm_of(image), np.abs(values[..., 0])
        beyond = np.where(beyond > rounding * norm, beyond, 0)[..., np.newaxis]
        residuals = beyond * np.abs(vectors[..., -1, :])
        converged = residuals[..., 0] <= tolerance * norm
        if converged.all() or k + 1 == max_steps:
            break
        basis.append(np.where(beyond > 0, image, 0) / np.where(beyond > 0, beyond, 1))
        tridiagonal[..., k, k + 1] = tridiagonal[..., k + 1, k] = beyond[..., 0]
    converged = converged if lead else bool(converged)
    return Lanczos(values, Q @ vectors, residuals, converged, k + 1)


@takes
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
    """
    params, lead = cost.check_params(params)
    names = tuple(params) if names is None else parameter_names(cost.cell, names)
    shapes = shapes_of(cost, params, names)
    d = sum(math.prod(shape) for shape in shapes.values())
    start = rng.normal(size=(*lead, d)).astype(np.result_type(*params.values()))
    operator = hessian_products(cost, params, lead, shapes)
    return lanczos(operator, start, max_steps=max_steps, tolerance=tolerance)


@takes
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
    """
    names = parameter_names(cost.cell, names)
    found = bptt(cost, params)
    return norm_of(vectors_of(found.params, names, np.ndim(found.value)))
