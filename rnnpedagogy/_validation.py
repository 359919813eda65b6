"""Checks of what a caller passes in: messages name the argument, its value, what is allowed."""

from collections.abc import Iterable
from numbers import Integral

import numpy as np


def positive_integer(name, value, *, minimum=1):
    """Return ``value`` as an int, or raise if it is not an integer of at least ``minimum``."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < minimum:
        kind = "a positive integer" if minimum == 1 else f"an integer of at least {minimum}"
        raise ValueError(f"{name} must be {kind}, got {value!r}")
    return int(value)


def non_negative(name, value):
    """Return ``value`` as a float, or raise if it is not a finite number of at least zero."""
    array = np.asarray(value)
    if array.ndim or array.dtype.kind not in "fiu" or not 0 <= array < np.inf:
        raise ValueError(f"{name} must be a finite number of at least 0, got {value!r}")
    return float(array)


def fraction(name, value):
    """Return ``value`` as a float, or raise if it is not a number in ``[0, 1)``."""
    if non_negative(name, value) >= 1:
        raise ValueError(f"{name} must be below 1, got {value!r}")
    return float(value)


def generator(name, value):
    """Return ``value``, or raise if it is not a random number generator of NumPy."""
    if not isinstance(value, np.random.Generator):
        raise TypeError(f"{name} must be a numpy.random.Generator, got {value!r}")
    return value


def choice(name, value, allowed):
    """Return ``value``, or raise if it is not one of ``allowed``."""
    if not isinstance(value, str) or value not in allowed:
        options = ", ".join(repr(option) for option in allowed)
        raise ValueError(f"{name} must be one of {options}, got {value!r}")
    return value


def parameter_names(cell, names):
    """Return the names as a tuple, all of a cell and its readout for None, or raise."""
    known = tuple(cell.param_shapes(1))
    if names is None:
        return known
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise TypeError(f"names must be a list of parameter names, got {names!r}")
    names = tuple(names)
    if not names:
        raise ValueError("names must hold at least one parameter name")
    return tuple(choice("names", name, known) for name in dict.fromkeys(names))


def float_type(name, value):
    """Return ``value`` as a NumPy type, or raise if it is neither float32 nor float64."""
    try:
        dtype = np.dtype(value)
    except TypeError:
        dtype = None
    if dtype not in (np.float32, np.float64):
        raise ValueError(f"{name} must be float32 or float64, got {value!r}")
    return dtype


def real_array(name, value, *, shape=None):
    """Return ``value`` as a finite float32 or float64 array whose shape ends as ``shape`` says.

    In ``shape`` an integer is a required size, a string an axis of any positive size, and ``...``
    (at most one) any number of axes.
    """
    array = _as_array(name, value)
    if array.dtype not in (np.float32, np.float64):
        raise TypeError(f"{name} must hold real floats (float32 or float64), got {array.dtype}")
    if shape is not None:
        _check_shape(name, array.shape, shape)
    if not np.isfinite(array).all():
        bad = array[~np.isfinite(array)][0]
        raise ValueError(f"{name} must be finite, got {bad} among its values")
    return array


def integer_array(name, value, *, shape=None, below=None):
    """Return ``value`` as an array of integers in ``[0, below)``, of a shape as in `real_array`."""
    array = _as_array(name, value)
    if not np.issubdtype(array.dtype, np.integer):
        raise TypeError(f"{name} must hold integers, got {array.dtype}")
    if shape is not None:
        _check_shape(name, array.shape, shape)
    if below is not None and array.size and (array.min() < 0 or array.max() >= below):
        raise ValueError(
            f"{name} must lie in [0, {below}), got values from {array.min()} to {array.max()}"
        )
    return array


def _as_array(name, value):
    try:
        return np.asarray(value)
    except ValueError:
        raise ValueError(f"{name} must be an array, got a ragged {type(value).__name__}") from None


def broadcast_shapes(name, *shapes):
    """Return the common shape of ``shapes``, or raise if they do not broadcast."""
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        listed = ", ".join(str(shape) for shape in shapes)
        raise ValueError(f"{name} must broadcast against each other, got {listed}") from None


def _check_shape(name, got, expected):
    axes = expected
    if ... in axes:  # as often as there are axes for it
        at, free = axes.index(...), len(got) - len(axes) + 1
        axes = axes[:at] + free * (...,) + axes[at + 1 :]
    pairs = list(zip(got, axes, strict=False))
    empty = [axis for size, axis in pairs if isinstance(axis, str) and size == 0]
    wrong = [axis for size, axis in pairs if not isinstance(axis, str) and axis not in (..., size)]
    if len(got) != len(axes) or empty or wrong:
        text = ", ".join("…" if axis is ... else str(axis) for axis in expected)
        text += "," if len(expected) == 1 else ""
        least = f" with {' and '.join(empty)} at least 1" if empty else ""
        raise ValueError(f"got {name} of shape {got}, expected ({text}){least}")
