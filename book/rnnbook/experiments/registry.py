"""Which experiments there are."""

from rnnbook.experiments import driven, sine, symbols, words
from rnnbook.experiments.networks import NETWORKS
from rnnbook.experiments.store import Experiment

KINDS_OF_TASKS = {"sine": sine, "symbols": symbols, "words": words, "driven": driven}
SEEDS = range(5)
RATES = {("symbols", "oRNN"): {"rate": 0.003}}  # at that of the others it often fails


def _train(config, checkpoint=None, **options):
    """Train the network of a configuration: arrays of what is kept, and its parameters."""
    return KINDS_OF_TASKS[config["kind"]].train(config, checkpoint, **options)


def _analyse(config, params, **options):
    """Arrays of what a trained network does: a function of configuration and parameters."""
    return KINDS_OF_TASKS[config["kind"]].analyse(config, params, **options)


def _analysis_version(config):
    """The version of the analysis of a configuration."""
    return KINDS_OF_TASKS[config["kind"]].ANALYSIS


def _tasks(base, networks=tuple(NETWORKS), seeds=SEEDS, label="", **changes):
    """One task for each network and seed, named after them and a label for what changes."""
    return {
        f"{network.replace(' ', '-')}{label}-{seed}": base
        | {"network": network, "seed": seed}
        | changes
        | RATES.get((base["kind"], network), {})
        for network in networks
        for seed in seeds
    }


def _symbols(lengths, networks=tuple(NETWORKS), **changes):
    """One training for each length; the parameters are kept for the shortest and the longest."""
    tasks = {}
    for length in lengths:
        tasks |= _tasks(
            symbols.CONFIG | changes,
            networks,
            label=f"-{length}",
            lengths=[length],
            keep_params=length in (60, 200),
        )
    return tasks


def _driven(sizes, networks=tuple(driven.CELLS), **changes):
    """One task for each size; it trains at all gains."""
    tasks = {}
    for size in sizes:
        tasks |= _tasks(driven.CONFIG | changes, networks, label=f"-{size}", hidden=size)
    return tasks


def _checks():
    """At most 50 updates in float64: their costs are the same on every machine, to rounding."""
    short = {"dtype": "float64", "milestones": [], "transient": 100}
    return (
        _tasks(
            sine.CONFIG | short | {"epochs": 20, "free_steps": 300},
            ("LSTM", "oRNN"),
            label="-sine",
            seeds=[0],
        )
        | _tasks(
            symbols.CONFIG | short | {"epochs": 5, "sequences": [500, 100, 100], "starts": 4},
            ("sLSTM", "sLSTM certified", "oRNN"),
            label="-symbols",
            seeds=[0],
        )
        | _tasks(
            words.CONFIG | short | {"epochs": 1, "batch": 64, "words": 4, "starts": 2},
            ("LSTM", "oRNN"),
            label="-words",
            seeds=[0],
        )
        | _tasks(
            driven.CONFIG | short | {"epochs": 2, "gains": [1.0, 2.0], "hidden": 4},
            ("tanh", "GRU"),
            label="-driven",
            seeds=[0],
        )
    )


def _experiment(name, description, tasks, **settings):
    return Experiment(name, description, tasks, _train, _analyse, _analysis_version, **settings)


EXPERIMENTS = {
    experiment.name: experiment
    for experiment in [
        _experiment(
            "sine",
            "sine generation by three networks, and by the LSTM without clipping",
            _tasks(sine.CONFIG, ("LSTM", "sLSTM", "oRNN"))
            | _tasks(sine.CONFIG, ("LSTM",), label="-unclipped", clip=None),
        ),
        _experiment(
            "sine-paper",
            "sine generation by an LSTM at the paper's own size",
            _tasks(sine.PAPER, ("LSTM",), seeds=[0]),
        ),
        _experiment(
            "symbols",
            "symbol classification against the length, by four networks",
            _symbols((60, 100, 200)),
        ),
        _experiment(
            "symbols-varied",
            "symbol classification, lengths from 50 to 70 in one training",
            _tasks(symbols.VARIED, ("LSTM", "sLSTM", "oRNN"))
            | _tasks(symbols.VARIED, ("LSTM", "sLSTM"), label="-forget-bias", forget_bias=2.0),
        ),
        _experiment(
            "symbols-curriculum",
            "symbol classification, lengths from 60 to 140 one after the other",
            _tasks(symbols.CURRICULUM, ("LSTM", "sLSTM", "oRNN")),
        ),
        _experiment(
            "words",
            "word language models of a grammar and of Python's help texts, by four networks",
            _tasks(words.CONFIG) | _tasks(words.PYDOC, label="-pydoc"),
        ),
        _experiment(
            "words-wikitext",
            "the same on the smaller parts of WikiText-2, one seed",
            _tasks(words.WIKITEXT, seeds=[0]),
            needs="wikitext",
        ),
        _experiment(
            "driven",
            "exponents, slopes and minima of driven networks, before and after 200 updates",
            _driven((2, 8, 32, 128)),
        ),
        _experiment("check", "a few updates of each kind, for verify", _checks()),
    ]
}
