"""How rough the cost is: the spectrum of its Hessian."""

from dataclasses import dataclass

import numpy as np

from rnnpedagogy._validation import positive_integer, real_array
from rnnpedagogy.cells import flatten, unflatten
from rnnpedagogy.gradients import hessian_vector_product


@dataclass(frozen=True)
class Lanczos:
    """Extreme eigenvalues of a symmetric operator.

    Attributes
    ----------
    eigenvalues : array, shape (k,)
        Ritz values, in descending order of their absolute value.
    eigenvectors : array, shape (d, k)
        Ritz vectors, in the same order.
    residuals : array, shape (k,)
        ``‖A y − λ y‖`` of each pair; some eigenvalue of ``A`` lies within it of ``λ``.
    converged : bool
        Whether the residual of the first pair is at most ``tolerance · |λ|``.
    steps : int
        Number of products with the operator.
    tolerance : float
        As it was passed.
    """

    eigenvalues: np.ndarray
    eigenvectors: np.ndarray
    residuals: np.ndarray
    converged: bool
    steps: int
    tolerance: float

    @property
    def norm(self):
        """The spectral norm of the operator: the largest absolute value of an eigenvalue."""
        return abs(float(self.eigenvalues[0]))


def lanczos(operator, start, *, max_steps=100, tolerance=1e-8):
    r"""Extreme eigenvalues of a symmetric operator from products with vectors.

    An orthonormal basis :math:`Q_k` of :math:`b, Ab, \dots, A^{k-1} b` is built by the three-term
    recursion, with full re-orthogonalisation, and :math:`A` is replaced by the tridiagonal
    :math:`T_k = Q_k^\mathsf{T} A Q_k`. The eigenvalue of largest *magnitude*, of either sign,
    decides when to stop.

    Parameters
    ----------
    operator : callable
        ``A``: an array of shape ``(d,)`` to one of the same shape.
    start : array, shape (d,)
        The vector ``b``; it must not be orthogonal to the eigenvector that is sought, which a
        random one is not.
    max_steps : int
        Largest number of products.
    tolerance : float
        Stop when the residual of the first Ritz pair is at most ``tolerance · |λ|``.

    Returns
    -------
    Lanczos

    Raises
    ------
    ValueError, TypeError
        If the start is zero, it or a product is not a finite real vector of its size, or a number
        is out of range.

    References
    ----------
    G. H. Golub, C. F. Van Loan, Matrix Computations, 4th ed., section 10.1.
    """
    start = real_array("start", start, shape=("d",))
    max_steps = positive_integer("max_steps", max_steps)
    if not 0 < tolerance < 1:
        raise ValueError(f"tolerance must lie between 0 and 1, got {tolerance}")
    size = np.linalg.norm(start)
    if size == 0:
        raise ValueError("start must not be the zero vector")
    basis, diagonal, off_diagonal = [start / size], [], []
    while True:
        image = real_array("operator(vector)", operator(basis[-1]), shape=start.shape)
        diagonal.append(basis[-1] @ image)
        for _ in range(2):  # twice is enough
            Q = np.stack(basis, axis=1)
            image = image - Q @ (Q.T @ image)
        beyond = np.linalg.norm(image)
        tridiagonal = np.diag(diagonal) + np.diag(off_diagonal, 1) + np.diag(off_diagonal, -1)
        values, vectors = np.linalg.eigh(tridiagonal)
        order = np.argsort(-np.abs(values))
        values, vectors = values[order], vectors[:, order]
        residuals = beyond * np.abs(vectors[-1])
        # An invariant subspace leaves nothing but rounding: its Ritz values are eigenvalues.
        exhausted = beyond <= len(start) * np.finfo(start.dtype).eps * np.abs(values[0])
        converged = bool(exhausted or residuals[0] <= tolerance * np.abs(values[0]))
        if converged or len(diagonal) == min(max_steps, len(start)):
            return Lanczos(values, Q @ vectors, residuals, converged, len(diagonal), tolerance)
        basis.append(image / beyond)
        off_diagonal.append(beyond)


def hessian_spectrum(cost, params, rng, *, max_steps=100, tolerance=1e-8):
    """Extreme eigenvalues of ``∇²V(θ)`` by `lanczos` on exact Hessian-vector products.

    Parameters
    ----------
    cost : Cost
        The function ``V``.
    params : dict of array
        The point ``θ``, without leading axes.
    rng : numpy.random.Generator
        Draws the first vector.
    max_steps, tolerance
        As for `lanczos`.

    Returns
    -------
    Lanczos
        Its ``norm`` is the spectral norm of the Hessian: the local smoothness constant of the cost.
    """
    theta = flatten(params)

    def operator(vector):
        return flatten(hessian_vector_product(cost, params, unflatten(vector, params)))

    start = rng.normal(size=theta.size).astype(theta.dtype)
    return lanczos(operator, start, max_steps=max_steps, tolerance=tolerance)
