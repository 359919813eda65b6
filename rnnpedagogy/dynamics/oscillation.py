"""A signal, or a network that runs freely, seen as an oscillation."""

from dataclasses import dataclass

import numpy as np

from rnnpedagogy._validation import positive_integer, real_array, takes
from rnnpedagogy.rollout import outputs, rollout

CONSTANT = 1e-3  # amplitude below which a signal counts as constant


@dataclass(frozen=True)
class Oscillation:
    """What is left of a signal after its transient, seen as an oscillation.

    Attributes
    ----------
    frequency : array, shape (…)
        Mean frequency in radians per step, from the first to the last upward crossing of the level;
        0 for a signal that does not oscillate.
    amplitude : array, shape (…)
        ``√2`` times the standard deviation: the amplitude of a sine.
    level : array, shape (…)
        The mean.
    """

    frequency: np.ndarray
    amplitude: np.ndarray
    level: np.ndarray


def oscillation(signal, *, transient=0):
    """Frequency, amplitude and level of a signal.

    The signal crosses its mean upwards once in a period; crossings are located by linear
    interpolation, so that ``k`` periods are known to within two small fractions of a step. A signal
    that crosses its mean several times in a period has a frequency several times too high. One
    whose amplitude is below 0.001 counts as constant: the rounding errors of a fixed point cross
    their mean as well.

    Parameters
    ----------
    signal : array, shape (N, …)
        Time first.
    transient : int
        Steps to leave out at the start.

    Returns
    -------
    Oscillation

    Raises
    ------
    ValueError
        If fewer than three steps are left.
    """
    signal = real_array("signal", signal, shape=("time", ...))
    transient = positive_integer("transient", transient, minimum=0)
    if len(signal) - transient < 3:
        raise ValueError(f"transient must leave at least 3 of {len(signal)} steps, got {transient}")
    signal = signal[transient:].astype(np.float64)
    level, amplitude = signal.mean(axis=0), np.sqrt(2) * signal.std(axis=0)
    frequency = np.zeros(signal.shape[1:])
    swings = signal - level
    for index in np.argwhere(amplitude >= CONSTANT):
        frequency[tuple(index)] = _crossing_rate(swings[:, *index])
    return Oscillation(frequency, amplitude, level)


def _crossing_rate(signal):
    """``2π`` over the mean time between upward crossings of zero; 0 if there are fewer than two."""
    before = np.flatnonzero((signal[:-1] < 0) & (signal[1:] >= 0))
    if len(before) < 2:
        return 0.0
    times = before - signal[before] / (signal[before + 1] - signal[before])
    return 2 * np.pi * (len(times) - 1) / (times[-1] - times[0])


@takes
def free_oscillation(cell, params, frequencies, *, state=None, steps=4000, transient=2000):
    """Run a network far beyond its training length and measure its `oscillation`.

    Parameters
    ----------
    cell, params
        The network, with a readout of one output.
    frequencies : array, shape (…)
        The constant inputs ``ω``.
    state : array, shape (…, n), optional
        Initial states; zero if not given.
    steps, transient : int
        Length of the run, and how much of it is left out at the start.

    Returns
    -------
    Oscillation
        To be compared with frequency ``ω``, amplitude 1 and level 0.
    """
    frequencies = real_array("frequencies", frequencies)
    state = cell.zero_state(dtype=frequencies.dtype) if state is None else state
    inputs = np.broadcast_to(frequencies[..., np.newaxis], (steps, *frequencies.shape, 1))
    signal = outputs(cell, params, rollout(cell, params, state, inputs))
    return oscillation(signal[..., 0], transient=transient)
