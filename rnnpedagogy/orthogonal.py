"""Orthogonal matrices from free parameters in three ways, and the orthogonal recurrent network."""

import autograd.numpy as anp
import numpy as np
from autograd.tracer import getval

from rnnpedagogy._validation import broadcast_shapes, choice, float_array, real_array, takes
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
    count = (np.shape(entries) or (2,))[-1]
    n = (1 + round((1 + 8 * count) ** 0.5)) // 2
    if n * (n - 1) // 2 != count:
        raise ValueError(f"entries must be n (n − 1)/2 in number for some n, got {entries.shape}")
    place, units = np.zeros((n, n), int), np.arange(n)
    place[np.triu_indices(n, 1)] = np.arange(count)
    place += place.T
    sign = np.sign(units - units[:, np.newaxis])
    if count == 0:
        return np.zeros((*np.shape(entries)[:-1], n, n), entries.dtype)
    return entries[..., place] * sign.astype(np.result_type(entries.dtype, np.int8))


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
    square = values.ndim > 1 and values.shape[-1] == values.shape[-2]
    norm = 2 * np.abs(values).sum(axis=-2).max(initial=0.0) if square else np.nan
    if not np.isfinite(norm):
        raise ValueError(f"A must hold finite square matrices, got shape {values.shape}: {values}")
    squarings = max(0, int(np.ceil(np.log2(norm)))) if norm > 0 else 0
    A = A / 2**squarings
    total = identity = np.eye(A.shape[-1], dtype=values.dtype)
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
    N. J. Higham, Functions of Matrices (2008), theorem 3.11.

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
    broadcast_shapes("S and G", S.shape, G.shape)
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


def cayley(S):
    r"""The rotation that Cayley's map makes of a skew-symmetric matrix.

    .. math:: W = (I + \tfrac12 S)(I - \tfrac12 S)^{-1} = 2 A^\mathsf{T} - I, \qquad
        A = (I + \tfrac12 S)^{-1}.

    An eigenvalue ``iω`` of ``S`` becomes ``e^{iα}`` with ``tan(α/2) = ω/2``: every angle but
    ``α = π`` is reached, so every rotation without the eigenvalue −1.

    Parameters and result are those of `expm_skew`.

    References
    ----------
    A. Cayley (1846); for recurrent networks K. Helfrich, D. Willmott, Q. Ye, Orthogonal recurrent
    neural networks with scaled Cayley transform, ICML 2018.
    """
    S = _skew("S", S)
    return _cayley(S.astype(np.float64))[0].astype(S.dtype)


def cayley_adjoint(S, G):
    r"""As `expm_skew_adjoint`, for `cayley`.

    .. math:: Z = \tfrac12 (I + W^\mathsf{T})\, G\, (I + \tfrac12 S)^{-1} = A\, G\, A.
    """
    S = _skew("S", S)
    G = real_array("G", G, shape=(..., *S.shape[-2:]))
    broadcast_shapes("S and G", S.shape, G.shape)
    return _cayley(S.astype(np.float64))[1](G).astype(np.result_type(S, G))


def _cayley(S):
    A = anp.linalg.inv(np.eye(S.shape[-1]) + S / 2)
    return 2 * anp.swapaxes(A, -1, -2) - np.eye(S.shape[-1]), lambda G: A @ G @ A


def householder(vectors):
    r"""A product of reflections, in which each vector turns into its negative.

    .. math:: W = H_1 H_2 \cdots H_k, \qquad H_i = I - 2\, \frac{v_i v_i^\mathsf{T}}{\|v_i\|^2}.

    All at once, with the vectors in the rows of ``Y``: :math:`W = I - Y^\mathsf{T} M^{-1} Y`, where
    ``M`` has the inner products of the vectors above its diagonal, and half of their squares on it.

    Parameters
    ----------
    vectors : array, shape (…, k, n)
        None of them zero; their lengths do not matter.

    Returns
    -------
    array, shape (…, n, n)
        Orthogonal, with the determinant ``(−1)^k``; computed as in `cayley`.

    References
    ----------
    Z. Mhammedi, A. Hellicar, A. Rahman, J. Bailey, Efficient orthogonal parametrisation of
    recurrent neural networks using Householder reflections, ICML 2017. Products as one:
    R. Schreiber, C. Van Loan, A storage-efficient WY representation for products of Householder
    transformations, SIAM Journal on Scientific and Statistical Computing 10 (1989).

    Examples
    --------
    >>> import numpy as np
    >>> from rnnpedagogy.orthogonal import householder
    >>> householder(np.array([[3.0, 0.0]]))
    array([[-1.,  0.],
           [ 0.,  1.]])
    """
    Y = real_array("vectors", vectors, shape=(..., "k", "n"))
    return _householder(Y.astype(np.float64))[0].astype(Y.dtype)


def householder_adjoint(vectors, G):
    r"""The derivative of a function of `householder` with respect to the vectors.

    With :math:`P = M^{-1} Y`, :math:`Q = M^{-\mathsf{T}} Y` and ``K``, which is
    :math:`Q\, G\, P^\mathsf{T}` above its diagonal, half of it on the diagonal and zero below,

    .. math:: Z = (K + K^\mathsf{T})\, Y - P\, G^\mathsf{T} - Q\, G.

    Parameters
    ----------
    vectors : array, shape (…, k, n)
    G : array, shape (…, n, n)
        The derivative with respect to ``W``.

    Returns
    -------
    array, shape (…, k, n)
        ``Z``.
    """
    Y = real_array("vectors", vectors, shape=(..., "k", "n"))
    G = real_array("G", G, shape=(..., Y.shape[-1], Y.shape[-1]))
    broadcast_shapes("the leading axes of vectors and G", Y.shape[:-2], G.shape[:-2])
    return _householder(Y.astype(np.float64))[1](G).astype(np.result_type(Y, G))


def _householder(Y):
    k, transposed = Y.shape[-2], anp.swapaxes(Y, -1, -2)
    products = anp.matmul(Y, transposed)
    squares = np.abs(np.diagonal(getval(products), axis1=-2, axis2=-1))
    if not ((squares > np.finfo(float).tiny) & (squares < np.inf)).all():
        raise ValueError(f"vectors must not be zero, and have finite squares, got {getval(Y)}")
    above = np.triu(np.ones((k, k)), 1) + np.eye(k) / 2
    P = anp.linalg.solve(above * products, Y)
    W = np.eye(Y.shape[-1]) - anp.matmul(transposed, P)

    def pull_back(G):
        Q = np.linalg.solve((above * products).swapaxes(-1, -2), Y)
        K = above * (Q @ G @ P.swapaxes(-1, -2))
        return (K + K.swapaxes(-1, -2)) @ Y - P @ G.swapaxes(-1, -2) - Q @ G

    return W, pull_back


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
    broadcast_shapes("z and bias", anp.shape(z), anp.shape(bias))
    size = absolute(z) + bias
    return anp.sign(anp.real(z)) * anp.where(anp.real(size) > 0, size, 0.0)


class OrthogonalRNN(Elman):
    r"""A recurrent network whose recurrent matrix is a rotation, state :math:`x = h`.

    .. math:: h_t = \varphi(W_{ih} u_t + W h_{t-1}), \qquad W^\mathsf{T} W = I,\ \det W = 1

    With ``"exp"`` and ``"cayley"`` the parameter ``skew`` holds the entries of ``S = −Sᵀ`` above
    the diagonal, row by row, so that every value of it is allowed, and ``W = e^S``, or that of
    `cayley`. With ``"householder"`` the parameter ``vectors`` has as many rows as reflections: the
    largest even number up to ``H``, which reaches every rotation. With ``"modrelu"`` (see
    `modrelu`) the parameter ``bias`` is the bias inside φ, one for each unit, and nothing else is
    added; with ``"tanh"`` and ``"identity"`` it is added to the argument of φ, as in `Elman`.

    What is differentiable: everything, to any order, for ``"tanh"`` and ``"identity"``. The
    function `modrelu` is piecewise linear: second derivatives are those of the pieces, through
    ``W`` and products of weights, and know nothing of kinks and jumps.

    Parameters
    ----------
    input_size, hidden_size : int
        ``m ≥ 0`` and ``H ≥ 1``.
    activation : {"modrelu", "tanh", "identity"}
        The function φ.
    parametrisation : {"exp", "cayley", "householder"}
        How ``W`` is made.

    References
    ----------
    M. Lezcano-Casado, D. Martínez-Rubio, Cheap orthogonal constraints in neural networks: a simple
    parametrization of the orthogonal and unitary group, ICML 2019.
    """

    activations = ("modrelu", "tanh", "identity")

    def __init__(self, input_size, hidden_size, *, activation="modrelu", parametrisation="exp"):
        super().__init__(input_size, hidden_size, activation=activation)
        allowed = ("exp", "cayley", "householder")
        self.parametrisation = choice("parametrisation", parametrisation, allowed)

    def __repr__(self):
        known, other = super().__repr__(), f", parametrisation={self.parametrisation!r})"
        return known if self.parametrisation == "exp" else known[:-1] + other

    def param_shapes(self, output_size=None):
        shapes, H = super().param_shapes(output_size), self.hidden_size
        del shapes["weight_hh"]
        if self.parametrisation == "householder":
            return {"vectors": (H - H % 2, H)} | shapes
        return {"skew": (H * (H - 1) // 2,)} | shapes

    def init_params(self, rng, *, output_size=None, dtype=np.float64):
        """Draw all parameters as the authors of the network do.

        ``W`` is block diagonal with 2×2 blocks, the angles of the planes being uniform on
        ``[−π, π]``, whatever the parametrisation; ``weight_ih`` is normal with variance
        ``2/m``; the bias is uniform on ``[−0.01, 0.01]`` for modReLU, and zero otherwise. The
        readout is uniform on ``[−1/√H, 1/√H]``, as for all cells.

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
        planes = np.arange(0, H - 1, 2)
        angles = rng.uniform(-np.pi, np.pi, size=len(planes))
        if self.parametrisation == "householder":
            vectors = np.eye(H)[: H - H % 2]
            vectors[planes + 1, planes] = np.cos(angles / 2)
            vectors[planes + 1, planes + 1] = np.sin(angles / 2)
            params["vectors"] = vectors.astype(dtype)
        else:
            S = np.zeros((H, H))
            exp = self.parametrisation == "exp"
            S[planes, planes + 1] = angles if exp else 2 * np.tan(angles / 2)
            params["skew"] = S[np.triu_indices(H, 1)].astype(dtype)
        params["weight_ih"] = (np.sqrt(2 / max(m, 1)) * rng.normal(size=(H, m))).astype(dtype)
        width = 0.01 if self.activation == "modrelu" else 0.0
        params["bias"] = rng.uniform(-width, width, size=H).astype(dtype)
        return params

    def step(self, params, state, inputs):
        exp = self.parametrisation == "exp"
        rotation = expm(skew_matrix(params["skew"])) if exp else self._matrix(params)[0]
        z = linear(params["weight_ih"], inputs) + linear(rotation, state)
        if self.activation == "modrelu":
            return modrelu(z, params["bias"])
        return ACTIVATIONS[self.activation].value(z + params["bias"])

    def _matrix(self, params):
        """``W``, and the function from ``∂V/∂W`` to the derivative in ``skew`` or ``vectors``."""
        if self.parametrisation == "householder":
            Y = params["vectors"]
            W, from_matrix = _householder(Y.astype(np.result_type(getval(Y), np.float64)))
            return W.astype(Y.dtype), lambda G: from_matrix(G).astype(G.dtype)
        make = _rotation if self.parametrisation == "exp" else _cayley
        entries = params["skew"]
        W, from_matrix = make(skew_matrix(entries))
        above = (..., *np.triu_indices(self.hidden_size, 1))

        def pull_back(G):
            Z = from_matrix(G)
            return (Z - Z.swapaxes(-1, -2))[above].astype(G.dtype)

        return W.astype(entries.dtype), pull_back

    def reparametrise(self, params):
        free = next(iter(params.keys() & {"skew", "vectors"}))
        W, from_matrix = self._matrix(params)
        weights = {"weight_ih": params["weight_ih"], "weight_hh": W, "bias": params["bias"]}
        inside = self.activation == "modrelu"
        if inside:
            weights |= {"bias": np.zeros_like(params["bias"]), "bias_inside": params["bias"]}

        def pull_back(gradient):
            return {
                free: from_matrix(gradient["weight_hh"]),
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
