"""Driven networks (page 5): do slopes grow and minima multiply, before and after training?"""

import numpy as np

from rnnbook.experiments.networks import fit, float64, generators
from rnnpedagogy.cells import GRU, LSTM, Elman
from rnnpedagogy.costs import Cost
from rnnpedagogy.dynamics import CellMap, lyapunov_spectrum
from rnnpedagogy.landscape import cost_along_line, local_minima, random_direction
from rnnpedagogy.rollout import outputs, rollout
from rnnpedagogy.training import Sequences

ANALYSIS = 1  # the version of `analyse`, to be raised with every change of what it finds
CELLS = {"tanh": Elman, "LSTM": LSTM, "GRU": GRU}
TRAINING = {"sequences": 320, "length": 50, "batch": 32, "epochs": 20, "rate": 0.005, "clip": 1.0}
SCHEDULE = {"milestones": [], "factor": 1.0, "dtype": "float32"}
LINE = {"lengths": [10, 20, 40, 80], "points": 257, "reach": 0.1}  # relative to the parameters
CONFIG = {"kind": "driven", "gains": [1.0, 2.0, 3.0, 5.0], "lag": 5} | TRAINING | SCHEDULE | LINE


def start(cell, gain, rng):
    """Parameters with recurrent weights of standard deviation ``g/√H``, and without biases."""
    root = np.sqrt(cell.hidden_size)
    sizes = {"weight_hh": gain / root, "weight_ih": 1.0, "weight_ho": 1 / root}
    shapes = cell.init_params(rng, output_size=1).items()
    return {k: sizes.get(k, 0.0) * rng.normal(size=array.shape) for k, array in shapes}


def recall(rng, lag, *shape):
    """White noise, shape ``(N, …, 1)``, and the same `lag` steps later, after zeros."""
    u = rng.normal(size=(*shape, 1))
    return u, np.concatenate([np.zeros_like(u[:lag]), u[:-lag]])


def train(config, checkpoint=None):
    """``history/cost`` at each gain, and parameters with the axes (before, after) and gains."""
    data_rng, init_rng, train_rng, _ = generators(config)
    cell, dtype = CELLS[config["network"]](1, config["hidden"]), config["dtype"]
    task = recall(data_rng, config["lag"], config["length"], config["sequences"])
    cost = Cost(cell, *(array.astype(dtype) for array in task))
    costs, ends = [], []
    for k, gain in enumerate(config["gains"]):
        params = {name: v.astype(dtype) for name, v in start(cell, gain, init_rng).items()}
        path = checkpoint and checkpoint.with_name(f"{checkpoint.name}-{k}")
        batches = Sequences(cost, batch_size=config["batch"])
        run = fit(batches, params, config, train_rng, checkpoint=path)
        costs.append(run.history["cost"])
        ends.append([params, run.params])
    stacked = {name: np.array([[end[name] for end in pair] for pair in ends]) for name in params}
    return {"history/cost": np.float32(costs)}, stacked


def analyse(config, params):
    """Exponents, slopes and minima of all networks of a task.

    Returns
    -------
    dict of array
        For each gain, before and after training: the largest ``exponent`` under white noise, and
        its standard error; ``cost`` of recall on new sequences; and for each length, along one
        random line, the ``slopes`` (mean of the logarithm, logarithm of the mean), and the
        ``minima`` on a grid and on every other of its points.
    """
    rng, cell = generators(config)[3], CELLS[config["network"]](1, config["hidden"])
    noise, orbit = rng.normal(size=(700, 1)), {"steps": 600, "transient": 100, "exponents": 1}
    fresh = Cost(cell, *recall(rng, config["lag"], config["length"], 64))
    task = recall(rng, config["lag"], max(config["lengths"]))
    rows, shape = [], (len(config["gains"]), 2)
    for index in np.ndindex(shape):
        one = float64({name: array[index] for name, array in params.items()})
        spectrum = lyapunov_spectrum(CellMap(cell, one, noise), cell.zero_state(), **orbit)
        exponent = spectrum.exponents[0], spectrum.standard_error[0]
        rows.append((exponent, fresh(one), *_along_a_line(cell, one, task, rng, config)))
    columns = zip(("exponent", "cost", "slopes", "minima"), zip(*rows, strict=True), strict=True)
    return {k: np.float32(v).reshape(*shape, *np.shape(v)[1:]) for k, v in columns}


def _along_a_line(cell, params, task, rng, config):
    """Slopes and minima for each length."""
    (inputs, targets), way, reach = task, random_direction(params, rng), config["reach"]
    s, some = np.linspace(-reach, reach, config["points"]), rng.uniform(-reach, reach, 16)
    line = {k: v + s.reshape(-1, *[1] * v.ndim) * way[k] for k, v in params.items()}
    read = outputs(cell, line, rollout(cell, line, cell.zero_state(), inputs))
    sums = ((read - targets[:, np.newaxis]) ** 2).sum(axis=-1).cumsum(axis=0)
    slopes, minima = [], []
    for steps in config["lengths"]:
        V = Cost(cell, inputs[:steps], targets[:steps])
        sizes = np.abs(cost_along_line(V, params, way, some, slopes=True).slopes)
        slopes.append([np.log(sizes).mean(), np.log(sizes.mean())])
        minima.append([len(local_minima(cost)) for cost in (sums[steps - 1], sums[steps - 1, ::2])])
    return slopes, minima
