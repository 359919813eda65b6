"""Recorders: how a network behaves in the course of its training."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np

from rnnpedagogy._validation import a_collection, array_or_function, float_array, real_array, takes
from rnnpedagogy.cells import linear
from rnnpedagogy.dynamics import CellMap, lyapunov_spectrum
from rnnpedagogy.dynamics.orbits import settle
from rnnpedagogy.jacobians import state_jacobians


def _readout(cell, params, states):
    """The outputs ``ŷ_t = W_ho h_t + b_o``, also where an orbit is lost (NaN)."""
    return linear(params["weight_ho"], cell.hidden(states)) + params["bias_o"]


@dataclass(frozen=True)
class _Recorder:
    """Orbits under constant inputs at chosen epochs: what recorders of them share."""

    cell: object
    inputs: np.ndarray | Callable
    starts: np.ndarray
    steps: int
    transient: int
    epochs: Collection | None = None

    def __call__(self, epoch, params):
        if self.epochs is not None and epoch not in self.epochs:
            return None
        cell = self.cell
        inputs = self.inputs(params) if callable(self.inputs) else self.inputs
        known = cell.param_shapes(1)  # of the cell, and of a readout if there is one
        params = {name: array for name, array in params.items() if name in known}
        dtype = params["weight_ih"].dtype
        inputs = real_array("inputs", inputs, shape=("K", cell.input_size)).astype(dtype)
        starts = real_array("starts", self.starts, shape=("S", cell.state_size)).astype(dtype)
        shape = (self.transient + self.steps, len(inputs), 1, cell.input_size)
        system = CellMap(cell, params, np.broadcast_to(inputs[:, np.newaxis], shape))
        starts = np.broadcast_to(starts, (len(inputs), *starts.shape))
        return self._observe(system, starts, settle(system, starts, self.steps, self.transient))


@takes(inputs=array_or_function, starts=float_array, epochs=a_collection)
@dataclass(frozen=True)
class OrbitRecorder(_Recorder):
    """The orbit diagram of training: where orbits under constant inputs end up, epoch by epoch.

    Called with an epoch and parameters it returns an array of shape ``(steps, K, S, q)``, or
    ``None`` if the epoch is not to be recorded. An orbit is NaN from where it is lost to infinity.
    The parameters may hold more than those of the cell and its readout.

    Parameters
    ----------
    cell : Cell
        The map ``f``.
    inputs : array, shape (K, m), or callable
        Constant inputs; or a function of the parameters that returns them.
    starts : array, shape (S, n)
        Initial states, such as ``rng.normal(scale=100, size=(4, cell.state_size))``.
    steps, transient : int
        Steps that are kept, and thrown away before.
    epochs : collection of int, optional
        When to record, such as ``range(0, 801, 10)``; always if not given.
    observe : callable
        What is kept: ``(cell, params, states)`` to an array, ``states`` having the shape
        ``(steps, K, S, n)``; the outputs if not given.
    """

    observe: Callable = _readout

    def _observe(self, system, starts, orbits):
        return self.observe(self.cell, system.params, orbits)


@takes(inputs=array_or_function, starts=float_array, epochs=a_collection)
@dataclass(frozen=True)
class ExponentRecorder(_Recorder):
    r"""How fast orbits under constant inputs separate, and how much a step can stretch.

    Called with an epoch and parameters it returns an array of shape ``(K, S, 2)``: the largest
    Lyapunov exponent, and the mean of :math:`\log \|\partial x_{t+1}/\partial x_t\|_2` over the
    states of the orbit. All are NaN if one of the orbits leaves the finite numbers.

    Parameters
    ----------
    cell, inputs, starts, steps, transient, epochs
        As for `OrbitRecorder`.
    """

    def _observe(self, system, starts, orbits):
        if not np.isfinite(orbits).all():
            return np.full((*orbits.shape[1:-1], 2), np.nan)
        spectrum = lyapunov_spectrum(
            system, starts, steps=self.steps, transient=self.transient, exponents=1, blocks=1
        )
        stretch = 0.0
        for state in orbits:
            _, jacobians = state_jacobians(self.cell, system.params, state, system.inputs[:1])
            stretch = stretch + np.log(np.linalg.norm(jacobians[0], 2, axis=(-2, -1)))
        return np.stack([spectrum.exponents[..., 0], stretch / self.steps], axis=-1)
