"""A fair and visible semaphore, and memory that is handed back when the work is done."""

from __future__ import annotations

import threading
import time

import pytest

from unet_core.jobs import memory
from unet_core.segment import concurrency
from unet_core.segment.concurrency import ConcurrencyLimit


def test_no_more_than_the_limit_work_at_a_time_and_all_are_served() -> None:
    limit, most, done = ConcurrencyLimit(2), [], []

    def work(number: int) -> None:
        with limit.slot():
            most.append(limit.working)
            time.sleep(0.002)
            done.append(number)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(20)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    assert max(most) <= 2
    assert sorted(done) == list(range(20))
    assert limit.working == limit.waiting == 0


def test_a_free_slot_wakes_only_whose_turn_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(concurrency, "REPORT_SECONDS", 60)
    limit, reports, left = ConcurrencyLimit(1), [], []
    release = threading.Event()

    def hold() -> None:
        with limit.slot():
            release.wait(30)

    def work(number: int) -> None:
        with limit.slot(lambda before: reports.append(number)):
            left.append(number)

    workers = [threading.Thread(target=hold), *(threading.Thread(target=work, args=(n,)) for n in range(6))]
    for worker in workers:
        worker.start()
        time.sleep(0.02)
    release.set()
    for worker in workers:
        worker.join(30)
    assert left == list(range(6))
    assert sorted(reports) == list(range(6))  # one report each, on arrival: nobody woke in vain


def test_slots_are_given_in_order_of_arrival_and_positions_are_reported() -> None:
    limit, order, reported = ConcurrencyLimit(1), [], {}
    release = threading.Event()

    def hold() -> None:
        with limit.slot(lambda before: pytest.fail("nobody was before it")):
            release.wait(30)

    def work(number: int) -> None:
        with limit.slot(lambda before: reported.setdefault(number, before)):
            order.append(number)

    workers = [threading.Thread(target=hold)]
    workers[0].start()
    for number in range(4):
        workers.append(threading.Thread(target=work, args=(number,)))
        workers[-1].start()
        while limit.waiting <= number:  # until it is in the queue
            time.sleep(0.001)
    assert limit.waiting == 4
    while len(reported) < 4:
        time.sleep(0.001)
    release.set()
    for worker in workers:
        worker.join(30)
    assert order == [0, 1, 2, 3]
    assert reported == {0: 1, 1: 2, 2: 3, 3: 4}


def test_somebody_who_leaves_the_queue_frees_the_position() -> None:
    limit = ConcurrencyLimit(1)

    class Left(Exception):
        pass

    def leave(before: int) -> None:
        raise Left

    with limit.slot():
        with pytest.raises(Left), limit.slot(leave):
            pytest.fail("it was never its turn")
        assert limit.waiting == 0
    with limit.slot(leave):  # free at once: nothing to tell
        assert limit.working == 1


def test_a_failure_at_work_ends_the_turn() -> None:
    limit = ConcurrencyLimit(1)
    with pytest.raises(ZeroDivisionError), limit.slot():
        raise ZeroDivisionError
    assert limit.working == 0
    with pytest.raises(ValueError, match="at least 1"):
        ConcurrencyLimit(0)


def test_memory_is_handed_back_once_for_many_who_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    calls, called = [], threading.Event()
    monkeypatch.setattr(memory, "DELAY_SECONDS", 0.02)
    monkeypatch.setattr(memory, "_trim", lambda: lambda pad: (calls.append(pad), called.set()))
    for _ in range(20):
        memory.give_back_soon()
    assert called.wait(30)
    assert len(calls) == 1
    called.clear()
    memory.give_back_soon()
    assert called.wait(30)


def test_slots_go_round_the_owners_and_each_waits_for_one_of_the_others() -> None:
    limit, order = ConcurrencyLimit(1), []
    release = threading.Event()

    def hold() -> None:
        with limit.slot():
            release.wait(30)

    def work(owner: str, number: int) -> None:
        with limit.slot(owner=owner):
            order.append((owner, number))

    workers = [threading.Thread(target=hold)]
    workers[0].start()
    while not limit.working:
        time.sleep(0.001)
    for waiting, (owner, number) in enumerate([("many", 0), ("many", 1), ("many", 2), ("one", 0), ("two", 0)]):
        workers.append(threading.Thread(target=work, args=(owner, number)))
        workers[-1].start()
        while limit.waiting <= waiting:
            time.sleep(0.001)
    release.set()
    for worker in workers:
        worker.join(30)
    assert [owner for owner, _ in order] == ["many", "one", "two", "many", "many"]


def test_long_work_gives_way_to_whoever_waits_and_goes_on() -> None:
    limit, order = ConcurrencyLimit(1), []

    def photo() -> None:
        with limit.slot(owner="visitor"):
            order.append("photo")

    with limit.slot(owner="tiles") as turn:
        turn.give_way()  # nobody waits
        order.append("first tile")
        other = threading.Thread(target=photo)
        other.start()
        while not limit.waiting:
            time.sleep(0.001)
        turn.give_way()
        order.append("second tile")
    other.join(30)
    assert order == ["first tile", "photo", "second tile"]
    assert limit.working == limit.waiting == 0


def test_work_that_ends_while_it_gives_way_frees_its_place() -> None:
    limit = ConcurrencyLimit(1)
    holding, release = threading.Event(), threading.Event()

    def photo() -> None:
        with limit.slot(owner="visitor"):
            holding.set()
            release.wait(30)

    def gone(before: int) -> None:
        if holding.is_set():
            raise InterruptedError

    def tiles() -> None:
        with limit.slot(gone, owner="tiles") as turn:
            other.start()
            while not limit.waiting:
                time.sleep(0.001)
            turn.give_way()

    other = threading.Thread(target=photo)
    with pytest.raises(InterruptedError):
        tiles()
    release.set()
    other.join(30)
    assert limit.working == limit.waiting == 0
