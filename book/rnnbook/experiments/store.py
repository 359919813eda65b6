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
from rnnpedagogy._validation import a_path, takes

FOLDER = Path(__file__).parent.parent / "results"


@dataclass(frozen=True)
class Experiment:
    """A name, and a list of tasks that do not depend on each other.

    Attributes
    ----------
    name, description : str
    tasks : dict of dict
        By name, the configuration of each: plain numbers, texts and lists.
    train : callable
        Maps a configuration and the path of a checkpoint, or None, to a dictionary of arrays and
        one of parameters, a function of the configuration alone. The entry ``"data"`` of the
        arrays, if there is one, is a checksum of what was trained on.
    analyse : callable
        Maps a configuration and parameters to a dictionary of more arrays.
    analysis_version : callable
        Maps a configuration to a number, which is raised with every change of what the analysis
        finds: results of another version are stale.
    needs : str or None
        A keyword argument of both that only the reader can supply, such as a folder.
    """

    name: str
    description: str
    tasks: dict
    train: Callable
    analyse: Callable
    analysis_version: Callable = lambda config: 1
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
        Configuration, versions, seconds, checksum of the data, and under ``"analysis"`` the
        version of the analysis, which is 1 if it is not there.
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

    @property
    def has_exact_params(self):
        """Whether the parameters are stored, in the type in which they were trained.

        Only then an analysis can be repeated: from rounded ones it finds about the same, but
        counts of ends, and what an orbit comes to in thousands of steps, may differ.
        """
        params = self.part("params")
        return bool(params) and all(
            value.dtype == self.config["dtype"] for value in params.values()
        )


class StaleError(ValueError):
    """A result belongs to another configuration, or another analysis, than those of today."""


class CorruptError(ValueError):
    """A file is not what was written."""


@takes(folder=a_path)
def results_folder(folder=None):
    """Where results are: ``folder``, or the variable ``RNNBOOK_RESULTS``, or the package."""
    return Path(folder or os.environ.get("RNNBOOK_RESULTS") or FOLDER)


def check_folder(folder=None, *, to_write=True):
    """Refuse a folder in which results cannot be, before anything is computed."""
    path = results_folder(folder)
    if path.exists() and not path.is_dir():
        raise NotADirectoryError(f"folder must be a folder, got the file {path}")
    if to_write:
        path.mkdir(parents=True, exist_ok=True)
        if not os.access(path, os.W_OK):
            raise PermissionError(f"folder must be one that can be written to, got {path}")


def _path(experiment, task, folder):
    return results_folder(folder) / experiment.name / f"{task}.npz"


def checkpoint_path(experiment, task, folder=None):
    """Where a task in progress is kept: beside its result, one file for each configuration."""
    text = json.dumps([experiment.tasks[task], _versions()], sort_keys=True)
    path = _path(experiment, task, folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.with_name(f"{task}.{digest(np.array(text))[:8]}.checkpoint")


def remove_checkpoints(experiment, task, folder=None):
    """Remove all that is left of a task in progress, with whatever configuration."""
    for path in _path(experiment, task, folder).parent.glob(f"{task}.*.checkpoint*"):
        path.unlink()


def _versions():
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "rnnpedagogy": __version__,
    }


def save(experiment, task, arrays, seconds, folder=None):
    """Write the file of a task, as a whole."""
    arrays = {name: np.asarray(array) for name, array in arrays.items()}
    record = {
        "experiment": experiment.name,
        "task": task,
        "config": experiment.tasks[task],
        "analysis": experiment.analysis_version(experiment.tasks[task]),
        "data": str(arrays.pop("data", "")),
        "seconds": round(seconds, 2),
        "versions": _versions(),
    }
    arrays["record"] = np.array(json.dumps(record))
    path = _path(experiment, task, folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_arrays(path, arrays, compress=True)


def read(experiment, task, folder=None):
    """The `Result` of a task.

    Raises
    ------
    FileNotFoundError
        If it has not been computed.
    CorruptError
        If the file is damaged.
    StaleError
        If the configuration or the analysis has changed since; the message says in what.
    """
    path = _path(experiment, task, folder)
    if not path.exists():
        raise FileNotFoundError(
            f"{experiment.name}/{task} has not been computed: "
            f"python -m rnnbook.experiments run {experiment.name}"
        )
    try:
        arrays = read_arrays(path)
        record = json.loads(str(arrays.pop("record", "")))
        stored_config = record["config"]
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise CorruptError(f"{experiment.name}/{task} is damaged or no result: {error}") from error
    config = experiment.tasks[task]
    now = config | {"version of the analysis": experiment.analysis_version(config)}
    stored = stored_config | {"version of the analysis": record.get("analysis", 1)}
    changed = [
        f"{name} = {stored.get(name)!r}, now {now.get(name)!r}"
        for name in stored | now
        if stored.get(name) != now.get(name)
    ]
    if changed:
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
