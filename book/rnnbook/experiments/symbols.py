"""Symbol classification (page 9): accuracy against the gap, and what holds a content."""

from functools import partial

import numpy as np

from rnnbook.experiments.networks import (
    certificate_recorder,
    end_states,
    fit,
    float64,
    generators,
    network,
    summarise,
)
from rnnpedagogy._storage import digest
from rnnpedagogy.rollout import outputs, rollout
from rnnpedagogy.stability import contraction_certificate
from rnnpedagogy.tasks import symbol_classification, symbol_splits
from rnnpedagogy.training import ExponentRecorder, Sequences

KINDS, DISTRACTORS, SECOND_WINDOW_ENDS = 2, 4, 49
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


def run(config):
    """Train on symbol classification; validation chooses the epoch, test is looked at once.

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
    lengths = config["lengths"]
    for at_once in [lengths] if config["varied"] else [[length] for length in lengths]:
        settings = {"sequences": config["sequences"], "dtype": dtype}
        splits = [symbol_splits(data_rng, length=length, **settings) for length in at_once]
        train, valid, test = zip(*splits, strict=True)
        epochs = range(0, config["epochs"] + 1, config["record_every"])
        starts = start_rng.normal(size=(2, cell.state_size))
        record = certificate_recorder(config, epochs) | {
            "exponents": ExponentRecorder(cell, inputs[-2:], starts, 200, 300, epochs=epochs[::2])
        }
        trained = fit(
            Mixture(cell, train, config["batch"]),
            params,
            config,
            train_rng,
            project=project,
            validate=partial(_mean_cost, cell, valid),
            record=record,
        )
        params = trained.best_params
        stages.append(accuracy(cell, params, *valid))
        costs.append(trained.history["cost"])
        seen += [digest(part.inputs, part.targets) for part in (*train, *valid, *test)]
    arrays = summarise(trained, params=config["keep_params"])
    arrays["history/cost"] = np.float32(np.concatenate(costs))
    arrays["data"] = digest(np.array(seen))
    arrays["stages"] = np.float32(stages)
    arrays["accuracy"] = np.float32(accuracy(cell, params, *test))
    arrays["test_cost"] = np.float32(_mean_cost(cell, test, params))
    longer = [symbol_classification(start_rng, length=length, dtype=dtype) for length in BEYOND]
    arrays["beyond/lengths"] = np.array(BEYOND)
    arrays["beyond"] = np.float32([accuracy(cell, params, task) for task in longer])
    if "certificate" in arrays:
        certificate = contraction_certificate(params)
        arrays["certificate/holds"] = certificate.holds
        arrays["certificate/rate"] = np.float32(certificate.rate)
        arrays["largest_forget_bias"] = np.float32(np.split(params["bias"], 4)[1].max())
    return arrays | _under_constant_inputs(cell, params, test[-1], start_rng, config)


class Mixture:
    """An objective for `train`: batches of sequences of several lengths, in random order."""

    def __init__(self, cell, tasks, batch_size):
        self.parts = [
            Sequences(
                cell,
                task.inputs,
                task.targets,
                batch_size=batch_size,
                loss=task.loss,
                at=task.at,
            )
            for task in tasks
        ]

    def batches(self, rng):
        """Pairs of a part and a batch of it."""
        found = [(part, batch) for part in self.parts for batch in part.batches(rng)]
        return (found[k] for k in rng.permutation(len(found)))

    def gradient(self, params, batch, state, rng):
        """As that of `Sequences`."""
        part, indices = batch
        return part.gradient(params, indices, None, rng)


def _mean_cost(cell, tasks, params):
    return float(np.mean([task.cost(cell)(params) for task in tasks]))


def accuracy(cell, params, *tasks):
    """The share of sequences that a network classifies correctly, mean over the tasks."""
    shares = []
    for task in tasks:
        states = rollout(cell, params, cell.zero_state(dtype=task.inputs.dtype), task.inputs)
        answers = outputs(cell, params, states[-1:])[0].argmax(axis=-1)
        shares.append((answers == task.targets[-1]).mean())
    return float(np.mean(shares))


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
