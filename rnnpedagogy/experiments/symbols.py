"""Symbol classification (page 9): accuracy against the gap, and what holds a content."""

import numpy as np

from rnnpedagogy._storage import digest
from rnnpedagogy.experiments.networks import (
    certificate_recorder,
    end_states,
    fit,
    float64,
    generators,
    network,
    summarise,
)
from rnnpedagogy.rollout import outputs, rollout
from rnnpedagogy.stability import contraction_certificate
from rnnpedagogy.tasks import symbol_classification, symbol_splits
from rnnpedagogy.training import ExponentRecorder, Sequences

KINDS, DISTRACTORS, SECOND_WINDOW_ENDS = 2, 4, 49
BEYOND = (60, 80, 100, 140, 200, 400, 800)  # lengths on which the trained network is tried
CONFIG = {
    "kind": "symbols",
    "hidden": 32,
    "lengths": [100],  # one after the other: more than one is a curriculum
    "sequences": [1000, 500, 1000],  # for training, validation and test
    "batch": 100,
    "epochs": 150,  # for each length, at most
    "patience": 40,
    "rate": 0.005,
    "factor": 0.3,
    "milestones": [100],
    "clip": 0.25,
    "dtype": "float32",
    "record_every": 10,
    "starts": 64,
    "transient": 2000,
    "forget_bias": None,  # of the LSTM networks at the start; None as all other parameters
    "keep_params": False,
}


def run(config):
    """Train on symbol classification; the validation part stops, the test part is looked at once.

    Returns
    -------
    dict of array
        ``accuracy`` and ``test_cost`` on the test part; ``stages``, the accuracy on the validation
        part after each length of the curriculum; ``beyond``: the accuracy on new sequences of the
        lengths ``beyond/lengths``. Of the network under each of the six constant inputs, the
        distractors last: ``ends/…`` as from `end_states`, from starts of which the first half are
        states after the last symbol of test sequences, the second half random; ``ends/true``,
        shape ``(S,)``, the classes of these sequences, −1 for the random ones; ``ends/classes``,
        shape ``(6, S)``: what is read out at the end. ``exponents``: as from `ExponentRecorder`,
        under two distractors, in the last stage. ``certificate``: as from `CertificateRecorder`.
    """
    data_rng, init_rng, train_rng, start_rng = generators(config)
    dtype = np.dtype(config["dtype"]).type
    cell, project = network(config, KINDS + DISTRACTORS)
    params = cell.init_params(init_rng, output_size=KINDS**2, dtype=dtype)
    if config["forget_bias"] is not None and "skew" not in params:
        np.split(params["bias"], 4)[1][:] = config["forget_bias"]
    params = project(params) if project else params
    inputs = np.eye(KINDS + DISTRACTORS, dtype=dtype)
    stages, costs, seen = [], [], []
    for stage, length in enumerate(config["lengths"]):
        train, valid, test = symbol_splits(
            data_rng,
            sequences=config["sequences"],
            length=length,
            kinds=KINDS,
            distractors=DISTRACTORS,
            dtype=dtype,
        )
        epochs = range(0, config["epochs"] + 1, config["record_every"])
        record = certificate_recorder(config, epochs)
        if stage == len(config["lengths"]) - 1:
            starts = start_rng.normal(size=(2, cell.state_size))
            record["exponents"] = ExponentRecorder(
                cell, inputs[-2:], starts, 200, 300, epochs=epochs[::2]
            )
        trained = fit(
            Sequences(
                cell,
                train.inputs,
                train.targets,
                batch_size=config["batch"],
                loss=train.loss,
                at=train.at,
            ),
            params,
            config,
            train_rng,
            project=project,
            validate=valid.cost(cell),
            patience=config["patience"],
            record=record,
        )
        params = trained.best_params
        stages.append(accuracy(cell, params, valid))
        costs.append(trained.history["cost"])
        seen += [digest(part.inputs, part.targets) for part in (train, valid, test)]
    arrays = summarise(trained, params=config["keep_params"])
    arrays["history/cost"] = np.float32(np.concatenate(costs))
    arrays["data"] = digest(np.array(seen))
    arrays["stages"] = np.float32(stages)
    arrays["accuracy"] = np.float32(accuracy(cell, params, test))
    arrays["test_cost"] = np.float32(test.cost(cell)(params))
    longer = [
        symbol_classification(
            start_rng, length=length, kinds=KINDS, distractors=DISTRACTORS, dtype=dtype
        )
        for length in BEYOND
    ]
    arrays["beyond/lengths"] = np.array(BEYOND)
    arrays["beyond"] = np.float32([accuracy(cell, params, task) for task in longer])
    if "certificate" in arrays:
        certificate = contraction_certificate(params)
        arrays["certificate/holds"] = certificate.holds
        arrays["certificate/rate"] = np.float32(certificate.rate)
        arrays["largest_forget_bias"] = np.float32(np.split(params["bias"], 4)[1].max())
    return arrays | _under_constant_inputs(cell, params, test, start_rng, config)


def accuracy(cell, params, task):
    """The share of sequences of a task that a network classifies correctly."""
    states = rollout(cell, params, cell.zero_state(dtype=task.inputs.dtype), task.inputs)
    scores = outputs(cell, params, states[-1:])[0]
    return float((scores.argmax(axis=-1) == task.targets[-1]).mean())


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
    arrays, states = end_states(cell, params, constant, starts, transient=transient, steps=400)
    classes = np.full(arrays["ends/labels"].shape, -1, np.int8)
    for labels, ends, row in zip(arrays["ends/labels"], states, classes, strict=True):
        kept = labels >= 0
        if kept.any():
            read = outputs(cell, params, ends[np.newaxis])[0].argmax(axis=-1)
            row[kept] = read[labels[kept]]
    return arrays | {"ends/classes": classes, "ends/true": true.astype(np.int8)}
