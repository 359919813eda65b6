"""Adding over thousands of steps (page 15): a linear unit, an orthogonal network and an LSTM."""

from dataclasses import dataclass
from functools import partial

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
CONFIG |= {"dtype": "float32", "skew_rate": 0.1}
RATES = {  # with an encoder of 32 units, and without one: four settings each
    "LRU": ((0.005, 0.01, 0.02, 0.04), ()),
    "oRNN": ((0.003, 0.01), (0.003, 0.01)),
    "LSTM": ((0.003, 0.01, 0.03), (0.01,)),
}
GRIDS = {
    network: [{"rate": r, "encoder": 32} for r in above] + [{"rate": r, "encoder": 0} for r in bare]
    for network, (above, bare) in RATES.items()
}
TUNING_SEEDS, SEEDS = (10, 11, 12), range(5, 10)
UPDATES = {"LRU": 400, "oRNN": 200, "LSTM": 150}  # in about the same time
OWN = {"updates": UPDATES, "grid": GRIDS, "hidden": {"LRU": 32, "oRNN": 64, "LSTM": 32}}


@dataclass(frozen=True)
class Slowed(Adam):
    """Adam, each entry of ``θ`` at a part of the rate."""

    parts: object = 1.0

    def update(self, theta, gradient, memory, rate):
        return super().update(theta, gradient, memory, rate * self.parts)


def network(config):
    """The cell of a configuration: a recurrent layer, above rectified units if there are any."""
    E, H, length = config["encoder"], config["hidden"], config["length"]
    horizon = {"horizon": length} if config["network"] == "LRU" else {}
    cell = CELLS[config["network"]](E or 2, H, **horizon)
    return Stack(Rectifier(2, E), cell) if E else Stack(cell)


def _begin(cell, config, rng):
    """First parameters; the gates of an LSTM keep the state for log-uniform times up to ``N``.

    The biases are those of C. Tallec, Y. Ollivier, Can recurrent neural networks warp time?,
    ICLR 2018.
    """
    params = cell.init_params(rng, output_size=1, dtype=np.dtype(config["dtype"]))
    if config["network"] == "LSTM":
        H, bias = config["hidden"], params[f"bias_l{len(cell.cells) - 1}"]
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
        rate=config["rate"],
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
