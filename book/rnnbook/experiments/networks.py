"""The four networks of pages 8 to 10, and what is measured on each."""

from dataclasses import dataclass

import numpy as np

from rnnpedagogy.cells import LSTM
from rnnpedagogy.dynamics import CellMap, identify_attractors
from rnnpedagogy.orthogonal import OrthogonalRNN
from rnnpedagogy.stability import (
    contraction_certificate,
    project_contracting_lstm,
    project_stable_lstm,
)
from rnnpedagogy.training import Adam, StepSchedule, train

NETWORKS = {
    "LSTM": (LSTM, None),
    "sLSTM": (LSTM, project_stable_lstm),  # the published projection
    "sLSTM certified": (LSTM, project_contracting_lstm),  # keeps its certificate, bias counted
    "oRNN": (OrthogonalRNN, None),
}
KINDS = (
    "fixed point",
    "cycle",
    "closed curve",
    "chaotic",
    "still moving",
    "undecided",
    "diverged",
)


def network(config, input_size):
    """The cell of a configuration, and its projection."""
    cell, project = NETWORKS[config["network"]]
    return cell(input_size, config["hidden"]), project


def fit(objective, params, config, rng, **settings):
    """`train` with the settings of a configuration."""
    return train(
        objective,
        params,
        epochs=config["epochs"],
        rng=rng,
        optimiser=Adam(),
        rate=StepSchedule(config["rate"], config["milestones"], config["factor"]),
        clip=config["clip"],
        progress=False,
        **settings,
    )


def generators(config):
    """Independent generators for data, first parameters, training and starts of orbits."""
    return np.random.default_rng(config["seed"]).spawn(4)


def summarise(run, params=True):
    """Arrays of a `Training`: history, records and, if wanted, the best parameters, in float32."""
    arrays = {f"history/{name}": np.float32(values) for name, values in run.history.items()}
    for name, record in run.records.items():
        arrays[f"{name}/epochs"] = record.epochs.astype(np.int32)
        arrays[name] = np.float32(record.values)
    if params:
        arrays |= {f"params/{name}": np.float32(value) for name, value in run.best_params.items()}
    return arrays | {"epochs": np.array(run.epoch), "diverged": np.array(run.diverged)}


@dataclass(frozen=True)
class CertificateRecorder:
    """How far an LSTM is from certain contraction: its rate, ``φ`` and largest forget bias.

    Called with an epoch and parameters it returns an array of three numbers: a recorder for
    `train`.
    """

    epochs: range
    input_bound: float = 1.0

    def __call__(self, epoch, params):
        if epoch not in self.epochs:
            return None
        certificate = contraction_certificate(params, input_bound=self.input_bound)
        forget_bias = np.split(params["bias"], 4)[1]
        return np.array([certificate.rate, certificate.phi, forget_bias.max()])


def certificate_recorder(config, epochs):
    """A `CertificateRecorder` for networks that can have a certificate."""
    cell, _ = NETWORKS[config["network"]]
    return {"certificate": CertificateRecorder(epochs)} if cell is LSTM else {}


def float64(params):
    """Parameters in the type of the analysis."""
    return {name: value.astype(np.float64) for name, value in params.items()}


def end_states(cell, params, inputs, starts, *, transient, steps):
    """What orbits settle on under each of several constant inputs.

    Parameters
    ----------
    cell, params
        The network.
    inputs : array, shape (K, m)
        Constant inputs.
    starts : array, shape (S, n)
    transient, steps : int
        As for `identify_attractors`, which has a tolerance of 1e-4 here.

    Returns
    -------
    arrays : dict of array
        ``ends/attractors`` and ``ends/starts``, both of shape ``(K, 7)``: how many different ones
        there are of each of the `KINDS`, and how many starts lead to them; ``ends/labels``, shape
        ``(K, S)``: which one each start leads to, −1 if it diverges.
    states : list of array
        For each input one state of each attractor, shape ``(attractors, n)``.
    """
    attractors = np.zeros((len(inputs), len(KINDS)), np.int16)
    counts = np.zeros_like(attractors)
    labels = np.empty((len(inputs), len(starts)), np.int16)
    states = []
    for k, constant in enumerate(inputs):
        found = identify_attractors(
            CellMap(cell, params, constant),
            starts,
            transient=transient,
            steps=steps,
            tolerance=1e-4,
        )
        labels[k] = found.labels
        for one in found.attractors:
            attractors[k, KINDS.index(one.kind)] += 1
            counts[k, KINDS.index(one.kind)] += one.count
        counts[k, -1] = (found.labels < 0).sum()
        attractors[k, -1] = counts[k, -1] > 0
        states.append(np.array([one.states[-1] for one in found.attractors]))
    arrays = {"ends/attractors": attractors, "ends/starts": counts, "ends/labels": labels}
    return arrays, states
