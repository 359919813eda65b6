"""Checkpoints: all of a run in one file, and the refusal to continue another one."""

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path

import numpy as np

from rnnpedagogy._storage import digest, held, read_arrays, write_arrays

VECTORS = ("theta", "good", "best")
TABLES = ("memory", "history", "recorded", "records")


def describe(setting):
    """A text that is the same for equal settings, in another process too."""
    if isinstance(setting, np.ndarray):
        return f"array {digest(setting)[:8]}"
    if isinstance(setting, Mapping):
        return f"{{{', '.join(f'{name}: {describe(setting[name])}' for name in sorted(setting))}}}"
    if is_dataclass(setting) and not isinstance(setting, type):
        parts = (f"{one.name}={describe(getattr(setting, one.name))}" for one in fields(setting))
        return f"{type(setting).__name__}({', '.join(parts)})"
    if callable(setting):
        return getattr(setting, "__qualname__", type(setting).__name__)
    return repr(setting)


class Checkpoint:
    """The file of a run, which is known by its settings, texts by their names."""

    def __init__(self, path, settings):
        self.path, self.settings = Path(path), settings
        if not self.path.parent.is_dir():
            raise FileNotFoundError(f"checkpoint must be in a folder that exists, got {path}")
        if self.path.is_dir():
            raise IsADirectoryError(f"checkpoint must be a file, got the folder {path}")

    def held(self):
        """Keep the file from other runs, as a context."""
        return held(self.path)

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
                f"checkpoint must be a file that train wrote, got {self.path}: {error}"
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
