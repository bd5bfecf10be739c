"""Files with changed bytes are read, or refused with an error of ours: the same ones every time, or new ones by `make fuzz`.

A file that fails is written where FUZZ_KEEP is set, else its seed is printed.
"""

from __future__ import annotations

import os
import warnings
from collections import Counter
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
from byte_mutation import CHANGES, Mutated, mutate
from fuzz_files import READERS, Reader
from sardonyx.core.errors import SardonyxError

FUZZ_BYTES = int(os.environ.get("FUZZ_BYTES", "0"))
FILES = 60
"""Of each reader, unless more are asked for."""


@pytest.mark.parametrize("name", READERS)
def test_only_our_errors_come_out(name: str, tmp_path: Path, record_property) -> None:
    reader = READERS[name]
    originals, path = reader.files(), tmp_path / reader.name
    first = int.from_bytes(os.urandom(4), "big") if FUZZ_BYTES else crc32(name.encode())
    sums: Counter[str] = Counter()
    for index in range(10**9):
        if (sums["bytes"] >= reader.share * FUZZ_BYTES) if FUZZ_BYTES else index == FILES:
            break
        changed = mutate(originals[index % len(originals)], np.random.default_rng([first, index]))
        path.write_bytes(changed.content)
        sums.update(files=1, bytes=changed.changed, refused=is_refused(reader, path, changed, (first, index)))
    for key, count in sums.items():
        record_property(key, count)
    assert sums["refused"]


def is_refused(reader: Reader, path: Path, changed: Mutated, seed: tuple[int, int]) -> bool:
    """Whether a file was refused; anything but a full error of ours fails the test, warnings too."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.filterwarnings("ignore", category=UserWarning, module="PIL")  # of tags that it skips
            warnings.simplefilter("ignore", DeprecationWarning)  # of escapes in a pickle's text
            reader.read(path)
    except BaseException as error:
        if isinstance(error, SardonyxError) and str(error).strip() and error.remedy.strip():
            return True
        kept = Path(os.environ.get("FUZZ_KEEP", path.parent)) / f"found_{seed[0]}_{seed[1]}_{reader.name}"
        kept.write_bytes(changed.content)
        raise AssertionError(f"{reader.name}, seed {seed}, kept as {kept}: {error!r}") from error
    return False


@pytest.mark.parametrize("name", READERS)
def test_what_is_changed_can_be_read_as_it_is(name: str, tmp_path: Path) -> None:
    reader = READERS[name]
    for content in reader.files():
        (tmp_path / reader.name).write_bytes(content)
        reader.read(tmp_path / reader.name)


def test_a_foreign_exception_fails(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.delenv("FUZZ_KEEP", raising=False)

    def explode(_: Path) -> None:
        raise KeyError("x")

    reader = Reader("f", lambda: [b"x"], explode, 1.0)
    with pytest.raises(AssertionError, match="KeyError"):
        is_refused(reader, tmp_path / "f", Mutated(b"y", 1), (0, 0))


@pytest.mark.parametrize("change", CHANGES, ids=lambda c: c.__name__)
def test_a_change_says_how_many_bytes_it_touched(change) -> None:
    for index in range(50):
        data = bytearray(range(100))
        size = change(data, index, 5, np.random.default_rng(index))
        same = sum(a == b for a, b in zip(data, range(100), strict=False))
        assert size >= 1
        assert bytes(data) != bytes(range(100)) or same == 100


def test_shares_are_a_whole() -> None:
    assert sum(reader.share for reader in READERS.values()) == pytest.approx(1.0)
