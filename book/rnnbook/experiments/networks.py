"""The four networks of pages 9 to 11, and how they are trained."""

from functools import partial

import numpy as np

from rnnpedagogy._validation import choice, parameters, takes
from rnnpedagogy.cells import LSTM
from rnnpedagogy.orthogonal import OrthogonalRNN
from rnnpedagogy.stability import project_contracting_lstm, project_stable_lstm
from rnnpedagogy.training import Adam, StepSchedule, train

NETWORKS = {
    "LSTM": (LSTM, None),
    "sLSTM": (LSTM, project_stable_lstm),  # the published projection
    "sLSTM certified": (LSTM, project_contracting_lstm),  # keeps its certificate, bias counted
    "oRNN": (OrthogonalRNN, None),
}


@takes(config=parameters)
def network(config, input_size):
    """The cell of a configuration, and its projection."""
    cell, project = NETWORKS[choice("config['network']", config.get("network"), tuple(NETWORKS))]
    if config.get("phi") is not None:
        project = partial(project, phi=config["phi"])
    return cell(input_size, config["hidden"]), project


def can_have_certificate(config):
    """Whether the network of a configuration is an LSTM, which may have a certificate."""
    return NETWORKS[config["network"]][0] is LSTM


def generators(config):
    """Independent generators for data, first parameters, training and starts of orbits.

    No draw of one of them depends on what training finds: an analysis makes them anew, and draws
    what it drew when the network was trained.
    """
    return np.random.default_rng(config["seed"]).spawn(4)


def first(params, config, project):
    """Where training starts: drawn parameters with the forget bias of the configuration."""
    if config["forget_bias"] is not None and can_have_certificate(config):
        np.split(params["bias"], 4)[1][:] = config["forget_bias"]
    return project(params) if project else params


def fit(objective, params, config, rng, *, checkpoint, **settings):
    """`train` with the settings of a configuration, and some twenty checkpoints on the way.

    Without ``record_every``, as in tuning, nothing is recorded.
    """
    if not config.get("record_every"):
        settings["record"] = None
    return train(
        objective,
        params,
        epochs=config["epochs"],
        rng=rng,
        optimiser=Adam(),
        rate=StepSchedule(config["rate"], config["milestones"], config["factor"]),
        clip=config["clip"],
        checkpoint=checkpoint,
        checkpoint_every=max(1, config["epochs"] // 20),
        progress=False,
        **settings,
    )


def summarise(run):
    """Arrays of a `Training`: history and records, in float32."""
    arrays = {f"history/{name}": np.float32(values) for name, values in run.history.items()}
    for name, record in run.records.items():
        arrays[f"{name}/epochs"] = record.epochs.astype(np.int32)
        arrays[name] = np.float32(record.values)
    return arrays | {"epochs": np.array(run.epoch), "diverged": np.array(run.diverged)}


def kept(params):
    """Arrays of parameters, under the names that they are stored by."""
    return {f"params/{name}": np.float32(value) for name, value in params.items()}


def float64(params):
    """Parameters in the type of the analysis."""
    return {name: value.astype(np.float64) for name, value in params.items()}
