"""Small tanh networks without input, of pages 6, 7 and A, and their cost over a parameter."""

import numpy as np

from rnnpedagogy.cells import Elman
from rnnpedagogy.dynamics import CellMap

__all__ = ["cost_and_slope", "network", "rotation", "single", "turning"]


def network(weight, bias):
    """``x' = tanh(W x + b)`` as a map; leading axes tell networks apart."""
    weight, bias = np.asarray(weight, float), np.asarray(bias, float)
    units = weight.shape[-1]
    params = {"weight_ih": np.zeros((units, 0)), "weight_hh": weight, "bias": bias}
    return CellMap(Elman(0, units), params)


def single(w, b):
    """One neuron, for numbers or arrays ``w`` and ``b``."""
    w, b = np.broadcast_arrays(np.asarray(w, float), np.asarray(b, float))
    return network(w[..., np.newaxis, np.newaxis], b[..., np.newaxis])


def rotation(angle):
    """The rotation of the plane by an angle, or by each of an array."""
    c, s = np.cos(angle), np.sin(angle)
    return np.moveaxis(np.array([[c, -s], [s, c]]), (0, 1), (-2, -1))


def turning(g, bias=(0.0, 0.0), turn=0.0):
    """``W = g R(1 + turn (g − 1))``: two neurons that rotate the state."""
    g = np.asarray(g, float)
    W = g[..., np.newaxis, np.newaxis] * rotation(1 + turn * (g - 1))
    return network(W, np.broadcast_to(bias, (*g.shape, 2)))


def cost_and_slope(family, start, values, target, lengths, h=1e-6):
    """``V`` and ``dV/dμ``, each ``(lengths, values)``, where ``family(μ)`` is a `network`.

    Forward sensitivities; ``dW/dμ`` and ``db/dμ`` by central differences of width ``h``.
    """
    W, b = (family(values).params[k] for k in ("weight_hh", "bias"))
    high, low = family(values + h).params, family(values - h).params
    dW = (high["weight_hh"] - low["weight_hh"]) / (2 * h)
    db = (high["bias"] - low["bias"]) / (2 * h)
    x = np.broadcast_to(np.asarray(start, float), b.shape)[..., np.newaxis]
    X, total, slope, rows = np.zeros(x.shape), 0.0, 0.0, []
    for t in range(1, max(lengths) + 1):
        before, x = x, np.tanh(W @ x + b[..., np.newaxis])
        X = (1 - x**2) * (W @ X + dW @ before + db[..., np.newaxis])
        error = x - np.reshape(target(t), (-1, 1))
        total = total + np.sum(error**2, axis=(1, 2))
        slope = slope + 2 * np.sum(error * X, axis=(1, 2))
        if t in lengths:
            rows.append((total / t, slope / t))
    return np.array(rows).swapaxes(0, 1)
