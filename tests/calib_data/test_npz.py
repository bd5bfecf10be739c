from __future__ import annotations

import io
import pickle
import zipfile

import numpy as np
import pytest
from sardonyx.calib_data import CalibrationData
from sardonyx.core import DataError, LimitError


@pytest.fixture
def archive(tmp_path):
    """Write a zip file of raw entries and return its path."""

    def write(**entries):
        path = tmp_path / "c.npz"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            for name, content in entries.items():
                file.writestr(name + ".npy", content)
        return path

    return write


def _npy(shape, descr="<f4", content=b""):
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
    return file.getvalue() + content


def test_reads_arrays_and_labels(tmp_path):
    arrays = {"x": np.arange(12, dtype=np.float32).reshape(4, 3), "z": np.arange(4)}
    np.savez_compressed(tmp_path / "c.npz", **arrays, labels=np.array([3, 1, 2, 0]))
    data = CalibrationData.from_npz(tmp_path / "c.npz")
    assert data.labels.tolist() == [3, 1, 2, 0]
    assert data.origin == "c.npz"
    assert all(np.array_equal(next(data.batches(4))[name], array) for name, array in arrays.items())


def test_fortran_order_and_big_endian(tmp_path):
    values = np.asfortranarray(np.arange(12, dtype=">f4").reshape(4, 3))
    np.savez(tmp_path / "c.npz", x=values)
    assert np.array_equal(next(CalibrationData.from_npz(tmp_path / "c.npz").batches(4))["x"], values)


def test_a_bomb_is_refused_by_what_it_declares(archive):
    path = archive(x=_npy((64, 1024, 1024), content=bytes(64 << 22)))
    assert path.stat().st_size < 1_000_000
    with pytest.raises(LimitError, match=r"the limit is 0\.1 GB"):
        CalibrationData.from_npz(path, memory_bytes=100_000_000)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (_npy((2**58,)), "declares 1,152,921,504,606,846,976 bytes and holds 0"),
        (_npy((4, 3), content=bytes(40)), "declares 48 bytes and holds 40"),
        (_npy((4, 3), content=bytes(60)), "declares 48 bytes and holds 60"),
        (_npy((-4, -3), content=bytes(48)), "not one that numpy writes"),
        (b"not an array", "magic string"),
        (b"", "magic string"),
        (b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535, "is not a whole .npz file"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\x7f{", "is not a whole .npz file"),
        (b"\x93NUMPY\x09\x00\x00\x00", "is not a whole .npz file"),
    ],
)
def test_refuses_damaged_arrays(archive, content, words):
    with pytest.raises(DataError, match=words):
        CalibrationData.from_npz(archive(x=content))


def test_objects_are_never_unpickled(archive):
    class Hostile:
        def __reduce__(self):
            return print, ("unpickled",)

    with pytest.raises(DataError, match="array of objects"):
        CalibrationData.from_npz(archive(x=_npy((1,), "|O", pickle.dumps(Hostile()))))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut short", b"\x93NUMPY\x01\x00", bytes(100)])
def test_refuses_what_is_not_an_archive(tmp_path, content):
    (tmp_path / "c.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"is not a whole \.npz file"):
        CalibrationData.from_npz(tmp_path / "c.npz")


def test_refuses_an_archive_with_other_things(tmp_path):
    with zipfile.ZipFile(tmp_path / "c.npz", "w") as file:
        file.writestr("readme.txt", "hello")
    with pytest.raises(DataError, match=r"'readme\.txt', which is not an array"):
        CalibrationData.from_npz(tmp_path / "c.npz")


def test_refuses_a_flipped_byte(tmp_path):
    np.savez(tmp_path / "c.npz", x=np.arange(1000, dtype=np.float32))
    content = bytearray((tmp_path / "c.npz").read_bytes())
    content[2000] ^= 0xFF
    (tmp_path / "c.npz").write_bytes(content)
    with pytest.raises(DataError, match="CRC"):
        CalibrationData.from_npz(tmp_path / "c.npz")


@pytest.mark.parametrize("name", ["no.npz", "."])
def test_refuses_what_is_not_a_file(tmp_path, name):
    with pytest.raises(DataError, match="is not a file"):
        CalibrationData.from_npz(tmp_path / name)
