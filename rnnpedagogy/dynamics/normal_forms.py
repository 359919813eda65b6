"""Normal forms: what a bifurcation is called, and the coefficient that decides what is born."""

from dataclasses import dataclass

import numpy as np

NEARLY_CONSTANT = 0.1  # what a Jacobian may change by, relative to the larger of one and itself
RATIO, STEPS = 4, 7  # of the steps of differences, of which the two that agree best are taken
ROUNDING = 1e-9  # of a coefficient, relative to its terms: that of the point where it is computed
SINGULAR = 1e-7  # singular values below this are those of a branch point
NO_QUADRATIC_TERM = 1e-5  # a smaller one, over the scale of the nonlinearity, is a pitchfork's
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
    uncertainty : float
        Of the coefficient, from differences with two steps.
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
    uncertainty: float
    period: int
    index: int = 0

    @property
    def criticality(self):
        """``"supercritical"`` where what is born attracts along ``q``, else ``"subcritical"``.

        ``"degenerate, cannot tell"`` if the coefficient is zero within its uncertainty; None for a
        fold, a transcritical bifurcation, and at a resonance.
        """
        if self.name in ("fold", "transcritical") or np.isnan(self.coefficient):
            return None
        if abs(self.coefficient) <= self.uncertainty:
            return "degenerate, cannot tell"
        return "supercritical" if self.coefficient < 0 else "subcritical"


def scale_of(linearise, value, state, direction):
    """The largest ``s`` such that the Jacobian is nearly constant within ``s · direction``."""
    scales = 2.0 ** np.arange(-40, 11)
    shifts = np.concatenate([[0], scales, -scales])[:, np.newaxis]
    jacobians = linearise(np.full(len(shifts), value), state + shifts * direction)[1]
    changes = np.abs(jacobians[1:] - jacobians[0]).max(axis=(1, 2)).reshape(2, -1).max(axis=0)
    within = changes <= NEARLY_CONSTANT * max(1.0, np.abs(jacobians[0]).max())
    return scales[max(0, np.argmin(np.append(within, False)) - 1)]


@dataclass(frozen=True)
class _Derivatives:
    """Second and third derivatives of ``F^p`` along directions, from differences of Jacobians."""

    equations: object
    point: object
    step: float

    def _jacobians(self, v):
        """``∂F/∂x`` at ``x ± step · v`` for a real vector."""
        x, mu = self.point.y[:-1], self.point.y[-1]
        states = x + self.step * np.array([[1.0], [-1.0]]) * v
        return self.equations.linearise(np.full(2, mu), states)[1]

    def second(self, u, v):
        """``F_xx[u, v]``, bilinear."""
        real, imaginary = (self._jacobians(part) for part in (v.real, v.imag))
        plus, minus = real + 1j * imaginary
        return (plus - minus) @ u / (2 * self.step)

    def third(self, u, v):
        """``F_xxx[u, v, v̄]``: with ``v = a + ib`` that is ``F_xxx[u, a, a] + F_xxx[u, b, b]``."""
        plus, minus = self._jacobians(v.real) + self._jacobians(v.imag)
        return (plus - 4 * self.point.A + minus) @ u / self.step**2

    def quadratic(self, p, q):
        """``c`` in ``u' = u + c u² + …``, as a list of one term."""
        return [(p.conj() @ self.second(q, q)).real / 2]

    def cubic(self, p, q, multiplier):
        """The terms of ``Re c`` in ``u' = λ u (1 + c |u|² + …)``; Kuznetsov (5.64) if complex."""
        A, eye = self.point.A, np.eye(len(self.point.A))
        even = _solve(eye - A, self.second(q, q.conj()))
        double = _solve(multiplier**2 * eye - A, self.second(q, q))
        terms = self.third(q, q), 2 * self.second(q, even), self.second(q.conj(), double)
        factor = np.conj(multiplier) / (2 if multiplier.imag else 6)
        return [(factor * (p.conj() @ term)).real for term in terms]


@np.errstate(over="ignore", invalid="ignore")  # steps so long that orbits leave are not taken
def _coefficient(equations, point, kind, p, q, *multiplier):
    """A normal form's coefficient, its uncertainty, and the scale of the nonlinearity."""
    x, mu = point.y[:-1], point.y[-1]
    scale = min(scale_of(equations.linearise, mu, x, v) for v in (q.real, q.imag))
    steps = [_Derivatives(equations, point, scale / RATIO**k) for k in range(STEPS)]
    terms = np.array([getattr(step, kind)(p, q, *multiplier) for step in steps])
    terms = (RATIO**2 * terms[1:] - terms[:-1]) / (RATIO**2 - 1)  # Richardson's extrapolation
    gaps = np.abs(np.diff(terms.sum(axis=1)))
    best = np.argmin(np.where(np.isnan(gaps), np.inf, gaps))
    uncertainty = 10 * gaps[best] + ROUNDING * np.abs(terms[best + 1]).sum()
    return terms[best + 1].sum(), uncertainty, scale


def _solve(matrix, right):
    """Solve; at a pitchfork the matrix is singular, what is missing does not matter there."""
    smallest = SINGULAR / max(SINGULAR, np.linalg.norm(matrix, 2))
    return np.linalg.pinv(matrix, rcond=smallest) @ right


def _null_vectors(A, multiplier):
    """``p`` and ``q`` with ``A q = λ q``, ``Aᵀ p = λ̄ p``, ``|q| = 1`` and ``p̄·q = 1``."""
    left, _, right = np.linalg.svd(A - multiplier * np.eye(len(A)))
    p, q = left[:, -1], right[-1].conj()
    largest = q[np.abs(q).argmax()]
    q = q * (np.conj(largest) / np.abs(largest))
    return p / np.conj(p.conj() @ q), q


def _name_of_crossing(equations, point):
    """A pitchfork if the other branch turns back at the crossing, else transcritical."""
    vectors = _null_vectors(point.A, 1.0)
    size, uncertainty, scale = _coefficient(equations, point, "quadratic", *vectors)
    none = abs(size) <= max(uncertainty, NO_QUADRATIC_TERM / scale)
    return "pitchfork" if none else "transcritical"


def describe(equations, point, name):
    """The `Bifurcation` at a point of a branch, a "crossing" by its own name; None for a saddle."""
    name = _name_of_crossing(equations, point) if name == "crossing" else name
    angle, multiplier = (np.pi, -1.0) if name == "flip" else (0.0, 1.0)
    if pair := name == "Neimark–Sacker":
        i, j = np.triu_indices(len(point.eigenvalues), 1)
        products = point.eigenvalues[i] * point.eigenvalues[j]
        angle = abs(np.angle(point.eigenvalues[i[np.abs(products - 1).argmin()]]))
        multiplier = np.exp(1j * angle)
        if angle in (0, np.pi):  # two real multipliers whose product is one
            return None
    vectors, unit = _null_vectors(point.A, multiplier), equations.unit
    if name in ("fold", "transcritical"):
        found = _coefficient(equations, point, "quadratic", *vectors)
    elif pair and min(abs(multiplier**3 - 1), abs(multiplier**4 - 1)) < RESONANT:
        found = np.nan, np.nan
    else:
        found = _coefficient(equations, point, "cubic", *vectors, multiplier)
        unit = unit**2
    tangent = np.append(equations.unit * point.tangent[:-1], point.tangent[-1])
    tangent, state = tangent / np.linalg.norm(tangent), equations.unit * point.y[:-1]
    numbers = (float(number) for number in (angle, found[0] / unit, found[1] / unit))
    value, multipliers = float(point.y[-1]), point.eigenvalues
    return Bifurcation(name, value, state, multipliers, tangent, *numbers, equations.period)
