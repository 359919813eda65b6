"""The chaotic network of pages 2 to 5 and 15: an LSTM of two units, without input and bias.

Its recurrent weights were found by T. Laurent and J. von Brecht, A recurrent neural network without
chaos, ICLR 2017.
"""

import numpy as np

from rnnpedagogy.cells import LSTM
from rnnpedagogy.costs import Cost
from rnnpedagogy.rollout import rollout

__all__ = ["chaotic", "matching_cost", "origin", "scaled", "weights"]

chaotic = LSTM(input_size=0, hidden_size=2)
weights = np.array(
    [[-1, -4], [-3, -2], [-2, 6], [0, -6], [-1, -6], [6, -9], [4, 1], [-9, -7]], dtype=float
)
origin = np.full(4, 0.5)  # h and c at the start


def scaled(s):
    """Parameters: recurrent weights times ``s``, an array of any shape; ``h`` is read out."""
    return {
        "weight_ih": np.zeros((8, 0)),
        "weight_hh": np.multiply.outer(s, weights),
        "bias": np.zeros(8),
        "weight_ho": np.eye(2),
        "bias_o": np.zeros(2),
    }


def matching_cost(steps):
    """The cost of following for ``steps`` steps what the network does at ``s = 1``."""
    silence = np.zeros((steps, 0))
    target = rollout(chaotic, scaled(1.0), origin, silence)[:, :2]
    return Cost(chaotic, silence, target, state=origin)
