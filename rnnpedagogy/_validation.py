"""Checks of what a caller passes in: messages name the argument, its value, what is allowed.

A check takes the name of an argument and its value, and returns the value, or raises. `takes` puts
checks in front of a function, by the names of its arguments.
"""

import inspect
import os
from collections.abc import Collection, Iterable, Mapping
from functools import partial, wraps
from numbers import Integral
from reprlib import repr as brief  # a long value is cut

import numpy as np
from autograd.extend import Box
from autograd.tracer import getval


def having(methods, what):
    """A check of objects that can do something: ``methods`` by their names, ``what`` they are."""

    def check(name, value):
        names = methods.split()
        if isinstance(value, type) or not all(hasattr(value, one) for one in names):
            raise TypeError(f"{name} must be {what}, got {brief(value)}")
        return value

    return check


a_cell = having("step param_shapes check_params", "a cell, such as LSTM(2, 8)")
a_cost = having("cell step_by_step check_params", "a Cost")
a_system = having("linearise", "a system, such as a Map or a CellMap")
an_objective = having("batches gradient", "an objective, such as Sequences(cost)")
an_optimiser = having("init update", "an optimiser, such as Adam()")


def an_instance(kind):
    """A check of objects of one class."""

    def check(name, value):
        if not isinstance(value, kind):
            raise TypeError(f"{name} must be a {kind.__name__}, got {value!r}")
        return value

    return check


def a_function(name, value):
    """Return ``value``, or raise if it cannot be called."""
    if not callable(value):
        raise TypeError(f"{name} must be a function, got {value!r}")
    return value


def a_path(name, value):
    """Return ``value``, or raise if it is not the name of a file."""
    if not isinstance(value, str | os.PathLike) or not os.fspath(value):
        raise TypeError(f"{name} must be a path, got {value!r}")
    return value


def a_collection(name, value):
    """Return ``value``, or raise if it is a text or not something that holds values."""
    if isinstance(value, str) or not isinstance(value, Collection):
        raise TypeError(f"{name} must be a collection, got {value!r}")
    return value


def all_of(check):
    """A check of collections, all of whose values pass a check; they are returned as a tuple."""

    def check_all(name, values):
        if isinstance(values, str) or not isinstance(values, Iterable):
            raise TypeError(f"{name} must be a collection, got {values!r}")
        return tuple(check(name, value) for value in values)

    return check_all


def pair_of(check):
    """A check of two values, both of which pass a check."""

    def check_both(name, values):
        found = all_of(check)(name, values)
        if len(found) != 2:
            raise ValueError(f"{name} must be two numbers, got {values!r}")
        return found

    return check_both


def parameters(name, value):
    """Return ``value``, or raise if it is not a dictionary; the cell checks what is in it."""
    if not isinstance(getval(value), Mapping):
        raise TypeError(f"{name} must be a dictionary of arrays, got {brief(value)}")
    return value


def arrays_by_name(name, value):
    """Return ``value``, or raise if it is not a dictionary of arrays of numbers, or is empty."""
    for key, array in getval(parameters(name, value)).items():
        float_array(f"{name}[{key!r}]", array)
    if not value:
        raise ValueError(f"{name} must hold at least one array, got {value!r}")
    return value


def number_array(name, value):
    """Return ``value`` as an array, or raise if it does not hold real numbers."""
    array = _as_array(name, value)
    if array.dtype.kind not in "fiu" or not array.ndim:
        raise TypeError(f"{name} must be an array of numbers, got {value!r}")
    return array


def float_array(name, value):
    """Return ``value``, also traced or complex, or raise if it is not an array of numbers."""
    array = _as_array(name, getval(value))
    if array.dtype.kind not in "fiuc":
        raise TypeError(f"{name} must be an array of numbers, got {value!r}")
    return value if isinstance(value, Box) else array


def finite(name, value, *, above=-np.inf):
    """Return ``value`` as a float, or raise if it is not one finite number above ``above``."""
    least = "" if above == -np.inf else f" above {above}"
    return _number(name, value, lambda x: above < x < np.inf, f"a finite number{least}")


def array_or_function(name, value):
    """Return ``value``, or raise if it can neither be called nor is an array of numbers."""
    return value if callable(value) else float_array(name, value)


def real_number(name, value):
    """Return ``value`` as a float, or raise if it is not one number; infinite ones are allowed."""
    return _number(name, value, lambda x: not np.isnan(x), "a number")


def _number(name, value, allowed, what):
    array = np.asarray(value)
    if array.ndim or array.dtype.kind not in "fiu" or not allowed(array):
        raise ValueError(f"{name} must be {what}, got {value!r}")
    return float(array)


def at_most(name, value):
    """Return ``value`` as a float, or raise if it is not a number of at least 0, or infinity."""
    return np.inf if isinstance(value, float) and value == np.inf else non_negative(name, value)


def positive_integer(name, value, *, minimum=1):
    """Return ``value`` as an int, or raise if it is not an integer of at least ``minimum``."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < minimum:
        kind = "a positive integer" if minimum == 1 else f"an integer of at least {minimum}"
        raise ValueError(f"{name} must be {kind}, got {value!r}")
    return int(value)


def non_negative(name, value):
    """Return ``value`` as a float, or raise if it is not a finite number of at least zero."""
    return _number(name, value, lambda x: 0 <= x < np.inf, "a finite number of at least 0")


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
    if np.ma.isMA(value) and np.ma.is_masked(value):
        raise TypeError(f"{name} must have no masked values, got {value!r}")
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


positive = partial(finite, above=0)
natural_number = partial(positive_integer, minimum=0)

#: One name, one kind, throughout the library.
KINDS = {
    positive_integer: "batch_size blocks checkpoint_every exponents interval iterations keep "
    "lags largest_period length max_steps output_size patience period points sequences steps tries",
    natural_number: "count epochs rounds transient",
    non_negative: "eps factor input_bound merge slow span target tolerance total_variation",
    positive: "clip distance safety",
    fraction: "dropout",
    a_collection: "words",
    generator: "rng",
    float_type: "dtype",
    a_cell: "cell",
    a_cost: "cost",
    a_system: "system",
    an_objective: "objective",
    an_optimiser: "optimiser",
    parameters: "first params second shapes state_dict",
    a_function: "draw family function jacobian observe operator project sample validate",
}
BY_NAME = {name: check for check, names in KINDS.items() for name in names.split()}


def takes(function=None, **others):
    """Let a function, or the making of a class, begin with checks of its arguments by their names.

    The checks are those of `KINDS`, and ``others``, of which None is no check. What a check returns
    is what the function gets. An argument that is not given, and None where that is the default,
    is not checked.
    """
    if function is None:
        return partial(takes, **others)
    if inspect.isclass(function):
        function.__init__ = takes(function.__init__, **others)
        return function
    signature = inspect.signature(function)
    checks = {name: (BY_NAME | others).get(name) for name in signature.parameters}
    optional = {one.name for one in signature.parameters.values() if one.default is None}

    @wraps(function)
    def checked(*args, **kwargs):
        try:
            given = signature.bind(*args, **kwargs)
        except TypeError:  # Python says of which function an argument is missing
            return function(*args, **kwargs)
        for name, value in given.arguments.items():
            if checks[name] and not (value is None and name in optional):
                given.arguments[name] = checks[name](name, value)
        return function(*given.args, **given.kwargs)

    return checked
