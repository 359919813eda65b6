"""Every public function, called with every kind of wrong argument, says which argument is wrong.

Functions are found in the pages of the reference, parameters in their signatures. What a parameter
may be is told by its name, `KINDS`; what a function is called with otherwise, by `GOOD`. A new
function or a parameter with a new name fails until it is in these tables, and then until it checks
what it is given.
"""

import importlib
import inspect
import re
import signal
from functools import cache

import numpy as np
import pytest
from rnnbook import figures
from rnnbook.claims import check
from rnnbook.language import Grammar, KneserNey, LanguageModel, load_corpus
from rnnbook.sliders import panel
from sources import all_modules, reference

from rnnpedagogy.bounds import readout_bounds, step_bounds
from rnnpedagogy.cells import LSTM, Elman, unflatten
from rnnpedagogy.contraction import best_max_norm, best_two_norm
from rnnpedagogy.costs import Cost
from rnnpedagogy.dynamics import CellMap, Map, follow_branch
from rnnpedagogy.growth import growth_rate
from rnnpedagogy.interchange import from_torch
from rnnpedagogy.linear_units import scan
from rnnpedagogy.memory import linear_memory, memory_function, noisy_rollout
from rnnpedagogy.orthogonal import (
    expm,
    expm_skew_adjoint,
    householder,
    householder_adjoint,
    modrelu,
    skew_matrix,
)
from rnnpedagogy.shooting import MultipleShooting
from rnnpedagogy.stability import contraction_certificate
from rnnpedagogy.tasks import accuracy, adding
from rnnpedagogy.training import Adam, Sequences

LIMIT = 10  # seconds for a call that is refused
CELL, LSTM_CELL = Elman(2, 3), LSTM(1, 2)
PARAMS = CELL.init_params(np.random.default_rng(0), output_size=1)
LSTM_PARAMS = LSTM_CELL.init_params(np.random.default_rng(0))
INPUTS, TARGETS = np.zeros((4, 2, 2)), np.ones((4, 2, 1))
COST = Cost(CELL, INPUTS, TARGETS)
SILENT = Cost(Elman(0, 2), np.zeros((4, 0)), np.zeros((4, 1)))
SILENT_PARAMS = Elman(0, 2).init_params(np.random.default_rng(3), output_size=1)
SYSTEM = CellMap(Elman(1, 2), Elman(1, 2).init_params(np.random.default_rng(1)))


def rng():
    return np.random.default_rng(0)


# What is wrong for each kind of argument.

RAGGED = [[1.0, 2.0], [3.0]]
MASKED = np.ma.masked_array(np.zeros(2), [True, False])
WRONG = {
    "generator": [None, 0, "seed", 1.5, np.random, object()],
    "cell": [None, "LSTM", 3, Elman, {}, object()],
    "params": [None, "weights", 3, [], {}, {"weight_hh": "large"}, {"nothing": np.ones(2)}],
    "cost": [None, 1.0, "squared error", {}, CELL, object()],
    "system": [None, 3, "a map", np.tanh, {}, object()],
    "real array": [None, "text", object(), RAGGED, MASKED, np.array(["a"]), {}, np.nan, 1j],
    "numbers": [None, "text", object(), RAGGED, np.array(["a"]), {}],
    "arrays": [None, "weights", 3, [], {}, {"weight_hh": "large"}],
    "limit": [None, "1", np.nan, -1.0, [1.0, 2.0], 1j, {}, object()],
    "integers": [None, "text", object(), RAGGED, np.array([0.5]), {}, [-1], np.nan],
    "count": [None, "3", 0, -1, 1.5, np.nan, np.inf, True, [2], object()],
    "steps": [None, "3", -1, 1.5, np.nan, np.inf, True, [2], object()],
    "number": [None, "1", np.nan, [1.0, 2.0], 1j, {}, object()],
    "positive": [None, "1", np.nan, -1.0, np.inf, [1.0, 2.0], 1j, {}, object()],
    "callable": [None, 3, "f", [], object()],
    "choice": [None, "nonsense", 3, [], object()],
    "text": [None, "", 3, [], object()],
    "path": [None, 3, [], object()],
    "dtype": ["text", np.int64, np.complex128, 3, object()],
    "objective": [None, 3, "cost", {}, np.tanh, object()],
    "mapping": [None, 3, "text", [1], object()],
    "collection": [None, 3, object()],
    "flag": [],
    "places": [None, "text", object(), RAGGED, np.array([0.5]), {}, [-1], [10**6]],
    "words": [None, "the end", 3, [1, 2], object()],
    "order": ["3", -1, 1.5, np.nan, 9, [2], object()],
    "batch": [None, 3, "text", (np.full((5, 2), -1), np.zeros((5, 2), int)), (1.5, 2), object()],
    "vocabulary": ["3", 0, -1, 1.5, np.nan, [2], object()],
    "dictionary": [None, "weights", 3, []],
    "bound": [None, "1", np.nan, [1.0, 2.0], 1j, {}, object()],
    "measured": [None, "1", [1.0, 2.0], 1j, {}, object()],
    "bounds": [None, 1.0, "tight", {}, object()],
    "bifurcation": [None, 1.0, "fold", {}, object()],
    "pair": [None, 1, "xy", (1,), (0, 1, 2), ("a", "b"), object()],
    "counts": [None, 3, "text", (), (0, 1), (1.5,), object()],
    "objectives": [None, 3, [3], object()],
    "optimiser": ["adam", 3, Adam, object()],
    "figure": [None, 3, "figure", object()],
    "source": [None, 3, "text", np, object()],
    "corpus": [None, 3, "grammar", object()],
}

# What kind each parameter is, by its name.

KINDS = {
    "generator": "rng",
    "cell": "cell",
    "params": "params",
    "cost": "cost",
    "system": "system",
    "objective": "objective",
    "real array": "state states start starts point vector direction first second A B S G z bias "
    "noise entries vectors weight x y xs ys values inputs targets jacobians signal log_values "
    "frequencies hidden",
    "integers": "lengths",
    "count": "output_size input_size hidden_size max_steps iterations max_points rounds keep tries "
    "period largest_period batch_size checkpoint_every blocks exponents interval length patience "
    "vocabulary sequences points depth order delay lags horizon",
    "steps": "steps transient epochs",
    "positive": "tolerance slow merge safety rate clip largest factor eps input_bound error "
    "distance weight_hh weight_ih weight_ho step span target total_variation phi dropout",
    "number": "low high value",
    "callable": "function operator sample project validate observe family gradient draw",
    "choice": "activation loss at scale model name parametrisation",
    "text": "alt title identifier statement",
    "mapping": "record state_dict sliders",
    "path": "checkpoint folder",
    "dtype": "dtype",
    "collection": "names milestones",
    "flag": "slopes initial_state to_end progress force docstring raster nearest",
}
KIND_OF = {name: kind for kind, names in KINDS.items() for name in names.split()}


def square(w):
    """A family of maps of one variable, for any array of values of its parameter."""
    return Map(lambda x: np.asarray(w)[..., np.newaxis] * x * (1 - x))


@cache
def fold():
    return follow_branch(square, 2.0, np.array([0.5]), low=1.5, high=3.2).bifurcations[0]


# What each public function is called with, apart from the argument that is wrong. A pair is a value
# and its kind, where the name of the parameter does not tell the kind.

STEP = step_bounds(Elman(1, 2), weight_hh=0.9, inputs=1.0)
READOUT = readout_bounds(Elman(1, 2), weight_ho=1.0)
NET = {"cell": CELL, "params": PARAMS}
SQUARE = np.array([[0.5, 0.1], [0.0, 0.5]])
FOUND = {"cost": COST, "params": PARAMS}
SYMBOL_CELL = Elman(6, 3)
SYMBOL_PARAMS = SYMBOL_CELL.init_params(np.random.default_rng(2), output_size=4)
NETWORK_OF_ONE = {"cell": Elman(1, 2), "params": Elman(1, 2).init_params(rng(), output_size=1)}
TORCH = {
    "weight_ih_l0": np.ones((2, 1), np.float32),
    "weight_hh_l0": np.ones((2, 2), np.float32),
    "bias_ih_l0": np.ones(2, np.float32),
    "bias_hh_l0": np.ones(2, np.float32),
}
CORPUS, GRAMMAR = load_corpus("grammar", vocabulary=50), Grammar()
MODEL = LanguageModel(Elman(4, 5), CORPUS, batch_size=2, length=5)
MODEL_PARAMS = MODEL.init_params(rng())
RECORDER = {
    "cell": CELL,
    "inputs": (np.zeros((1, 2)), "numbers"),
    "starts": (np.zeros((2, 3)), "numbers"),
    "steps": (3, "count"),
    "transient": 2,
}


def calls():
    """Functions and classes by full name, with arguments that are right."""
    return {
        "rnnpedagogy.cells": {
            "Elman": {"input_size": (1, "steps"), "hidden_size": 2, "activation": "tanh"},
            "LSTM": {"input_size": (1, "steps"), "hidden_size": 2},
            "GRU": {"input_size": (1, "steps"), "hidden_size": 2},
            "flatten": {"params": (PARAMS, "arrays")},
            "unflatten": {
                "vector": np.zeros(4),
                "shapes": ({"a": (2,), "b": (2, 1)}, "mapping"),
            },
        },
        "rnnpedagogy.rollout": {
            "rollout": NET | {"state": np.zeros((2, 3)), "inputs": INPUTS},
            "outputs": NET | {"states": np.zeros((4, 3))},
        },
        "rnnpedagogy.costs": {
            "Cost": {
                "cell": CELL,
                "inputs": INPUTS,
                "targets": TARGETS,
                "state": np.zeros((2, 3)),
                "loss": "squared error",
                "at": "all",
            },
        },
        "rnnpedagogy.jacobians": {
            "state_jacobians": NET | {"state": np.zeros((2, 3)), "inputs": INPUTS},
            "jacobian_products": {"jacobians": np.zeros((4, 2, 2))},
        },
        "rnnpedagogy.gradients": {
            "bptt": FOUND | {"checkpoint": (False, "flag")},
            "rtrl": FOUND,
            "hessian_vector_product": FOUND | {"vector": (PARAMS, "params")},
        },
        "rnnpedagogy.textbook": {
            "bptt": FOUND,
            "rtrl": FOUND,
            "hessian_vector_product": FOUND | {"vector": (PARAMS, "flag")},
        },
        "rnnpedagogy.gradient_check": {
            "check_gradient": FOUND | {"rng": rng(), "gradient": None, "safety": 10.0},
        },
        "rnnpedagogy.bounds": {
            "step_bounds": {
                "cell": Elman(1, 2),
                "weight_hh": 0.9,
                "weight_ih": 1.0,
                "bias": (0.1, "positive"),
                "condition": (2.0, "positive"),
                "inputs": (1.0, "positive"),
                "state": (1.0, "positive"),
                "names": ["bias"],
            },
            "readout_bounds": {
                "cell": Elman(1, 2),
                "weight_ho": 1.0,
                "state": (1.0, "positive"),
                "names": ["bias"],
            },
            "cost_bounds": {
                "step": (STEP, "bounds"),
                "readout": (READOUT, "bounds"),
                "error": 1.0,
                "lengths": np.arange(1, 5),
            },
        },
        "rnnpedagogy.hessian": {
            "lanczos": {"operator": lambda v: 2 * v, "start": np.ones(3), "max_steps": 2}
            | {"tolerance": 1e-8},
            "hessian_spectrum": FOUND
            | {"rng": rng(), "names": None, "max_steps": 2}
            | {"tolerance": 1e-8},
            "gradient_norms": FOUND | {"names": None},
        },
        "rnnpedagogy.search": {
            "supremum": {
                "function": lambda x: -(x**2).sum(axis=-1),
                "sample": lambda rng, size: rng.normal(size=(size, 2)),
                "project": None,
                "rng": rng(),
                "starts": (4, "count"),
                "rounds": (2, "steps"),
                "keep": 2,
                "tries": 2,
            },
            "largest_decreasing_step": FOUND | {"names": None},
        },
        "rnnpedagogy.memory": {
            "noisy_rollout": NET
            | {"state": np.zeros((2, 3)), "inputs": INPUTS, "noise": np.ones(3), "rng": rng()},
            "memory_function": {
                "states": rng().normal(size=(6, 4, 3)),
                "inputs": rng().normal(size=(6, 4, 1)),
                "lags": 2,
            },
            "linear_memory": {"A": SQUARE, "B": np.ones((2, 1)), "noise": np.ones(2), "lags": 3},
        },
        "rnnpedagogy.growth": {
            "growth_rate": {
                "lengths": (np.arange(1.0, 6.0), "real array"),
                "log_values": np.arange(5.0) ** 1.1,
                "model": "exponential",
                "start": (1.0, "number"),
            },
        },
        "rnnpedagogy.landscape": {
            "random_direction": {"params": (PARAMS, "arrays"), "rng": rng(), "scale": "each"},
            "cost_along_line": FOUND
            | {"direction": (PARAMS, "params"), "steps": (np.zeros(3), "real array")},
            "cost_on_plane": FOUND
            | {"first": (PARAMS, "params"), "second": (PARAMS, "params")}
            | {"xs": np.zeros(3), "ys": np.zeros(2)},
            "local_minima": {"values": np.zeros(5)},
            "total_variation": {"values": np.zeros(5)},
            "minima_bound": {"total_variation": 3.0, "span": 1.0},
            "count_minima": {
                "function": lambda x: (x**2, 2 * x),
                "low": -1.0,
                "high": 1.0,
                "points": 5,
                "max_points": 9,
            },
        },
        "rnnpedagogy.shooting": {
            "MultipleShooting": {
                "cost": SILENT,
                "params": (SILENT_PARAMS, "arrays"),
                "directions": ([{"bias": np.ones(2)}], "collection"),
                "length": 2,
            },
        },
        "rnnpedagogy.dynamics": {
            "Map": {"step": (np.tanh, "callable"), "jacobian": (None, "callable")},
            "CellMap": {"cell": Elman(1, 2), "params": (SYSTEM.params, "dictionary")}
            | {"inputs": np.zeros(1)},
            "lyapunov_spectrum": {"system": SYSTEM, "state": np.zeros(2), "steps": (20, "count")}
            | {"transient": 2, "exponents": 1, "interval": 1, "blocks": 2, "rng": rng()},
            "orbit_diagram": {
                "family": square,
                "values": np.array([2.0, 2.5]),
                "state": np.array([0.5]),
                "steps": (4, "count"),
                "transient": 4,
                "follow": (None, "choice"),
            },
            "is_stable": {"system": SYSTEM, "point": np.zeros(2), "period": 1, "tolerance": 1e-6},
            "find_fixed_points": {"system": SYSTEM, "starts": np.zeros((2, 2)), "tolerance": 1e-9}
            | {"slow": 0.1, "iterations": 5, "merge": 1e-5},
            "find_cycles": {"system": SYSTEM, "starts": np.zeros((2, 2)), "period": 2}
            | {"tolerance": 1e-9, "iterations": 5, "merge": 1e-5},
            "follow_branch": {
                "family": square,
                "value": 2.0,
                "state": np.array([0.5]),
                "step": 0.05,
                "points": 3,
                "low": (1.5, "bound"),
                "high": (2.5, "bound"),
                "direction": ("both", "choice"),
                "period": 1,
            },
            "switch_branch": {"family": square, "bifurcation": (fold(), "bifurcation")}
            | {"distance": 0.01},
            "identify_attractors": {"system": SYSTEM, "starts": np.zeros((2, 2))}
            | {"transient": 20, "steps": (20, "count"), "largest_period": 4, "tolerance": 1e-6},
            "basins_of_attraction": {
                "system": SYSTEM,
                "x": np.linspace(-1, 1, 3),
                "y": np.linspace(-1, 1, 2),
                "at": (None, "real array"),
                "axes": ((0, 1), "pair"),
                "transient": 20,
                "steps": (20, "count"),
            },
            "oscillation": {"signal": np.sin(np.arange(50.0))[:, np.newaxis], "transient": 2},
            "free_oscillation": NETWORK_OF_ONE
            | {"frequencies": np.array([0.3]), "state": None, "steps": (20, "count")}
            | {"transient": 5},
        },
        "rnnpedagogy.tasks": {
            "sine_generation": {"rng": rng(), "sequences": 2, "length": 10, "dtype": np.float64},
            "symbol_classification": {
                "rng": rng(),
                "sequences": 2,
                "length": 60,
                "windows": (((9, 19), (39, 49)), "collection"),
                "dtype": np.float64,
            },
            "copying": {"rng": rng(), "sequences": 2, "delay": 3, "dtype": np.float64},
            "adding": {"rng": rng(), "sequences": 2, "length": (2, "count"), "dtype": np.float64},
            "symbol_splits": {"rng": rng(), "sequences": ((5, 5), "counts")},
            "accuracy": {"cell": SYMBOL_CELL, "params": (SYMBOL_PARAMS, "dictionary")},
        },
        "rnnpedagogy.stability": {
            "contraction_certificate": {"params": LSTM_PARAMS, "input_bound": 1.0},
            "project_stable_lstm": {"params": LSTM_PARAMS},
            "project_contracting_lstm": {"params": LSTM_PARAMS, "input_bound": 1.0, "phi": 0.6},
        },
        "rnnpedagogy.contraction": {
            "jacobian_bounds": {"cell": LSTM_CELL, "params": (LSTM_PARAMS, "params")}
            | {"input_bound": 1.0, "rounds": (2, "steps")},
            "best_max_norm": {"bounds": (np.ones((1, 2, 2)), "real array")}
            | {"iterations": 5, "tolerance": 1e-9},
            "best_two_norm": {"W": (np.ones((2, 2)), "real array"), "iterations": 5},
            "ContractingLSTM": {"input_size": (1, "steps"), "hidden_size": 2}
            | {"rate": 0.9, "input_bound": 1.0},
            "project_to_rate": {"params": LSTM_PARAMS, "rate": 0.9, "phi": 0.8}
            | {"input_bound": 1.0, "nearest": True},
        },
        "rnnpedagogy.orthogonal": {
            "skew_matrix": {"entries": (np.ones(3), "numbers")},
            "expm": {"A": SQUARE},
            "expm_skew": {"S": SQUARE - SQUARE.T},
            "expm_skew_adjoint": {"S": SQUARE - SQUARE.T, "G": SQUARE},
            "cayley": {"S": SQUARE - SQUARE.T},
            "cayley_adjoint": {"S": SQUARE - SQUARE.T, "G": SQUARE},
            "householder": {"vectors": SQUARE},
            "householder_adjoint": {"vectors": SQUARE, "G": SQUARE},
            "modrelu": {"z": (np.ones(2), "numbers"), "bias": (np.ones(2), "numbers")},
            "OrthogonalRNN": {
                "input_size": (1, "steps"),
                "hidden_size": 2,
                "activation": "modrelu",
                "parametrisation": "exp",
            },
        },
        "rnnpedagogy.linear_units": {
            "Rectifier": {"input_size": (1, "steps"), "hidden_size": 2},
            "LinearRecurrentUnit": {"input_size": (1, "steps"), "hidden_size": 2, "horizon": 9},
            "scan": {
                "eigenvalues": (np.ones(2), "numbers"),
                "drive": (np.ones((3, 2)), "numbers"),
                "start": (np.ones(2), "numbers"),
            },
        },
        "rnnpedagogy.training": {
            "Sequences": {"cost": COST, "batch_size": None},
            "FreshSequences": {"cell": CELL, "draw": (lambda rng: None, "callable")}
            | {"steps": (2, "count")},
            "SlowAtFirst": {"betas": ((0.9, 0.999), "pair"), "eps": 1e-8}
            | {"count": (2, "steps"), "part": (0.1, "positive")},
            "Mixture": {"objectives": ([Sequences(COST)], "objectives")},
            "Adam": {"betas": ((0.9, 0.999), "pair"), "eps": 1e-8},
            "clip_by_global_norm": {"gradient": (np.ones(3), "numbers"), "largest": (1.0, "limit")},
            "StepSchedule": {"rate": 0.1, "milestones": [3], "factor": 0.1},
            "OrbitRecorder": RECORDER | {"epochs": (None, "collection")},
            "ExponentRecorder": RECORDER | {"epochs": (None, "collection")},
            "train": {
                "objective": Sequences(COST),
                "params": PARAMS,
                "epochs": 1,
                "rng": rng(),
                "optimiser": (None, "optimiser"),
                "rate": 1e-3,
                "clip": None,
                "project": None,
                "validate": None,
                "patience": None,
                "target": None,
                "record": None,
                "checkpoint": None,
                "checkpoint_every": 1,
                "progress": False,
            },
        },
        "rnnpedagogy.interchange": {
            "from_torch": {"cell": Elman(1, 2), "state_dict": (TORCH, "mapping")},
            "to_torch": {"cell": Elman(1, 2), "params": SYSTEM.params},
        },
        "rnnbook.figures": {
            "figure": {"width": (5.0, "positive"), "height": (3.0, "positive")},
            "show": {"fig": (figures.figure()[0], "figure"), "alt": "Four words at least."},
        },
        "rnnbook.sliders": {
            "explore": {
                "draw": lambda x: figures.figure()[0],
                "name": ("x", "text"),
                "values": ([1, 2], "collection"),
                "alt": (lambda x: "Four words at least.", "callable"),
                "label": (str, "callable"),
                "start": (None, "choice"),
            },
            "panel": {
                "draw": lambda x: figures.figure()[0],
                "sliders": ({"x": (0.0, 1.0, 0.5)}, "mapping"),
                "alt": (lambda x: "Four words at least.", "callable"),
            },
        },
        "rnnbook.source": {"show_source": {"obj": (rng, "source")}},
        "rnnbook.claims": {
            "check": {
                "identifier": "C1.1",
                "statement": "It is so.",
                "measured": (1.0, "measured"),
                "at_most": (2.0, "number"),
                "at_least": (0.0, "number"),
                "expected": ("holds", "choice"),
            },
            "together": {"title": "Both."},
        },
        "rnnbook.language": {
            "Grammar": {"depth": 1},
            "Unigram": {"corpus": (CORPUS, "corpus")},
            "KneserNey": {"corpus": (CORPUS, "corpus"), "order": 2},
            "LanguageModel": {"cell": Elman(8, 4), "corpus": (CORPUS, "corpus")}
            | {"batch_size": 2, "length": 5, "dropout": 0.1},
            "load_corpus": {"name": ("grammar", "path"), "vocabulary": (50, "vocabulary")},
        },
        "rnnbook.grading": {
            "own_generator": {"name": ("Ada", "text"), "task": ("mean", "text")},
            "expect": {
                "value": (1.0, "flag"),
                "correct": (1.0, "numbers"),
                "what": ("your mean", "text"),
                "rtol": (0.1, "limit"),
                "atol": (0.1, "limit"),
                "mistakes": (None, "mapping"),
            },
            "check_notebook": {"path": ("nothing.ipynb", "path")},
        },
        "rnnbook.experiments": {
            "load": {"name": "sine", "folder": None},
            "results_folder": {"folder": None},
            "network": {
                "config": ({"network": "LSTM", "hidden": 3}, "mapping"),
                "input_size": (2, "steps"),
            },
        },
    }


METHODS = {
    "Cost.__call__": (COST, "__call__", {"params": PARAMS}),
    "Cost.step_by_step": (COST, "step_by_step", {"params": (PARAMS, "dictionary")}),
    "Cell.init_params": (CELL, "init_params", {"rng": rng(), "output_size": (1, "count")}),
    "Corpus.decode": (CORPUS, "decode", {"indices": (np.arange(3), "places")}),
    "Corpus.encode": (CORPUS, "encode", {"words": (["the"], "words")}),
    "Corpus.streams": (CORPUS, "streams", {"part": ("train", "choice"), "batch_size": 2}),
    "Grammar.sample": (GRAMMAR, "sample", {"rng": rng(), "length": 5}),
    "Grammar.conditional_entropy": (GRAMMAR, "conditional_entropy", {"order": (1, "order")}),
    "LanguageModel.init_params": (MODEL, "init_params", {"rng": rng()}),
    "LanguageModel.gradient": (
        MODEL,
        "gradient",
        {
            "params": (MODEL_PARAMS, "dictionary"),
            "batch": ((np.zeros((5, 2), int), np.zeros((5, 2), int)), "batch"),
            "state": (None, "flag"),
            "rng": rng(),
        },
    ),
    "LanguageModel.perplexity": (
        MODEL,
        "perplexity",
        {"params": (MODEL_PARAMS, "dictionary"), "part": ("valid", "choice"), "batch_size": 8},
    ),
    "LanguageModel.generate": (
        MODEL,
        "generate",
        {"params": (MODEL_PARAMS, "dictionary"), "rng": rng(), "length": 3},
    ),
    "Certificate.distance": (
        contraction_certificate(LSTM_PARAMS),
        "distance",
        {"state": (np.zeros(4), "numbers"), "other": (np.zeros(4), "numbers")},
    ),
}


def documented():
    """The functions and classes of the reference: (module, name) → object.

    Results, which only functions make, are not called by anybody.
    """
    found = {}
    for name in reference():
        module = importlib.import_module(name)
        returned = set().union(*(one.returned_classes() for one in all_modules().values()))
        for one in all_modules()[name].public_names():
            value = getattr(module, one)
            exception = inspect.isclass(value) and issubclass(value, Exception)
            if callable(value) and not exception and one not in returned:
                found[name, one] = value
    return found


def plain(value):
    """A good value without its kind."""
    return value[0] if isinstance(value, tuple) and len(value) == 2 and value[1] in WRONG else value


def kind_of(name, value):
    if isinstance(value, tuple) and len(value) == 2 and value[1] in WRONG:
        return value[1]
    assert name in KIND_OF, f"what may {name} be? Add it to KINDS"
    return KIND_OF[name]


def cases():
    """(label, function, arguments, the one that is wrong)."""
    for module, functions in calls().items():
        for name, good in functions.items():
            value = getattr(importlib.import_module(module), name)
            yield from cases_of(f"{module}.{name}", value, good)
    for name, (owner, method, good) in METHODS.items():
        yield from cases_of(name, getattr(owner, method), good)


def cases_of(label, function, good):
    parameters = inspect.signature(function).parameters
    right = {name: plain(value) for name, value in good.items()}
    for name, value in good.items():
        assert name in parameters, f"{label} has no parameter {name}"
        for number, wrong in enumerate(WRONG[kind_of(name, value)]):
            if wrong is None and parameters[name].default is None:
                continue
            yield f"{label}-{name}-{number}", function, right | {name: wrong}, name


CASES = list(cases())


def test_there_are_more_than_a_thousand_cases():
    assert len(CASES) > 1000


# What only other modules call; what pages draw with, and the networks that they look at.
NOT_CALLED = {
    "rnnpedagogy.rollout": "checked lay_out weights_of",
    "rnnpedagogy.costs": "SquaredError CrossEntropy",
    "rnnpedagogy.jacobians": "step_derivatives",
    "rnnpedagogy.textbook": "jacobians equations slope_along",
}
ON_PAGES = ("rnnbook.pictures", "rnnbook.chaotic_lstm", "rnnbook.neurons")


def test_every_documented_function_is_called():
    called = {module: set(functions) for module, functions in calls().items()}
    missing = [
        f"{module}.{name}"
        for module, name in documented()
        if module not in ON_PAGES
        and name not in called.get(module, set())
        and name not in NOT_CALLED.get(module, "").split()
    ]
    assert not missing, "add a right call to calls(), and checks until every wrong one is named"


def call(function, arguments):
    """Call by name, positional ones by position."""
    parameters = inspect.signature(function).parameters
    by_place = [
        arguments[name]
        for name, one in parameters.items()
        if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD) and name in arguments
    ]
    by_name = {
        name: value
        for name, value in arguments.items()
        if name in parameters and parameters[name].kind == inspect.Parameter.KEYWORD_ONLY
    }
    return function(*by_place, **by_name)


@pytest.mark.parametrize(
    ("refused", "says"),
    [
        (lambda: Adam(1, 2, 3, 4), r"__init__\(\) takes"),
        (lambda: scan(np.ones(2)), r"scan\(\) missing 2 required .* 'drive' and 'start'"),
        (lambda: scan(np.ones((2, 5)), np.zeros((4, 2, 1)), np.ones((2, 5))), "eigenvalues must"),
        (lambda: scan(np.ones(2), np.zeros((4, 4)), np.ones(4)), "eigenvalues must broadcast"),
        (lambda: unflatten(np.ones(2), {}), "shapes must hold at least one shape, got {}"),
        (lambda: METHODS["Certificate.distance"][0].distance(np.ones(4), np.ones(3)), "state and"),
        (lambda: growth_rate([1e200, 2e200, 3e200], [1.0, 2.0, 3.0]), "lengths and log_values"),
        (lambda: growth_rate([1, 2, 3], [0.0, 1e308, -1e308]), "lengths and log_values must"),
        (lambda: shooting([{"nothing": np.ones(2)}]), "directions must be one of 'weight_ih'"),
        (lambda: shooting({"bias": np.ones(2)}), "directions must be a dictionary of arrays, got"),
        (lambda: shooting([{"bias": np.ones(3)}]), "got bias of shape"),
        (lambda: noisy(np.ones((5, 3))), r"noise must have leading axes of the run, \(\), got"),
        (lambda: noisy(np.ones((0, 3))), r"noise must have leading axes of the run, \(\), got"),
        (lambda: recall(1e300), "inputs must vary, with finite squares"),
        (lambda: recall(1e-300), "inputs must vary, with finite squares"),
        (lambda: linear_memory(0 * SQUARE, np.zeros((2, 1)), np.zeros(2), 3), "noise must be pos"),
        (lambda: linear_memory(UNBOUNDED, np.ones((2, 1)), np.ones(2), 3), "A not huge"),
        (lambda: skew_matrix(3.0), r"entries must be n .*, got \(\)"),
        (lambda: expm(np.full((2, 2), 1e308)), "A must hold finite square matrices"),
        (lambda: expm_skew_adjoint(np.zeros((4, 2, 2)), np.zeros((3, 2, 2))), "S and G must"),
        (
            lambda: householder_adjoint(np.ones((4, 1, 2)), np.zeros((3, 2, 2))),
            "vectors and G ",
        ),
        (lambda: householder(np.full((1, 2), 1e200)), "vectors must not be zero, and have finite"),
        (lambda: householder(np.array([[3e-162, 4e-162]])), "vectors must not be zero"),
        (lambda: modrelu(np.ones(2), np.ones(3)), "z and bias must broadcast"),
        (lambda: best_max_norm(np.full((1, 2, 2), 1e308)), "bounds must be square, with finite"),
        (lambda: best_two_norm(np.full((2, 2), 1e200)), "W must be square, with a finite norm"),
        (lambda: accuracy(SYMBOL_CELL, SYMBOL_PARAMS), "tasks must be at least one"),
        (lambda: accuracy(SYMBOL_CELL, SYMBOL_PARAMS, 3), "tasks must be a Task, got 3"),
        (lambda: accuracy(CELL, PARAMS, adding(rng())), "tasks must .* classes for targets"),
        (lambda: panel(print, sliders={"x": (0, 1)}, alt=str), "slider 'x' must be .low, high, st"),
        (lambda: counted().probability("text", 3), "context must be a collection"),
        (lambda: counted().probability([1, 99], 3), "context and word must lie in .0, 50."),
        (lambda: counted().probability([], -1), "context and word must lie in .0, 50."),
        (lambda: check("C1.1", "It is.", measured=1, at_most=2, note=3), "note must be a text"),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_what_depends_on_several_arguments_is_named_too(refused, says):
    with pytest.raises((TypeError, ValueError), match=says):
        refused()


UNBOUNDED = np.array([[0.5, 1e200], [0.0, 0.5]])


def shooting(directions):
    return MultipleShooting(SILENT, SILENT_PARAMS, directions, length=2)


def counted():
    return KneserNey(CORPUS, order=2)


def noisy(noise):
    return noisy_rollout(CELL, PARAMS, np.zeros(3), np.zeros((4, 2)), noise, rng())


def recall(size):
    states, inputs = rng().normal(size=(6, 4, 3)), rng().normal(size=(6, 4, 1))
    return memory_function(states, size * inputs, 2)


def give_up(*_):
    raise TimeoutError("still running")


@pytest.mark.parametrize(
    ("function", "arguments", "name"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_a_wrong_argument_is_named(function, arguments, name):
    signal.signal(signal.SIGALRM, give_up)
    signal.alarm(LIMIT)
    try:
        with pytest.raises((TypeError, ValueError)) as raised:
            call(function, arguments)
    finally:
        signal.alarm(0)
    said = str(raised.value)
    keys = arguments[name] if isinstance(arguments[name], dict) else ()
    assert re.search(rf"\b({'|'.join([name, *keys])})\b", said), said
    assert re.search(r"\b(must|expected|needs?)\b", said), said


def test_a_message_does_not_print_whole_arrays():
    layer = {"weight_hh_l0": np.linspace(0, 1, 400).reshape(20, 20)}
    for refused in (lambda: from_torch(layer, CELL), lambda: from_torch(CELL, [layer])):
        with pytest.raises(TypeError, match=r"must be a .*, got .*weight_hh_l0.*\.\.\.") as raised:
            refused()
        assert len(str(raised.value)) < 200
