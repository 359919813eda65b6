"""Maps that the tests of `dynamics` share."""

import autograd.numpy as anp
import numpy as np
from rnnbook.chaotic_lstm import chaotic, scaled
from strategies import CELLS, draw_params

from rnnpedagogy.cells import Elman
from rnnpedagogy.dynamics import CellMap, Map


def henon(x):
    return anp.stack([1 - 1.4 * x[..., 0] ** 2 + x[..., 1], 0.3 * x[..., 0]], axis=-1)


def logistic(x):
    return 4 * x * (1 - x)


def cat(x):
    """Arnold's cat map of the torus."""
    return anp.stack([2 * x[..., 0] + x[..., 1], x[..., 0] + x[..., 1]], axis=-1) % 1.0


def linear(A):
    A = np.array(A)
    return Map(lambda x: x @ A.T)


def driven_network(kind="tanh", *, seed=0, gain=0.9, steps=2100):
    """A contracting network under a random input, and a start."""
    rng = np.random.default_rng(seed)
    cell = CELLS[kind](2, 3)
    params = {name: gain * array for name, array in draw_params(cell, rng).items()}
    inputs = rng.normal(size=(steps, 2))
    return CellMap(cell, params, inputs), rng.normal(size=cell.state_size)


def logistic_family(r):
    return Map(lambda x: r[..., np.newaxis] * x * (1 - x))


def henon_family(a):
    def step(x):
        return anp.stack([1 - a * x[..., 0] ** 2 + x[..., 1], 0.3 * x[..., 0]], axis=-1)

    return Map(step)


def neuron_family(weight=None):
    """``x' = tanh(w x + b)`` over ``w`` without a bias, or over ``b`` with a given weight."""

    def family(values):
        bias = np.zeros_like(values) if weight is None else values
        w = values if weight is None else np.full_like(values, weight)
        params = {"weight_ih": np.zeros((1, 0), values.dtype)}
        params |= {"weight_hh": w[..., np.newaxis, np.newaxis], "bias": bias[..., np.newaxis]}
        return CellMap(Elman(0, 1), params, np.zeros(0, values.dtype))

    return family


def network(W, bias=None):
    """``x' = tanh(W x + b)``."""
    W = np.array(W, float)
    n = len(W)
    bias = np.zeros(n) if bias is None else bias
    params = {"weight_ih": np.zeros((n, 0)), "weight_hh": W, "bias": bias}
    return CellMap(Elman(0, n), params)


def chaotic_lstm(scale):
    """The network of Laurent and von Brecht, its weights scaled."""
    return CellMap(chaotic, scaled(scale))


def starts(count, n, *, low=-1.0, high=1.0, seed=0):
    """States drawn from a box."""
    return np.random.default_rng(seed).uniform(low, high, size=(count, n))


def network_family(weight, bias):
    """``x' = tanh(g W x + b)`` over the gain ``g``."""
    n = len(weight)

    def family(gain):
        params = {"weight_ih": np.zeros((n, 0)), "bias": bias}
        params["weight_hh"] = gain[..., np.newaxis, np.newaxis] * weight
        return CellMap(Elman(0, n), params)

    return family


def rotation(angle):
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
