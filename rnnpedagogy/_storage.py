"""Files of arrays: a checksum, and a file that is there as a whole or not at all."""

import glob
import hashlib
import os
import secrets
import stat
import zipfile
import zlib
from contextlib import contextmanager

import numpy as np

# What the readers of the formats raise where a byte is not what it should be.
DAMAGE = (ValueError, TypeError, AttributeError, EOFError, zipfile.BadZipFile, zlib.error)
# A place before the beginning of the file; a member that says it is encrypted, or compressed in an
# unknown way; no checksum; more than fits.
DAMAGE += (OSError, RuntimeError, KeyError, NotImplementedError, MemoryError)

PARTIAL = ".partial"
LARGEST = 2**31  # bytes of all arrays of a file: more is a file made to fill the memory


def digest(*arrays):
    """A checksum (SHA-256) of types, shapes and values."""
    checksum = hashlib.sha256()
    for array in arrays:
        checksum.update(f"{array.dtype} {array.shape}".encode())
        checksum.update(np.ascontiguousarray(array).tobytes())
    return checksum.hexdigest()


def _checksum(arrays):
    names = sorted(arrays)
    return digest(np.array(names), *(arrays[name] for name in names))


def write_arrays(path, arrays, *, compress=False):
    """Write arrays and their checksum into a file of this writer's own, then put that in place.

    If that fails, as on a full disk, what stood there stays, and the error names the path.
    """
    arrays = {name: np.asarray(array) for name, array in arrays.items()}
    arrays["checksum"] = np.array(_checksum(arrays))
    partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}{PARTIAL}")
    try:
        with open(partial, "xb") as file:
            (np.savez_compressed if compress else np.savez)(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise OSError(error.errno, f"cannot write {path}: {error.strerror}") from error


def read_arrays(path):
    """All arrays of a file; ``ValueError`` if they are not those that `write_arrays` was given."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError(f"{path} is not a file")
    with open(path, "rb") as file:
        try:
            with zipfile.ZipFile(file) as members:
                if sum(member.file_size for member in members.infolist()) > LARGEST:
                    raise ValueError(f"holds more than {LARGEST} bytes")
            file.seek(0)
            with np.load(file, allow_pickle=False) as found:
                arrays = dict(found)
            checksum = str(arrays.pop("checksum"))
        except DAMAGE as error:
            raise ValueError(f"{path} is not a whole file of arrays: {error}") from error
    if _checksum(arrays) != checksum:
        raise ValueError(f"{path} is damaged: the checksum does not agree")
    return arrays


@contextmanager
def held(path):
    """Keep other processes from a path; the system lets go of it when this process ends."""
    with open(path.with_name(path.name + ".lock"), "ab") as file:
        try:
            _lock(file)
        except OSError:
            raise RuntimeError(f"{path} is in use by another run that has not ended") from None
        for left in path.parent.glob(f"{glob.escape(path.name)}.*{PARTIAL}"):
            left.unlink(missing_ok=True)  # by a run that was killed while it wrote
        yield


def _lock(file):
    try:
        import fcntl
    except ImportError:  # on Windows
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
