"""What a search has tried, where several processes and machines can see it: a study of optuna.

Models and figures lie in the folder of the search; the study says which plans somebody has done or is doing, with speed
and loss as its two objectives, and proposes further ones from them.
"""

from __future__ import annotations

import datetime
import logging
import os
import platform
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...core.errors import MissingExtraError, StorageError
from ...core.files import alone_appending
from ..lock import is_alive, start_of
from .candidates import METHODS, PRECISIONS, UNCUT, Candidate, Plan, Precision
from .options import ROUNDS

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

JOURNAL = "search.journal"
"""Name of the study's file in the folder of a search."""

ABANDONED_S = 1800.0
"""A plan that another machine took up so long ago and has not finished is free again."""

_LOST = "lost"
_FIRST_RANDOM = 6


class Ledger:
    """The study of one search.

    Args:
        folder: The folder of the search.
        identity: Names the study; searches of the same name share it.
        storage: Where the study is kept, a URL that optuna knows; a file in the folder where None.
        paths: The names of the paths.
        precisions: How a candidate may compute.
        max_drop: What may be lost, which the proposals keep to.
        seed: Seed of the proposals.

    Raises:
        MissingExtraError: optuna is not installed.
        StorageError: The storage cannot be opened.
    """

    def __init__(
        self,
        folder: Path,
        identity: str,
        storage: str | None,
        *,
        paths: Sequence[str],
        precisions: Sequence[Precision] = PRECISIONS,
        max_drop: float,
        seed: int,
    ) -> None:
        self._paths = (UNCUT, *paths)
        self._precisions = tuple(precisions)
        self._max_drop = max_drop
        self._study = _open(folder, identity, storage, seed)

    @contextmanager
    def taking_up(self, plan: Plan) -> Iterator[None]:
        """Tell the others that a plan is being worked on, until the block ends."""
        from optuna.trial import TrialState, create_trial

        params = asdict(plan)
        owner = {"host": platform.node(), "pid": os.getpid(), "started": start_of(os.getpid())}
        self._study.add_trial(
            create_trial(
                state=TrialState.RUNNING,
                params=params,
                distributions=self._distributions(),
                user_attrs=owner,
            )
        )
        number = next(t.number for t in reversed(self._study.get_trials()) if t.params == params)
        try:
            yield
        finally:
            self._study.tell(number, state=TrialState.FAIL)  # what came of it is a trial of its own

    def record(self, candidate: Candidate) -> None:
        """Add what a plan came to."""
        from optuna.trial import create_trial

        self._study.add_trial(
            create_trial(
                values=[candidate.speed_ratio, candidate.lost],
                params=asdict(candidate.plan),
                distributions=self._distributions(),
                constraints={_LOST: candidate.lost - self._max_drop},
            )
        )

    def is_taken(self, plan: Plan) -> bool:
        """Whether somebody is at work on a plan now."""
        from optuna.trial import TrialState

        running = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        return any(trial.params == asdict(plan) and _is_at_work(trial) for trial in running)

    def count(self) -> int:
        """Plans that were done, by whomever."""
        from optuna.trial import TrialState

        return len(self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))

    def propose(self) -> Plan:
        """A plan that what was tried speaks for; it may have been done already."""
        from optuna.trial import TrialState

        trial = self._study.ask(self._distributions())
        # This trial was but a question: whoever works on the plan takes it up.
        self._study.tell(trial, state=TrialState.FAIL)
        return Plan(**trial.params)

    def _distributions(self) -> dict[str, Any]:
        from optuna.distributions import CategoricalDistribution, IntDistribution

        return {
            "path": CategoricalDistribution(self._paths),
            "depth": IntDistribution(0, ROUNDS),
            "healed": CategoricalDistribution((False, True)),
            "precision": CategoricalDistribution(self._precisions),
            "method": CategoricalDistribution(METHODS),
        }


class _JournalLock:
    """What one process at a time holds to write to the journal; those of optuna outlive a process that is killed."""

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self._held = ExitStack()

    def acquire(self) -> bool:
        """Wait for it."""
        self._held.enter_context(alone_appending(self._journal))
        return True

    def release(self) -> None:
        """Let others have it."""
        self._held.close()


def require_optuna() -> None:
    """Check that optuna is there.

    Raises:
        MissingExtraError: It is not.
    """
    try:
        import optuna  # noqa: F401 - only whether it can be
    except ModuleNotFoundError as error:
        raise MissingExtraError("optuna", "search") from error


def _is_at_work(trial: FrozenTrial) -> bool:
    """Whether the process that took a plan up still runs; of one elsewhere, whether it has had time enough."""
    owner = trial.user_attrs
    if owner.get("host") == platform.node():
        return is_alive(owner["pid"], owner["started"])
    if trial.datetime_start is None:
        return False
    return (datetime.datetime.now() - trial.datetime_start).total_seconds() < ABANDONED_S


def _open(folder: Path, identity: str, storage: str | None, seed: int) -> Study:
    require_optuna()
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    logging.getLogger("optuna").setLevel(logging.ERROR)

    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=_FIRST_RANDOM)
    try:
        lock: Any = None if os.name == "nt" else _JournalLock(folder / JOURNAL)
        place = storage or JournalStorage(JournalFileBackend(str(folder / JOURNAL), lock))
        return optuna.create_study(
            storage=place,
            sampler=sampler,
            study_name=identity,
            directions=["maximize", "minimize"],  # speed, loss
            load_if_exists=True,
        )
    except Exception as error:  # whatever a database driver raises
        raise StorageError(
            f"the storage {storage or folder / JOURNAL} cannot be opened: {error}",
            remedy="give a URL that optuna knows, as sqlite:///search.db, or leave --storage out",
        ) from error
