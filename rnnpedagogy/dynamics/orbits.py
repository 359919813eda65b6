"""Orbit diagrams: where orbits end up, for each value of a parameter."""

from dataclasses import dataclass

import numpy as np

from rnnpedagogy._validation import choice, real_array, takes

LARGEST = np.finfo(float).max


@dataclass(frozen=True)
class OrbitDiagram:
    """Orbits of a family of systems after their transients.

    Attributes
    ----------
    values : array, shape (K,)
        The parameter values.
    states : array, shape (steps, K, …, n)
        The orbits; NaN from where one leaves the finite numbers.
    """

    values: np.ndarray
    states: np.ndarray


@takes
def orbit_diagram(family, values, state, *, steps, transient, follow=None):
    r"""Where orbits end up, for each value of a parameter.

    For each value :math:`\mu` the points
    :math:`F_\mu^{T+1}(x_0), \dots, F_\mu^{T+\text{steps}}(x_0)` are returned, ``T`` being the
    transient. All values are run at once.

    Parameters
    ----------
    family : callable
        Maps an array of parameter values to one system for all of them. The array has the shape
        ``(K, 1, …, 1)``, with an axis for each of the values and one for each axis of starts: the
        numbers or parameter sets made of it broadcast against the states. With the usual
        ``values[..., np.newaxis, np.newaxis] * weight`` nothing need be known of that.
    values : array, shape (K,)
        Parameter values ``μ``.
    state : array, shape (…, n)
        The start ``x_0``; leading axes give several starts for each value.
    steps : int
        Number of states that are kept.
    transient : int
        Steps thrown away before.
    follow : {"up", "down"}, optional
        Follow an attractor: the orbit of each value starts from the last state at the next lower
        (higher) one, or from ``x_0`` where that orbit was lost to infinity. Then the values run one
        after another, which takes much longer. An orbit that is exactly on an unstable fixed point
        stays there.

    Returns
    -------
    OrbitDiagram

    Raises
    ------
    ValueError
        If the states of the family do not have the shape ``(K, …, n)``.
    """
    values = real_array("values", values, shape=("K",))
    state = real_array("state", state, shape=(..., "n"))
    if follow is None:
        states = _settle(family, values, state, steps, transient)
    else:
        order = np.argsort(values, kind="stable")
        parts, start = {}, state
        for k in order if choice("follow", follow, ("up", "down")) == "up" else order[::-1]:
            parts[k] = _settle(family, values[k : k + 1], start, steps, transient)
            last = parts[k][-1, 0]
            start = np.where(np.isfinite(last), last, state)
        states = np.concatenate([parts[k] for k in range(len(values))], axis=1)
    return OrbitDiagram(values, states)


def _settle(family, values, state, steps, transient):
    """Orbits after the transient, one for each value and start: shape ``(steps, K, …, n)``."""
    system = family(values.reshape(-1, *(1,) * (state.ndim - 1)))
    return settle(system, np.broadcast_to(state, (len(values), *state.shape)), steps, transient)


def settle(system, state, steps, transient, *, bound=LARGEST):
    """Orbits after the transient, shape ``(steps, …, n)``; NaN from where one exceeds a bound."""
    lost = np.zeros(state.shape[:-1], bool)
    chunk = max(1, 2**20 // (1 + state.size))
    for begin in range(0, transient, chunk):
        state = _run(system, state, begin, min(begin + chunk, transient))[-1]
        lost |= _exceeds(state, bound)
        state = np.where(lost[..., np.newaxis], 0, state)
    states = _run(system, state, transient, transient + steps)
    lost = lost | np.logical_or.accumulate(_exceeds(states, bound), axis=0)
    return np.where(lost[..., np.newaxis], np.nan, states) if lost.any() else states


def _exceeds(states, bound):
    """Whether an entry of a state is larger than a bound, or no number."""
    return ~(np.abs(states) <= bound).all(axis=-1)


def _run(system, state, start, stop):
    """Run a batch of orbits, of which some may leave the finite numbers."""
    with np.errstate(over="ignore", invalid="ignore"):
        states = system.run(state, start, stop)
    if states.shape[1:] != state.shape:
        raise ValueError(
            f"got states of shape {states.shape[1:]} from the family, expected {state.shape}: "
            "one orbit for each value and start"
        )
    return states
