"""Whoever reads what is printed may go, and a disk may be full: work goes on, or says so."""

from __future__ import annotations

import io
import os
import sys

import pytest
from sardonyx.cli.streams import steady_streams
from sardonyx.core.errors import StorageError


@pytest.fixture
def streams(monkeypatch):
    """Standard output and standard error on descriptors of their own; what is put there is used."""

    def put(out: int, err: int):
        for name, number in (("stdout", out), ("stderr", err)):
            monkeypatch.setattr(sys, name, os.fdopen(number, "w", encoding="ascii"))

    return put


def null() -> int:
    return os.open(os.devnull, os.O_WRONLY)


def unread() -> int:
    """The end of a pipe that nobody reads any more."""
    read, write = os.pipe()
    os.close(read)
    return write


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_nobody_reads_any_more(streams, name) -> None:
    streams(*((unread(), null()) if name == "stdout" else (null(), unread())))
    with steady_streams():
        stream = getattr(sys, name)
        for _ in range(3):
            stream.write("x" * 100_000)
            stream.flush()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no disk that is always full")
def test_a_result_that_cannot_be_printed_is_an_error_once(streams) -> None:
    streams(os.open("/dev/full", os.O_WRONLY), null())
    with steady_streams():
        sys.stdout.write("result\n")
        with pytest.raises(StorageError, match="cannot print the result"):
            sys.stdout.flush()
        sys.stdout.write("more\n")
        sys.stdout.flush()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no disk that is always full")
def test_remarks_that_cannot_be_printed_are_none(streams) -> None:
    streams(null(), os.open("/dev/full", os.O_WRONLY))
    with steady_streams():
        sys.stderr.write("remark\n")
        sys.stderr.flush()


def test_what_a_terminal_cannot_show_is_escaped(streams) -> None:
    read, write = os.pipe()
    streams(write, null())
    with steady_streams():
        assert sys.stdout.write("größe 🪨\n") == 8
        assert sys.stdout.encoding == "ascii"
    assert os.read(read, 100) == b"gr\\xf6\\xdfe \\U0001faa8\n"


@pytest.mark.parametrize("name", ["stdin", "stdout", "stderr"])
def test_a_closed_stream_is_the_null_device(monkeypatch, name) -> None:
    monkeypatch.setattr(sys, name, None)
    with steady_streams():
        assert os.fstat(getattr(sys, name).fileno()).st_rdev == os.stat(os.devnull).st_rdev


def test_what_was_there_comes_back(monkeypatch) -> None:
    mine = io.StringIO()
    monkeypatch.setattr(sys, "stdout", mine)
    with pytest.raises(ZeroDivisionError), steady_streams():
        print(1 // sys.stdout.write("kept") // 0)
    assert (sys.stdout, mine.getvalue()) == (mine, "kept")
