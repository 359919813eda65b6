"""Experiments and their results: one small file for each task, checked when it is read."""

import json
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rnnpedagogy import __version__
from rnnpedagogy._storage import digest, read_arrays, write_arrays

FOLDER = Path(__file__).parent.parent / "results"


@dataclass(frozen=True)
class Experiment:
    """A name, and a list of tasks that do not depend on each other.

    Attributes
    ----------
    name, description : str
    tasks : dict of dict
        By name, the configuration of each: plain numbers, texts and lists.
    run : callable
        Maps a configuration to a dictionary of arrays, a function of nothing else. The entry
        ``"data"``, if there is one, is a checksum of what was trained on.
    needs : str or None
        A keyword argument of ``run`` that only the reader can supply, such as a folder.
    """

    name: str
    description: str
    tasks: dict
    run: Callable
    needs: str | None = None


@dataclass(frozen=True)
class Result:
    """What a task found; ``result["name"]`` is the array of that name.

    Attributes
    ----------
    task : str
        Name of the task.
    config : dict
        Its configuration.
    record : dict
        Configuration, versions, seconds, checksum of the data.
    arrays : dict of array
    """

    task: str
    config: dict
    record: dict
    arrays: dict

    def __getitem__(self, name):
        return self.arrays[name]

    def part(self, name):
        """The arrays whose names start with ``name/``, such as the parameters ``"params"``."""
        start = name + "/"
        return {key[len(start) :]: self.arrays[key] for key in self.arrays if key.startswith(start)}


class StaleError(ValueError):
    """A result was computed with another configuration than the one that is registered."""


class CorruptError(ValueError):
    """A file is not what was written."""


def results_folder(folder=None):
    """Where results are: ``folder``, or the variable ``RNNBOOK_RESULTS``, or the package."""
    return Path(folder or os.environ.get("RNNBOOK_RESULTS") or FOLDER)


def _path(experiment, task, folder):
    return results_folder(folder) / experiment.name / f"{task}.npz"


def save(experiment, task, arrays, seconds, folder=None):
    """Write the file of a task, as a whole."""
    arrays = {name: np.asarray(array) for name, array in arrays.items()}
    record = {
        "experiment": experiment.name,
        "task": task,
        "config": experiment.tasks[task],
        "data": str(arrays.pop("data", "")),
        "seconds": round(seconds, 2),
        "versions": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "rnnpedagogy": __version__,
        },
    }
    arrays["record"] = np.array(json.dumps(record))
    path = _path(experiment, task, folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_arrays(path, arrays | {"checksum": np.array(_checksum(arrays))}, compress=True)


def _checksum(arrays):
    names = sorted(arrays)
    return digest(np.array(names), *(arrays[name] for name in names))


def read(experiment, task, folder=None):
    """The `Result` of a task.

    Raises
    ------
    FileNotFoundError
        If it has not been computed.
    CorruptError
        If the file is damaged.
    StaleError
        If the configuration has changed since; the message says in what.
    """
    path = _path(experiment, task, folder)
    if not path.exists():
        raise FileNotFoundError(
            f"{experiment.name}/{task} has not been computed: "
            f"python -m rnnbook.experiments run {experiment.name}"
        )
    try:
        arrays = read_arrays(path)
        checksum = str(arrays.pop("checksum"))
    except (KeyError, ValueError) as error:
        raise CorruptError(f"{experiment.name}/{task} is damaged: {error}") from error
    if _checksum(arrays) != checksum:
        raise CorruptError(f"{experiment.name}/{task} is damaged: the checksum does not agree")
    record = json.loads(str(arrays.pop("record")))
    config, stored = experiment.tasks[task], record["config"]
    if stored != config:
        changed = [
            f"{name} = {stored.get(name)!r}, now {config.get(name)!r}"
            for name in stored | config
            if stored.get(name) != config.get(name)
        ]
        raise StaleError(
            f"{experiment.name}/{task} is stale, it was computed with {'; '.join(changed)}"
        )
    return Result(task, config, record, arrays)


def status(experiment, task, folder=None):
    """``"stored"``, ``"missing"``, ``"stale"`` or ``"damaged"``, and why."""
    try:
        read(experiment, task, folder)
    except FileNotFoundError as error:
        return "missing", str(error)
    except StaleError as error:
        return "stale", str(error)
    except CorruptError as error:
        return "damaged", str(error)
    return "stored", ""
