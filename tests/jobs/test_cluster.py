from __future__ import annotations

import contextlib
import operator
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError
from pathlib import Path

import pytest

from tests.helpers.dask_cluster import DaskProcesses, network_namespaces
from tests.helpers.processes import wait_until
from tests.helpers.server import free_port
from unet_core.errors import ConfigError
from unet_core.jobs import cluster as engine
from unet_core.jobs.cluster import ClusterError, LocalCluster, as_completed, open_cluster, program_hash, run_all
from unet_core.settings import get_settings


def test_without_a_cluster_functions_run_on_this_machine() -> None:
    with open_cluster(get_settings({}), workers=2) as here:
        assert (here.name, here.slots, here.missing({"gpu": 1})) == ("this machine", 2, "")
        big = here.share(b"abc")
        tasks = [here.submit(operator.mul, big, number, key=f"times {number}") for number in range(5)]
        assert sorted(task.result() for task in as_completed(tasks)) == [b"abc" * number for number in range(5)]
        assert tasks[3].key == "times 3"


def test_an_error_of_the_function_is_the_tasks_error() -> None:
    with LocalCluster() as here, pytest.raises(ZeroDivisionError):
        here.submit(operator.truediv, 1, 0).result()


def test_a_cancelled_task_never_starts() -> None:
    done: list[int] = []
    with LocalCluster() as here:
        first = here.submit(time.sleep, 0.2)
        second = here.submit(done.append, 1)
        second.cancel()
        assert second.done()
        with pytest.raises(CancelledError):
            second.result()
        first.result()
    assert done == []


def test_few_tasks_are_submitted_ahead_of_those_that_are_done() -> None:
    given: list[int] = []

    def numbers() -> Iterator[tuple[int]]:
        for number in range(200):
            given.append(number)
            yield (number,)

    with LocalCluster() as here:
        found = run_all(here, operator.neg, numbers())
        first = next(found)
        assert len(given) <= 8
        assert sorted([first.result(), *(task.result() for task in found)]) == sorted(-number for number in range(200))


def test_whoever_waits_for_a_long_task_is_asked_and_may_give_up() -> None:
    asked: list[int] = []
    done: list[int] = []

    def give_up() -> None:
        asked.append(1)
        if len(asked) == 3:
            raise KeyboardInterrupt

    with LocalCluster() as here:
        numbers = ((number,) for number in range(100))
        slow = run_all(here, lambda number: (time.sleep(0.2), done.append(number)), numbers, while_waiting=give_up)
        with pytest.raises(KeyboardInterrupt):
            next(slow)
    assert len(asked) == 3
    assert len(done) <= 1


def test_stopping_early_cancels_what_was_submitted_ahead() -> None:
    done: list[int] = []
    with LocalCluster() as here:
        found = run_all(here, lambda number: (time.sleep(0.05), done.append(number)), ((n,) for n in range(100)))
        next(found)
        found.close()
    assert len(done) <= 3


@pytest.mark.parametrize("address", ["10.0.0.5:8786", "http://scheduler:8786", "tcp://scheduler", "tcp://a b:1"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match="tcp://HOST:PORT"):
        get_settings({"UNET_CLUSTER": address})


def test_tls_without_certificates_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cluster_cert"):
        get_settings({"UNET_CLUSTER": "tls://scheduler:8786"})
    names = {f"UNET_CLUSTER_{name}": str(tmp_path / "missing.pem") for name in ("CA", "CERT", "KEY")}
    with pytest.raises(ClusterError, match="UNET_CLUSTER_CA: there is no file .*missing.pem"):
        open_cluster(get_settings({"UNET_CLUSTER": "tls://scheduler:8786", **names}))


def test_a_cluster_without_dask_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ClusterError, match="pip install -r requirements-cluster.txt"):
        open_cluster(get_settings({"UNET_CLUSTER": "tcp://127.0.0.1:8786"}))


def test_a_scheduler_that_does_not_answer_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "CONNECT_SECONDS", 0.3)
    address = f"tcp://127.0.0.1:{free_port()}"
    threads = []
    for _ in range(2):
        with pytest.raises(ClusterError, match=f"{address} did not answer"):
            open_cluster(get_settings({"UNET_CLUSTER": address}))
        threads.append(threading.active_count())
    assert threads[0] == threads[1], "asking again and again leaves nothing behind"


# --- with a scheduler and workers -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_cluster_runs_what_this_machine_runs(tmp_path: Path) -> None:
    with DaskProcesses(tmp_path) as dask, open_cluster(get_settings({"UNET_CLUSTER": dask.address})) as far:
        assert "has no worker now: start one with `dask worker tcp://" in far.missing()
        dask.start_worker("--resources", "gpu=1")
        assert (far.missing(), far.missing({"gpu": 1})) == ("", "")
        assert "worker that offers gpu=2" in far.missing({"gpu": 2})

        process = far.submit(os.getpid, resources={"gpu": 1}).result()
        assert process == dask.workers[0].pid
        big = far.share(bytes(20_000_000))
        assert [task.result() for task in run_all(far, len, [(big,)] * 20)] == [20_000_000] * 20
        with pytest.raises(ZeroDivisionError):
            far.submit(operator.truediv, 1, 0).result()
        waiting = far.submit(os.getpid, resources={"gpu": 2})
        waiting.cancel()
        with pytest.raises(CancelledError):
            waiting.result()


@pytest.mark.slow
def test_a_task_survives_its_worker_and_its_scheduler(tmp_path: Path) -> None:
    with DaskProcesses(tmp_path) as dask, open_cluster(get_settings({"UNET_CLUSTER": dask.address})) as far:
        dask.start_worker()
        big = far.share(bytes(1_000_000))
        assert far.submit(len, big).result() == 1_000_000

        task = far.submit(time.sleep, 1)
        wait_for_a_start = far.submit(time.sleep, 0)  # queued behind it
        time.sleep(0.3)
        dask.workers[0].kill()
        dask.start_worker()
        assert (task.result(), wait_for_a_start.result(), far.submit(len, big).result()) == (None, None, 1_000_000)

        task = far.submit(time.sleep, 1)
        dask.scheduler.kill()
        dask.scheduler.wait()
        assert not task.done()
        dask.start_scheduler()
        dask.start_worker()
        assert (task.result(), far.submit(len, big).result()) == (None, 1_000_000)


@pytest.mark.slow
def test_a_task_that_ends_every_worker_is_given_up_with_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_LIVES", 1)
    with DaskProcesses(tmp_path, environment={"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0"}) as dask:
        dask.start_worker()
        with open_cluster(get_settings({"UNET_CLUSTER": dask.address})) as far:
            task = far.submit(os._exit, 3, key="photos 1 to 200")
            with pytest.raises(ClusterError, match="photos 1 to 200: every worker that ran it ended at once"):
                task.result()


@pytest.mark.slow
def test_a_task_that_is_done_needs_no_worker_any_more(tmp_path: Path) -> None:
    with DaskProcesses(tmp_path) as dask, open_cluster(get_settings({"UNET_CLUSTER": dask.address})) as far:
        dask.start_worker()
        task = far.submit(len, b"abc")
        wait_until(task.done, "the task")
        dask.workers[0].kill()
        wait_until(far.missing, "the loss")
        assert task.done()
        assert task.result() == 3


@pytest.mark.slow
def test_a_scheduler_that_stays_away_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "CONNECT_SECONDS", 0.5)
    monkeypatch.setattr(engine, "RECONNECT_SECONDS", 0.5)
    with DaskProcesses(tmp_path) as dask, open_cluster(get_settings({"UNET_CLUSTER": dask.address})) as far:
        task = far.submit(time.sleep, 1)
        dask.scheduler.kill()
        with pytest.raises(ClusterError, match="did not answer"):
            task.result()
        task.cancel()
        assert task.done()


@pytest.mark.slow
def test_a_worker_with_another_version_of_the_program_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    subprocess.run(["cp", "-r", "unet_core", str(tmp_path / "other")], check=True)
    (tmp_path / "other" / "unet_core" / "scores.py").write_text("")
    with DaskProcesses(tmp_path) as dask, open_cluster(get_settings({"UNET_CLUSTER": dask.address})) as far:
        dask.start_worker(environment={"PYTHONPATH": str(tmp_path / "other")}, folder=tmp_path / "other")
        with pytest.raises(ClusterError, match="another version of this program .*other"):
            far.submit(len, b"").result()


def certificates(folder: Path, authority: str = "ca") -> dict[str, str]:
    """Make an authority and a certificate that it has signed, and return their settings."""
    ca, ca_key, request = (folder / f"{authority}{end}" for end in (".pem", ".key", ".csr"))
    cert, key = folder / f"{authority}-node.pem", folder / f"{authority}-node.key"
    new = ["openssl", "req", "-newkey", "rsa:2048", "-nodes", "-subj"]
    sign = ["openssl", "x509", "-req", "-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-days", "2"]
    for command in (
        [*new, f"/CN={authority}", "-x509", "-days", "2", "-keyout", ca_key, "-out", ca],
        [*new, "/CN=node", "-keyout", key, "-out", request],
        [*sign, "-in", request, "-out", cert],
    ):
        subprocess.run(list(map(str, command)), check=True, capture_output=True)
    return {"UNET_CLUSTER_CA": str(ca), "UNET_CLUSTER_CERT": str(cert), "UNET_CLUSTER_KEY": str(key)}


@pytest.mark.slow
def test_over_tls_only_a_client_with_the_clusters_certificate_is_let_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, others = certificates(tmp_path), certificates(tmp_path, "stranger")
    ca, cert, key = ours.values()
    with DaskProcesses(
        tmp_path, protocol="tls", options=("--tls-ca-file", ca, "--tls-cert", cert, "--tls-key", key)
    ) as dask:
        dask.start_worker()
        with open_cluster(get_settings({"UNET_CLUSTER": dask.address, **ours})) as far:
            assert far.submit(len, b"abc").result() == 3
        without = ssl.create_default_context(cafile=ca)
        without.check_hostname = False
        with (
            socket.create_connection(("127.0.0.1", dask.port)) as plain,
            pytest.raises(ssl.SSLError, match="certificate"),
            without.wrap_socket(plain) as secured,
        ):
            secured.recv(1)
        monkeypatch.setattr(engine, "CONNECT_SECONDS", 1.0)
        stranger = {"UNET_CLUSTER": dask.address, **others, "UNET_CLUSTER_CA": ca}
        for refused in (stranger, {"UNET_CLUSTER": dask.address, **others}):
            with pytest.raises(ClusterError, match="certificate"):
                open_cluster(get_settings(refused))
        with pytest.raises(ClusterError, match="did not answer"):
            open_cluster(get_settings({"UNET_CLUSTER": dask.address.replace("tls", "tcp")}))


@pytest.mark.slow
def test_a_worker_that_hangs_is_given_up(tmp_path: Path) -> None:
    with DaskProcesses(tmp_path, environment={"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "3s"}) as dask:
        hanging = dask.start_worker()
        with open_cluster(get_settings({"UNET_CLUSTER": dask.address})) as far:
            os.kill(hanging, signal.SIGSTOP)
            task = far.submit(os.getpid)
            other = dask.start_worker()
            assert task.result() == other


@pytest.mark.slow
def test_workers_on_hosts_of_their_own_are_used_and_replaced(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        try:
            first, second, third = stack.enter_context(network_namespaces(3))
        except OSError as error:
            pytest.skip(f"no network namespaces here: {error}")
        dask = stack.enter_context(DaskProcesses(tmp_path, host=first))
        far = stack.enter_context(open_cluster(get_settings({"UNET_CLUSTER": dask.address})))
        dask.start_worker(host=second)
        names = [f"10.199.77.{number}" for number in (11, 12)]
        assert names[0] in far.submit(addresses).result()
        task = far.submit(time.sleep, 1)
        dask.start_worker(host=third)
        dask.workers[0].kill()
        assert task.result() is None
        assert names[1] in far.submit(addresses).result()


def addresses() -> str:
    """Return the addresses of this process's host."""
    return subprocess.run(["ip", "addr"], check=True, capture_output=True, text=True).stdout


def test_the_program_is_hashed_by_its_source() -> None:
    assert program_hash() == program_hash()
    assert len(program_hash()) == 64
