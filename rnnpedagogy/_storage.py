"""Files of arrays: a checksum, and a file that is there as a whole or not at all."""

import hashlib
import os
import zlib
from zipfile import BadZipFile

import numpy as np


def digest(*arrays):
    """A checksum (SHA-256) of types, shapes and values."""
    checksum = hashlib.sha256()
    for array in arrays:
        checksum.update(f"{array.dtype} {array.shape}".encode())
        checksum.update(np.ascontiguousarray(array).tobytes())
    return checksum.hexdigest()


def write_arrays(path, arrays, *, compress=False):
    """Write arrays into a file beside ``path``, then put that in its place at once."""
    partial = path.with_name(path.name + ".partial")
    with open(partial, "wb") as file:
        (np.savez_compressed if compress else np.savez)(file, **arrays)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def read_arrays(path):
    """All arrays of a file; ``ValueError`` if it is not a whole file of arrays."""
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
            return dict(arrays)
    except (ValueError, TypeError, AttributeError, EOFError, BadZipFile, zlib.error) as error:
        raise ValueError(f"{path} is not a whole file of arrays") from error
