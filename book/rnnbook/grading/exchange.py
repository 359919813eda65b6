"""What crosses the wall of the sandbox: plain data as JSON, arrays in base64, never pickle."""

import base64

import numpy as np

LARGEST = 32 * 2**20 * 4 // 3  # characters of one message: 32 MB of data in base64
PLAIN = "numbers, text, None, lists, tuples, dictionaries and arrays of numbers"


def pack(value):
    """Plain data as what JSON can hold."""
    if value is None or type(value) in (bool, int, float):
        return value
    if isinstance(value, str):
        return str(value)
    if (
        isinstance(value, np.ndarray | np.generic | complex)
        and np.asarray(value).dtype.kind in "biufc"
    ):
        array = np.ascontiguousarray(value)
        text = base64.b64encode(array.tobytes()).decode()
        shape = None if isinstance(value, np.generic | complex) else list(np.shape(value))
        return {"array": text, "dtype": array.dtype.str, "shape": shape}
    if isinstance(value, list):
        return [pack(one) for one in value]
    if isinstance(value, tuple):
        return {"tuple": [pack(one) for one in value]}
    if isinstance(value, dict):
        return {"dict": [[pack(key), pack(one)] for key, one in value.items()]}
    raise TypeError(f"{type(value).__name__} is not an answer: {PLAIN} are")


def unpack(data):
    """Plain data again. ValueError where it is anything else: whoever sent it is not trusted."""
    try:
        return _unpack(data)
    except (TypeError, ValueError, RecursionError, OverflowError):
        raise ValueError("no plain data") from None


def _unpack(data):
    match data:
        case None | bool() | int() | float() | str():
            return data
        case list():
            return [_unpack(one) for one in data]
        case {"tuple": list(items)}:
            return tuple(map(_unpack, items))
        case {"dict": list(items)}:
            return {_unpack(key): _unpack(one) for key, one in items}
        case {"array": str(text), "dtype": str(dtype), "shape": shape}:
            dtype = np.dtype(dtype)
            if dtype.kind not in "biufc" or any(length < 0 for length in shape or ()):
                raise ValueError(dtype)
            content = base64.b64decode(text, validate=True)
            array = np.ndarray(tuple(shape or ()), dtype, content).copy()
            return array[()] if shape is None else array
    raise ValueError(type(data))
