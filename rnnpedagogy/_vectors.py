"""Points of the parameter space as vectors: norms, and products with the Hessian."""

import numpy as np

from rnnpedagogy.cells import unflatten
from rnnpedagogy.gradients import hessian_vector_product


def shapes_of(cost, params, names):
    """The shapes of the named parameters, without leading axes."""
    shapes = cost.cell.param_shapes(params["bias_o"].shape[-1])
    return {name: shapes[name] for name in names}


def vectors_of(arrays, names, axes):
    """The named arrays as vectors, shape ``(…, d)``, behind the given number of leading axes."""
    parts = [arrays[name].reshape(*arrays[name].shape[:axes], -1) for name in names]
    return np.concatenate(parts, axis=-1)


def hessian_products(cost, params, lead, shapes):
    """The products ``∇²V(θ) v`` with vectors of the parameters whose shapes are given."""
    zero = {name: np.zeros_like(array) for name, array in params.items()}

    def operator(vectors):
        product = hessian_vector_product(cost, params, zero | unflatten(vectors, shapes))
        return vectors_of(product, shapes, len(lead))

    return operator


def norm_of(vectors):
    """The Euclidean norm over the last axis, whose squares neither overflow nor underflow."""
    size = np.abs(vectors).max(axis=-1, initial=0.0)
    scaled = vectors / np.where(size > 0, size, 1)[..., np.newaxis]
    return size * np.linalg.norm(scaled, axis=-1)
