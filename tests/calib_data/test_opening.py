from __future__ import annotations

import gzip
import pickle
import struct

import numpy as np
import pytest
from sardonyx.calib_data import Preprocessing, open_data
from sardonyx.calib_data.feeds import from_feeds
from sardonyx.calib_data.opening import parse_data_name, places_read
from sardonyx.calib_data.plain_pickles import load_plain
from sardonyx.core import DataError, LimitError, UsageError

PIXELS = np.arange(7 * 28 * 28, dtype=np.uint32).reshape(7, 28, 28).astype(np.uint8)
LABELS = np.array([3, 1, 4, 1, 5, 9, 2], np.uint8)


@pytest.fixture
def function(tmp_path):
    """Write a Python file with the function ``feeds`` and return what DATA calls it."""

    def write(body):
        path = tmp_path / "user.py"
        path.write_text(f"import numpy as np\n\n\ndef feeds():\n    {body}\n")
        return f"{path}:feeds"

    return write


@pytest.fixture
def fashion(tmp_path):
    """Seven images in Fashion-MNIST's files."""
    for prefix in ("train", "t10k"):
        for kind, array in (("images-idx3", PIXELS), ("labels-idx1", LABELS)):
            header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
            (tmp_path / f"{prefix}-{kind}-ubyte.gz").write_bytes(
                gzip.compress(header + array.tobytes(), mtime=0)
            )
    return tmp_path


@pytest.fixture
def cifar(tmp_path):
    """Two images in each of CIFAR-10's batches."""
    for index, name in enumerate([*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]):
        data = np.full((2, 3072), index, np.uint8)
        batch = {b"data": data, b"labels": [index, 9], b"filenames": [b"a.png", b"b.png"]}
        (tmp_path / name).write_bytes(pickle.dumps(batch, protocol=2))
    return tmp_path


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("digits", ("digits", None, None)),
        ("digits:test", ("digits", "test", None)),
        ("fashion-mnist:train:1024", ("fashion-mnist", "train", 1024)),
        ("cifar10:64", ("cifar10", None, 64)),
        ("calib.npz", ("calib.npz", None, None)),
        ("calib.npz:16", ("calib.npz", None, 16)),
        ("a.py:feeds", ("a.py:feeds", None, None)),
        ("a.py:feeds:8", ("a.py:feeds", None, 8)),
        ("C:\\data\\c.npz", ("C:\\data\\c.npz", None, None)),
    ],
)
def test_names_are_taken_apart(text, parts):
    assert tuple(parse_data_name(text)) == parts


@pytest.mark.parametrize(
    "text", ["", "mnist", "digits:validation", "digits:test:x", "digits:", "digits:test:0", "c.pt"]
)
def test_refuses_names_that_mean_nothing(text):
    with pytest.raises(UsageError):
        open_data(text)


def test_a_file_may_have_a_colon_and_a_number(tmp_path):
    np.savez(tmp_path / "c:1.npz", x=np.zeros((5, 2)))
    assert len(open_data(str(tmp_path / "c:1.npz"))) == 5


@pytest.mark.parametrize(
    ("text", "limit", "count"), [("", None, 50), (":7", None, 7), ("", 20, 20), (":7", 20, 7)]
)
def test_limits(tmp_path, text, limit, count):
    np.savez(tmp_path / "c.npz", x=np.arange(50))
    assert len(open_data(f"{tmp_path / 'c.npz'}{text}", default_limit=limit)) == count


def test_the_seed_chooses(tmp_path):
    np.savez(tmp_path / "c.npz", x=np.arange(50))
    chosen = [open_data(f"{tmp_path / 'c.npz'}:9", seed=seed).indices for seed in (0, 0, 1)]
    assert chosen[0] == chosen[1] != chosen[2]


def test_preprocessing_that_does_not_apply_is_said(tmp_path):
    np.savez(tmp_path / "c.npz", x=np.arange(5))
    data = open_data(str(tmp_path / "c.npz"), preprocess=Preprocessing())
    assert "does not apply" in data.notes[0]


def test_another_kind_of_file(tmp_path):
    (tmp_path / "c.csv").touch()
    with pytest.raises(DataError, match="not a kind of data"):
        open_data(str(tmp_path / "c.csv"))


def test_digits_are_split_for_good():
    pytest.importorskip("sklearn")
    train, test = open_data("digits"), open_data("digits:test")
    assert (len(train), len(test)) == (1438, 359)
    feed = next(train.batches(2000))["image"]
    assert (feed.shape, feed.dtype, feed.min(), feed.max()) == ((1438, 1, 8, 8), np.float32, 0.0, 1.0)
    assert np.bincount(test.labels).min() > 20
    seen = {row.tobytes() for row in feed}
    assert sum(row.tobytes() in seen for row in next(test.batches(400))["image"]) == 0


@pytest.mark.parametrize("split", ["train", "test"])
def test_fashion_mnist(fashion, split):
    data = open_data(f"fashion-mnist:{split}", root=fashion)
    assert data.labels.tolist() == LABELS.tolist()
    assert data.labels.dtype == np.int64
    want = (PIXELS[:, None].astype(np.float32) / 255 - 0.2860) / 0.3530
    assert np.allclose(next(data.batches(7))["image"], want, atol=1e-6)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"not gzip", "not a whole idx file"),
        (gzip.compress(b"\0\0\x08\x03" + bytes(4), mtime=0), "not a whole idx file"),
        (gzip.compress(b"\0\0\x0d\x03" + bytes(12), mtime=0), "not an idx file of bytes"),
        (gzip.compress(struct.pack(">HBB3I", 0, 8, 3, 60000, 28, 28), mtime=0), "holds another number"),
        (gzip.compress(struct.pack(">HBB3I", 0, 8, 3, 2**31, 28, 28), mtime=0), "declares"),
        (gzip.compress(struct.pack(">HBB3I", 0, 8, 3, 1, 2, 2) + bytes(4), mtime=0), "do not fit together"),
        (
            gzip.compress(struct.pack(">HBB3I", 0, 8, 3, 7, 28, 28) + PIXELS.tobytes(), mtime=0)[:-20],
            "not a whole idx file",
        ),
    ],
)
def test_damaged_idx_files(fashion, content, words):
    (fashion / "train-images-idx3-ubyte.gz").write_bytes(content)
    with pytest.raises(LimitError if words == "declares" else DataError, match=words):
        open_data("fashion-mnist", root=fashion)


def test_missing_data_sets_say_where_they_come_from(tmp_path):
    with pytest.raises(DataError, match="dataset-fashion-mnist"):
        open_data("fashion-mnist", root=tmp_path)
    with pytest.raises(DataError, match="--root"):
        open_data("cifar10")
    with pytest.raises(DataError, match="data_batch_1: No such file"):
        open_data("cifar10", root=tmp_path)


def test_cifar10(cifar):
    data = open_data("cifar10:train", root=cifar)
    assert data.labels.tolist() == [0, 9, 1, 9, 2, 9, 3, 9, 4, 9]
    feed = next(data.batches(10))["image"]
    assert feed.shape == (10, 3, 32, 32)
    want = (4 / 255 - np.array([0.4914, 0.4822, 0.4465])) / [0.2470, 0.2435, 0.2616]
    assert np.allclose(feed[8].mean((1, 2)), want, atol=1e-5)
    assert open_data("cifar10:test", root=cifar).labels.tolist() == [5, 9]


PYTHON_2 = (
    b"\x80\x02}q\x01(U\x06labelsq\x02]q\x03(K\x06K\x09eU\x04dataq\x04cnumpy.core.multiarray\n_reconstruct\nq\x05"
    b"cnumpy\nndarray\nq\x06K\x00\x85U\x01b\x87Rq\x07(K\x01K\x02K\x03\x86cnumpy\ndtype\nq\x08U\x02u1K\x00K\x01\x87Rq\x09"
    b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x06abcdeftbu."
)


def test_a_pickle_of_python_2():
    held = load_plain(PYTHON_2, "p")
    assert held[b"labels"] == [6, 9]
    assert held[b"data"].tolist() == [[97, 98, 99], [100, 101, 102]]


class Hostile:
    def __reduce__(self):
        return exec, ("raise SystemExit('executed')",)


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize(
    "held", [Hostile(), {b"data": Hostile()}, np.array([Hostile()], object), np.zeros(3)]
)
def test_a_pickle_runs_nothing(protocol, held):
    with pytest.raises(DataError):
        load_plain(pickle.dumps(held, protocol=protocol), "p")


@pytest.mark.parametrize("cut", [0, 1, 40, 90, 150, -1])
def test_a_damaged_pickle(cut):
    with pytest.raises(DataError):
        load_plain(PYTHON_2[:cut], "p")


@pytest.mark.parametrize(
    "batch",
    [
        [],
        {},
        {b"data": np.zeros((2, 3072), np.uint8)},
        {b"data": np.zeros((2, 9), np.uint8), b"labels": [1, 2]},
        {b"data": np.zeros((2, 3072), np.uint8), b"labels": [1]},
        {b"data": np.zeros((1, 3072), np.uint8), b"labels": [10]},
    ],
)
def test_batches_that_are_not_cifar10(cifar, batch):
    (cifar / "test_batch").write_bytes(pickle.dumps(batch, protocol=2))
    with pytest.raises(DataError, match="does not hold"):
        open_data("cifar10:test", root=cifar)


@pytest.mark.parametrize(
    ("body", "labels"),
    [
        ("return [{'x': np.arange(4.0)}, {'x': np.arange(2.0)}]", None),
        ("return {'x': np.arange(6.0)}", None),
        (
            "yield {'x': np.arange(4)}, [0, 1, 2, 3]\n    yield {'x': np.arange(2)}, [4, 5]",
            [0, 1, 2, 3, 4, 5],
        ),
        (
            "import sardonyx.calib_data as c; return c.CalibrationData.from_arrays({'x': np.arange(6)}, np.arange(6))",
            [0, 1, 2, 3, 4, 5],
        ),
    ],
)
def test_functions_of_the_user(function, body, labels):
    data = open_data(function(body))
    assert len(data) == 6
    assert (None if data.labels is None else data.labels.tolist()) == labels


def test_a_generator_may_fill_the_same_array_again(function):
    data = open_data(
        function("x = np.zeros(2)\n    for i in range(3):\n        x[:] = i\n        yield {'x': x}")
    )
    assert next(data.batches(6))["x"].tolist() == [0, 0, 1, 1, 2, 2]
    assert next(data.batches(6))["x"].tolist() == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("return []", "gives no batch"),
        ("return 3", "gives a int, not batches"),
        ("return 'text'", "gives a str, not batches"),
        ("return [np.zeros(3)]", "batch 0 is a ndarray, not a feed"),
        ("return [{}]", "not a feed"),
        ("return [{'x': np.zeros(3)}, {'z': np.zeros(3)}]", "'x' in some batches only"),
        ("return [{'x': np.zeros((1, 3))}, {'x': np.zeros((1, 4))}]", "different shapes or types"),
        ("return [{'x': np.zeros(3), 'z': np.zeros(4)}]", "different lengths"),
        ("return [({'x': np.zeros(3)}, [1])]", "different lengths"),
        ("return [{'x': np.array([{}])}]", "different lengths, or no arrays"),
        ("raise KeyError('mine')", "failed: KeyError: 'mine'"),
    ],
)
def test_functions_that_give_no_samples(function, body, words):
    with pytest.raises(DataError, match=words):
        open_data(function(body))


@pytest.mark.parametrize(("source", "words"), [("feeds = 3", "no function"), ("1/0", "ZeroDivisionError")])
def test_files_without_the_function(tmp_path, source, words):
    (tmp_path / "user.py").write_text(source)
    with pytest.raises(DataError, match=words):
        open_data(f"{tmp_path / 'user.py'}:feeds")


def test_an_endless_iterable_meets_the_limit():
    with pytest.raises(LimitError, match="give fewer samples"):
        from_feeds(({"x": np.zeros(10_000)} for _ in iter(int, 1)), "endless", memory_bytes=1_000_000)


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("d.npz", ["d.npz"]),
        ("d.npz:100", ["d.npz"]),
        ("images", ["images"]),
        ("user.py:feeds", ["user.py"]),
        ("a:b.npz", ["a:b.npz"]),
        ("digits:test", []),
        ("none.npz", []),
        ("n" * 300, []),
        ("", []),
        (None, []),
    ],
)
def test_what_is_read_is_known_before(tmp_path, monkeypatch, text, places):
    monkeypatch.chdir(tmp_path)
    for name in ("d.npz", "user.py", "a:b.npz"):
        (tmp_path / name).touch()
    for name in ("images", "digits"):
        (tmp_path / name).mkdir()
    assert [str(place) for place in places_read(text)] == places
