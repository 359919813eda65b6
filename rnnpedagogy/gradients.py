"""Derivatives of the cost and of the trajectory: backwards, forwards, and second order."""

from dataclasses import dataclass
from math import isqrt, prod

import numpy as np

from rnnpedagogy._validation import parameters, real_array, takes
from rnnpedagogy.cells import readout, unflatten
from rnnpedagogy.cells.cell import pad_leading
from rnnpedagogy.jacobians import step_derivatives
from rnnpedagogy.rollout import weights_of


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


@takes
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
        them: ``O(√N)`` stored states for one more forward pass, and the same gradient.

    Returns
    -------
    Gradient

    References
    ----------
    P. J. Werbos, Backpropagation through time, Proc. IEEE 78 (1990). Checkpoints: T. Chen, B. Xu,
    C. Zhang, C. Guestrin, Training deep nets with sublinear memory cost, arXiv:1604.06174 (2016).
    """
    params, lead = cost.check_params(params)
    options = {"initial_state": initial_state, "inputs": inputs, "checkpoint": checkpoint}
    return _bptt(cost, params, lead, **options)


def _bptt(cost, params, lead, *, initial_state=False, inputs=False, checkpoint=False):
    run, pull_back = cost.lay_out(params, lead)
    kept = list(_checkpoints(run) if checkpoint else run.segments())
    value, total, from_inputs = 0.0, {}, []
    d_state = np.zeros_like(run.state)
    while kept:
        segment, states, tape = kept.pop()
        if checkpoint:
            states, tape = run.forward(states, run.inputs[segment])
        # The complex step drops their squares; written so that NaN is too large as well.
        if np.iscomplexobj(states) and not np.abs(states.imag).max() < 1e-8:
            raise FloatingPointError
        if segment.stop == cost.steps:
            last_state = run.layout.rows(states[-1:].copy())[0]
        part, d_outputs = cost.value_and_slope(run, states, segment)
        d_hidden, output_terms = run.pull_back_outputs(states, d_outputs)
        terms, d_u, d_state = run.backward(
            run.inputs[segment], states, tape, d_hidden, d_state, of_inputs=inputs
        )
        value = value + part
        for name, term in (terms | output_terms).items():
            total[name] = total.get(name, 0) + term
        if inputs:
            from_inputs.append(_sum_to(run.layout, d_u, cost.inputs.shape[1:-1]))

    output_terms = {name: total.pop(name) for name in run.output_weights}
    total = pull_back(total) | output_terms
    params = {name: total[name] for name in params}
    d_inputs = np.concatenate(from_inputs[::-1]) if inputs else None
    if not initial_state:
        return Gradient(value, params, last_state, inputs=d_inputs)
    d_start = _sum_to(run.layout, d_state[np.newaxis], cost.state.shape[:-1])[0]
    return Gradient(value, params, last_state, d_start, d_inputs)


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


@takes
def rtrl(cost, params):
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

    Returns
    -------
    Gradient

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
    X = np.zeros((*batch, n, d), dtype)
    step_weights = (cost.step_weights / prod(batch)).astype(dtype)

    value, by_column = 0.0, np.zeros((*batch, d), dtype)
    total = {name: np.zeros_like(params[name], dtype) for name in ("weight_ho", "bias_o")}
    for inputs, targets, weight in zip(cost.inputs, cost.targets, step_weights, strict=True):
        state, A, B = _one_step(cell, cell_weights, state, inputs)
        X = A @ X + B
        h = cell.hidden(state)
        losses, slopes = loss.value_and_slope(readout(params, h), targets)
        value = value + weight * losses.sum()
        d_outputs = weight * slopes
        d_hidden = d_outputs @ params["weight_ho"]
        by_column += np.einsum("...h,...hd->...d", d_hidden, X[..., cell.hidden_part, :])
        flat = d_outputs.reshape(-1, d_outputs.shape[-1])
        total["weight_ho"] += flat.T @ h.reshape(-1, h.shape[-1])
        total["bias_o"] += flat.sum(axis=0)

    cell_gradient = unflatten(by_column.reshape(-1, d).sum(axis=0), cell_weights)
    total |= pull_back(cell_gradient)
    gradient = {name: total[name] for name in params}
    return Gradient(value=value, params=gradient, last_state=state)


def _one_step(cell, weights, state, inputs):
    """One step and its derivatives ``A = ∂x'/∂x`` and ``B = ∂x'/∂θ``, for one parameter set.

    The step is pulled back from each unit vector of the state, an extra batch axis of length ``n``.
    When every sequence and every unit vector is given a parameter set of its own, the gradients of
    those sets are the rows of ``B``.
    """
    own = (*state.shape[:-1], cell.state_size)
    sets = {name: np.broadcast_to(array, own + array.shape) for name, array in weights.items()}
    after, A, gradient = step_derivatives(cell, sets, own, state, inputs)
    return after, A, np.concatenate([gradient[name].reshape(*own, -1) for name in weights], axis=-1)


@takes(vector=parameters)
def hessian_vector_product(cost, params, vector):
    r"""The product :math:`\nabla^2 V(\theta)\, v`, exact to rounding.

    It is the derivative of the gradient along ``v``, taken by the complex step through the code of
    `bptt`:

    .. math::

        \nabla^2 V(\theta)\, v
        = \operatorname{Im} \nabla V(\theta + i\varepsilon v) / \varepsilon + O(\varepsilon^2),

    where nothing is subtracted, so that :math:`\varepsilon = 10^{-100}` (:math:`10^{-20}` in
    float32) costs no digits: all that counts is that :math:`\varepsilon\, \partial x_t/\partial
    \theta` stays small when the derivatives explode. Where it exceeds ``1e-8`` a smaller
    :math:`\varepsilon` is taken, down to :math:`10^{-200}` (:math:`10^{-30}`).

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
        One product for each pair of a point and a direction; infinite where it is too large for
        its type.

    Raises
    ------
    FloatingPointError
        If the derivatives of the states are too large for all of them.

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
    vector, _ = pad_leading(vector, shapes, "params and vector")
    for step in (1e-20, 1e-30) if single else (1e-100, 1e-150, 1e-200):
        moved = {name: params[name] + 1j * step * (vector[name] / size) for name in params}
        try:
            gradient = _bptt(cost, *pad_leading(moved, shapes, "params and vector")).params
        except FloatingPointError:
            continue
        return {name: array.imag / step * size for name, array in gradient.items()}
    raise FloatingPointError("the states vary too much with params for a second order")
