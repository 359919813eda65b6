"""Sine generation (page 9): the orbit diagram of training, and the trained network left alone."""

import numpy as np

from rnnbook.experiments.networks import (
    can_have_certificate,
    first,
    fit,
    float64,
    generators,
    kept,
    network,
    summarise,
)
from rnnbook.experiments.recorders import CertificateRecorder
from rnnpedagogy._storage import digest
from rnnpedagogy.dynamics import CellMap, find_fixed_points, free_oscillation
from rnnpedagogy.tasks import sine_generation
from rnnpedagogy.training import ExponentRecorder, OrbitRecorder, Sequences

ANALYSIS = 1  # the version of `analyse`, to be raised with every change of what it finds
RECORDED = np.array([np.pi / 16, 3 * np.pi / 32, np.pi / 8])  # inputs of the orbit diagram
CONFIG = {
    "kind": "sine",
    "hidden": 32,
    "sequences": 20,
    "length": 200,
    "batch": 10,
    "epochs": 800,
    "rate": 0.005,
    "factor": 0.3,
    "milestones": [400, 600],
    "clip": 0.25,
    "dtype": "float32",
    "record_every": 20,
    "transient": 1500,
    "free_steps": 6000,
    "forget_bias": None,  # of the LSTM networks at the start; None: drawn like all others
}
PAPER = CONFIG | {
    "hidden": 200,
    "sequences": 100,
    "length": 400,
    "epochs": 700,
    "rate": 0.001,
    "factor": 0.1,
    "milestones": [500],
    "free_steps": 3000,
}


def train(config, checkpoint=None):
    """Train on sine generation.

    Returns
    -------
    arrays : dict of array
        ``orbits``, shape ``(R, 40, 3, 3)``: after the epochs ``orbits/epochs``, 40 consecutive
        outputs under each of the inputs `RECORDED`, from three starts. ``multipliers``, shape
        ``(R, 3, 2)``: absolute value and angle of the leading eigenvalue at the fixed point that
        these orbits surround or end at (NaN where none was found). ``exponents``: as from
        `ExponentRecorder`. ``certificate``: as from `CertificateRecorder`.
    params : dict of array
    """
    _, init_rng, train_rng, start_rng = generators(config)
    dtype = np.dtype(config["dtype"]).type
    cell, project = network(config, 1)
    task = sine_generation(**_settings(config))
    params = first(cell.init_params(init_rng, output_size=1, dtype=dtype), config, project)
    every = range(config["epochs"] + 1)[:: config["record_every"]]
    seldom = every[::5]
    starts, inputs = _starts(cell, start_rng), RECORDED[:, np.newaxis]
    record = {
        "orbits": OrbitRecorder(cell, inputs, starts, 40, config["transient"], epochs=every),
        "multipliers": _multipliers(cell, inputs, starts, config["transient"], every),
        "exponents": ExponentRecorder(cell, inputs, starts[:1], 300, 500, epochs=seldom),
    }
    if can_have_certificate(config):
        record["certificate"] = CertificateRecorder(every)
    trained = fit(
        Sequences(task.cost(cell), batch_size=config["batch"]),
        params,
        config,
        train_rng,
        checkpoint=checkpoint,
        project=project,
        record=record,
    )
    arrays = summarise(trained)
    if config["hidden"] <= 64:
        arrays |= kept(trained.params)
    if "orbits" in arrays:
        with np.errstate(over="ignore"):  # larger outputs become infinite: such an orbit is lost
            arrays["orbits"] = arrays["orbits"][..., 0].astype(np.float16)
    return arrays | {"data": digest(task.inputs, task.targets)}, trained.params


def score(config, arrays, params):
    """By what a configuration is chosen: the cost on other frequencies."""
    *_, rng = generators(config)
    cell, _ = network(config, 1)
    return {"validation": sine_generation(rng, **_settings(config)).cost(cell)(params)}


def analyse(config, params):
    """What a trained network does.

    Returns
    -------
    dict of array
        ``cost``, and ``test_cost`` on other frequencies; ``free/…``, shape ``(9, 16)``:
        `free_oscillation` under nine frequencies from 16 starts of the sizes ``free/sizes``; the
        first is zero, as in training.
    """
    *_, start_rng = generators(config)
    cell, _ = network(config, 1)
    _starts(cell, start_rng)  # those of the recorders come first
    seen = sine_generation(**_settings(config))
    unseen = sine_generation(start_rng, **_settings(config))
    arrays = {
        "cost": np.float32(seen.cost(cell)(params)),
        "test_cost": np.float32(unseen.cost(cell)(params)),
    }
    return arrays | _left_alone(cell, float64(params), start_rng, config["free_steps"])


def _settings(config):
    return {name: config[name] for name in ("sequences", "length", "dtype")}


def _starts(cell, rng):
    """Where the orbits start that are recorded in training."""
    return rng.normal(size=(3, cell.state_size))


def _multipliers(cell, inputs, starts, transient, epochs):
    """A recorder of the leading eigenvalue at the fixed point amid the orbits."""
    states = OrbitRecorder(
        cell, inputs, starts, 40, transient, observe=lambda cell, params, x: x, epochs=epochs
    )

    def record(epoch, params):
        orbits = states(epoch, params)
        if orbits is None:
            return None
        leading = np.full((len(inputs), 2), np.nan)
        for k, constant in enumerate(inputs):
            middle = orbits[:, k].mean(axis=0).astype(np.float64)
            middle = middle[np.isfinite(middle).all(axis=-1)]
            if not len(middle):
                continue
            found = find_fixed_points(CellMap(cell, float64(params), constant), middle)
            if len(found.points):
                nearest = np.linalg.norm(found.points - middle[0], axis=-1).argmin()
                first = found.stability[nearest].eigenvalues[0]
                leading[k] = abs(first), abs(np.angle(first))
        return leading

    return record


def _left_alone(cell, params, rng, steps):
    """The oscillation far beyond the training length."""
    frequencies = np.linspace(np.pi / 16, np.pi / 8, 9)
    sizes = np.concatenate([[0], np.geomspace(0.1, 10, 15)])
    starts = sizes[:, np.newaxis] * rng.normal(size=(len(sizes), cell.state_size))
    with np.errstate(over="ignore", invalid="ignore"):
        found = free_oscillation(
            cell,
            params,
            np.repeat(frequencies[:, np.newaxis], len(sizes), axis=1),
            state=np.broadcast_to(starts, (len(frequencies), *starts.shape)),
            steps=steps,
            transient=2 * steps // 3,
        )
    error = np.abs(found.frequency[:, 0] / frequencies - 1)
    return {
        "free/inputs": np.float32(frequencies),
        "free/sizes": np.float32(sizes),
        "free/frequency": np.float32(found.frequency),
        "free/amplitude": np.float32(found.amplitude),
        "free/level": np.float32(found.level),
        "frequency_error": np.float32(np.median(error)),
        "oscillating": np.float32((found.frequency > 0).mean()),
        "amplitude_spread": np.float32(found.amplitude.std(axis=1).mean()),
    }
