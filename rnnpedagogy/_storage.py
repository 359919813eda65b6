"""Files of arrays: a checksum, and a file that is there as a whole or not at all."""

import hashlib
import os
import zlib
from zipfile import BadZipFile

import numpy as np

# What the readers of the formats raise where a byte is not what it should be.
DAMAGE = (ValueError, TypeError, AttributeError, EOFError, BadZipFile, zlib.error)
# A place before the beginning of the file; a member that says it is encrypted, or compressed in an
# unknown way.
DAMAGE += (OSError, RuntimeError)


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
    with open(path, "rb") as file:
        try:
            with np.load(file, allow_pickle=False) as arrays:
                return dict(arrays)
        except DAMAGE as error:
            raise ValueError(f"{path} is not a whole file of arrays") from error
