import errno
import multiprocessing
import os
import zipfile

import numpy as np
import pytest

from rnnpedagogy._storage import held, read_arrays, write_arrays

ARRAYS = {"x": np.arange(3.0)}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "file.npz"
    write_arrays(path, ARRAYS, compress=True)
    return path


def test_whatever_is_damaged_is_a_value_error(path):
    whole = path.read_bytes()
    refused = 0
    for k in range(len(whole)):
        for bits in (0x01, 0xFF):  # one bit, which may be a flag, and all
            damaged = bytearray(whole)
            damaged[k] ^= bits
            path.write_bytes(damaged)
            try:  # some bytes mean nothing to the reader, such as the date
                assert read_arrays(path).keys() == ARRAYS.keys()
            except ValueError:
                refused += 1
    assert refused


def test_a_file_that_is_missing_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_arrays(tmp_path / "file.npz")


def header_of_800_terabytes(path):
    with zipfile.ZipFile(path, "w") as members:
        header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (100000000000000,), }"
        header = header.ljust(117) + b"\n"
        members.writestr("x.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)


def zip_bomb(path):
    packed = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
    with packed as members, members.open("x.npy", "w", force_zip64=True) as member:
        for _ in range(2200):
            member.write(bytes(2**20))


def no_checksum(path):
    np.savez(path, x=np.arange(3.0))


@pytest.mark.parametrize(
    "make",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"PK"),
        lambda path: path.mkdir(),
        os.mkfifo,
        header_of_800_terabytes,
        zip_bomb,
        no_checksum,
    ],
    ids=["empty", "short", "folder", "fifo", "header", "bomb", "no checksum"],
)
def test_hostile_files_are_refused(path, make):
    path.unlink()
    make(path)
    with pytest.raises(ValueError, match=r"file\.npz is not a"):
        read_arrays(path)


@pytest.mark.parametrize("fails", ["fsync", "replace"])
def test_a_full_disk_leaves_the_last_file_and_names_it(path, monkeypatch, fails):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, fails, full)
    with pytest.raises(OSError, match=r"cannot write .*file\.npz: No space left") as raised:
        write_arrays(path, {"x": np.zeros(5)})
    assert raised.value.errno == errno.ENOSPC
    np.testing.assert_array_equal(read_arrays(path)["x"], ARRAYS["x"])
    assert list(path.parent.iterdir()) == [path]


def write_often(path, value):
    for _ in range(100):
        write_arrays(path, {"x": np.full(2000, value)})


def test_two_writers_and_a_reader_do_not_disturb_each_other(path):
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write_often, args=(path, value)) for value in (1.0, 2.0)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert len(set(read_arrays(path)["x"])) in (1, 3)
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert list(path.parent.iterdir()) == [path]


def test_a_path_is_held_once_and_what_a_killed_writer_left_is_removed(path):
    left = path.with_name("file.npz.0badcafe.partial")
    left.touch()
    with held(path):
        assert not left.exists()
        with pytest.raises(RuntimeError, match="is in use by another run"), held(path):
            pass
    with held(path):
        pass
