"""Maps: any step function, or a recurrent cell with its parameters and inputs."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import reduce

import autograd
import numpy as np

from rnnpedagogy._validation import a_function, real_array, takes
from rnnpedagogy.jacobians import state_jacobians
from rnnpedagogy.rollout import rollout


@takes(step=a_function)
@dataclass(frozen=True)
class Map:
    """A map ``x_t = F(x_{t-1})`` of ``R^n`` into itself.

    Parameters
    ----------
    step : callable
        ``F``: an array of shape ``(…, n)`` to one of the same shape; written with
        ``autograd.numpy`` unless a Jacobian is given.
    jacobian : callable, optional
        ``∂F/∂x``: shape ``(…, n)`` to ``(…, n, n)``; by automatic differentiation if not given.
    """

    step: Callable
    jacobian: Callable | None = None

    def run(self, state, start, stop):
        """States ``x_{start+1} … x_stop`` after ``state``, shape ``(stop - start, …, n)``."""
        states = []
        for _ in range(start, stop):
            state = self.step(state)
            states.append(state)
        return np.stack(states)

    def linearise(self, state, start, stop):
        """States ``x_{start+1} … x_stop`` after ``state``, and the Jacobians on the way."""
        states = self.run(state, start, stop)
        before = np.concatenate([np.broadcast_to(state, (1, *states.shape[1:])), states[:-1]])
        jacobian = self.jacobian or self._automatic_jacobian
        return states, jacobian(before)

    def _automatic_jacobian(self, states):
        rows = [
            autograd.elementwise_grad(lambda x, i=i: self.step(x)[..., i])(states)
            for i in range(states.shape[-1])
        ]
        return np.stack(rows, axis=-2)


@takes(inputs=real_array)
@dataclass(frozen=True)
class CellMap:
    """A recurrent cell as a dynamical system, ``x_t = f(x_{t-1}, u_t; θ)``.

    Parameters
    ----------
    cell : Cell
        The map ``f``.
    params : dict of array
        ``θ``.
    inputs : array, shape (m,) or (N, …, m)
        One input for all times, or a sequence ``u_1, …, u_N``. An autonomous cell needs none.
    """

    cell: object
    params: dict
    inputs: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def run(self, state, start, stop):
        """States ``x_{start+1} … x_stop`` after ``state``, shape ``(stop - start, …, n)``."""
        return rollout(self.cell, self.params, state, self._inputs(start, stop))

    def linearise(self, state, start, stop):
        """States ``x_{start+1} … x_stop`` after ``state``, and the Jacobians on the way."""
        return state_jacobians(self.cell, self.params, state, self._inputs(start, stop))

    def _inputs(self, start, stop):
        """``u_{start+1} … u_stop``, shape ``(stop - start, …, m)``."""
        inputs = real_array("inputs", self.inputs, shape=(..., self.cell.input_size))
        if inputs.ndim == 1:
            return np.broadcast_to(inputs, (stop - start, *inputs.shape))
        if stop > len(inputs):
            raise ValueError(f"inputs must cover {stop} steps, got {len(inputs)}")
        return inputs[start:stop]


def image_of(system, x, period):
    """``F^p(x)`` and its derivative ``A_p ⋯ A_1``, for points ``(K, n)``."""
    states, jacobians = system.linearise(x, 0, period)
    if states.shape[1:] != x.shape:
        raise ValueError(
            f"got images of shape {states.shape[1:]} of points of shape {x.shape}: "
            "the system must be one map of each point to one of the same size"
        )
    return states[-1], reduce(lambda product, A: A @ product, jacobians)


def check_autonomous(system):
    """Raise if a cell is given a sequence of inputs, or several parameter sets."""
    if not isinstance(system, CellMap):
        return
    if np.ndim(system.inputs) != 1:
        raise ValueError(
            "inputs must be one input for all times, as the system must be autonomous, "
            f"got shape {np.shape(system.inputs)}, expected ({system.cell.input_size},)"
        )
    _, lead = system.cell.check_params(system.params)
    if lead:
        raise ValueError(f"params must be one parameter set, got leading axes {lead}")
