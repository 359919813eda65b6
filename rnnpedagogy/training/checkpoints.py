"""Checkpoints: all of a run in one file, and the refusal to continue another one."""

import json
from dataclasses import is_dataclass
from pathlib import Path

import numpy as np

from rnnpedagogy._storage import read_arrays, write_arrays

VECTORS = ("theta", "good", "best")
TABLES = ("memory", "history", "recorded", "records")


def describe(setting):
    """A text that is the same for equal settings, in another process too."""
    if callable(setting) and not is_dataclass(setting):
        return getattr(setting, "__qualname__", type(setting).__name__)
    return repr(setting)


class Checkpoint:
    """The file of a run, which is known by its settings, texts by their names."""

    def __init__(self, path, settings):
        self.path, self.settings = Path(path), settings
        if not self.path.parent.is_dir():
            raise FileNotFoundError(f"checkpoint must be in a folder that exists, got {path}")

    def write(self, run):
        """Write all of a run into a file beside the path, then put that in its place at once."""
        arrays = {name: getattr(run, name) for name in VECTORS}
        for part in TABLES:
            for name, value in getattr(run, part).items():
                arrays[f"{part}/{name}"] = np.array(value)
        text = {"settings": self.settings, "rng": run.rng.bit_generator.state}
        arrays["text"] = np.array(json.dumps(text, default=lambda array: array.tolist()))
        write_arrays(self.path, arrays)

    def restore(self, run):
        """Put a run that has just begun, and its generator, into the state that was written."""
        try:
            arrays = read_arrays(self.path)
            text = json.loads(arrays.pop("text").item())
            stored = text["settings"]
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise ValueError(
                f"checkpoint must be a file that train wrote, got {self.path}"
            ) from error
        for name, value in self.settings.items():
            if stored.get(name) != value:
                raise ValueError(
                    f"the checkpoint {self.path} belongs to a run with {name} = "
                    f"{stored.get(name)}, got {value}"
                )
        run.rng.bit_generator.state = text["rng"]
        for key, array in arrays.items():
            part, _, name = key.partition("/")
            if part in TABLES:
                getattr(run, part)[name] = array if part == "memory" else list(array)
            elif part in VECTORS:
                setattr(run, part, array)
