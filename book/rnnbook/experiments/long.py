"""Adding over thousands of steps (page 15): a linear unit, an orthogonal network and an LSTM."""

from dataclasses import dataclass
from functools import partial
from math import cos, pi

import numpy as np

from rnnbook.experiments.networks import generators, kept, summarise
from rnnpedagogy.cells import LSTM, Stack, flatten
from rnnpedagogy.linear_units import LinearRecurrentUnit, Rectifier
from rnnpedagogy.orthogonal import OrthogonalRNN
from rnnpedagogy.tasks import adding
from rnnpedagogy.training import Adam, FreshSequences
from rnnpedagogy.training import train as minimise

ANALYSIS = 1  # the version of `analyse`, to be raised with every change of what it finds
BLOCK = 10  # updates from one number of the history to the next
CELLS = {"LRU": LinearRecurrentUnit, "LSTM": LSTM, "oRNN": OrthogonalRNN}
CONFIG = {"kind": "long", "length": 2000, "batch": 10, "hidden": 32, "encoder": 32, "clip": 1.0}
CONFIG |= {"dtype": "float32", "skew_rate": 0.1, "warming": 0.1, "last": 0.1}
# The rate of the lowest mean cost is chosen. If it is the first or the last of a grid, the grid
# moves on by one towards it, unless no seed with any rate comes below half of guessing. Then five
# other seeds are trained for `LONGER` times as many updates (chosen after a run with as many).
RATES = {"LRU": (0.01, 0.02, 0.04, 0.08)}
RATES |= dict.fromkeys(("oRNN", "LSTM"), (0.001, 0.003, 0.01, 0.03))
GRIDS = {network: [{"rate": rate} for rate in rates] for network, rates in RATES.items()}
TUNING_SEEDS = (10, 11, 12)
UPDATES = {"LRU": 500, "oRNN": 200, "LSTM": 150}  # in about the same time
LONGER = 2
OWN = {"updates": UPDATES, "grid": GRIDS, "hidden": {"LRU": 32, "oRNN": 64, "LSTM": 32}}


@dataclass(frozen=True)
class Slowed(Adam):
    """Adam, each entry of ``θ`` at a part of the rate."""

    parts: object = 1.0

    def update(self, theta, gradient, memory, rate):
        return super().update(theta, gradient, memory, rate * self.parts)


def network(config):
    """The cell of a configuration: a recurrent layer above rectified units."""
    encoder, length = config["encoder"], config["length"]
    horizon = {"horizon": length} if config["network"] == "LRU" else {}
    cell = CELLS[config["network"]](encoder, config["hidden"], **horizon)
    return Stack(Rectifier(2, encoder), cell)


def _rate(config, watched):
    """The rate after so many blocks: up along a line, down along half a cosine to its ``last``."""
    done = BLOCK * len(watched) / config["updates"]
    up = min(1, (done + BLOCK / config["updates"]) / config["warming"])
    return config["rate"] * up * (1 - (1 - config["last"]) * (1 - cos(pi * done)) / 2)


def _begin(cell, config, rng):
    """First parameters; the gates of an LSTM keep the state for log-uniform times up to ``N``.

    The biases are those of C. Tallec, Y. Ollivier, Can recurrent neural networks warp time?,
    ICLR 2018.
    """
    params = cell.init_params(rng, output_size=1, dtype=np.dtype(config["dtype"]))
    if config["network"] == "LSTM":
        H, bias = config["hidden"], params["bias_l1"]
        bias[H : 2 * H] = np.log(rng.uniform(1, config["length"] - 1, size=H))
        bias[:H] = -bias[H : 2 * H]
    return params


def _draw(config, rng, sequences, length):
    """New sequences of the task."""
    return adding(rng, sequences=sequences, length=length, dtype=config["dtype"])


def train(config, checkpoint=None):
    """``history/cost``: the mean cost of each `BLOCK` of updates on new sequences."""
    _, init_rng, train_rng, _ = generators(config)
    cell = network(config)
    params = _begin(cell, config, init_rng)
    parts = {n: config["skew_rate"] if n.startswith("skew") else 1.0 for n in params}
    parts = flatten({name: np.full_like(params[name], part) for name, part in parts.items()})
    sequences = partial(_draw, config, sequences=config["batch"], length=config["length"])
    run = minimise(
        FreshSequences(cell, sequences, steps=BLOCK),
        params,
        epochs=config["updates"] // BLOCK,
        rng=train_rng,
        optimiser=Slowed(parts=parts),
        rate=partial(_rate, config),
        clip=config["clip"],
        checkpoint=checkpoint,
        progress=False,
    )
    return summarise(run) | kept(run.params), run.params


def score(config, arrays, params):
    """By what a configuration is chosen: the cost on new sequences."""
    return {"validation": _costs(config, params, [config["length"]])[0]}


def analyse(config, params):
    """``cost`` on 100 new sequences of half, once and twice the length of training."""
    lengths = [config["length"] // 2, config["length"], 2 * config["length"]]
    return {"lengths": np.array(lengths), "cost": np.float32(_costs(config, params, lengths))}


def _costs(config, params, lengths):
    rng, cell = generators(config)[3], network(config)
    return [float(_draw(config, rng, 100, length).cost(cell)(params)) for length in lengths]
