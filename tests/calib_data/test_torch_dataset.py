from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from sardonyx.calib_data import from_torch, open_data
from sardonyx.core import DataError, LimitError
from torch.utils.data import Dataset, IterableDataset, TensorDataset

SAMPLES = torch.arange(30, dtype=torch.float32).reshape(10, 3)


class Items(Dataset):
    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        return self.items[index]


class Stream(IterableDataset):
    def __iter__(self):
        while True:
            yield torch.zeros(3)


@pytest.mark.parametrize(
    ("dataset", "name", "labels"),
    [
        (TensorDataset(SAMPLES, torch.arange(10)), "input", list(range(10))),
        (Items(list(SAMPLES)), "input", None),
        (Items([(row, i) for i, row in enumerate(SAMPLES)]), "input", list(range(10))),
        (Items([{"pixels": row, "labels": 1} for row in SAMPLES]), "pixels", [1] * 10),
        (Items([row.numpy() for row in SAMPLES.requires_grad_(False)]), "input", None),
    ],
)
def test_items_of_every_kind(dataset, name, labels):
    data = from_torch(dataset)
    assert np.array_equal(next(data.batches(10))[name], SAMPLES.numpy())
    assert (None if data.labels is None else data.labels.tolist()) == labels


def test_a_limit_is_seeded():
    chosen = [from_torch(Items(list(SAMPLES)), limit=4, seed=seed) for seed in (0, 0, 1)]
    assert [len(data) for data in chosen] == [4, 4, 4]
    assert chosen[0].fingerprint == chosen[1].fingerprint != chosen[2].fingerprint


def test_a_stream_gives_its_first_samples():
    assert len(from_torch(Stream(), limit=5)) == 5
    with pytest.raises(LimitError):
        from_torch(Stream(), memory_bytes=1000)


@pytest.mark.parametrize("items", [[(1, 2, 3)], [], [object()]])
def test_refuses_other_items(items):
    with pytest.raises(DataError):
        from_torch(Items(items))


def test_a_function_may_return_a_data_set(tmp_path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "import torch\n"
        "def samples():\n"
        "    return torch.utils.data.TensorDataset(torch.ones(4, 3), torch.arange(4))\n"
    )
    data = open_data(f"{file}:samples")
    assert data.labels.tolist() == [0, 1, 2, 3]
    assert data.source.read(data.indices)["input"].shape == (4, 3)
