"""Contraction by construction and by projection (page 12): accuracy against rate and length."""

from functools import partial

import numpy as np

from rnnbook.experiments import symbols
from rnnbook.experiments.networks import fit, kept
from rnnpedagogy import contraction, stability
from rnnpedagogy.cells import LSTM
from rnnpedagogy.tasks import DISTRACTORS, KINDS, accuracy, symbol_splits
from rnnpedagogy.training import Sequences

ANALYSIS = 1  # the version of `analyse`, to be raised with every change of what it finds
RATES, LENGTHS = (0.8, 0.9, 0.97), (12, 24, 48)
# Where the one symbol is; sequences for training, validation and test.
TASK = {"window": [0, 4], "sequences": [500, 300, 1000], "dtype": "float32"}
TRAINING = {"batch": 50, "epochs": 24, "milestones": [16], "factor": 0.3, "clip": 0.25}
# With the seed 1 two parts of length 12 would share a sequence.
SEEDS = {"tuning_seed": 10, "seeds": [0, 2, 3, 4, 5]}
CONFIG = {"kind": "contracting", "hidden": 16} | TASK | TRAINING | SEEDS
FREE = [{"rate": rate, "bias": bias} for rate in (0.02, 0.005) for bias in (2.0, 4.0)]
BOUNDED = [{"rate": rate, "phi": phi} for rate in (0.02, 0.005) for phi in (0.6, 0.65)]
# Four settings each. The last two, which guess at 24, are spared longer sequences.
GRIDS = dict.fromkeys(("construction", "projection", "published"), FREE)
GRIDS |= {"bias alone": FREE, "published certified": BOUNDED}
# The two symbols of page 10, as its networks are tuned and trained.
TWO = {"kind": "contracting", "network": "construction"} | {
    name: symbols.CONFIG[name] for name in (*TRAINING, "hidden", "sequences", "dtype", "patience")
}
TWO |= {"windows": [[9, 19], [39, 49]], "tuning_seed": 10, "seeds": [*range(5)]}
TWO["grid"] = [{"rate": rate, "bias": bias} for rate in (0.01, 0.005, 0.002) for bias in (2.0, 4.0)]
TWO_AT = [*((60, rate) for rate in (*RATES, 0.99)), (100, 0.97), (100, 0.99)]


def tasks():
    """One task for each network, certified rate and length; the published ones have no rate."""
    found = {}
    for network, grid in GRIDS.items():
        for length in LENGTHS[: 2 if network in tuple(GRIDS)[-2:] else 3]:
            for rate in (None,) if "published" in network else RATES:
                name = f"{network.replace(' ', '-')}-{length}" + (f"-{rate}" if rate else "")
                own = {"network": network, "length": length, "certified": rate, "grid": grid}
                found[name] = CONFIG | own
    for length, rate in TWO_AT:
        own = {"length": length, "certified": rate}
        found[f"construction-two-{length}-{rate}"] = TWO | own
    return found


def _network(config, point):
    """The cell and the projection at a point of the grid."""
    kind, rate = config["network"], config["certified"]
    size = KINDS + DISTRACTORS, config["hidden"]
    if kind == "construction":
        return contraction.ContractingLSTM(*size, rate=rate), None
    project, settings = stability.project_stable_lstm, {}
    if rate:  # up to the φ that the construction starts from
        settings = {"phi": rate / (1 + np.exp(-point["bias"])), "nearest": kind == "projection"}
        project, settings = contraction.project_to_rate, settings | {"rate": rate}
    if kind == "published certified":
        project, settings = stability.project_contracting_lstm, {"phi": point["phi"]}
    return LSTM(*size), partial(project, **settings)


def _parts(config, seed):
    data_rng, rng = np.random.default_rng(seed).spawn(2)
    settings = {name: config[name] for name in ("sequences", "length", "dtype")}
    settings["windows"] = config.get("windows") or [config["window"]]
    return symbol_splits(data_rng, **settings), rng


def _trained(config, point, seed, checkpoint):
    """Parameters of the best epoch, and their validation cost."""
    (practice, valid, _), rng = _parts(config, seed)
    cell, project = _network(config, point)
    params = cell.init_params(rng, output_size=practice.output_size, dtype=practice.inputs.dtype)
    if "bias" in point:
        np.split(params["bias"], 4)[1][:] = point["bias"]
    batches = Sequences(practice.cost(cell), batch_size=config["batch"])
    settings = {"checkpoint": checkpoint, "project": project, "validate": valid.cost(cell)}
    settings["patience"] = config.get("patience") if seed == config["tuning_seed"] else None
    params = project(params) if project else params
    best = fit(batches, params, config | point, rng, **settings).best_params
    return best, float(valid.cost(cell)(best))


def train(config, checkpoint=None):
    """``validation`` at each point of the grid, ``chosen``, the best one; parameters of all seeds.

    The first is found on a seed of its own, the others are trained at the best point.
    """

    def one(name, point, seed):
        path = checkpoint and checkpoint.with_name(f"{checkpoint.name}-{name}")
        return _trained(config, point, seed, path)

    grid = config["grid"]
    costs = [one(f"grid{k}", point, config["tuning_seed"])[1] for k, point in enumerate(grid)]
    chosen = int(np.argmin(costs))
    params = [one(seed, grid[chosen], seed)[0] for seed in config["seeds"]]
    arrays = {"validation": np.float32(costs), "chosen": np.array(chosen)}
    stacked = {name: np.stack([each[name] for each in params]) for name in params[0]}
    if config["length"] in (24, 60):
        arrays |= kept(stacked)
    return arrays, stacked


def analyse(config, params):
    """``accuracy`` on the test part, and the ``rate`` of the best weighted norm, for each seed."""
    cell, _ = _network(config, config["grid"][0])
    right = []
    for k, seed in enumerate(config["seeds"]):
        test = _parts(config, seed)[0][2]
        right.append(accuracy(cell, {name: array[k] for name, array in params.items()}, test))
    norm = contraction.best_max_norm(contraction.jacobian_bounds(cell, params))
    return {"accuracy": np.float32(right), "rate": np.float32(norm.rate)}
