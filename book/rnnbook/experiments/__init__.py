"""Stored results of what takes longer than a page may take, and the command that recomputes them.

An experiment is a list of tasks, each with a configuration and a seed. Networks that are compared
are tuned alike first, by the experiments ``…-tuning`` (see `rnnbook.experiments.registry`). What a
task finds is kept in a file of its own, with a record of configuration, versions, seconds of the
processor and a checksum; `load` checks it. The command

.. code-block:: text

    python -m rnnbook.experiments list
    python -m rnnbook.experiments run NAME … [--jobs 2] [--dask ADDRESS] [--wikitext DIR]
    python -m rnnbook.experiments verify [--every-seed]
    python -m rnnbook.experiments summary

lists what there is; computes what is not stored, or, as ``run all``, everything that is not;
checks every file, trains a small task of each kind again, and repeats the analysis of stored
parameters; prints a table. ``--folder DIR`` in
front of the command, or the variable ``RNNBOOK_RESULTS``, puts results elsewhere than into the
package.
"""

from rnnbook.experiments import store
from rnnbook.experiments.ends import END_KINDS
from rnnbook.experiments.networks import NETWORKS, network
from rnnbook.experiments.registry import EXPERIMENTS
from rnnbook.experiments.store import (
    CorruptError,
    Experiment,
    Result,
    StaleError,
    results_folder,
)
from rnnbook.experiments.sweeps import SweepError, sweep
from rnnpedagogy._validation import choice

__all__ = [
    "END_KINDS",
    "EXPERIMENTS",
    "NETWORKS",
    "CorruptError",
    "Experiment",
    "Result",
    "StaleError",
    "SweepError",
    "load",
    "network",
    "results_folder",
    "sweep",
]


def load(name, *, folder=None, **where):
    """The stored results of an experiment, or of those tasks whose configuration fits.

    Parameters
    ----------
    name : str
        One of `EXPERIMENTS`.
    folder : path, optional
        Where results are, see `results_folder`.
    **where
        Entries of the configuration, such as ``network="LSTM"``.

    Returns
    -------
    list of Result

    Raises
    ------
    FileNotFoundError, CorruptError, StaleError
        If a result has not been computed, is damaged, or belongs to another configuration.
    ValueError
        If there is no such experiment or no such task.
    """
    experiment = EXPERIMENTS[choice("name", name, tuple(EXPERIMENTS))]
    tasks = [
        task
        for task, config in experiment.tasks.items()
        if all(config.get(key) == value for key, value in where.items())
    ]
    if not tasks:
        raise ValueError(f"{name} has no task with {where}")
    return [store.read(experiment, task, folder) for task in tasks]
