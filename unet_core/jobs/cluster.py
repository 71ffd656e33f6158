"""Work that runs on this machine or, unchanged, on the machines of a Dask cluster.

`open_cluster` chooses by the setting `cluster`; callers only submit functions and take results:

    with open_cluster(settings) as cluster:
        for task in as_completed(cluster.submit(function, item) for item in items):
            use(task.result())

A function may run more than once: where a worker is lost or the scheduler restarts, its tasks are started again. So it
must be safe to repeat, as writing a file atomically is.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import math
import ssl
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, cast

from unet_core.errors import UNetError
from unet_core.settings import ROOT, Settings

if TYPE_CHECKING:
    import distributed
    from tornado.ioloop import IOLoop

CONNECT_SECONDS = 10.0
RECONNECT_SECONDS = 120.0  # how long a scheduler that restarts may be away
_POLL_SECONDS = 0.01
_COUNT_SECONDS = 2.0  # between two looks at the workers, of which there may be hundreds
_LARGEST_PART = 200  # photos, some seconds of work: much more than it costs to send a task
_PARTS_A_SLOT = 4  # so that the last ones end at about the same time
_LIVES = 2  # how often Dask may give up on a task, each time after four workers died running it

Resources = Mapping[str, float]  # what a task needs of a worker that offers it, such as {"gpu": 1}


class ClusterError(UNetError):
    """A cluster that cannot be used; the text says why and what to do."""


@dataclass(frozen=True)
class Shared:
    """A value that many tasks use, and that is sent to each worker once; functions receive the value itself."""

    value: Any


class Task(Protocol):
    """A submitted function."""

    @property
    def key(self) -> str:
        """Its name, which the cluster's dashboard shows."""
        ...

    def done(self) -> bool:
        """Return whether it has finished, failed or been cancelled."""
        ...

    def result(self) -> Any:
        """Wait, and return what the function returned.

        Raises:
            ClusterError: the cluster is lost, or its workers cannot run the function.
            CancelledError: the task was cancelled.
            Exception: what the function raised.
        """
        ...

    def cancel(self) -> None:
        """Do not start it, or ignore its result: a function that has started still runs to its end."""
        ...

    def keep(self) -> None:
        """Run it even if this process ends; not possible on this machine."""
        ...


class Cluster(Protocol):
    """Where tasks run."""

    @property
    def name(self) -> str:
        """The place in words, such as "this machine"."""
        ...

    @property
    def slots(self) -> int:
        """How many tasks run at a time now; 0 while a cluster has no workers."""
        ...

    def capacity(self, resources: Resources) -> int:
        """Return how many tasks with these resources run at a time now, however many threads the workers have."""
        ...

    def share(self, value: Any) -> Shared:
        """Return a value that is sent to each worker once, to be passed to `submit`."""
        ...

    def submit(
        self, function: Callable[..., Any], *args: Any, resources: Resources | None = None, key: str | None = None
    ) -> Task:
        """Start `function(*args)` where there is room, on a worker that offers `resources`.

        Args:
            function: importable by its name on the workers, and safe to repeat.
            args: values that can be pickled.
            resources: see `missing`; not used on this machine.
            key: the task's name.
        """
        ...

    def missing(self, resources: Resources | None = None) -> str:
        """Return why tasks with these resources would wait now, in a sentence; empty if a worker can run them."""
        ...

    def close(self) -> None:
        """Cancel what has not started, and disconnect."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


def open_cluster(settings: Settings, workers: int = 1) -> Cluster:
    """Return the cluster of the settings, or this machine with `workers` tasks at a time if none is set.

    Raises:
        ClusterError: Dask is not installed, the scheduler cannot be reached, or it refuses the certificate.
    """
    return DaskCluster(settings) if settings.cluster else LocalCluster(workers)


def as_completed(tasks: Iterable[Task]) -> Iterator[Task]:
    """Yield the tasks as they end."""
    waiting = list(tasks)
    while waiting:
        ended, waiting = _split(waiting)
        yield from ended
        if not ended:
            time.sleep(_POLL_SECONDS)


def run_all(
    cluster: Cluster,
    function: Callable[..., Any],
    arguments: Iterable[tuple[Any, ...]],
    resources: Resources | None = None,
    while_waiting: Callable[[], object] = lambda: None,
) -> Iterator[Task]:
    """Submit `function` for each tuple of arguments, and yield the tasks as they end.

    Few tasks are submitted ahead, so that there may be millions; what is left is cancelled if the caller stops early.
    `while_waiting` is called many times a second while no task ends.
    """
    source = iter(arguments)
    waiting: list[Task] = []
    more = True
    try:
        while more or waiting:
            while more and len(waiting) < 2 * cluster.slots + 2:
                more = (args := next(source, None)) is not None
                if args is not None:
                    waiting.append(cluster.submit(function, *args, resources=resources))
            ended, waiting = _split(waiting)
            yield from ended
            if not ended and waiting:
                while_waiting()
                time.sleep(_POLL_SECONDS)
    finally:
        for task in waiting:
            task.cancel()


def part_size(cluster: Cluster, photos: int) -> int:
    """Return how many photos a task has, so that all workers get some and a lost one costs little."""
    return max(1, min(_LARGEST_PART, math.ceil(photos / max(1, _PARTS_A_SLOT * cluster.slots))))


def _split(tasks: list[Task]) -> tuple[list[Task], list[Task]]:
    """Return the tasks that have ended, and the others."""
    ended, waiting = [], []
    for task in tasks:
        (ended if task.done() else waiting).append(task)
    return ended, waiting


# --- this machine -----------------------------------------------------------------------------------------------------


class LocalTask:
    """A function in a thread of this process."""

    def __init__(self, key: str, future: Future[Any]) -> None:
        self.key = key
        self._future = future
        self._cancelled = False

    def done(self) -> bool:
        """See `Task`."""
        return self._cancelled or self._future.done()

    def result(self) -> Any:
        """See `Task`."""
        if self._cancelled:
            raise CancelledError
        return self._future.result()

    def cancel(self) -> None:
        """See `Task`."""
        self._cancelled = not self._future.done()
        self._future.cancel()

    def keep(self) -> None:
        """See `Task`."""


class LocalCluster:
    """Threads of this process, for functions whose libraries leave the interpreter free or start processes."""

    name = "this machine"

    def __init__(self, workers: int = 1) -> None:
        self.slots = workers
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="task")

    def capacity(self, resources: Resources) -> int:
        """See `Cluster`."""
        return self.slots

    def share(self, value: Any) -> Shared:
        """See `Cluster`."""
        return Shared(value)

    def submit(
        self, function: Callable[..., Any], *args: Any, resources: Resources | None = None, key: str | None = None
    ) -> LocalTask:
        """See `Cluster`."""
        values = (argument.value if isinstance(argument, Shared) else argument for argument in args)
        return LocalTask(key or function.__name__, self._pool.submit(function, *values))

    def missing(self, resources: Resources | None = None) -> str:
        """See `Cluster`."""
        return ""

    def close(self) -> None:
        """See `Cluster`."""
        self._pool.shutdown(cancel_futures=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


# --- Dask -------------------------------------------------------------------------------------------------------------


class DaskTask:
    """A function on a cluster's worker; sent again where Dask loses it with a worker or the scheduler."""

    def __init__(self, cluster: DaskCluster, key: str, send: Callable[[], distributed.Future]) -> None:
        self.key = key
        self._cluster = cluster
        self._send = send
        self._future = send()
        self._lives = _LIVES
        self._cancelled = self._kept = False
        self._fetched: tuple[Any] | None = None

    def done(self) -> bool:
        """See `Task`: a result counts once it is here, since the worker that holds it may be lost.

        Raises:
            ClusterError: the scheduler was lost and has not come back.
        """
        if self._cancelled or self._fetched:
            return True
        if self._is_lost():
            if not self._cluster.is_connected():
                return False
            self._future = self._send()
            if self._kept:
                self.keep()
        if self._future.status == "finished":
            with contextlib.suppress(CancelledError, OSError):  # lost just now: it is computed again
                self._fetched = (self._future.result(timeout=CONNECT_SECONDS),)
        return self._fetched is not None or self._future.status == "error"

    def result(self) -> Any:
        """See `Task`."""
        while not self.done():
            time.sleep(_POLL_SECONDS)
        if self._fetched:
            return self._fetched[0]
        raise CancelledError if self._cancelled else self._error()

    def cancel(self) -> None:
        """See `Task`."""
        if self._fetched or self._future.status == "error":
            return
        self._cancelled = True
        if self._future.status == "pending":  # not lost with the scheduler, which may be away
            self._future.cancel()

    def keep(self) -> None:
        """See `Task`."""
        from distributed import fire_and_forget

        self._kept = True
        fire_and_forget(self._future)

    def _is_lost(self) -> bool:
        from distributed import KilledWorker

        if self._future.status == "error" and self._lives > 1 and isinstance(self._future.exception(), KilledWorker):
            self._lives -= 1
            return True
        return self._future.status == "cancelled"

    def _error(self) -> BaseException:
        from distributed import KilledWorker

        error = cast(BaseException, self._future.exception())
        if isinstance(error, KilledWorker):
            return ClusterError(
                f"{self.key}: every worker that ran it ended at once, the last of them {error.last_worker.address}. "
                "Look at its log; most often it needs more memory than --memory-limit of `dask worker` allows."
            )
        if isinstance(error, ModuleNotFoundError) and (error.name or "").startswith("unet_core"):
            return ClusterError(
                f"The cluster's workers do not find {error.name}: start them in a folder of this program."
            )
        return error or ClusterError(f"{self.key} failed without an error")


class DaskCluster:
    """The workers of the Dask scheduler that the settings name."""

    def __init__(self, settings: Settings) -> None:
        self.name = f"the cluster at {settings.cluster}"
        self._settings = settings
        self._client = _connect(settings)
        self._shared: dict[int, tuple[Shared, distributed.Future]] = {}
        self._counted, self._slots = 0.0, 0
        self._lost: float | None = None

    @property
    def slots(self) -> int:
        """See `Cluster`."""
        if time.monotonic() - self._counted > _COUNT_SECONDS:
            self._counted, self._slots = time.monotonic(), sum(worker["nthreads"] for worker in self._workers())
        return self._slots

    def capacity(self, resources: Resources) -> int:
        """See `Cluster`."""
        offers = [worker["resources"] for worker in self._workers()]
        return sum(int(min(offer.get(name, 0) // need for name, need in resources.items())) for offer in offers)

    def share(self, value: Any) -> Shared:
        """See `Cluster`."""
        return Shared(value)

    def submit(
        self, function: Callable[..., Any], *args: Any, resources: Resources | None = None, key: str | None = None
    ) -> DaskTask:
        """See `Cluster`."""
        name = key or function.__name__
        needs = dict(resources) if resources else None

        def send() -> distributed.Future:
            client = self._connected()
            values = [self._sent(argument) if isinstance(argument, Shared) else argument for argument in args]
            unique = f"{name}-{uuid.uuid4().hex[:12]}"  # two clients that use a key would get one task
            return client.submit(_run, program_hash(), function, *values, key=unique, resources=needs, pure=False)

        return DaskTask(self, name, send)

    def missing(self, resources: Resources | None = None) -> str:
        """See `Cluster`."""
        needs = dict(resources or {})
        for worker in self._workers():
            if all(worker["resources"].get(name, 0) >= amount for name, amount in needs.items()):
                return ""
        offer = " ".join(f"{name}={amount:g}" for name, amount in needs.items())
        command = f"dask worker {self._settings.cluster}" + (f' --resources "{offer}"' if offer else "")
        what = f"worker that offers {offer}" if offer else "worker"
        return f"{self.name[0].upper()}{self.name[1:]} has no {what} now: start one with `{command}`."

    def close(self) -> None:
        """See `Cluster`."""
        self._shared.clear()
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _workers(self) -> list[dict[str, Any]]:
        try:
            return list(self._connected().scheduler_info(n_workers=-1)["workers"].values())
        except OSError:  # the scheduler was lost just now
            return []

    def _connected(self) -> distributed.Client:
        """Return the client once it is connected; a scheduler that restarts is waited for."""
        while not self.is_connected():
            time.sleep(_POLL_SECONDS)
        return self._client

    def is_connected(self) -> bool:
        """Return whether the scheduler is there; the client looks for it by itself, and a new one after it gives up.

        Raises:
            ClusterError: it has been away too long.
        """
        if self._client.status == "running":
            self._lost = None
            return True
        self._lost = self._lost or time.monotonic()
        if self._client.status in ("closing", "closed"):
            try:
                self._client = _connect(self._settings)
            except ClusterError:
                if time.monotonic() - self._lost > RECONNECT_SECONDS:
                    raise
        return False

    def _sent(self, shared: Shared) -> distributed.Future:
        """Return the shared value as a task's result, which Dask copies to each worker that needs it."""
        _, future = self._shared.get(id(shared), (shared, None))
        if future is None or future.status == "cancelled":
            future = self._client.submit(_itself, shared.value, key=f"shared-{uuid.uuid4().hex[:12]}", pure=False)
            self._shared[id(shared)] = shared, future
        return future


def _connect(settings: Settings) -> distributed.Client:
    try:
        import dask.config
        import distributed
    except ImportError:
        raise ClusterError(
            "UNET_CLUSTER is set, but Dask is not installed: pip install -r requirements-cluster.txt, or unset it."
        ) from None
    dask.config.set({"distributed.admin.large-graph-warning-threshold": "1GB"})  # a shared model is one large argument
    try:
        return distributed.Client(
            settings.cluster,
            security=_security(settings),
            timeout=CONNECT_SECONDS,
            set_as_default=False,
            loop=_event_loop(),
        )
    except (OSError, ssl.SSLError) as error:
        raise ClusterError(_why_unreachable(settings, error)) from None


@cache
def _event_loop() -> IOLoop:
    """Return the loop that all clients share: one that cannot connect would leave the thread of its own behind."""
    from tornado.ioloop import IOLoop

    running: Future[IOLoop] = Future()

    async def run() -> None:
        running.set_result(IOLoop.current())
        await asyncio.Event().wait()

    threading.Thread(target=lambda: asyncio.run(run()), name="cluster", daemon=True).start()
    return running.result()


def _security(settings: Settings) -> distributed.Security | None:
    from distributed import Security

    if not settings.cluster.startswith("tls://"):
        return None
    for name in ("cluster_ca", "cluster_cert", "cluster_key"):
        if not Path(getattr(settings, name)).is_file():
            raise ClusterError(f"UNET_{name.upper()}: there is no file {getattr(settings, name)}")
    return Security(
        tls_ca_file=settings.cluster_ca,
        tls_client_cert=settings.cluster_cert,
        tls_client_key=settings.cluster_key,
        require_encryption=True,
    )


def _why_unreachable(settings: Settings, error: BaseException) -> str:
    causes = [error]
    while following := causes[-1].__cause__ or causes[-1].__context__:
        causes.append(following)
    refused = next((cause for cause in causes if isinstance(cause, ssl.SSLError)), None)
    if refused is not None:
        return (
            f"The scheduler at {settings.cluster} and this program do not accept each other's certificate "
            f"({refused.reason or refused}): check UNET_CLUSTER_CA, UNET_CLUSTER_CERT and UNET_CLUSTER_KEY."
        )
    certificates = (
        ", and that it accepts UNET_CLUSTER_CERT, this machine's certificate" if settings.cluster_cert else ""
    )
    return (
        f"The scheduler at {settings.cluster} did not answer in {CONNECT_SECONDS:g} seconds: check that it is running "
        f"at this address, with tcp or tls as here, that this machine may reach it{certificates}."
    )


# --- on a worker ------------------------------------------------------------------------------------------------------


def _itself(value: Any) -> Any:
    return value


def _run(expected: str, function: Callable[..., Any], *args: Any) -> Any:
    if program_hash() != expected:
        raise ClusterError(
            f"A worker runs another version of this program (in {ROOT}): give all machines the same one, and restart "
            "the workers."
        )
    return function(*args)


@cache
def program_hash() -> str:
    """Return a hash of the library's source files: workers with another version could return other results."""
    total = hashlib.sha256()
    folder = ROOT / "unet_core"
    for path in sorted(folder.rglob("*.py")):
        total.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return total.hexdigest()
