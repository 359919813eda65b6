"""Rotations as exponentials of skew-symmetric matrices, and the orthogonal recurrent network."""

import autograd.numpy as anp
import numpy as np
from autograd.tracer import getval

from rnnpedagogy._validation import float_array, real_array, takes
from rnnpedagogy.cells import ACTIVATIONS, Elman, absolute, linear


@takes(entries=float_array)
def skew_matrix(entries):
    r"""The skew-symmetric matrix :math:`S = -S^\mathsf{T}` with given entries above the diagonal.

    Parameters
    ----------
    entries : array, shape (…, n (n − 1)/2)
        ``s_jk`` for ``j < k``, row by row.

    Returns
    -------
    array, shape (…, n, n)
    """
    count = np.shape(entries)[-1]
    n = (1 + round((1 + 8 * count) ** 0.5)) // 2
    if n * (n - 1) // 2 != count:
        raise ValueError(f"entries must be n (n − 1)/2 in number for an integer n, got {count}")
    place, units = np.zeros((n, n), int), np.arange(n)
    place[np.triu_indices(n, 1)] = np.arange(count)
    place += place.T
    sign = np.sign(units - units[:, np.newaxis])
    if count == 0:
        return np.zeros((*np.shape(entries)[:-1], n, n), entries.dtype)
    return entries[..., place] * sign.astype(entries.dtype)


@takes(A=float_array)
def expm(A):
    r"""The exponential :math:`e^A = \sum_k A^k / k!`, by scaling and squaring of its series.

    With the smallest ``s ≥ 0`` for which ``‖A‖₁ ≤ 2^s / 2``, the series of ``A / 2^s`` is cut after
    the power 14, which leaves less than a rounding, and the sum is squared ``s`` times. It is a
    polynomial in the entries of ``A``: automatic differentiation and the complex step go through
    it to any order.

    Parameters
    ----------
    A : array, shape (…, n, n)
        Any square matrices, real or complex.

    Returns
    -------
    array, shape (…, n, n)

    References
    ----------
    C. Moler, C. Van Loan, Nineteen dubious ways to compute the exponential of a matrix,
    twenty-five years later, SIAM Review 45 (2003), method 3.

    Examples
    --------
    The series of a matrix whose square is zero ends after the second term:

    >>> import numpy as np
    >>> from rnnpedagogy.orthogonal import expm
    >>> expm(np.array([[0.0, 3.0], [0.0, 0.0]]))
    array([[1., 3.],
           [0., 1.]])
    """
    values = getval(A)
    if values.ndim < 2 or values.shape[-1] != values.shape[-2] or not np.isfinite(values).all():
        raise ValueError(f"A must hold finite square matrices, got shape {values.shape}: {values}")
    norm = np.abs(values).sum(axis=-2).max(initial=0.0)
    squarings = max(0, int(np.ceil(np.log2(2 * norm)))) if norm > 0 else 0
    A = A / 2**squarings
    identity = np.eye(A.shape[-1], dtype=values.dtype)
    total = identity
    for k in range(14, 0, -1):
        total = identity + anp.matmul(A, total) / k
    for _ in range(squarings):
        total = anp.matmul(total, total)
    return total


def expm_skew(S):
    r"""The rotation :math:`W = e^S` of a skew-symmetric matrix, orthogonal to rounding.

    With :math:`S = U \operatorname{diag}(i\omega)\, U^*`, the eigenvectors being those of the
    Hermitian matrix ``−iS``,

    .. math:: W = U \operatorname{diag}(e^{i\omega})\, U^*.

    The computation is in float64 whatever the type of ``S``.

    Parameters
    ----------
    S : array, shape (…, n, n)
        Skew-symmetric matrices.

    Returns
    -------
    array, shape (…, n, n)
        Rotations: ``WᵀW = I`` and ``det W = 1``.

    References
    ----------
    M. Lezcano-Casado, D. Martínez-Rubio, Cheap orthogonal constraints in neural networks, ICML
    2019, section 3.
    """
    S = _skew("S", S)
    return _exponential(*_eigenbasis(S)).astype(S.dtype)


def expm_skew_adjoint(S, G):
    r"""The derivative of a function of :math:`W = e^S` with respect to ``S``, from ``G = ∂V/∂W``.

    The entries of ``S`` count as free: ``Z_jk = ∂V/∂S_jk`` with

    .. math::

        Z = U\,[\bar\Phi \circ (U^* G\, U)]\,U^*, \qquad
        \Phi_{jk} = e^{i(\omega_j + \omega_k)/2}\, \frac{\sin\delta}{\delta}, \quad
        \delta = \frac{\omega_j - \omega_k}2,

    where the quotient is one at ``δ = 0``: equal eigenvalues need no special case. For the entries
    above the diagonal of a skew-symmetric matrix, :math:`\partial V/\partial s_{jk} = Z_{jk} -
    Z_{kj}`.

    Parameters
    ----------
    S : array, shape (…, n, n)
        Skew-symmetric matrices.
    G : array, shape (…, n, n)
        The derivative with respect to ``W``.

    Returns
    -------
    array, shape (…, n, n)
        ``Z``, in float64 inside and of the common type of ``S`` and ``G`` outside.

    References
    ----------
    The general formula for functions of normal matrices: Ju. L. Daleckiĭ, S. G. Kreĭn (1965); see
    N. J. Higham, Functions of Matrices (2008), section 3.2.

    Examples
    --------
    In the plane ``W`` is the rotation by ``s``; ``V = W_01 = sin s`` has the derivative ``cos s``:

    >>> import numpy as np
    >>> from rnnpedagogy.orthogonal import expm_skew_adjoint, skew_matrix
    >>> Z = expm_skew_adjoint(skew_matrix(np.array([0.5])), np.array([[0.0, 1.0], [0.0, 0.0]]))
    >>> bool(np.isclose(Z[0, 1] - Z[1, 0], np.cos(0.5)))
    True
    """
    S = _skew("S", S)
    G = real_array("G", G, shape=(..., *S.shape[-2:]))
    return _adjoint(*_eigenbasis(S), G).astype(np.result_type(S, G))


def _skew(name, S):
    S = real_array(name, S, shape=(..., "n", "n"))
    if S.shape[-1] != S.shape[-2] or (S + S.swapaxes(-1, -2)).any():
        raise ValueError(f"{name} must be skew-symmetric, Sᵀ = −S, got {S}")
    return S


def _eigenbasis(S):
    """``ω`` and ``U`` with ``S = U diag(iω) U*``."""
    return np.linalg.eigh(-1j * S.astype(np.float64, copy=False))


def _star(U):
    return U.conj().swapaxes(-1, -2)


def _exponential(omega, U):
    return ((U * np.exp(1j * omega)[..., np.newaxis, :]) @ _star(U)).real


def _adjoint(omega, U, G):
    j, k = omega[..., :, np.newaxis], omega[..., np.newaxis, :]
    quotients = np.exp(-0.5j * (j + k)) * np.sinc((j - k) / (2 * np.pi))  # sinc(x) = sin(πx)/(πx)
    return (U @ (quotients * (_star(U) @ G @ U)) @ _star(U)).real


def _rotation(S):
    """``W = e^S`` and the function that maps ``∂V/∂W`` to ``∂V/∂S``, in the type of ``S``.

    The complex step needs analytic code. There the adjoint, which is the derivative of the
    exponential at ``−S`` in the direction ``G``, is a block of ``exp([[−S, G], [0, −S]])``.
    """
    if np.iscomplexobj(S):

        def pull_back(G):
            corner = np.broadcast_to(-S, G.shape)
            blocks = np.block([[corner, G], [np.zeros_like(G), corner]])
            return expm(blocks)[..., : S.shape[-1], S.shape[-1] :]

        return expm(S), pull_back
    basis = _eigenbasis(S)
    return _exponential(*basis).astype(S.dtype), lambda G: _adjoint(*basis, G).astype(G.dtype)


@takes(z=float_array, bias=float_array)
def modrelu(z, bias):
    r"""The function :math:`\operatorname{sign}(z) \max(|z| + b, 0)`.

    For ``b ≤ 0`` it is the soft threshold, with the Lipschitz constant 1; for ``b > 0`` it jumps
    from ``−b`` to ``b`` at zero. At zero it is zero.

    Parameters
    ----------
    z : array
    bias : array
        ``b``; broadcasts against ``z``.

    Returns
    -------
    array

    References
    ----------
    M. Arjovsky, A. Shah, Y. Bengio, Unitary evolution recurrent neural networks, ICML 2016, for
    complex ``z``; here on the real line, as in Lezcano-Casado and Martínez-Rubio (2019).
    """
    size = absolute(z) + bias
    return anp.sign(anp.real(z)) * anp.where(anp.real(size) > 0, size, 0.0)


class OrthogonalRNN(Elman):
    r"""A recurrent network whose recurrent matrix is a rotation, state :math:`x = h`.

    .. math:: h_t = \varphi(W_{ih} u_t + e^S h_{t-1}), \qquad S = -S^\mathsf{T}

    The parameter ``skew`` holds the entries of ``S`` above the diagonal, row by row, so that every
    value of it is allowed and ``W_hh = e^S`` has determinant one. With ``"modrelu"`` (see
    `modrelu`) the parameter ``bias`` is the bias inside φ, one for each unit, and nothing else is
    added; with ``"tanh"`` and ``"identity"`` it is added to the argument of φ, as in `Elman`.

    What is differentiable: everything, to any order, for ``"tanh"`` and ``"identity"``. The
    function `modrelu` is piecewise linear: second derivatives are those of the pieces, through
    ``e^S`` and products of weights, and know nothing of kinks and jumps.

    Parameters
    ----------
    input_size, hidden_size : int
        ``m ≥ 0`` and ``H ≥ 1``.
    activation : {"modrelu", "tanh", "identity"}
        The function φ.

    References
    ----------
    M. Lezcano-Casado, D. Martínez-Rubio, Cheap orthogonal constraints in neural networks: a simple
    parametrization of the orthogonal and unitary group, ICML 2019.
    """

    activations = ("modrelu", "tanh", "identity")

    def __init__(self, input_size, hidden_size, *, activation="modrelu"):
        super().__init__(input_size, hidden_size, activation=activation)

    def param_shapes(self, output_size=None):
        shapes = super().param_shapes(output_size)
        del shapes["weight_hh"]
        return {"skew": (self.hidden_size * (self.hidden_size - 1) // 2,)} | shapes

    def init_params(self, rng, *, output_size=None, dtype=np.float64):
        """Draw all parameters as the authors of the network do.

        ``S`` is block diagonal with 2×2 blocks, the angles of the planes being uniform on
        ``[−π, π]``; ``weight_ih`` is normal with variance ``2/m``; the bias is uniform on
        ``[−0.01, 0.01]`` for modReLU, and zero otherwise. The readout is uniform on
        ``[−1/√H, 1/√H]``, as for all cells.

        Parameters
        ----------
        rng, output_size, dtype
            As for every cell.

        Returns
        -------
        dict of numpy.ndarray

        References
        ----------
        The angles: M. Henaff, A. Szlam, Y. LeCun, Recurrent orthogonal networks and long-memory
        tasks, ICML 2016. The other values are those of the code that accompanies Lezcano-Casado
        and Martínez-Rubio (2019).
        """
        params = super().init_params(rng, output_size=output_size, dtype=dtype)
        H, m = self.hidden_size, self.input_size
        S = np.zeros((H, H))
        planes = np.arange(0, H - 1, 2)
        S[planes, planes + 1] = rng.uniform(-np.pi, np.pi, size=len(planes))
        params["skew"] = S[np.triu_indices(H, 1)].astype(dtype)
        params["weight_ih"] = (np.sqrt(2 / max(m, 1)) * rng.normal(size=(H, m))).astype(dtype)
        width = 0.01 if self.activation == "modrelu" else 0.0
        params["bias"] = rng.uniform(-width, width, size=H).astype(dtype)
        return params

    def step(self, params, state, inputs):
        rotation = expm(skew_matrix(params["skew"]))
        z = linear(params["weight_ih"], inputs) + linear(rotation, state)
        if self.activation == "modrelu":
            return modrelu(z, params["bias"])
        return ACTIVATIONS[self.activation].value(z + params["bias"])

    def reparametrise(self, params):
        W, from_matrix = _rotation(skew_matrix(params["skew"]))
        weights = {"weight_ih": params["weight_ih"], "weight_hh": W, "bias": params["bias"]}
        inside = self.activation == "modrelu"
        if inside:
            weights |= {"bias": np.zeros_like(params["bias"]), "bias_inside": params["bias"]}
        above = (..., *np.triu_indices(self.hidden_size, 1))

        def pull_back(gradient):
            Z = from_matrix(gradient["weight_hh"])
            return {
                "skew": (Z - Z.swapaxes(-1, -2))[above],
                "weight_ih": gradient["weight_ih"],
                "bias": gradient["bias_inside" if inside else "bias"],
            }

        return weights, pull_back

    def _extra_gradients(self, d_recurrent, states, layout):
        if self.activation != "modrelu":
            return {}
        return {"bias_inside": layout.bias_sum(np.sign(states[1:].real) * d_recurrent)}

    def _activate(self, weights, z):
        if self.activation == "modrelu":
            sign = np.sign(z.real)
            z *= sign
            z += weights["bias_inside"]
            sign *= z.real > 0
            z *= sign
        else:
            super()._activate(weights, z)

    def _slopes(self, h):
        if self.activation == "modrelu":
            return (h.real != 0).astype(h.dtype)
        return super()._slopes(h)
