"""A parameter set as one point ``θ`` of ``R^d``, and back."""

import math

import autograd.numpy as anp
import numpy as np

from rnnpedagogy._validation import arrays_by_name, float_array, takes


@takes(params=arrays_by_name)
def flatten(params):
    """All parameters as one vector ``θ ∈ R^d``, in the order of the dictionary.

    Parameters
    ----------
    params : dict of array
        A parameter set, without leading axes.

    Returns
    -------
    array, shape (d,)
    """
    return np.concatenate([np.ravel(array) for array in params.values()])


@takes(vector=float_array)
def unflatten(vector, shapes):
    """The inverse of `flatten`; leading axes of ``vector`` become leading axes of every parameter.

    Parameters
    ----------
    vector : array, shape (…, d)
        Points of the parameter space.
    shapes : dict
        Names and shapes as `Cell.param_shapes` gives them, or a parameter set to take them from.

    Returns
    -------
    dict of array

    Raises
    ------
    ValueError
        If the last axis of ``vector`` does not have ``d`` entries.
    """
    shapes = {
        name: shape if isinstance(shape, tuple) else np.shape(shape)
        for name, shape in shapes.items()
    }
    if not shapes:
        raise ValueError(f"shapes must hold at least one shape, got {shapes}")
    ends = np.cumsum([math.prod(shape) for shape in shapes.values()])
    if np.shape(vector)[-1:] != (ends[-1],):
        raise ValueError(f"got vector of shape {np.shape(vector)}, expected (…, {ends[-1]})")
    parts = anp.split(vector, ends[:-1], axis=-1)
    return {
        name: part.reshape(part.shape[:-1] + shape)
        for (name, shape), part in zip(shapes.items(), parts, strict=True)
    }
