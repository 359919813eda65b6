"""Derivatives of the cost and of the trajectory: backwards, forwards, and second order."""

from dataclasses import dataclass
from math import comb, isqrt, prod

import numpy as np

from rnnpedagogy._columns import align, multiply_all, with_ones
from rnnpedagogy._validation import broadcast_shapes, real_array
from rnnpedagogy.cells import flatten, unflatten
from rnnpedagogy.rollout import arrange, core_axes, prepare


@dataclass(frozen=True)
class Gradient:
    """A cost and its derivatives.

    Attributes
    ----------
    value : array, shape (…)
        ``V(θ)``, with the leading axes of the parameters.
    params : dict of array
        ``∂V/∂θ``; entry ``[k]`` is the gradient of ``value[k]``.
    last_state : array, shape (…, n)
        ``x_N``, with all axes of the batch: where the next piece of a long sequence starts.
    state : array, shape (…, n), or None
        ``∂V/∂x_0`` if it was asked for.
    inputs : array, shape (N, …, m), or None
        ``∂V/∂u_t`` if it was asked for.
    """

    value: np.ndarray
    params: dict
    last_state: np.ndarray
    state: np.ndarray | None = None
    inputs: np.ndarray | None = None


def bptt(cost, params, *, initial_state=False, inputs=False, checkpoint=False):
    r"""Value and gradient by backpropagation through time.

    With :math:`A_t = \partial f/\partial x`, :math:`B_t = \partial f/\partial\theta` and
    :math:`C_t = \partial g/\partial x`, the adjoint runs backwards in time,

    .. math::

        \lambda_t = A_{t+1}^\mathsf{T} \lambda_{t+1} + C_t^\mathsf{T} \nabla\ell_t, \qquad
        \nabla V = \tfrac1N \sum_t B_t^\mathsf{T} \lambda_t + \text{readout terms}.

    Parameters
    ----------
    cost : Cost
        The function ``V``.
    params : dict of array
        The point ``θ``; leading axes give one gradient for each parameter set.
    initial_state : bool
        Also return the derivative with respect to ``x_0``.
    inputs : bool
        Also return the derivatives with respect to the inputs, :math:`W_{ih}^\mathsf{T}` times the
        adjoint of :math:`W_{ih} u_t`, with which whatever computes the inputs can be trained. An
        input or initial state that several sequences share collects their derivatives.
    checkpoint : bool
        Store every ``⌈√N⌉``-th state only and compute the others again when the adjoint gets to
        them:
        ``O(√N)`` stored states for one more forward pass, and the same gradient.

    Returns
    -------
    Gradient

    Raises
    ------
    ValueError, TypeError
        If the parameters do not fit the cost.

    References
    ----------
    P. J. Werbos, Backpropagation through time, Proc. IEEE 78 (1990). Checkpoints: A. Griewank,
    Optimization Methods and Software 1 (1992), in the simplest, two-level form.
    """
    params, lead = cost.check_params(params)
    return _bptt(
        cost, params, lead, initial_state=initial_state, inputs=inputs, checkpoint=checkpoint
    )


def _bptt(cost, params, lead, *, initial_state=False, inputs=False, checkpoint=False):
    run = cost.arrange(params, lead)
    if checkpoint:
        segments = run.segments(isqrt(cost.steps - 1) + 1)
        kept = [(segment, states[0].copy(), None) for segment, states, _ in segments]
    else:
        kept = list(run.segments())

    value, total, from_inputs = 0.0, {}, []
    d_state = np.zeros_like(run.state)
    while kept:
        segment, states, tape = kept.pop()
        if checkpoint:
            states, tape = run.forward(states, run.inputs[segment])
        if segment.stop == cost.steps:
            last_state = run.layout.rows(states[-1:].copy())[0]
        part, d_outputs = cost.evaluate(run, states, segment)
        d_outputs = run.layout.columns(d_outputs, states.dtype)
        d_hidden = multiply_all(run.weights["weight_ho"].swapaxes(0, 1), d_outputs)
        d_inputs, d_recurrent, d_state = run.cell._backward(
            run.weights, tape, states, d_hidden, d_state
        )
        value = value + part
        terms = _cell_terms(run, run.inputs[segment], states, d_inputs, d_recurrent)
        hidden = states[1:, : run.cell.hidden_size]
        terms["weight_ho"] = run.layout.outer_sum(d_outputs, hidden)
        terms["bias_o"] = run.layout.bias_sum(d_outputs)
        for name, term in terms.items():
            total[name] = total.get(name, 0) + term
        if inputs:
            d_u = multiply_all(run.weights["weight_ih"].swapaxes(0, 1), d_inputs)
            own = cost.inputs.shape[1:-1]
            from_inputs.append(_sum_to(run.layout, run.layout.rows(d_u), own))

    d_start = None
    if initial_state:
        rows = run.layout.rows(d_state[np.newaxis])
        d_start = _sum_to(run.layout, rows, cost.state.shape[:-1])[0]
    total = run.pull_back(total)
    return Gradient(
        value=value,
        params={name: total[name] for name in params},
        last_state=last_state,
        state=d_start,
        inputs=np.concatenate(from_inputs[::-1]) if inputs else None,
    )


def _cell_terms(run, inputs, states, d_inputs, d_recurrent):
    """``Σ_t B_tᵀ λ_t`` of one segment, from the adjoints of ``W_ih u + bias`` and of ``W_hh h``."""
    layout, hidden = run.layout, states[:-1, : run.cell.hidden_size]
    affine = layout.outer_sum(d_inputs, with_ones(run.input_columns(inputs)))
    return {
        "weight_ih": affine[..., :-1],
        "weight_hh": layout.outer_sum(d_recurrent, hidden),
        "bias": affine[..., -1],
    } | run.cell.extra_gradients(d_recurrent, states, layout)


def _sum_to(layout, rows, own):
    """Sum ``(T, …, F)`` over sequences that share what has the batch axes ``own`` of its own."""
    padded = (1,) * (len(layout.batch) - len(own)) + own
    shared = tuple(1 + axis for axis in layout.averaged_axes if padded[axis] == 1)
    rows = rows.sum(axis=shared, keepdims=True)
    return rows.reshape(len(rows), *own, rows.shape[-1]) if layout.shared else rows


def rtrl(cost, params, *, initial_state=False):
    r"""Value and gradient by forward sensitivities, also called real-time recurrent learning.

    The sensitivity :math:`X_t = \partial x_t/\partial\theta` runs along with the state,

    .. math::

        X_t = A_t X_{t-1} + B_t, \quad X_0 = 0, \qquad
        \nabla V = \tfrac1N \sum_t X_t^\mathsf{T} C_t^\mathsf{T} \nabla\ell_t
        + \text{readout terms}.

    The result equals that of `bptt`; memory does not grow with ``N`` but is ``n·d``, and a step
    costs ``O(n²d)``.

    Parameters
    ----------
    cost : Cost
        The function ``V``.
    params : dict of array
        The point ``θ``, without leading axes.
    initial_state : bool
        Also return the derivative with respect to ``x_0``.

    Returns
    -------
    Gradient

    Raises
    ------
    ValueError, TypeError
        If the parameters do not fit the cost, or have leading axes.

    References
    ----------
    R. J. Williams, D. Zipser, A learning algorithm for continually running fully recurrent neural
    networks, Neural Computation 1 (1989).
    """
    params, _ = cost.check_params(params, single="rtrl")
    cell, loss = cost.cell, cost.loss
    cell_params, pull_back = cell.weights({name: params[name] for name in cell.param_shapes()})
    layout = cost.arrange(params, ()).layout
    batch = layout.batch
    dtype = np.result_type(cost.state, cost.inputs, *params.values())
    n, d = cell.state_size, sum(array.size for array in cell_params.values())
    state = np.broadcast_to(cost.state, (*batch, n)).astype(dtype)
    # With the initial state asked for, X has n more columns, which start from the identity.
    X = np.zeros((*batch, n, d + n if initial_state else d), dtype)
    X[..., d:] = np.eye(n, X.shape[-1] - d)
    weights = (cost.step_weights / prod(batch)).astype(dtype)

    value, by_column = 0.0, np.zeros((*batch, X.shape[-1]), dtype)
    readout = {name: np.zeros_like(params[name], dtype) for name in ("weight_ho", "bias_o")}
    for inputs, targets, weight in zip(cost.inputs, cost.targets, weights, strict=True):
        state, A, B = _one_step(cell, cell_params, state, inputs)
        X = A @ X
        X[..., :d] += B
        h, X_h = cell.hidden(state), X[..., : cell.hidden_size, :]
        outputs = h @ params["weight_ho"].T + params["bias_o"]
        losses, slopes = loss.value_and_slope(outputs, targets)
        value = value + weight * losses.sum()
        d_outputs = weight * slopes
        by_column += np.einsum("...h,...hd->...d", d_outputs @ params["weight_ho"], X_h)
        flat = d_outputs.reshape(-1, d_outputs.shape[-1])
        readout["weight_ho"] += flat.T @ h.reshape(-1, h.shape[-1])
        readout["bias_o"] += flat.sum(axis=0)

    gradient = unflatten(by_column[..., :d].reshape(-1, d).sum(axis=0), cell_params)
    gradient = pull_back(gradient) | readout
    d_start = None
    if initial_state:
        d_start = _sum_to(layout, by_column[np.newaxis, ..., d:], cost.state.shape[:-1])[0]
    return Gradient(
        value=value,
        params={name: gradient[name] for name in params},
        last_state=state,
        state=d_start,
    )


def _one_step(cell, params, state, inputs):
    """One step and its derivatives ``A = ∂x'/∂x`` and ``B = ∂x'/∂θ``, for one parameter set.

    The step is pulled back from each unit vector of the state, an extra batch axis of length ``n``.
    When every sequence and every unit vector is given a parameter set of its own, the gradients of
    those sets are the rows of ``B``.
    """
    own = (*state.shape[:-1], cell.state_size)
    sets = {name: np.broadcast_to(array, own + array.shape) for name, array in params.items()}
    run, states, (d_inputs, d_recurrent, d_state) = _pull_back_units(cell, sets, own, state, inputs)
    terms = _cell_terms(run, run.inputs, states, d_inputs, d_recurrent)
    A = run.layout.rows(d_state[np.newaxis])[0]
    B = np.concatenate([terms[name].reshape(*own, -1) for name in params], axis=-1)
    return run.layout.rows(states[1:])[0, ..., 0, :], A, B


def _pull_back_units(cell, params, lead, state, inputs):
    """The adjoints of one step for each unit vector of the new state: the last axis of the batch.

    ``state`` and ``inputs`` have no time axis; ``lead``, the leading axes of the parameters, ends
    with the axis of the unit vectors.
    """
    n = cell.state_size
    state, inputs = state[..., np.newaxis, :], inputs[np.newaxis, ..., np.newaxis, :]
    run = arrange(cell, params, lead, state, inputs, extra_batch=(n,))
    states, tape = run.forward(run.state, run.inputs)
    units = run.layout.columns(np.eye(n)[np.newaxis], states.dtype)[0]
    nothing = np.zeros_like(states[1:, : cell.hidden_size])
    return run, states, cell._backward(run.weights, tape, states, nothing, units)


def state_jacobians(cell, params, state, inputs):
    r"""The matrices :math:`A_t = \partial x_t/\partial x_{t-1}` along a trajectory.

    Parameters
    ----------
    cell, params, state, inputs
        As for `rollout`.

    Returns
    -------
    states : array, shape (N, …, n)
        ``x_1, …, x_N``.
    jacobians : array, shape (N, …, n, n)
        ``A_1, …, A_N``; row ``i`` of ``A_t`` holds the derivatives of entry ``i`` of ``x_t``.

    Raises
    ------
    ValueError, TypeError
        As for `rollout`.
    """
    run = prepare(cell, params, state, inputs)
    columns, _ = run.forward(run.state, run.inputs)
    states = run.layout.rows(columns)
    steps, *batch, n = states[1:].shape
    # One step from every state of the trajectory: time becomes the first axis of the batch, the
    # unit vectors of the state the last one.
    inputs = np.broadcast_to(align(run.inputs, states.ndim), (steps, *batch, cell.input_size))
    weights, _ = cell.weights({name: params[name] for name in cell.param_shapes()})
    sets = {name: np.expand_dims(weights[name], -core_axes(name) - 1) for name in weights}
    lead = (*run.layout.lead, 1)
    jacobians = np.empty((steps, *batch, n, n), states.dtype)
    chunk = max(1, 2**18 // (n * cell.gates * states[0].size))  # fits the cache
    for k in range(0, steps, chunk):
        some = slice(k, min(k + chunk, steps))
        unit_run, _, (_, _, d_state) = _pull_back_units(
            cell, sets, lead, states[some], inputs[some]
        )
        jacobians[some] = unit_run.layout.rows(d_state[np.newaxis])[0]
    return states[1:], jacobians


@dataclass(frozen=True)
class JacobianProducts:
    """Products of many Jacobians, scaled so that they neither overflow nor underflow.

    Attributes
    ----------
    log_scale : array, shape (N, …)
        Logarithm of the Frobenius norm of each product; −∞ for a product that is zero.
    direction : array, shape (N, …, n, n)
        The product divided by its Frobenius norm.
    """

    log_scale: np.ndarray
    direction: np.ndarray

    @property
    def log_norm(self):
        """Logarithm of the spectral norm of each product, shape ``(N, …)``."""
        with np.errstate(divide="ignore"):
            return self.log_scale + np.log(np.linalg.norm(self.direction, 2, axis=(-2, -1)))


def jacobian_products(jacobians, *, to_end=False):
    r"""The products :math:`\partial x_t/\partial x_0 = A_t \cdots A_1` for all ``t``.

    Parameters
    ----------
    jacobians : array, shape (N, …, n, n)
        ``A_1, …, A_N`` as `state_jacobians` returns them.
    to_end : bool
        Return :math:`\partial x_N/\partial x_{t-1} = A_N \cdots A_t` instead: what backpropagation
        multiplies with.

    Returns
    -------
    JacobianProducts

    Raises
    ------
    ValueError, TypeError
        If the array is not a sequence of finite square matrices.
    """
    jacobians = real_array("jacobians", jacobians, shape=("time", ..., "n", "n"))
    if jacobians.shape[-1] != jacobians.shape[-2]:
        raise ValueError(f"got jacobians of shape {jacobians.shape}, expected (time, …, n, n)")
    log_scale = np.empty(jacobians.shape[:-2], jacobians.dtype)
    direction = np.empty_like(jacobians)
    product, total = np.eye(jacobians.shape[-1], dtype=jacobians.dtype), 0.0
    order = range(len(jacobians))
    for t in reversed(order) if to_end else order:
        product = product @ jacobians[t] if to_end else jacobians[t] @ product
        for norm in (1, "fro"):  # sums of entries first: their squares may over- or underflow
            size = np.linalg.norm(product, norm, axis=(-2, -1))
            product = product / np.where(size > 0, size, 1)[..., np.newaxis, np.newaxis]
            with np.errstate(divide="ignore"):
                total = total + np.log(size)
        log_scale[t], direction[t] = total, product
    return JacobianProducts(log_scale, direction)


def hessian_vector_product(cost, params, vector):
    r"""The product :math:`\nabla^2 V(\theta)\, v`, exact to rounding.

    It is the derivative of the gradient along ``v``, taken by the complex step through the code of
    `bptt`:

    .. math::

        \nabla^2 V(\theta)\, v
        = \operatorname{Im} \nabla V(\theta + i\varepsilon v) / \varepsilon + O(\varepsilon^2),

    where nothing is subtracted, so that :math:`\varepsilon = 10^{-100}` (:math:`10^{-20}` in
    float32) costs no digits: all that counts is that :math:`\varepsilon\, \partial x_t/\partial
    \theta` stays small when the derivatives explode.

    Parameters
    ----------
    cost : Cost
        The function ``V``.
    params : dict of array
        The point ``θ``; leading axes tell points apart.
    vector : dict of array
        The direction ``v``, with the keys of ``params``; leading axes tell directions apart. Those
        of points and directions broadcast against each other and against the batch of the cost.

    Returns
    -------
    dict of array
        One product for each pair of a point and a direction.

    Raises
    ------
    ValueError, TypeError
        If the parameters or the vector do not fit the cost.

    References
    ----------
    W. Squire, G. Trapp, Using complex variables to estimate derivatives of real functions, SIAM
    Review 40 (1998).
    """
    params, lead = cost.check_params(params)
    if vector.keys() != params.keys():
        raise ValueError(f"vector must have the keys {sorted(params)}, got {sorted(vector)}")
    shapes = cost.cell.param_shapes(params["bias_o"].shape[-1])
    vector = {
        name: real_array(f"vector[{name!r}]", vector[name], shape=(..., *shapes[name]))
        for name in params
    }
    size = max(np.abs(array).max(initial=0.0) for array in vector.values()) or 1.0
    leads = (v.shape[: v.ndim - len(shapes[name])] for name, v in vector.items())
    lead = broadcast_shapes("the leading axes of params and vector", lead, *leads)
    single = np.result_type(*params.values(), *vector.values()) == np.float32
    step = 1e-20 if single else 1e-100
    moved = {name: params[name] + 1j * step * (vector[name] / size) for name in params}
    gradient = _bptt(cost, moved, lead)
    return {name: array.imag / step * size for name, array in gradient.params.items()}


@dataclass(frozen=True)
class GradientCheck:
    """A directional derivative, from a gradient and from a central difference.

    Attributes
    ----------
    derivative, difference : float
        ``⟨∇V, v⟩`` and ``(V(θ + hv) − V(θ − hv)) / 2h``.
    error, bound : float
        Their distance, and how large it may be: ``safety · (truncation + rounding)``.
    step : float
        The step ``h``, chosen where truncation and rounding balance.
    truncation, rounding : float
        Estimates of the two errors of the central difference at that step.
    """

    derivative: float
    difference: float
    error: float
    bound: float
    step: float
    truncation: float
    rounding: float

    @property
    def passed(self):
        """Whether the error is within its bound."""
        return self.error <= self.bound


def check_gradient(cost, params, rng, *, gradient=None, safety=10.0):
    r"""Compare a gradient with a central difference along a random direction, with an error bound.

    With :math:`\varphi(s) = V(\theta + s v)`, :math:`\|v\| = 1`, the central difference errs by
    about :math:`h^2 |\varphi'''| / 6 + \sigma / h`. The third derivative comes from Hessian-vector
    products at two points, the noise ``σ`` of the evaluated cost from a table of differences of
    nearby values.

    Parameters
    ----------
    cost : Cost
        The function ``V``.
    params : dict of array
        The point ``θ``, without leading axes.
    rng : numpy.random.Generator
        Draws the direction.
    gradient : dict of array, optional
        The gradient to be checked; that of `bptt` if not given.
    safety : float
        Factor between the estimated error and the bound.

    Returns
    -------
    GradientCheck

    Raises
    ------
    ValueError, TypeError
        If the parameters do not fit the cost.

    References
    ----------
    The noise estimate follows J. Moré, S. Wild, Estimating computational noise, SIAM J. Sci.
    Comput. 33 (2011).
    """
    params, _ = cost.check_params(params, single="check_gradient")
    theta = flatten(params)
    eps = float(np.finfo(theta.dtype).eps)
    v = rng.normal(size=theta.size).astype(theta.dtype)
    v /= np.linalg.norm(v)
    batch_axes = (1,) * len(cost.arrange(params, ()).layout.batch)

    def along(steps):
        points = theta + np.asarray(steps, theta.dtype).reshape(-1, *batch_axes, 1) * v
        return cost(unflatten(points, params)).ravel()

    def curvature(s):
        moved = unflatten((theta + s * v).astype(theta.dtype), params)
        return float(flatten(hessian_vector_product(cost, moved, unflatten(v, params))) @ v)

    noise = max(_noise(along(eps ** (2 / 3) * np.arange(9))), eps * abs(float(cost(params))))
    apart = eps ** (1 / 3)
    third = abs(curvature(apart) - curvature(-apart)) / (2 * apart)
    step = min((3 * noise / third) ** (1 / 3) if third > 0 else np.inf, 1e-2)
    plus, minus = along([step, -step])
    difference = float(plus - minus) / (2 * step)
    gradient = bptt(cost, params).params if gradient is None else gradient
    if gradient.keys() != params.keys():
        raise ValueError(f"gradient must have the keys {sorted(params)}, got {sorted(gradient)}")
    gradient = {
        name: real_array(f"gradient[{name!r}]", gradient[name], shape=array.shape)
        for name, array in params.items()
    }
    derivative = float(flatten(gradient) @ v)
    truncation, rounding = step**2 * third / 6, noise / step
    return GradientCheck(
        derivative=derivative,
        difference=difference,
        error=abs(derivative - difference),
        bound=safety * (truncation + rounding),
        step=step,
        truncation=truncation,
        rounding=rounding,
    )


def _noise(values):
    """Standard deviation of the rounding noise in equally spaced values of a smooth function.

    The k-th difference of independent noise of variance ``σ²`` has variance ``binom(2k, k) σ²``,
    while a smooth function leaves almost nothing in high differences. The median over several ``k``
    is taken.
    """
    orders = range(3, len(values) - 1)
    estimates = [np.sqrt(np.mean(np.diff(values, k) ** 2) / comb(2 * k, k)) for k in orders]
    return float(np.median(estimates))
