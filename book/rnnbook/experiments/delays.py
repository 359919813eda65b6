"""Copying and adding (page 13): which networks bridge a delay, and after how many updates."""

from functools import partial

import numpy as np

from rnnbook.experiments.networks import generators, kept, summarise
from rnnpedagogy.cells import GRU, LSTM, Elman
from rnnpedagogy.orthogonal import OrthogonalRNN
from rnnpedagogy.tasks import adding, copying
from rnnpedagogy.training import FreshSequences, SlowAtFirst
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


def draw(config, rng, *, sequences):
    """New sequences of the task of a configuration."""
    make, name = (copying, "delay") if config["kind"] == "copying" else (adding, "length")
    return make(rng, sequences=sequences, dtype=config["dtype"], **{name: config["delay"]})


def without_memory(config):
    """The cost of the best answers that do not depend on what was shown."""
    return 10 * np.log(8) / (config["delay"] + 20) if config["kind"] == "copying" else 1 / 6


def _falling(rate, scale, watched):
    """A rate in proportion to the last cost, once that is below one half of ``scale``."""
    return rate * float(np.clip(2 * watched[-1] / scale, 0.1, 1)) if watched else rate


def _begin(cell, config, rng, output_size):
    """First parameters; ``start`` says what is not drawn as always.

    ``"long"``: biases of the gates that keep the state, log U[1, T − 1], after Tallec and Ollivier
    (2018), and for the LSTM their negatives for the gates that write; ``"orthogonal"``: a recurrent
    matrix drawn from the orthogonal ones.
    """
    H, dtype = cell.hidden_size, np.dtype(config["dtype"])
    params = cell.init_params(rng, output_size=output_size, dtype=dtype)
    if config["start"] == "long":
        bias = np.log(rng.uniform(1, max(2, config["delay"] - 1), size=H))
        params["bias"][H : 2 * H] = bias  # the forget gates, or the update gates
        if config["network"] == "LSTM":
            params["bias"][:H] = -bias
    elif config["start"] == "orthogonal":
        params["weight_hh"][:] = np.linalg.qr(rng.normal(size=(H, H)))[0]
    return params


def _hold(largest, params):
    """Parameters whose bias is nowhere above ``largest``."""
    return params | {"bias": np.minimum(params["bias"], params["bias"].dtype.type(largest))}


def train(config, checkpoint=None):
    """``history/cost``, the mean cost of each `BLOCK` of updates on new sequences."""
    _, init_rng, train_rng, _ = generators(config)
    task, scale = draw(config, np.random.default_rng(0), sequences=1), without_memory(config)
    cell = CELLS[config["network"]](task.inputs.shape[-1], config["hidden"])
    params = _begin(cell, config, init_rng, task.output_size)
    settings = {"clip": config["clip"], "target": SOLVED * scale, "checkpoint": checkpoint}
    settings |= {"epochs": config["updates"] // BLOCK, "progress": False}
    run = minimise(
        FreshSequences(cell, partial(draw, config, sequences=config["batch"]), steps=BLOCK),
        params,
        rng=train_rng,
        optimiser=SlowAtFirst(count=np.size(params.get("skew", ())), part=config["skew_rate"]),
        rate=partial(_falling, config["rate"], scale),
        project=partial(_hold, config.get("largest_bias", np.inf)),
        **settings,
    )
    keep = config["seed"] == 0 or config.get("keep_params", False)
    return summarise(run) | (kept(run.params) if keep else {}), run.params


def score(config, arrays, params):
    """By what a configuration is chosen: the mean cost of all updates, none once it is solved.

    It counts ten more where it is not solved: what solves the task is taken before what does not.
    """
    share = arrays["history/cost"] / without_memory(config)
    lowest, mean = share.min(), share.sum() * BLOCK / config["updates"]
    return {"validation": mean + 10 * (lowest > SOLVED), "lowest": lowest}


def analyse(config, params):
    """Costs on new sequences, of the same delay and of twice that, in units without memory.

    Returns
    -------
    dict of array
        ``again``, the two costs; ``bias``, those of modReLU.
    """
    rng, costs = generators(config)[3], []
    for longer in (config, config | {"delay": 2 * config["delay"]}):
        task = draw(longer, rng, sequences=100)
        cell = CELLS[config["network"]](task.inputs.shape[-1], config["hidden"])
        costs.append(task.cost(cell)(params) / without_memory(longer))
    return {"again": np.float32(costs)} | ({"bias": params["bias"]} if "skew" in params else {})
