"""Derivatives of the cost and of the trajectory: backwards, forwards, and second order."""

from dataclasses import dataclass
from math import isqrt, prod

import numpy as np

from rnnpedagogy._columns import Layout, align, multiply_all
from rnnpedagogy._validation import real_array
from rnnpedagogy.cells import readout, unflatten
from rnnpedagogy.cells.cell import pad_leading
from rnnpedagogy.rollout import checked, lay_out, weights_of


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
    run, pull_back = cost.lay_out(params, lead)
    kept = list(_checkpoints(run) if checkpoint else run.segments())
    value, total, from_inputs = 0.0, {}, []
    d_state = np.zeros_like(run.state)
    while kept:
        segment, states, tape = kept.pop()
        if checkpoint:
            states, tape = run.forward(states, run.inputs[segment])
        if segment.stop == cost.steps:
            last_state = run.layout.rows(states[-1:].copy())[0]
        part, d_outputs = cost.value_and_slope(run, states, segment)
        d_outputs = run.layout.columns(d_outputs, states.dtype)
        d_hidden = multiply_all(run.output_weights["weight_ho"].swapaxes(0, 1), d_outputs)
        terms, d_u, d_state = run.backward(
            run.inputs[segment], states, tape, d_hidden, d_state, of_inputs=inputs
        )
        terms["weight_ho"] = run.layout.outer_sum(d_outputs, states[1:, cost.cell.hidden_part])
        terms["bias_o"] = run.layout.bias_sum(d_outputs)
        value = value + part
        for name, term in terms.items():
            total[name] = total.get(name, 0) + term
        if inputs:
            from_inputs.append(_sum_to(run.layout, d_u, cost.inputs.shape[1:-1]))

    output_terms = {name: total.pop(name) for name in run.output_weights}
    total = pull_back(total) | output_terms
    d_start = _sum_to(run.layout, d_state[np.newaxis], cost.state.shape[:-1])[0]
    return Gradient(
        value=value,
        params={name: total[name] for name in params},
        last_state=last_state,
        state=d_start if initial_state else None,
        inputs=np.concatenate(from_inputs[::-1]) if inputs else None,
    )


def _checkpoints(run):
    """Segments of ``⌈√N⌉`` steps, of which only the first state is kept."""
    for segment, states, _ in run.segments(isqrt(len(run.inputs) - 1) + 1):
        yield segment, states[0].copy(), None


def _sum_to(layout, columns, own):
    """Sum ``(T, F, columns)`` over sequences that share what has the batch axes ``own`` of its own.

    Returns the outer layout, ``(T, …, F)``.
    """
    rows = layout.rows(columns)
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
    cell, loss, batch = cost.cell, cost.loss, cost.batch
    cell_weights, pull_back = weights_of(cell, params)
    dtype = np.result_type(cost.state, cost.inputs, *params.values())
    n, d = cell.state_size, sum(array.size for array in cell_weights.values())
    state = np.broadcast_to(cost.state, (*batch, n)).astype(dtype)
    # With the initial state asked for, X has n more columns, which start from the identity.
    X = np.zeros((*batch, n, d + n if initial_state else d), dtype)
    X[..., d:] = np.eye(n, X.shape[-1] - d)
    step_weights = (cost.step_weights / prod(batch)).astype(dtype)

    value, by_column = 0.0, np.zeros((*batch, X.shape[-1]), dtype)
    total = {name: np.zeros_like(params[name], dtype) for name in ("weight_ho", "bias_o")}
    for inputs, targets, weight in zip(cost.inputs, cost.targets, step_weights, strict=True):
        state, A, B = _one_step(cell, cell_weights, state, inputs)
        X = A @ X
        X[..., :d] += B
        h = cell.hidden(state)
        losses, slopes = loss.value_and_slope(readout(params, h), targets)
        value = value + weight * losses.sum()
        d_outputs = weight * slopes
        d_hidden = d_outputs @ params["weight_ho"]
        by_column += np.einsum("...h,...hd->...d", d_hidden, X[..., cell.hidden_part, :])
        flat = d_outputs.reshape(-1, d_outputs.shape[-1])
        total["weight_ho"] += flat.T @ h.reshape(-1, h.shape[-1])
        total["bias_o"] += flat.sum(axis=0)

    gradient = unflatten(by_column[..., :d].reshape(-1, d).sum(axis=0), cell_weights)
    total |= pull_back(gradient)
    d_start = None
    if initial_state:
        layout = Layout((), batch)
        columns = layout.columns(by_column[np.newaxis, ..., d:], dtype)
        d_start = _sum_to(layout, columns, cost.state.shape[:-1])[0]
    return Gradient(
        value=value,
        params={name: total[name] for name in params},
        last_state=state,
        state=d_start,
    )


def _one_step(cell, weights, state, inputs):
    """One step and its derivatives ``A = ∂x'/∂x`` and ``B = ∂x'/∂θ``, for one parameter set.

    The step is pulled back from each unit vector of the state, an extra batch axis of length ``n``.
    When every sequence and every unit vector is given a parameter set of its own, the gradients of
    those sets are the rows of ``B``.
    """
    own = (*state.shape[:-1], cell.state_size)
    sets = {name: np.broadcast_to(array, own + array.shape) for name, array in weights.items()}
    after, A, gradient = _pull_back_units(cell, sets, own, state, inputs)
    return after, A, np.concatenate([gradient[name].reshape(*own, -1) for name in weights], axis=-1)


def _pull_back_units(cell, weights, lead, state, inputs, *, of_weights=True):
    """One step, pulled back from each unit vector of the new state: the last axis of the batch.

    ``state`` and ``inputs`` have no time axis; ``lead``, the leading axes of the weights, ends
    with the axis of the unit vectors. Returns the state after the step, the Jacobian and, if
    wanted, the gradients in the weights.
    """
    n = cell.state_size
    state, inputs = state[..., np.newaxis, :], inputs[np.newaxis, ..., np.newaxis, :]
    run = lay_out(cell, weights, lead, state, inputs, batch=(n,))
    states, tape = run.forward(run.state, run.inputs)
    units = run.layout.columns(np.eye(n)[np.newaxis], states.dtype)[0]
    nothing = np.zeros_like(states[1:, cell.hidden_part])
    gradient, _, d_state = run.backward(
        run.inputs, states, tape, nothing, units, of_weights=of_weights
    )
    rows = run.layout.rows
    return rows(states[1:])[0, ..., 0, :], rows(d_state[np.newaxis])[0], gradient


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
    weights, lead, state, inputs = checked(cell, params, state, inputs)
    run = lay_out(cell, weights, lead, state, inputs)
    columns, _ = run.forward(run.state, run.inputs)
    states = run.layout.rows(columns)
    steps, *batch, n = states[1:].shape
    # One step from every state of the trajectory: time becomes the first axis of the batch, the
    # unit vectors of the state the last one.
    inputs = np.broadcast_to(align(inputs, states.ndim), (steps, *batch, cell.input_size))
    sets = {name: np.expand_dims(array, len(lead)) for name, array in weights.items()}
    jacobians = np.empty((steps, *batch, n, n), states.dtype)
    chunk = max(1, 2**18 // (n * cell.gates * states[0].size))  # fits the cache
    for k in range(0, steps, chunk):
        some = slice(k, min(k + chunk, steps))
        jacobians[some] = _pull_back_units(
            cell, sets, (*lead, 1), states[some], inputs[some], of_weights=False
        )[1]
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
    params, _ = cost.check_params(params)
    if vector.keys() != params.keys():
        raise ValueError(f"vector must have the keys {sorted(params)}, got {sorted(vector)}")
    shapes = cost.cell.param_shapes(params["bias_o"].shape[-1])
    vector = {
        name: real_array(f"vector[{name!r}]", vector[name], shape=(..., *shapes[name]))
        for name in params
    }
    size = max(np.abs(array).max(initial=0.0) for array in vector.values()) or 1.0
    single = np.result_type(*params.values(), *vector.values()) == np.float32
    step = 1e-20 if single else 1e-100
    both = "params and vector"
    vector, _ = pad_leading(vector, shapes, both)
    moved = {name: params[name] + 1j * step * (vector[name] / size) for name in params}
    gradient = _bptt(cost, *pad_leading(moved, shapes, both))
    return {name: array.imag / step * size for name, array in gradient.params.items()}
