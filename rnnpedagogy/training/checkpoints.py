"""Checkpoints: all of a run in one file, and the refusal to continue another one."""

import json
from dataclasses import is_dataclass

import numpy as np

from rnnpedagogy._storage import read_arrays, write_arrays


def describe(setting):
    """A text that is the same for equal settings, in another process too."""
    if callable(setting) and not is_dataclass(setting):
        return getattr(setting, "__qualname__", type(setting).__name__)
    return repr(setting)


def save(path, run, settings, rng):
    """Write all of a run into a file beside ``path``, then put that in its place at once."""
    arrays = {"theta": run.theta, "good": run.good, "seconds": np.array(run.seconds)}
    if run.best is not None:
        arrays["best"] = run.best
    for name in ("memory", "history", "recorded", "records"):
        for key, value in getattr(run, name).items():
            arrays[f"{name}/{key}"] = np.array(value)
    text = {"settings": settings, "rng": rng.bit_generator.state}
    arrays["text"] = np.array(json.dumps(text, default=lambda array: array.tolist()))
    write_arrays(path, arrays)


def load(path, settings, rng):
    """What `save` wrote, by the names of a run; ``rng`` is put into the state it had then."""
    try:
        arrays = read_arrays(path)
        text = json.loads(arrays.pop("text").item())
        stored = text["settings"]
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"checkpoint must be a file that train wrote, got {path}") from error
    for name, value in settings.items():
        if stored.get(name) != value:
            raise ValueError(
                f"the checkpoint {path} belongs to a run with {name} = {stored.get(name)}, "
                f"got {value}"
            )
    rng.bit_generator.state = text["rng"]
    parts = {"memory": {}, "history": {}, "recorded": {}, "records": {}}
    for name in [name for name in arrays if "/" in name]:
        part, _, key = name.partition("/")
        value = arrays.pop(name)
        if part in ("history", "recorded"):
            value = value.tolist()
        parts[part][key] = list(value) if part == "records" else value
    return arrays | parts | {"seconds": arrays["seconds"].tolist()}
