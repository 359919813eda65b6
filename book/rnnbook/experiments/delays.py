"""Copying and adding (page 13): which networks bridge a delay, and after how many updates."""

from dataclasses import dataclass
from functools import partial

import numpy as np

from rnnbook.experiments.networks import generators, kept, summarise
from rnnpedagogy.cells import GRU, LSTM, Elman
from rnnpedagogy.gradients import bptt
from rnnpedagogy.orthogonal import OrthogonalRNN
from rnnpedagogy.tasks import adding, copying
from rnnpedagogy.training import Adam
from rnnpedagogy.training import train as minimise

ANALYSIS = 1  # the version of `analyse`, to be raised with every change of what it finds
CELLS = {"tanh": Elman, "LSTM": LSTM, "GRU": GRU, "oRNN": OrthogonalRNN}
BLOCK = 10  # updates from one number of the history to the next
SOLVED = 0.1  # share of the cost without memory at which a training stops
SETTINGS = {"batch": 20, "clip": 1.0, "dtype": "float32", "start": "drawn", "skew_rate": 0.1}
SIZES = {  # of networks with about 8,400 parameters for copying and 4,500 for adding
    "copying": {"tanh": 82, "LSTM": 40, "GRU": 46, "oRNN": 112},
    "adding": {"tanh": 65, "LSTM": 32, "GRU": 37, "oRNN": 92},
}


def draw(config, rng, sequences):
    """New sequences of the task of a configuration."""
    settings = {"sequences": sequences, "dtype": config["dtype"]}
    if config["kind"] == "copying":
        return copying(rng, delay=config["delay"], **settings)
    return adding(rng, length=config["delay"], **settings)


def without_memory(config):
    """The cost of the best answers that do not depend on what was shown."""
    return 10 * np.log(8) / (config["delay"] + 20) if config["kind"] == "copying" else 1 / 6


@dataclass(frozen=True)
class Fresh:
    """New sequences in every update; `BLOCK` updates are an epoch."""

    cell: object
    draw: object

    def batches(self, rng):
        return (self.draw(rng) for _ in range(BLOCK))

    def gradient(self, params, batch, state, rng):
        return bptt(batch.cost(self.cell), params)


@dataclass(frozen=True)
class SlowAtFirst(Adam):
    """Adam, the first entries of ``θ`` at a part of the rate."""

    count: int = 0
    part: float = 1.0

    def update(self, theta, gradient, memory, rate):
        rates = np.full_like(theta, rate)
        rates[: self.count] *= self.part
        return super().update(theta, gradient, memory, rates)


@dataclass(frozen=True)
class Falling:
    """A rate in proportion to the last cost, once that is below one half of ``scale``."""

    rate: float
    scale: float

    def __call__(self, watched):
        last = watched[-1] if watched else np.inf
        return self.rate * float(np.clip(2 * last / self.scale, 0.1, 1))


def begin(cell, config, rng, output_size):
    """First parameters; ``start`` says what is not drawn as always.

    ``"long"``: biases of the gates that keep the state, log U[1, T − 1], after Tallec and Ollivier
    (2018), and for the LSTM their negatives for the gates that write; ``"orthogonal"``: a recurrent
    matrix drawn from the orthogonal ones.
    """
    params = cell.init_params(rng, output_size=output_size, dtype=np.dtype(config["dtype"]))
    H = cell.hidden_size
    if config["start"] == "long":
        bias = np.log(rng.uniform(1, max(2, config["delay"] - 1), size=H))
        params["bias"][H : 2 * H] = bias  # the forget gates, or the update gates
        if config["network"] == "LSTM":
            params["bias"][:H] = -bias
    elif config["start"] == "orthogonal":
        params["weight_hh"][:] = np.linalg.qr(rng.normal(size=(H, H)))[0]
    return params


def train(config, checkpoint=None):
    """``history/cost``, the mean cost of each `BLOCK` of updates on new sequences."""
    _, init_rng, train_rng, _ = generators(config)
    sequences = partial(draw, config, sequences=config["batch"])
    task, scale = draw(config, np.random.default_rng(0), 1), without_memory(config)
    cell = CELLS[config["network"]](task.inputs.shape[-1], config["hidden"])
    params = begin(cell, config, init_rng, task.output_size)
    slow = params["skew"].size if "skew" in params else 0
    run = minimise(
        Fresh(cell, sequences),
        params,
        epochs=config["updates"] // BLOCK,
        rng=train_rng,
        optimiser=SlowAtFirst(count=slow, part=config["skew_rate"]),
        rate=Falling(config["rate"], scale),
        clip=config["clip"],
        target=SOLVED * scale,
        checkpoint=checkpoint,
        checkpoint_every=20,
        progress=False,
    )
    arrays = summarise(run)
    return arrays | (kept(run.params) if config["seed"] == 0 else {}), run.params


def score(config, arrays, params):
    """By what a configuration is chosen: the mean cost of all updates, none once it is solved."""
    updates = config["updates"] // BLOCK
    return {
        "validation": arrays["history/cost"].sum() / updates / without_memory(config),
        "lowest": arrays["history/cost"].min() / without_memory(config),
    }


def analyse(config, params):
    """Costs on new sequences, of the same delay and of twice that, in units without memory.

    Returns
    -------
    dict of array
        ``again``, the two costs; ``bias``, those of modReLU.
    """
    rng, found = generators(config)[3], []
    for factor in (1, 2):
        longer = config | {"delay": factor * config["delay"]}
        task = draw(longer, rng, 100)
        cell = CELLS[config["network"]](task.inputs.shape[-1], config["hidden"])
        found.append(task.cost(cell)(params) / without_memory(longer))
    biases = {"bias": np.float32(params["bias"])} if config["network"] == "oRNN" else {}
    return {"again": np.float32(found)} | biases
