"""The derivatives of the cost as one writes them down, for any cell, to be read and retyped.

Each function follows its equation line by line and differentiates single steps automatically, for
one parameter set: what is fast, and gives the same numbers, is in `gradients`. The parameters are
one vector ``θ`` here, the step is ``f_t(θ, x)``, and ``ℓ_t(θ, x)`` is what the state after it adds
to the cost.
"""

import autograd.numpy as anp
import numpy as np
from autograd import grad, make_vjp

from rnnpedagogy._validation import takes
from rnnpedagogy.cells import flatten, readout, unflatten


@takes
def equations(cost, params):
    """The functions ``f(θ, x, t)`` and ``ℓ(θ, x, t)`` of a cost, ``θ`` and the first state."""

    def f(theta, x, t):
        return cost.cell.step(unflatten(theta, params), x, cost.inputs[t])

    def loss(theta, x, t):
        outputs = readout(unflatten(theta, params), cost.cell.hidden(x))
        return cost.step_weights[t] * anp.mean(cost.loss.value(outputs, cost.targets[t]))

    params, _ = cost.check_params(params, single="textbook")
    state = np.broadcast_to(cost.state, (*cost.batch, cost.cell.state_size))
    return f, loss, flatten(params), state


def bptt(cost, params):
    r"""The gradient by backpropagation through time, see `gradients.bptt`.

    .. math::

        \lambda_t = A_{t+1}^\mathsf{T} \lambda_{t+1} + \partial_x \ell_t, \qquad
        \nabla V = \sum_t B_t^\mathsf{T} \lambda_t + \partial_\theta \ell_t
    """
    f, loss, theta, x = equations(cost, params)
    states = [x]
    for t in range(cost.steps):
        states.append(f(theta, states[t], t))
    gradient, adjoint = 0 * theta, 0 * x  # adjoint: A_{t+1}ᵀ λ_{t+1}
    for t in reversed(range(cost.steps)):
        d_theta, d_x = grad(loss, (0, 1))(theta, states[t + 1], t)
        adjoint = adjoint + d_x
        pull_back, _ = make_vjp(f, (0, 1))(theta, states[t], t)
        B_adjoint, adjoint = pull_back(adjoint)
        gradient = gradient + B_adjoint + d_theta
    return unflatten(gradient, params)


def rtrl(cost, params):
    r"""The gradient by forward sensitivities, see `gradients.rtrl`.

    .. math::

        X_t = A_t X_{t-1} + B_t, \quad X_0 = 0, \qquad
        \nabla V = \sum_t X_t^\mathsf{T} \partial_x \ell_t + \partial_\theta \ell_t
    """
    f, loss, theta, x = equations(cost, params)
    gradient, X = 0 * theta, np.zeros((x.size, theta.size))
    for t in range(cost.steps):
        A, B = jacobians(f, theta, x, t)
        X = A @ X + B
        x = f(theta, x, t)
        d_theta, d_x = grad(loss, (0, 1))(theta, x, t)
        gradient = gradient + X.T @ d_x.ravel() + d_theta
    return unflatten(gradient, params)


def hessian_vector_product(cost, params, vector):
    r"""The product ``∇²V(θ) v``, see `gradients.hessian_vector_product`.

    Everything that `bptt` computes is differentiated along ``v``; a dot is that derivative.

    .. math::

        \dot x_t = A_t \dot x_{t-1} + B_t v, \qquad
        \dot \lambda_t = A_{t+1}^\mathsf{T} \dot \lambda_{t+1} + \dot A_{t+1}^\mathsf{T}
        \lambda_{t+1} + (\partial_x \ell_t)^{\textstyle\cdot}, \qquad
        \nabla^2 V\, v = \sum_t B_t^\mathsf{T} \dot\lambda_t + \dot B_t^\mathsf{T} \lambda_t
        + (\partial_\theta \ell_t)^{\textstyle\cdot}
    """
    f, loss, theta, x = equations(cost, params)
    v = flatten({name: vector[name] for name in params})
    states, dots = [x], [0 * x]
    for t in range(cost.steps):
        A, B = jacobians(f, theta, states[t], t)
        states.append(f(theta, states[t], t))
        dots.append((A @ dots[t].ravel() + B @ v).reshape(x.shape))
    product, adjoint, adjoint_dot = 0 * theta, 0 * x, 0 * x
    for t in reversed(range(cost.steps)):
        _, d_x = grad(loss, (0, 1))(theta, states[t + 1], t)
        loss_theta, loss_x = slope_along(loss, theta, states[t + 1], t, v, dots[t + 1])
        adjoint, adjoint_dot = adjoint + d_x, adjoint_dot + loss_x
        pull_back, _ = make_vjp(f, (0, 1))(theta, states[t], t)

        def weighted(theta, x, t, a=adjoint):
            return anp.sum(a * f(theta, x, t))

        B_dot, A_dot = slope_along(weighted, theta, states[t], t, v, dots[t])
        B_adjoint, A_adjoint = pull_back(adjoint_dot)
        product = product + B_adjoint + B_dot + loss_theta
        adjoint, adjoint_dot = pull_back(adjoint)[1], A_adjoint + A_dot
    return unflatten(product, params)


def jacobians(f, theta, x, t):
    """The matrices ``A = ∂f/∂x`` and ``B = ∂f/∂θ``, row by row."""
    pull_back, _ = make_vjp(f, (0, 1))(theta, x, t)
    rows = [pull_back(unit.reshape(x.shape)) for unit in np.eye(x.size)]
    return np.array([A.ravel() for _, A in rows]), np.array([B for B, _ in rows])


def slope_along(function, theta, x, t, v, x_dot):
    """How the gradient of a number ``h(θ, x)`` changes as its arguments move by ``v`` and ``ẋ``."""

    def slope(theta, x, t):
        d_theta, d_x = grad(function, (0, 1))(theta, x, t)
        return anp.sum(d_theta * v) + anp.sum(d_x * x_dot)

    return grad(slope, (0, 1))(theta, x, t)
