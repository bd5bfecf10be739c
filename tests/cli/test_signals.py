"""Signals as exceptions: the first one ends what is done, further ones do not cut short the cleaning up."""

from __future__ import annotations

import os
import signal
import threading

import pytest
from sardonyx.cli import signals
from sardonyx.cli.signals import Terminated, raised_signals


@pytest.fixture(autouse=True)
def heeded():
    """Both signals as a shell leaves them; as they were, afterwards."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("number", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)]
)
def test_a_signal_is_an_exception(number, raised) -> None:
    with pytest.raises(raised), raised_signals():
        os.kill(os.getpid(), number)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def struck_twice(cleaned: list[bool]) -> None:
    """Work that SIGTERM ends, with a cleaning up that SIGINT and SIGTERM come into."""
    with raised_signals():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGTERM)
            cleaned.append(True)


def test_cleaning_up_is_not_cut_short() -> None:
    cleaned: list[bool] = []
    with pytest.raises(Terminated):
        struck_twice(cleaned)
    assert cleaned == [True]


def test_one_that_hangs_while_cleaning_up_can_be_ended(monkeypatch) -> None:
    monkeypatch.setattr(signals, "PATIENCE_S", 0.0)
    cleaned: list[bool] = []
    with pytest.raises(KeyboardInterrupt):
        struck_twice(cleaned)
    assert cleaned == []


def test_what_is_ignored_stays_ignored() -> None:
    """As of a command in the background (nohup)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with raised_signals():
        os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_another_thread_is_left_to_its_owner() -> None:
    done = []

    def work() -> None:
        with raised_signals():
            done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [True]


def test_the_end_is_undisturbed() -> None:
    signals.ignore_signals()
    os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
