"""Rows 7 to 17: weights outside the model file that are not where, or not what, they should be."""

from __future__ import annotations

import ctypes
import hashlib
import json
import mmap
import os
import socket
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import pytest
from sardonyx.cli.app import main
from sardonyx.core import ModelArtifact, ModelError

WEIGHT, SECRET = (np.arange(4, dtype=np.float32) + start for start in (0, 100))
NOT_INSIDE = "not inside the model's folder"
SHA1 = hashlib.sha1(WEIGHT.tobytes()).hexdigest()


@pytest.fixture
def secret(place):
    """A file in a folder beside the watched one, that nothing may read."""
    path = place.parent / "secret" / "w.bin"
    path.parent.mkdir()
    path.write_bytes(SECRET.tobytes())
    return path


@pytest.fixture
def external(write, parse, place, secret):
    """Write a model whose weight lies in w.bin; keys replace those of a good model, None leaves one out."""
    (place / "a").mkdir()
    for path in (place / "w.bin", place / "a" / "w.bin"):
        path.write_bytes(WEIGHT.tobytes())

    def write_external(**keys):
        made = parse()
        made.graph.initializer[0].ClearField("float_data")
        made.graph.initializer[0].data_location = onnx.TensorProto.EXTERNAL
        for key, value in {"location": "w.bin", "offset": "0", "length": "16", **keys}.items():
            if value is not None:
                made.graph.initializer[0].external_data.add(key=key, value=value)
        return write(made).name

    return write_external


def values(path: Path) -> list[float]:
    return ModelArtifact.open(path).load().graph.initializers["w"].const_value.numpy().tolist()


@pytest.mark.row(7)
@pytest.mark.parametrize("location", ["../secret/w.bin", "./../secret/w.bin", "..", "../\x1b[31m\u202ew.bin"])
def test_above_the_folder(refused, external, location):
    told = refused("inspect", external(location=location), says=NOT_INSIDE)
    assert "initializer 'w'" in told


@pytest.mark.row(8)
@pytest.mark.parametrize(
    "location", ["/etc/passwd", "//etc/passwd", "/dev/zero", "C:\\w.bin", "C:w.bin", "\\\\host\\w.bin"]
)
def test_an_absolute_path(refused, external, location):
    refused("inspect", external(location=location), says=NOT_INSIDE)


@pytest.mark.row(8)
def test_an_absolute_path_even_into_the_folder(refused, external, place):
    refused("inspect", external(location=str(place / "w.bin")), says=NOT_INSIDE)


@pytest.mark.row(9)
@pytest.mark.parametrize(
    "location", ["a/../../secret/w.bin", "a/../w.bin", "a/./../../secret/w.bin", "a\\..\\w.bin"]
)
def test_above_by_way_of_a_folder(refused, external, place, location):
    refused("inspect", external(location=location), says=NOT_INSIDE)


@pytest.mark.row(10)
@pytest.mark.parametrize("target", ["../secret/w.bin", "w.bin", "/dev/zero", "no.bin", "l.bin"])
def test_a_link(refused, external, place, target):
    (place / "l.bin").symlink_to(target)
    refused("inspect", external(location="l.bin"), says="'l.bin' is a symbolic link")


@pytest.mark.row(11)
@pytest.mark.parametrize("target", ["..", "."])
def test_a_linked_folder(refused, external, place, target):
    (place / "a" / "l").symlink_to(place / target)
    refused("inspect", external(location="a/l/w.bin"), says="'a/l' is a symbolic link")


@pytest.mark.row(11)
def test_the_folder_that_the_user_names_may_be_a_link(accepted, external, place):
    (place / "here").symlink_to(".")
    accepted("inspect", f"here/{external()}")


@pytest.mark.row(12)
def test_a_hard_link(refused, external, place, secret):
    os.link(secret, place / "h.bin")
    told = refused("inspect", external(location="h.bin"), says="'h.bin' is a hard link")
    assert "hint: replace it by a copy" in told


@pytest.mark.row(13)
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_no_regular_file(refused, external, place, make):
    make(place / "d.bin")
    refused("inspect", external(location="d.bin"), says="'d.bin' is not a regular file")


@pytest.mark.row(13)
def test_a_socket(refused, external, place, monkeypatch):
    monkeypatch.chdir(place)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("d.bin")
        refused("inspect", external(location="d.bin"), says="'d.bin' is not a regular file")


@pytest.mark.row(14)
@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"offset": "8"}, "ends at byte 24 of 'w.bin', which has 16"),
        ({"offset": "-8"}, "offset '-8'"),
        ({"offset": str(2**63 - 8)}, "which has 16"),
        ({"offset": str(2**64)}, "offset"),
        ({"offset": "1e0"}, "offset '1e0'"),
        ({"length": str(2**62)}, "its dimensions want 16"),
        ({"length": "abc"}, "length 'abc'"),
        ({"length": "-16"}, "length '-16'"),
        ({"length": "8"}, "its dimensions want 16"),
        ({"length": "0"}, "its dimensions want 16"),
        ({"location": ""}, NOT_INSIDE),
        ({"location": None}, NOT_INSIDE),
    ],
)
def test_a_region_that_is_none(refused, external, keys, words):
    assert words in refused("inspect", external(**keys), says="initializer 'w'")


@pytest.mark.row(14)
@pytest.mark.parametrize("verb", ["bench", "profile"])
def test_a_short_file_never_runs(refused, external, place, verb):
    (place / "w.bin").write_bytes(b"\0" * 8)
    refused(verb, external(), says="initializer 'w' ends at byte 16 of 'w.bin', which has 8")


@pytest.mark.row(15)
@pytest.mark.parametrize("key", ["basepath", "__class__", "__dict__", "Location", ""])
def test_an_unknown_key(refused, external, key):
    refused("inspect", external(**{key: "/"}), says=f"initializer 'w' has the external data key {key!r}")


@pytest.mark.row(15)
@pytest.mark.parametrize("checksum", [SHA1, SHA1.upper()])
def test_the_right_checksum(accepted, external, place, checksum):
    shown = json.loads(accepted("inspect", external(checksum=checksum), "--json").out)
    assert shown["size_bytes"] == (place / "m.onnx").stat().st_size + 16


@pytest.mark.row(15)
@pytest.mark.parametrize("checksum", ["0" * 40, SHA1[:-1], hashlib.sha256(WEIGHT.tobytes()).hexdigest(), "x"])
def test_a_wrong_checksum(refused, external, checksum):
    told = refused("inspect", external(checksum=checksum), says="the SHA-1 of 'w.bin' is not the one")
    assert "initializer 'w'" in told


@pytest.mark.row(15)
def test_the_checksum_of_a_file_that_changed(refused, external, place):
    name = external(checksum=SHA1)
    (place / "w.bin").write_bytes(WEIGHT[::-1].tobytes())
    refused("inspect", name, says="SHA-1")


@pytest.mark.row(16)
@pytest.mark.parametrize("location", ["no.bin", "b/w.bin", "w.bin/w.bin", "n" * 300])
def test_a_missing_file(refused, external, place, location):
    told = refused("inspect", external(location=location), says=f"cannot read {location!r} in {place}")
    assert "initializer 'w'" in told


@contextmanager
def without_the_rights_of_root():
    """What mode 000 forbids is let pass for root, by capabilities that can be laid down for a while."""
    header, held = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    libc = ctypes.CDLL(None)
    assert libc.capget(header, held) == 0
    assert libc.capset(header, (ctypes.c_uint32 * 6)(0, *held[1:3], 0, *held[4:])) == 0
    yield
    assert libc.capset(header, held) == 0


@pytest.mark.row(16)
@pytest.mark.parametrize(
    ("name", "words"), [("w.bin", "cannot read 'w.bin' in {place}"), ("m.onnx", "cannot read {place}/m.onnx")]
)
def test_an_unreadable_file(external, place, capsys, name, words):
    external()
    (place / name).chmod(0)
    with pytest.raises(SystemExit, match="3"), without_the_rights_of_root():
        main(["inspect", str(place / "m.onnx")])
    assert f"{words.format(place=place)}: Permission denied" in capsys.readouterr().err


def replace_by(make):
    """Move what has a name out of the way and put something else there."""

    def swap(path: Path) -> None:
        path.rename(path.with_name("moved"))
        make(path)

    return swap


LINK = replace_by(lambda path: path.symlink_to("../secret/w.bin"))
HARD_LINK = replace_by(lambda path: os.link("../secret/w.bin", path))
OTHER = replace_by(lambda path: path.write_bytes(SECRET.tobytes()))
LINKED_FOLDER = replace_by(lambda path: path.symlink_to("../secret"))
FAR_LINK = replace_by(lambda path: path.symlink_to("../../secret/w.bin"))


@pytest.fixture
def swapped(monkeypatch, place, secret):
    """Replace something at a moment: when it is looked up, opened, or its status has been checked."""
    monkeypatch.chdir(place)
    done = []

    def arrange(moment, location, swap):
        real_open, real_map = os.open, mmap.mmap

        def once(now, name):
            if now == moment and Path(location).name in Path(name).parts[-2:] and not done:
                done.append(location)
                swap(Path(location))

        def open_file(name, *arguments, **more):
            once("looked up", name)
            descriptor = real_open(name, *arguments, **more)
            once("opened", name)
            return descriptor

        def map_file(*arguments, **more):
            once("checked", location)
            return real_map(*arguments, **more)

        can_be_relative = os.open in os.supports_dir_fd
        monkeypatch.setattr(os, "open", open_file)
        monkeypatch.setattr(mmap, "mmap", map_file)
        monkeypatch.setattr(os, "supports_dir_fd", {open_file} if can_be_relative else set())

    yield arrange
    assert done


@pytest.fixture(params=["by descriptors", "by paths"])
def way(request, monkeypatch):
    """Files are opened relative to their folder, but where a platform cannot."""
    if request.param == "by paths":
        monkeypatch.setattr(os, "supports_dir_fd", set())


@pytest.mark.row(17)
@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(
    ("location", "swap", "words"),
    [
        ("w.bin", LINK, "cannot read 'w.bin'|'w.bin' is a symbolic link"),
        ("w.bin", HARD_LINK, "hard link"),
        ("w.bin", replace_by(os.mkdir), "cannot read|not a regular file"),
        ("w.bin", lambda path: os.truncate(path, 8), "which has 8"),
        ("w.bin", os.unlink, "No such file"),
        ("a", LINKED_FOLDER, "cannot read 'a/w.bin'|'a' is a symbolic link"),
        ("a/w.bin", FAR_LINK, "cannot read 'a/w.bin'|'a/w.bin' is a symbolic link"),
    ],
)
def test_swapped_before_it_is_opened(external, place, swapped, location, swap, words):
    external(location="a/w.bin" if location.startswith("a") else location)
    swapped("looked up", location, swap)
    with pytest.raises(ModelError, match=words):
        ModelArtifact.open(place / "m.onnx")


@pytest.mark.row(17)
def test_swapped_for_a_pipe(external, place, swapped):
    external()
    swapped("looked up", "w.bin", replace_by(os.mkfifo))
    with pytest.raises(ModelError, match="not a regular file"):
        ModelArtifact.open(place / "m.onnx")


@pytest.mark.row(17)
@pytest.mark.parametrize("moment", ["opened", "checked"])
@pytest.mark.parametrize(
    ("location", "swap"),
    [("w.bin", LINK), ("w.bin", HARD_LINK), ("w.bin", OTHER), ("a/w.bin", FAR_LINK), ("a", LINKED_FOLDER)],
)
def test_swapped_once_it_is_open(external, place, swapped, moment, location, swap):
    """What is checked and read is what was opened, whatever has its name by then."""
    external(location="a/w.bin" if location.startswith("a") else location)
    swapped(moment, location, swap)
    assert values(place / "m.onnx") == WEIGHT.tolist()
