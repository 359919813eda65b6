import numpy as np
import pytest

from rnnpedagogy._storage import read_arrays, write_arrays


def test_whatever_is_damaged_is_a_value_error(tmp_path):
    path = tmp_path / "file.npz"
    write_arrays(path, {"x": np.arange(3.0)}, compress=True)
    whole = path.read_bytes()
    refused = 0
    for k in range(len(whole)):
        for bits in (0x01, 0xFF):  # one bit, which may be a flag, and all
            damaged = bytearray(whole)
            damaged[k] ^= bits
            path.write_bytes(damaged)
            try:  # some bytes mean nothing to the reader, such as the date
                read_arrays(path)
            except ValueError:
                refused += 1
    assert refused


def test_a_file_that_is_missing_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_arrays(tmp_path / "file.npz")
