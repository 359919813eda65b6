"""Which experiments there are.

A network is tuned on one seed (`long`: on three, and then for twice the updates) and then trained
on five others. The configuration of these is the first one of the lowest validation, in the mean
over the seeds of tuning, in the stored results of the tuning, as of the package: it is read when
this module is imported. Without such results there are no tasks.
"""

from itertools import product

import numpy as np

from rnnbook.experiments import (
    contracting,
    delays,
    driven,
    long,
    memory,
    sine,
    store,
    symbols,
    words,
)
from rnnbook.experiments.networks import NETWORKS
from rnnbook.experiments.store import Experiment

KINDS_OF_TASKS = {"sine": sine, "symbols": symbols, "words": words, "driven": driven}
KINDS_OF_TASKS |= {"contracting": contracting, "memory": memory, "long": long}
KINDS_OF_TASKS |= dict.fromkeys(("copying", "adding"), delays)
SEEDS, TUNING_SEED = range(5), 10


def _train(config, checkpoint=None, **options):
    """Train the network of a configuration: arrays of what is kept, and its parameters."""
    return KINDS_OF_TASKS[config["kind"]].train(config, checkpoint, **options)


def _analyse(config, params, **options):
    """Arrays of what a trained network does: a function of configuration and parameters."""
    return KINDS_OF_TASKS[config["kind"]].analyse(config, params, **options)


def _analysis_version(config):
    """The version of the analysis of a configuration."""
    return KINDS_OF_TASKS[config["kind"]].ANALYSIS


def _tune(config, checkpoint=None):
    """The `score` of a network trained at each point of the grid, nothing else."""
    found = []
    for number, point in enumerate(config["grid"]):
        one = config | {"record_every": None} | point
        path = checkpoint and checkpoint.with_name(f"{checkpoint.name}-{number}")
        found.append(KINDS_OF_TASKS[config["kind"]].score(one, *_train(one, path)))
    return {name: np.float32([scores[name] for scores in found]) for name in found[0]}, {}


def _file_name(network):
    return network.replace(" ", "-")


def _tasks(base, networks, seed=0, label=""):
    """One task for each network, named after it, a label and the seed."""
    return {
        f"{_file_name(network)}{label}-{seed}": base | {"network": network, "seed": seed}
        for network in networks
    }


def _points(**axes):
    return [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]


def _grids(base, networks, rates=(0.005, 0.002), biases=(0.0, 2.0, 4.0), label=""):
    """One task of tuning for each network: as many trainings, over what it can choose."""
    free = _points(rate=list(rates), forget_bias=list(biases))
    more = [2 * rates[0], *rates] if len(rates) > 1 else list(rates)
    grids = {  # of networks that cannot choose that bias
        "sLSTM certified": _points(rate=more, phi=[0.6, 0.65]),
        "oRNN": _points(rate=more, hidden=[base["hidden"], 2 * base["hidden"]]),
    }
    return {
        task: config | {"grid": grids.get(config["network"], free)}
        for task, config in _tasks(base, networks, TUNING_SEED, label).items()
    }


def _tuning(name, tasks):
    return Experiment(f"{name}-tuning", f"how to train for {name}", tasks, _tune, lambda *_: {})


def _tuned(tuning, label="", changes=None, **where):
    """Five seeds of the configuration that tuning has found, for those of its tasks that fit."""
    tasks, groups = {}, {}
    for task, config in tuning.tasks.items():
        if all(config[name] in values for name, values in where.items()):
            groups.setdefault(task.rpartition("-")[0], []).append(task)
    for name, group in groups.items():
        if any(store.status(tuning, task, store.FOLDER)[0] != "stored" for task in group):
            continue
        found = [store.read(tuning, task, store.FOLDER)["validation"] for task in group]
        config = tuning.tasks[group[0]]
        best = config | config["grid"][int(np.argmin(np.mean(found, axis=0)))] | (changes or {})
        del best["grid"]
        tasks |= {f"{name}{label}-{seed}": best | {"seed": seed} for seed in SEEDS}
    return tasks


def _delays(kind, delay, updates=1000):
    """One task of tuning of copying or adding for each network."""
    base, tasks = delays.SETTINGS | {"kind": kind, "delay": delay, "updates": updates}, {}
    for network, hidden in delays.SIZES[kind].items():
        starts = ["drawn", "orthogonal" if network == "tanh" else "long"]
        axis = {"skew_rate": [1.0, 0.1]} if network == "oRNN" else {"start": starts}
        grid = _points(rate=[0.015, 0.005, 0.0015], **axis)
        tasks |= _tasks(base | {"hidden": hidden, "grid": grid}, (network,), TUNING_SEED)
    return tasks


def _bridges(tuning, tuned_at, networks, updates=1000, kept=()):
    """Five seeds of the networks of each delay; in "held" ones modReLU is non-expansive.

    Of tasks whose name begins with one of ``kept`` the parameters of all seeds are stored.
    """
    tasks = {}
    for delay, names in networks.items():
        changes, at = {"delay": delay, "updates": updates}, {"delay": [tuned_at]}
        tasks |= _tuned(tuning, f"-{delay}", changes, network=names, **at)
        if "held" in names:
            changes |= {"largest_bias": 0.0}
            tasks |= _tuned(tuning, f"-held-{delay}", changes, network=["oRNN"], **at)
    for task in tasks:
        if task.startswith(tuple(kept)):
            tasks[task]["keep_params"] = True
    return tasks


def _driven(*sizes):
    """One task for each network, size and seed; it trains at all gains."""
    tasks = {}
    for size, seed in product(sizes, SEEDS):
        tasks |= _tasks(driven.CONFIG | {"hidden": size}, driven.CELLS, seed, f"-{size}")
    return tasks


def _memory():
    """Random networks over the gain, some of them varied, and the networks of other experiments."""
    base, tasks = memory.RANDOM, {}
    for seed in SEEDS:
        tasks |= _tasks(base, memory.CELLS, seed)
        tasks |= _tasks(base | {"input": 0.1}, ("tanh", "LSTM"), seed, "-small-input")
        tasks |= _tasks(base | {"hidden": 128}, ("tanh",), seed, "-128")
    sources = [("sine", one) for one in (*THREE, "LSTM-unclipped")]
    for network in map(_file_name, NETWORKS):
        sources += [("symbols", f"{network}-60"), ("symbols", f"{network}-200"), ("words", network)]
    for source in sources:
        tasks["-".join(source)] = memory.MEASURED | {"source": list(source), "seed": 0}
    return tasks


def _checks():
    """At most 50 updates in float64: their costs are the same on every machine, to rounding."""
    short = {"dtype": "float64", "milestones": [], "transient": 100}
    sines = sine.CONFIG | short | {"epochs": 20, "free_steps": 300}
    symbol = symbols.CONFIG | short | {"epochs": 5, "sequences": [500, 100, 100], "starts": 4}
    drive = driven.CONFIG | short | {"epochs": 2, "gains": [1.0, 2.0], "hidden": 4}
    delay = delays.SETTINGS | {"delay": 10, "hidden": 8, "updates": 40, "rate": 0.01} | short
    word = words.CONFIG | short | {"epochs": 1, "batch": 64, "words": 4, "starts": 2}
    add = long.CONFIG | short | {"updates": 20, "length": 50, "rate": 0.01}
    return (
        _tasks(sines, ("LSTM", "oRNN"), 0, "-sine")
        | _tasks(symbol, tuple(NETWORKS)[1:], 0, "-symbols")
        | _tasks(word, ("LSTM", "oRNN"), 0, "-words")
        | _tasks(drive, ("tanh", "GRU"), 0, "-driven")
        | _tasks(delay | {"kind": "copying"}, ("GRU", "oRNN"), 0, "-copying")
        | _tasks(add, ("LRU", "oRNN"), 0, "-long")
    )


def _experiment(name, description, tasks, **settings):
    return Experiment(name, description, tasks, _train, _analyse, _analysis_version, **settings)


THREE = ("LSTM", "sLSTM", "oRNN")
SINE = _tuning("sine", _grids(sine.CONFIG, THREE))
SYMBOLS = _tuning(
    "symbols",
    {
        task: config
        for length in (60, 100, 200)
        for task, config in _grids(
            symbols.CONFIG | {"lengths": [length], "keep_params": length != 100},
            NETWORKS,
            label=f"-{length}",
        ).items()
    },
)
WORDS = _tuning(
    "words",
    _grids(words.CONFIG, NETWORKS, (0.01, 0.005))
    | _grids(words.PYDOC, NETWORKS, (0.005,), (0.0, 2.0), label="-pydoc"),
)
ALL, HELD = (*delays.CELLS, "held"), ("oRNN", "held")
AGAIN = {"oRNN-long-10": _delays("copying", 200, updates=200)["oRNN-10"]}  # for long delays
COPYING = _tuning("copying", _delays("copying", 20) | AGAIN)
ADDING = _tuning("adding", _delays("adding", 50))
LONG = _tuning(
    "long",
    {
        task: config | {k: v[config["network"]] for k, v in long.OWN.items()}
        for network, seed in product(long.GRIDS, long.TUNING_SEEDS)
        for task, config in _tasks(long.CONFIG, [network], seed).items()
    },
)
LSTM_AT_60 = {"network": ["LSTM"], "lengths": [[60]]}

EXPERIMENTS = {
    experiment.name: experiment
    for experiment in [
        SINE,
        SYMBOLS,
        WORDS,
        LONG,
        _experiment(
            "sine",
            "sine generation by three networks, and by the LSTM without clipping",
            _tuned(SINE) | _tuned(SINE, "-unclipped", {"clip": None}, network=["LSTM"]),
        ),
        _experiment(
            "sine-paper",
            "sine generation by an LSTM at the paper's own size",
            _tasks(sine.PAPER, ("LSTM",)),
        ),
        _experiment(
            "symbols",
            "symbol classification against the length, by four networks",
            _tuned(SYMBOLS),
        ),
        _experiment(
            "symbols-varied",
            "symbol classification, lengths from 50 to 70 in one training",
            _tuned(SYMBOLS, "", symbols.VARIED, network=THREE, lengths=[[60]])
            | _tuned(SYMBOLS, "-from-2", symbols.VARIED | {"forget_bias": 2.0}, **LSTM_AT_60),
        ),
        _experiment(
            "words",
            "word language models of a grammar and of Python's help texts, by four networks",
            _tuned(WORDS),
        ),
        _experiment(
            "words-wikitext",
            "the same on the smaller parts of WikiText-2, one seed",
            _tasks(words.WIKITEXT, NETWORKS),
            needs="wikitext",
        ),
        _experiment(
            "driven",
            "exponents, slopes and minima of driven networks, before and after 200 updates",
            _driven(2, 8, 32, 128),
        ),
        _experiment(
            "contracting",
            "one symbol and two, by networks that contract: tuned, then five seeds, rate by length",
            contracting.tasks(),
        ),
        COPYING,
        ADDING,
        _experiment(
            "copying",
            "ten symbols copied after a delay, by four networks",
            _bridges(COPYING, 20, {20: ALL, 50: HELD, 100: HELD})
            | _bridges(COPYING, 200, {200: HELD, 500: HELD}, kept=["oRNN-long-held-500"]),
        ),
        _experiment(
            "adding",
            "two marked numbers added, by four networks",
            _bridges(
                ADDING,
                50,
                {50: ALL, 100: ALL[1:], 200: ALL[1:4], 400: ALL[1:3]},
                updates=2000,
                kept=["LSTM-400", "GRU-400", "oRNN-100", "oRNN-200"],
            ),
        ),
        _experiment("memory", "memory and curvature of random and of trained networks", _memory()),
        _experiment(
            "long",
            "adding over 2,000 steps, by linear units and two networks, in about the same time",
            {k: c | {"updates": long.LONGER * c["updates"]} for k, c in _tuned(LONG).items()},
        ),
        _experiment("check", "a few updates of each kind, for verify", _checks()),
    ]
}
