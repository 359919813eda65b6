"""Memory against smoothness (page 14), of random networks over the gain and of trained ones."""

import json

import numpy as np

from rnnbook.experiments import driven, store
from rnnbook.experiments.networks import first, float64, generators, network
from rnnbook.language import load_corpus
from rnnpedagogy._storage import digest, read_arrays
from rnnpedagogy.cells import Elman
from rnnpedagogy.costs import Cost
from rnnpedagogy.dynamics import CellMap, lyapunov_spectrum
from rnnpedagogy.hessian import hessian_spectrum
from rnnpedagogy.memory import memory_function, noisy_rollout
from rnnpedagogy.rollout import rollout

ANALYSIS = 1  # the version of `analyse`, to be raised with every change of what it finds
CELLS = driven.CELLS | {"orthogonal": Elman}
MEASURED = {"kind": "memory", "noise": [0.1, 0.01, 0.001], "lags": 100, "lengths": [50, 200]}
GAINS = [0.25, 0.5, 0.75, 1.0, 1.25, 1.6, 2.0, 3.0, 5.0, 8.0]
RANDOM = MEASURED | {"hidden": 32, "gains": GAINS, "input": 1.0}
TRANSIENT, STEPS, SEQUENCES = 150, 200, 40


def train(config, checkpoint=None):
    """Nothing is trained; what was trained elsewhere is named by its checksum."""
    trained = [_stored(config, seed)[1] for seed in range(5)] if "source" in config else []
    return {"data": digest(*(one[name] for one in trained for name in one))}, {}


def analyse(config, params):
    """What `_measured` finds for each network, axes first.

    Axes are the gains and one more, or the five seeds of another experiment's networks and (before
    training, trained). Parameters are not given: they are drawn from the seed, or read from the
    results of that experiment, the ``source``.
    """
    rng = generators(config)[3]
    rows = [
        [
            _measured(cell, {k: one[k] for k in cell.param_shapes()}, draw, rng, config)
            for one in row
        ]
        for cell, draw, row in (_trained if "source" in config else _random)(config)
    ]
    return {k: np.float32([[one[k] for one in row] for row in rows]) for k in rows[0][0]}


def _random(config):
    """Cell, function that draws inputs, and parameters, for each gain."""
    cell, rng = CELLS[config["network"]](1, config["hidden"]), generators(config)[1]
    for gain in config["gains"]:
        one = driven.start(cell, gain, rng)
        if config["network"] == "orthogonal":
            one["weight_hh"] = gain * np.linalg.qr(one["weight_hh"])[0]
        one["weight_ih"] *= config["input"]
        yield cell, lambda rng, shape: rng.normal(size=(*shape, 1)), [one]


def _trained(config):
    """The same for each seed of the source: inputs are white, with the law of those of the task."""
    for seed in range(5):
        own, end = _stored(config, seed)
        draw, size = _inputs_of(own, end)
        cell, project = network(own, size)
        start = first(cell.init_params(generators(own)[1]), own, project)
        yield cell, draw, [float64(start), float64(end)]


def _inputs_of(own, params):
    """A function that draws inputs, and their size."""
    if own["kind"] == "sine":
        return lambda rng, shape: rng.uniform(np.pi / 16, np.pi / 8, (*shape, 1)), 1
    rows = np.eye(6)
    if own["kind"] == "words":
        words = load_corpus(own["corpus"], vocabulary=own["vocabulary"]).train
        rows = params["embedding"].astype(float)[words]
    return lambda rng, shape: rows[rng.integers(len(rows), size=shape)], rows.shape[-1]


def _stored(config, seed):
    """Configuration and parameters of a network that another experiment has trained."""
    name, task = config["source"]
    arrays = read_arrays(store.results_folder() / name / f"{task}-{seed}.npz")
    params = {k[7:]: array for k, array in arrays.items() if k.startswith("params/")}
    return json.loads(str(arrays["record"]))["config"], params


def _measured(cell, params, draw, rng, config):
    """What is found for one network.

    For each noise ``memory``, the sum of `memory_function` over the lags; for the second noise
    ``hidden``, that of a readout of ``h`` alone; ``exponent``; for each length ``curvature``, the
    logarithm to base ten of the norm of the Hessian in the cell's parameters, where a random
    readout is to give white noise.
    """
    H, zero, past = cell.hidden_size, cell.zero_state(), TRANSIENT - config["lags"]
    single = {name: array.astype(np.float32) for name, array in params.items()}
    begin, u = np.float32(zero), np.float32(draw(rng, (TRANSIENT + STEPS, SEQUENCES)))
    spread = rollout(cell, single, begin, u)[TRANSIENT:].std(axis=(0, 1))
    found, orbit = {"memory": [], "curvature": []}, {"steps": 400, "transient": 100}
    for k, noise in enumerate(np.float32(config["noise"])):
        x = noisy_rollout(cell, single, begin, u, noise * spread, rng)[past:].astype(float)
        seen = u[past:].astype(float), config["lags"]
        found["memory"].append(memory_function(x, *seen).sum())
        if k == 1:
            found["hidden"] = memory_function(x[..., :H], *seen).sum()
    system = CellMap(cell, params, draw(rng, (500,)))
    found["exponent"] = lyapunov_spectrum(system, zero, exponents=1, **orbit).exponents[0]
    scale = np.sqrt(H) * np.where(spread[:H] > 0, spread[:H].astype(float), np.inf)
    for N in config["lengths"]:
        readout = {"weight_ho": rng.normal(size=(1, H)) / scale, "bias_o": np.zeros(1)}
        V = Cost(cell, draw(rng, (N, 4)), rng.normal(size=(N, 4, 1)))
        settings = {"names": list(cell.param_shapes()), "max_steps": 16, "tolerance": 0.03}
        spectrum = hessian_spectrum(V, params | readout, rng, **settings)
        found["curvature"].append(np.log10(spectrum.norm))
    return found
