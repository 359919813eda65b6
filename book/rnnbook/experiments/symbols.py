"""Symbol classification (page 10): accuracy against the gap, and what holds a content."""

from functools import partial

import numpy as np

from rnnbook.experiments.ends import end_states
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
    "lengths": [60],  # of the sequences, all in one training
    "sequences": [1000, 300, 1000],  # of each length, for training, validation and test
    "batch": 100,
    "epochs": 50,
    "patience": 12,  # epochs without a lower validation after which a training of tuning stops
    "rate": 0.005,
    "factor": 0.3,
    "milestones": [35],
    "clip": 0.25,
    "dtype": "float32",
    "record_every": 5,
    "starts": 32,
    "transient": 2000,
    "forget_bias": None,  # of the LSTM networks at the start; None: drawn like all others
    "keep_params": True,
}
VARIED = {"lengths": [50, 55, 60, 65, 70], "sequences": [200, 60, 500]}


def train(config, checkpoint=None):
    """Train on symbol classification; validation chooses the epoch.

    Returns
    -------
    arrays : dict of array
        ``exponents``, as from `ExponentRecorder` under two distractors, and ``certificate``, as
        from `CertificateRecorder`.
    params : dict of array
    """
    data_rng, init_rng, train_rng, start_rng = generators(config)
    cell, project = network(config, KINDS + DISTRACTORS)
    params = cell.init_params(init_rng, output_size=KINDS**2, dtype=np.dtype(config["dtype"]))
    practice, valid, test = _parts(config, data_rng)
    trained = fit(
        Mixture(Sequences(task.cost(cell), batch_size=config["batch"]) for task in practice),
        first(params, config, project),
        config,
        train_rng,
        checkpoint=checkpoint,
        project=project,
        validate=partial(_mean_cost, cell, valid),
        patience=None if config["record_every"] else config["patience"],
        record=_recorders(config, cell, _starts(cell, start_rng)),
    )
    arrays = summarise(trained) | (kept(trained.best_params) if config["keep_params"] else {})
    arrays["data"] = digest(*(task.inputs for task in practice + valid + test))
    return arrays, trained.best_params


def score(config, arrays, params):
    """By what a configuration is chosen: the validation cost; and two accuracies beside it."""
    data_rng, _, _, rng = generators(config)
    cell, _ = network(config, KINDS + DISTRACTORS)
    _, valid, _ = _parts(config, data_rng)
    far = symbol_classification(rng, length=BEYOND[-1], dtype=config["dtype"])
    return {
        "validation": _mean_cost(cell, valid, params),
        "accuracy": accuracy(cell, params, *valid),
        "beyond": accuracy(cell, params, far),
    }


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
    _, _, test = _parts(config, data_rng)
    _starts(cell, rng)  # those of the recorders come first
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


def _parts(config, rng):
    """Lists of tasks, one for each length, for training, validation and test."""
    settings = {"sequences": config["sequences"], "dtype": config["dtype"]}
    splits = [symbol_splits(rng, length=length, **settings) for length in config["lengths"]]
    return [list(part) for part in zip(*splits, strict=True)]


def _starts(cell, rng):
    """Where the orbits start that are recorded in training."""
    return rng.normal(size=(2, cell.state_size))


def _recorders(config, cell, starts):
    epochs = range(config["epochs"] + 1)[:: config["record_every"]]
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
