"""What several processes know of each other's trials."""

from __future__ import annotations

import datetime
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import sardonyx as sx
from sardonyx.pipeline.optimization import Candidate, Plan
from sardonyx.pipeline.optimization.ledger import ABANDONED_S, JOURNAL, Ledger
from sardonyx.pipeline.optimization.options import ROUNDS

_PLAN = Plan("exact", 3, precision="int8")


def ledger(folder: Path, storage: str | None = None, name: str = "study") -> Ledger:
    return Ledger(folder, name, storage, paths=("exact",), max_drop=0.01, seed=0)


@pytest.mark.parametrize("database", [False, True])
def test_two_processes_share_what_they_know(
    tmp_path: Path, make: Callable[..., Candidate], database: bool
) -> None:
    storage = f"sqlite:///{tmp_path / 'search.db'}" if database else None
    first, second = ledger(tmp_path, storage), ledger(tmp_path, storage)
    with first.taking_up(_PLAN):
        assert second.is_taken(_PLAN)
        assert not second.is_taken(Plan())
    assert not second.is_taken(_PLAN)
    assert second.count() == 0
    first.record(make(_PLAN, 2.0, 0.005))
    assert second.count() == 1
    assert ledger(tmp_path, storage, "another").count() == 0


def test_a_plan_that_failed_is_free_again(tmp_path: Path) -> None:
    first = ledger(tmp_path)
    with pytest.raises(RuntimeError, match="died"), first.taking_up(_PLAN):
        raise RuntimeError("died")
    assert not first.is_taken(_PLAN)


_DIES = """
import os, sys
from pathlib import Path
from sardonyx.pipeline.optimization import Plan
from sardonyx.pipeline.optimization.ledger import Ledger
ledger = Ledger(Path(sys.argv[1]), "study", None, paths=("exact",), max_drop=0.01, seed=0)
with ledger.taking_up(Plan("exact", 3, precision="int8")):
    os.kill(os.getpid(), 9)
"""


def test_a_plan_whose_process_was_killed_is_free_again(tmp_path: Path) -> None:
    died = subprocess.run([sys.executable, "-c", _DIES, str(tmp_path)], check=False)
    assert died.returncode == -9
    assert not ledger(tmp_path).is_taken(_PLAN)


@pytest.mark.parametrize("left", [b'{"op_code": 0, "worker', b"", b'"\\xff'])
def test_a_line_that_a_killed_process_did_not_finish_spoils_nothing(
    tmp_path: Path, make: Callable[..., Candidate], left: bytes
) -> None:
    ledger(tmp_path).record(make(_PLAN, 2.0, 0.005))
    with (tmp_path / JOURNAL).open("ab") as journal:
        journal.write(left)
    ledger(tmp_path).record(make(Plan(), 1.0, 0.0))
    assert ledger(tmp_path).count() == 2


def test_who_dies_while_it_writes_lets_others_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the folder is named as seen from here; a lock that is a link would then lead nowhere."""
    monkeypatch.chdir(tmp_path)
    holds = "import os, sys\nfrom pathlib import Path\nfrom sardonyx.core.files import alone_appending\n"
    holds += "with alone_appending(Path(sys.argv[1])):\n    print('held', flush=True)\n    sys.stdin.read()"
    assert ledger(Path()).count() == 0
    writer = subprocess.Popen([sys.executable, "-c", holds, JOURNAL], stdin=-1, stdout=-1, text=True)
    assert writer.stdout is not None
    assert writer.stdout.readline() == "held\n"
    other = subprocess.Popen([sys.executable, "-c", _DIES, "."])
    with pytest.raises(subprocess.TimeoutExpired):
        other.wait(2)
    writer.kill()
    assert (writer.wait(), other.wait(60)) == (-9, -9)
    assert not ledger(Path()).is_taken(_PLAN)
    assert [path.name for path in tmp_path.iterdir()] == [JOURNAL]


@pytest.mark.parametrize(("age_s", "taken"), [(60.0, True), (2 * ABANDONED_S, False)])
def test_another_machine_is_given_some_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, age_s: float, taken: bool
) -> None:
    first = ledger(tmp_path)
    monkeypatch.setattr(platform, "node", lambda: "elsewhere")
    with first.taking_up(_PLAN):
        monkeypatch.setattr(platform, "node", lambda: "here")

        class Later(datetime.datetime):
            @classmethod
            def now(cls, tz: datetime.tzinfo | None = None) -> Later:
                return cls.fromtimestamp(time.time() + age_s)

        monkeypatch.setattr(datetime, "datetime", Later)
        assert first.is_taken(_PLAN) is taken


def test_what_is_proposed_leans_towards_what_did_well(tmp_path: Path, make: Callable[..., Candidate]) -> None:
    """Integers are fast and right, float is slow and right, healed is wrong: after some trials that shows."""
    first, proposed = ledger(tmp_path), []
    for _ in range(60):
        plan = first.propose()
        proposed.append(plan)
        speed = 10.0 if plan.precision == "int8" else 1.0
        first.record(make(plan, speed, 0.5 if plan.healed else 0.001))
    early, late = proposed[:6], proposed[-30:]
    assert all(0 <= plan.depth <= ROUNDS for plan in proposed)
    assert len({plan.precision for plan in early}) > 1
    assert sum(plan.precision == "int8" and not plan.healed for plan in late) > 15


@pytest.mark.parametrize("storage", ["nonsense://nowhere", "sqlite:////nowhere/at/all/search.db"])
def test_a_storage_that_cannot_be_opened_is_refused(tmp_path: Path, storage: str) -> None:
    with pytest.raises(sx.StorageError, match="cannot be opened"):
        ledger(tmp_path, storage)


def test_without_optuna_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(sx.MissingExtraError) as caught:
        ledger(tmp_path)
    assert "sardonyx[search]" in caught.value.remedy
