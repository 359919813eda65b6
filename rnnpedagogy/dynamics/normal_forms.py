"""Normal forms: what a bifurcation is called, and the coefficient that decides what is born."""

from dataclasses import dataclass

import numpy as np

SECOND_DIFFERENCE = 1e-5  # step in x for second derivatives, from first ones: about 1e-10
THIRD_DIFFERENCE = 1e-4  # step in x for third derivatives: about 1e-7
SINGULAR = 1e-7  # singular values below this are those of a branch point
NO_QUADRATIC_TERM = 1e-5  # a smaller quadratic coefficient is that of a pitchfork
RESONANT = 1e-4  # |λ^k − 1|, k = 3, 4, below this: the cubic coefficient decides nothing


@dataclass(frozen=True)
class Bifurcation:
    """A point of a branch at which multipliers cross the unit circle.

    Attributes
    ----------
    name : {"fold", "transcritical", "pitchfork", "flip", "Neimark–Sacker"}
        What happens there.
    value : float
        The parameter ``μ``.
    state : array, shape (n,)
        The fixed point.
    eigenvalues : array, shape (n,)
        Its multipliers, the largest first.
    tangent : array, shape (n + 1,)
        Direction ``(dx, dμ)`` of the branch.
    angle : float
        Angle of the multiplier that crosses, in ``[0, π]``: zero and ``π`` are exact.
    coefficient : float
        With the null vector ``q`` of length one, its largest entry positive, and ``p·q = 1``: for a
        fold and a transcritical bifurcation ``c`` in ``u' = u + c u² + …``; else the real part of
        ``c`` in ``u' = λ u (1 + c |u|² + …)``. NaN for a pair close to a resonance ``λ³ = 1`` or
        ``λ⁴ = 1``, where this does not decide.
    period : int
        Of the points of the branch.
    index : int
        It lies between the points ``index`` and ``index + 1`` of the branch.
    """

    name: str
    value: float
    state: np.ndarray
    eigenvalues: np.ndarray
    tangent: np.ndarray
    angle: float
    coefficient: float
    period: int
    index: int = 0

    @property
    def criticality(self):
        """``"supercritical"`` where what is born attracts along ``q``, else ``"subcritical"``.

        None for a fold, a transcritical bifurcation, and where the coefficient does not decide.
        """
        if self.name in ("fold", "transcritical") or not abs(self.coefficient) > 0:
            return None
        return "supercritical" if self.coefficient < 0 else "subcritical"


@dataclass(frozen=True)
class _Derivatives:
    """Second and third derivatives of ``F^p`` along directions, from differences of Jacobians."""

    equations: object
    point: object

    def _jacobians(self, v, step):
        """``∂F/∂x`` at ``x ± step · v`` for a real vector."""
        x, mu = self.point.y[:-1], self.point.y[-1]
        states = x + step * np.array([[1.0], [-1.0]]) * v
        return self.equations.linearise(np.full(2, mu), states)[1]

    def second(self, u, v):
        """``F_xx[u, v]``, bilinear."""
        parts = []
        for part in (v.real, v.imag):
            plus, minus = self._jacobians(part, SECOND_DIFFERENCE)
            parts.append((plus - minus) @ u / (2 * SECOND_DIFFERENCE))
        return parts[0] + 1j * parts[1]

    def third(self, u, v):
        """``F_xxx[u, v, v̄]``: with ``v = a + ib`` that is ``F_xxx[u, a, a] + F_xxx[u, b, b]``."""
        total = 0
        for part in (v.real, v.imag):
            plus, minus = self._jacobians(part, THIRD_DIFFERENCE)
            total = total + (plus - 2 * self.point.A + minus) @ u / THIRD_DIFFERENCE**2
        return total

    def quadratic(self, p, q):
        """``c`` in ``u' = u + c u² + …``."""
        return (p.conj() @ self.second(q, q)).real / 2

    def cubic(self, p, q, multiplier):
        """``Re c`` in ``u' = λ u (1 + c |u|² + …)``; Kuznetsov (5.64) is its complex case."""
        A, eye = self.point.A, np.eye(len(self.point.A))
        even = _solve(eye - A, self.second(q, q.conj()))
        double = _solve(multiplier**2 * eye - A, self.second(q, q))
        total = self.third(q, q) + 2 * self.second(q, even) + self.second(q.conj(), double)
        return (np.conj(multiplier) * (p.conj() @ total)).real / (2 if multiplier.imag else 6)


def _solve(matrix, right):
    """Solve; at a pitchfork the matrix is singular, what is missing does not matter there."""
    return np.linalg.lstsq(matrix.astype(complex), right, rcond=SINGULAR)[0]


def _null_vectors(A, multiplier):
    """``p`` and ``q`` with ``A q = λ q``, ``Aᵀ p = λ̄ p``, ``|q| = 1`` and ``p̄·q = 1``."""
    left, _, right = np.linalg.svd(A - multiplier * np.eye(len(A)))
    p, q = left[:, -1], right[-1].conj()
    largest = q[np.abs(q).argmax()]
    q = q * (np.conj(largest) / np.abs(largest))
    return p / np.conj(p.conj() @ q), q


def name_of_crossing(equations, point):
    """A pitchfork if the other branch turns back at the crossing, else transcritical."""
    quadratic = _Derivatives(equations, point).quadratic(*_null_vectors(point.A, 1.0))
    return "pitchfork" if abs(quadratic) <= NO_QUADRATIC_TERM else "transcritical"


def describe(equations, point, name):
    """The `Bifurcation` at a point of a branch, with its coefficient."""
    pair = name == "Neimark–Sacker"
    if pair:
        angle = abs(np.angle(critical_pair(point.eigenvalues)))
        multiplier = np.exp(1j * angle)
    else:
        angle = np.pi if name == "flip" else 0.0
        multiplier = np.cos(angle)
    p, q = _null_vectors(point.A, multiplier)
    derivatives = _Derivatives(equations, point)
    if name in ("fold", "transcritical"):
        coefficient = derivatives.quadratic(p, q)
    elif pair and min(abs(multiplier**3 - 1), abs(multiplier**4 - 1)) < RESONANT:
        coefficient = np.nan
    else:
        coefficient = derivatives.cubic(p, q, multiplier)
    return Bifurcation(
        name=name,
        value=float(point.y[-1]),
        state=point.y[:-1],
        eigenvalues=point.eigenvalues,
        tangent=point.tangent,
        angle=float(angle),
        coefficient=float(coefficient),
        period=equations.period,
    )


def critical_pair(eigenvalues):
    """The ``λ_i`` whose product with another multiplier is nearest to one."""
    i, j = np.triu_indices(len(eigenvalues), 1)
    return eigenvalues[i[np.abs(eigenvalues[i] * eigenvalues[j] - 1).argmin()]]
