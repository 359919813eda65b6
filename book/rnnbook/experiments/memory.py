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
    """`_measured` of each network: of those of five seeds, at the start and trained, or the gains.

    Parameters are not given: they are drawn from the seed, or read from the results of another
    experiment, ``source``.
    """
    rows, rng = [], generators(config)[3]
    if "source" in config:
        for seed in range(5):
            own, end = _stored(config, seed)
            draw, inputs = _inputs_of(own, end)
            cell, project = network(own, inputs)
            start = first(cell.init_params(generators(own)[1]), own, project)
            both = [
                {name: float64(one)[name] for name in cell.param_shapes()} for one in (start, end)
            ]
            rows.append([_measured(cell, one, draw, rng, config) for one in both])
    else:
        cell, init_rng = CELLS[config["network"]](1, config["hidden"]), generators(config)[1]
        for gain in config["gains"]:
            one = driven.start(cell, gain, init_rng)
            if config["network"] == "orthogonal":
                one["weight_hh"] = gain * np.linalg.qr(one["weight_hh"])[0]
            one["weight_ih"] *= config["input"]
            one = {name: one[name] for name in cell.param_shapes()}
            rows.append([_measured(cell, one, _normal, rng, config)])
    names = rows[0][0]
    return {k: np.array([[one[k] for one in row] for row in rows], np.float32) for k in names}


def _normal(rng, shape):
    return rng.normal(size=(*shape, 1))


def _stored(config, seed):
    """Configuration and parameters of a network that another experiment has trained."""
    name, task = config["source"]
    arrays = read_arrays(store.results_folder() / name / f"{task}-{seed}.npz")
    params = {k[7:]: array for k, array in arrays.items() if k.startswith("params/")}
    return json.loads(str(arrays["record"]))["config"], params


def _inputs_of(own, params):
    """White inputs with the law of the task's: a function that draws them, and their size."""
    if own["kind"] == "sine":
        return lambda rng, shape: rng.uniform(np.pi / 16, np.pi / 8, (*shape, 1)), 1
    rows = np.eye(6)
    if own["kind"] == "words":
        words = load_corpus(own["corpus"], vocabulary=own["vocabulary"]).train
        rows = params["embedding"].astype(float)[words]
    return lambda rng, shape: rows[rng.integers(len(rows), size=shape)], rows.shape[-1]


def _measured(cell, params, draw, rng, config):
    """What is found for one network.

    ``memory`` and ``reach`` for each noise: the sum of `memory_function` over the lags, and how
    many of its values are at least one half; ``curve``, rounded, for the second noise; ``hidden``,
    the memory of ``h`` alone; ``exponent``; ``curvature``, the logarithm to base ten of the norm
    of the Hessian for each length.
    """
    H, past = cell.hidden_size, TRANSIENT - config["lags"]
    single = {name: array.astype(np.float32) for name, array in params.items()}
    zero, u = cell.zero_state(), draw(rng, (TRANSIENT + STEPS, SEQUENCES)).astype(np.float32)
    spread = rollout(cell, single, zero.astype(np.float32), u)[TRANSIENT:].std(axis=(0, 1))
    found = {"memory": [], "reach": []}
    for noise in np.float32(config["noise"]):
        x = noisy_rollout(cell, single, zero.astype(np.float32), u, noise * spread, rng)
        x, seen = x[past:].astype(float), u[past:].astype(float)
        curve = memory_function(x, seen, config["lags"])
        found["memory"].append(curve.sum())
        found["reach"].append((curve >= 0.5).sum())
        if len(found["memory"]) == 2:
            found["curve"] = np.round(curve, 2)
            found["hidden"] = memory_function(x[..., :H], seen, config["lags"]).sum()
    system = CellMap(cell, params, draw(rng, (500,)))
    found["exponent"] = lyapunov_spectrum(
        system, zero, steps=400, transient=100, exponents=1
    ).exponents[0]
    found["curvature"] = [
        np.log10(_curvature(cell, params, spread[:H].astype(float), draw, rng, steps))
        for steps in config["lengths"]
    ]
    return found


def _curvature(cell, params, spread, draw, rng, steps):
    """The norm of the Hessian in the cell's parameters; a random readout is to give white noise."""
    scale = np.sqrt(cell.hidden_size) * np.where(spread > 0, spread, np.inf)
    readout = {"weight_ho": rng.normal(size=(1, cell.hidden_size)) / scale, "bias_o": np.zeros(1)}
    V = Cost(cell, draw(rng, (steps, 4)), rng.normal(size=(steps, 4, 1)))
    names = list(cell.param_shapes())
    return hessian_spectrum(
        V, params | readout, rng, names=names, max_steps=16, tolerance=0.03
    ).norm
