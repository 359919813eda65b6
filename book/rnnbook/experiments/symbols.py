"""Symbol classification (page 9): accuracy against the gap, and what holds a content."""

from functools import partial

import numpy as np

from rnnbook.experiments.ends import end_states
from rnnbook.experiments.networks import (
    can_have_certificate,
    fit,
    float64,
    generators,
    kept,
    network,
    summarise,
)
from rnnbook.experiments.recorders import CertificateRecorder, largest_forget_bias
from rnnpedagogy._storage import digest
from rnnpedagogy.rollout import outputs, rollout
from rnnpedagogy.stability import contraction_certificate
from rnnpedagogy.tasks import DISTRACTORS, KINDS, accuracy, symbol_classification, symbol_splits
from rnnpedagogy.training import ExponentRecorder, Mixture, Sequences

ANALYSIS = 1  # the version of `analyse`, to be raised with every change of what it finds
SECOND_WINDOW_ENDS = 49
BEYOND = (60, 80, 100, 140, 200, 400, 800)  # lengths on which the trained network is tried
CONFIG = {
    "kind": "symbols",
    "hidden": 32,
    "lengths": [60],  # one after the other: more than one is a curriculum …
    "varied": False,  # … or all at once
    "sequences": [1000, 500, 1000],  # of each length, for training, validation and test
    "batch": 100,
    "epochs": 100,  # for each length of a curriculum
    "rate": 0.005,
    "factor": 0.3,
    "milestones": [70],
    "clip": 0.25,
    "dtype": "float32",
    "record_every": 10,
    "starts": 32,
    "transient": 2000,
    "forget_bias": None,  # of the LSTM networks at the start; None: drawn like all others
    "keep_params": False,
}
CURRICULUM = CONFIG | {"lengths": [60, 80, 100, 140], "epochs": 60, "milestones": [40]}
VARIED = CONFIG | {
    "lengths": [50, 55, 60, 65, 70],
    "varied": True,
    "sequences": [200, 100, 500],
    "keep_params": True,
}


def train(config, checkpoint=None):
    """Train on symbol classification; validation chooses the epoch.

    Returns
    -------
    arrays : dict of array
        ``stages``, the accuracy on the validation part after each length of the curriculum. Of the
        last stage ``exponents``, as from `ExponentRecorder` under two distractors, and
        ``certificate``, as from `CertificateRecorder`.
    params : dict of array
    """
    data_rng, init_rng, train_rng, start_rng = generators(config)
    cell, project = network(config, KINDS + DISTRACTORS)
    params = _first_params(config, cell, project, init_rng)
    stages, costs, seen = [], [], []
    for number, (parts, starts) in enumerate(_stages(config, cell, data_rng, start_rng)):
        practice, valid, _ = parts
        trained = fit(
            Mixture(Sequences(task.cost(cell), batch_size=config["batch"]) for task in practice),
            params,
            config,
            train_rng,
            checkpoint=checkpoint and checkpoint.with_name(f"{checkpoint.name}-{number}"),
            project=project,
            validate=partial(_mean_cost, cell, valid),
            record=_recorders(config, cell, starts),
        )
        params = trained.best_params
        stages.append(accuracy(cell, params, *valid))
        costs.append(trained.history["cost"])
        seen += [digest(task.inputs, task.targets) for tasks in parts for task in tasks]
    arrays = summarise(trained) | (kept(params) if config["keep_params"] else {})
    arrays["history/cost"] = np.float32(np.concatenate(costs))
    arrays["data"] = digest(np.array(seen))
    arrays["stages"] = np.float32(stages)
    return arrays, params


def analyse(config, params):
    """What a trained network answers, and what it ends at; the test part is looked at once.

    Returns
    -------
    dict of array
        ``accuracy`` and ``test_cost`` on the test part; ``beyond``: the accuracy on new sequences
        of the lengths ``beyond/lengths``. Under each of the six constant inputs, the distractors
        last: ``ends/…`` as from `end_states`, from starts of which the first half are states after
        the last symbol of test sequences, the second half random; ``ends/true``, shape ``(S,)``,
        the classes of these sequences, −1 for the random ones; ``ends/classes``, shape ``(6, S)``:
        what is read out at the end. ``certificate/…`` of an LSTM.
    """
    data_rng, _, _, rng = generators(config)
    cell, _ = network(config, KINDS + DISTRACTORS)
    *_, (last_parts, _) = _stages(config, cell, data_rng, rng)
    *_, test = last_parts
    dtype = config["dtype"]
    longer = [symbol_classification(rng, length=length, dtype=dtype) for length in BEYOND]
    arrays = {
        "accuracy": np.float32(accuracy(cell, params, *test)),
        "test_cost": np.float32(_mean_cost(cell, test, params)),
        "beyond/lengths": np.array(BEYOND),
        "beyond": np.float32([accuracy(cell, params, task) for task in longer]),
    }
    if can_have_certificate(config):
        certificate = contraction_certificate(params)
        arrays["certificate/holds"] = np.array(certificate.holds)
        arrays["certificate/rate"] = np.float32(certificate.rate)
        arrays["largest_forget_bias"] = np.float32(largest_forget_bias(params))
    return arrays | _under_constant_inputs(cell, params, test[-1], rng, config)


def _first_params(config, cell, project, rng):
    params = cell.init_params(rng, output_size=KINDS**2, dtype=np.dtype(config["dtype"]))
    if config["forget_bias"] is not None and can_have_certificate(config):
        np.split(params["bias"], 4)[1][:] = config["forget_bias"]
    return project(params) if project else params


def _stages(config, cell, data_rng, start_rng):
    """For each stage of the curriculum its parts, a list of tasks each, and starts of orbits."""
    lengths = config["lengths"]
    settings = {"sequences": config["sequences"], "dtype": config["dtype"]}
    for at_once in [lengths] if config["varied"] else [[length] for length in lengths]:
        splits = [symbol_splits(data_rng, length=length, **settings) for length in at_once]
        yield list(zip(*splits, strict=True)), start_rng.normal(size=(2, cell.state_size))


def _recorders(config, cell, starts):
    epochs = range(0, config["epochs"] + 1, config["record_every"])
    distractors = np.eye(KINDS + DISTRACTORS, dtype=config["dtype"])[-2:]
    record = {"exponents": ExponentRecorder(cell, distractors, starts, 200, 300, epochs[::2])}
    if can_have_certificate(config):
        record["certificate"] = CertificateRecorder(epochs)
    return record


def _mean_cost(cell, tasks, params):
    return float(np.mean([task.cost(cell)(params) for task in tasks]))


def _under_constant_inputs(cell, params, task, rng, config):
    params = float64(params)
    count = config["starts"]
    half = count // 2
    inputs = task.inputs[:SECOND_WINDOW_ENDS, :half].astype(float)
    held = rollout(cell, params, cell.zero_state(), inputs)[-1]
    starts = np.concatenate([held, rng.normal(size=(count - half, cell.state_size))])
    true = np.concatenate([task.targets[-1, :half], np.full(count - half, -1)])
    constant = np.eye(KINDS + DISTRACTORS)
    transient = config["transient"]
    arrays, states = end_states(cell, params, constant, starts, transient=transient, steps=300)
    classes = np.full(arrays["ends/labels"].shape, -1, np.int8)
    for labels, ends, row in zip(arrays["ends/labels"], states, classes, strict=True):
        kept = labels >= 0
        if kept.any():
            read = outputs(cell, params, ends[np.newaxis])[0].argmax(axis=-1)
            row[kept] = read[labels[kept]]
    return arrays | {"ends/classes": classes, "ends/true": true.astype(np.int8)}
