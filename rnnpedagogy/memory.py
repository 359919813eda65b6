"""Memory: how much of an earlier input can be read off the state of a network under noise."""

import numpy as np

from rnnpedagogy._validation import broadcast_shapes, real_array, takes
from rnnpedagogy.rollout import checked, lay_out

LARGEST = 10.0  # standard deviations, at which the entries of a state are cut
RIDGES = np.append(10.0 ** np.arange(-10, 2), np.inf)  # of a standardised state; inf: the mean


@takes
def noisy_rollout(cell, params, state, inputs, noise, rng):
    r"""Run a cell whose state is disturbed at each step.

    .. math:: x_t = f(x_{t-1}, u_t; \theta) + s \odot \xi_t, \qquad \xi_t \sim N(0, I)

    Parameters
    ----------
    cell, params, state, inputs
        As for `rnnpedagogy.rollout.rollout`.
    noise : array, shape (…, n)
        ``s``, the standard deviation for each entry of the state, not negative.
    rng : numpy.random.Generator
        Draws ``ξ``.

    Returns
    -------
    array, shape (N, …, n)
        ``x_1, …, x_N``.
    """
    noise = real_array("noise", noise, shape=(..., cell.state_size))
    if (noise < 0).any():
        raise ValueError(f"noise must not be negative, got {noise.min()}")
    run = lay_out(cell, *checked(cell, params, state, inputs))
    lead, batch = noise.shape[:-1], run.layout.batch
    if broadcast_shapes("the leading axes of noise and the run", lead, batch) != batch:
        raise ValueError(f"noise must have leading axes of the run, {batch}, got {lead}")
    scale = run.layout.columns(noise[np.newaxis], run.state.dtype)[0]
    states, x = np.empty((len(run.inputs), *run.state.shape), run.state.dtype), run.state
    for t in range(len(states)):
        x = run.forward(x, run.inputs[t : t + 1])[0][1]
        x += scale * rng.normal(size=x.shape)
        states[t] = x
    return run.layout.rows(states)


@takes
def memory_function(states, inputs, lags):
    r"""The share of the input ``k`` steps ago that a linear readout of the state recovers.

    .. math::

        r^2_k = 1 - \frac{\sum_t \lVert u_{t-k} - \hat u_{t-k}\rVert^2}
                         {\sum_t \lVert u_{t-k} - \bar u\rVert^2}, \qquad
        \hat u_{t-k} = \bar u + R_k (x_t - \bar x)

    The readouts ``R_k`` and both means come from half of the sequences, by least squares with a
    ridge on the standardised state; another quarter chooses the ridge for each lag, one being
    infinite, which answers with the mean; the sums run over the last quarter. So what is learned
    by heart is not counted, and negative values can occur where nothing is recovered: small ones,
    but large ones if some sequences have gone elsewhere than those of the fit. Entries of the state
    are cut at ten standard deviations: one that hardly ever moves must not spoil all.

    Parameters
    ----------
    states : array, shape (N, B, n)
        ``x_1, …, x_N`` for at least four independent sequences.
    inputs : array, shape (N, B, m)
        ``u_1, …, u_N``. They have to be white: if inputs depend on each other, recent ones tell
        about older ones.
    lags : int
        Largest lag plus one, less than ``N``.

    Returns
    -------
    array, shape (lags,)
        ``r²_k`` for ``k = 0, 1, …``; its sum is the memory, in steps.

    References
    ----------
    H. Jaeger, Short term memory in echo state networks, GMD Report 152 (2001), for one input and
    the squared correlation.
    """
    states = real_array("states", states, shape=("time", "sequences", "n"))
    inputs = real_array("inputs", inputs, shape=(*states.shape[:2], "m"))
    steps, sequences, n = states.shape
    if sequences < 4 or steps <= lags:
        raise ValueError(
            f"states must hold at least 4 sequences of more than lags = {lags} steps, got "
            f"{sequences} of {steps}"
        )
    past = np.stack([inputs[lags - k : steps - k] for k in range(lags)], axis=2)
    half, most = sequences // 2, 3 * sequences // 4
    if not 0 < np.square(np.ptp(past, axis=(0, 1))).sum() < np.inf:
        raise ValueError("inputs must vary, with finite squares; all of them are the same, or huge")
    known, answers = states[lags:, :half], past[:, :half]
    spread = known.std(axis=(0, 1))
    states = (states[lags:] - known.mean(axis=(0, 1))) / np.where(spread > 0, spread, 1)
    states = np.clip(states, -LARGEST, LARGEST)
    past = past - answers.mean(axis=(0, 1))

    def moments(part):
        """Means of ``x xᵀ``, ``x uᵀ`` and ``u²``, the latter two for each lag."""
        x, u = states[:, part].reshape(-1, n), past[:, part].reshape(-1, lags * inputs.shape[-1])
        shape = (lags, inputs.shape[-1])
        square = (u**2).mean(axis=0).reshape(shape).sum(axis=-1)
        return x.T @ x / len(x), (x.T @ u / len(x)).reshape(n, *shape), square

    def errors(readout, xx, xu, square):
        through = np.tensordot(xx, readout, axes=1)
        return square + np.einsum("nkm,nkm->k", readout, through - 2 * xu)

    fitted, choosing, last = map(moments, (slice(half), slice(half, most), slice(most, None)))
    values, Q = np.linalg.eigh(fitted[0])
    rotated = np.tensordot(Q.T, fitted[1], axes=1)
    values = np.maximum(values, 0)[:, np.newaxis, np.newaxis]
    readouts = [np.tensordot(Q, rotated / (values + ridge), axes=1) for ridge in RIDGES]
    best = np.argmin([errors(readout, *choosing) for readout in readouts], axis=0)
    chosen = np.stack(readouts)[best, :, np.arange(lags)].swapaxes(0, 1)
    return 1 - errors(chosen, *last) / last[2]


@takes
def linear_memory(A, B, noise, lags):
    r"""The memory of a linear network under noise, in closed form.

    For :math:`x_t = A x_{t-1} + B u_t + s \odot \xi_t` with white ``u`` and ``ξ`` of variance one,

    .. math::

        r^2_k = \frac1m \operatorname{tr}\, (A^k B)^\mathsf{T} C^{-1} A^k B, \qquad
        C = A C A^\mathsf{T} + B B^\mathsf{T} + \operatorname{diag}(s^2) .

    The readout ``(A^k B)ᵀ C⁻¹ x`` is the best linear one, and for normal ``u`` and ``ξ`` the best
    of all. All lags together recover at most ``n/m`` steps, and without noise exactly that, if
    ``A`` and ``B`` reach every direction.

    Parameters
    ----------
    A : array, shape (n, n)
        With spectral radius below one.
    B : array, shape (n, m)
    noise : array, shape (n,)
        ``s``; some of it has to be positive where ``A`` and ``B`` leave a direction out.
    lags : int
        Largest lag plus one.

    Returns
    -------
    array, shape (lags,)

    References
    ----------
    O. L. White, D. D. Lee, H. Sompolinsky, Short-term memory in orthogonal neural networks,
    Physical Review Letters 92 (2004).

    Examples
    --------
    One neuron ``x' = a x + u + s ξ``: ``r²_k = (1 − a²) a^{2k} / (1 + s²)``.

    >>> import numpy as np
    >>> from rnnpedagogy.memory import linear_memory
    >>> linear_memory(np.array([[0.5]]), np.ones((1, 1)), np.ones(1), 3)
    array([0.375    , 0.09375  , 0.0234375])
    """
    A = real_array("A", A, shape=("n", "n"))
    A = real_array("A", A, shape=(len(A), len(A)))
    B = real_array("B", B, shape=(len(A), "m"))
    noise = real_array("noise", noise, shape=(len(A),))
    if (radius := np.abs(np.linalg.eigvals(A)).max()) >= 1:
        raise ValueError(f"A must have a spectral radius below 1, got {radius}")
    C, power = B @ B.T + np.diag(noise**2), A
    while np.abs(power).max() > 1e-30:  # C holds the first 2^j terms of the sum
        C, power = C + power @ C @ power.T, power @ power
    if not (np.isfinite(C).all() and np.linalg.slogdet(C)[0]):
        raise ValueError("noise must be positive where A and B leave a direction out, A not huge")
    found, carried = np.empty(lags), B
    for k in range(lags):
        found[k] = np.sum(carried * np.linalg.solve(C, carried)) / B.shape[1]
        carried = A @ carried
    return found
