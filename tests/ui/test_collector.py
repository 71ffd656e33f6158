"""Garbage is collected at quiet moments, and a server that stops meanwhile does no harm."""

from __future__ import annotations

import gc
import threading
import weakref
from types import SimpleNamespace

import pytest

from ui.shared import collector, server


class Cycle:
    """An object that only the collector frees."""

    def __init__(self) -> None:
        self.me = self


def test_collecting_frees_cycles_also_those_that_were_spared_before() -> None:
    before = Cycle()
    collector.Collector().collect()  # spares what lives
    gone = weakref.ref(before)
    del before
    collector.Collector().collect()
    assert gone() is None
    gc.unfreeze()


def test_closed_sessions_are_dropped_in_the_servers_own_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    expired: list[threading.Thread] = []
    cache = SimpleNamespace(expire=lambda: expired.append(threading.current_thread()))
    manager = SimpleNamespace(_session_storage=SimpleNamespace(_cache=cache))
    monkeypatch.setattr(collector.runtime, "exists", lambda: True)
    monkeypatch.setattr(collector.runtime, "get_instance", lambda: SimpleNamespace(_session_mgr=manager))
    monkeypatch.setattr(server, "event_loop", lambda: SimpleNamespace(call_soon_threadsafe=lambda call: call()))
    collector.Collector().collect()
    here = threading.current_thread()  # another test may have started the app's own collector
    assert [thread for thread in expired if thread is here] == [here]
    gc.unfreeze()


def test_a_server_that_has_stopped_meanwhile_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(call: object) -> None:
        raise RuntimeError("Event loop is closed")

    manager = SimpleNamespace(_session_storage=SimpleNamespace(_cache=SimpleNamespace(expire=pytest.fail)))
    monkeypatch.setattr(collector.runtime, "exists", lambda: True)
    monkeypatch.setattr(collector.runtime, "get_instance", lambda: SimpleNamespace(_session_mgr=manager))
    monkeypatch.setattr(server, "event_loop", lambda: SimpleNamespace(call_soon_threadsafe=closed))
    collector.Collector().collect()
    gc.unfreeze()
