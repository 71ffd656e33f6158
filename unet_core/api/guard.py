"""Who may use the HTTP API, and how much at a time: token, origin, and limits for each address."""

from __future__ import annotations

import hmac
import ipaddress
import math
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from starlette.requests import Request

from unet_core.api.problems import Problem
from unet_core.settings import Settings

MAX_AT_ONCE = 12  # photos that are read, waited for or segmented, over all addresses: each is held in memory
MAX_PER_ADDRESS = 4
WRONG_TOKENS_PER_MINUTE = 10
_ADDRESSES = 10_000  # remembered; the address used longest ago is forgotten first
_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")


class Rate:
    """How often each address may do something: a bucket that a minute fills."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # what was used, and when
        self._changing = threading.Lock()

    def wait_seconds(self, address: str, per_minute: int, cost: float = 1.0) -> float:
        """Count one use, and return 0; or count nothing, and return the seconds until the next one is allowed."""
        now = self._clock()
        with self._changing:
            used, at = self._buckets.pop(address, (0.0, now))
            used = max(0.0, used - (now - at) * per_minute / 60)
            allowed = used + 1.0 <= per_minute
            self._buckets[address] = (used + cost if allowed else used), now
            while len(self._buckets) > _ADDRESSES:
                self._buckets.popitem(last=False)
        return 0.0 if allowed else (used + 1.0 - per_minute) * 60 / per_minute


class Guard:
    """Checks requests against the settings and counts the work of each address."""

    def __init__(self, is_host_allowed: Callable[[str | None], bool] = lambda host: True) -> None:
        self._is_host_allowed = is_host_allowed
        self._requests, self._wrong_tokens = Rate(), Rate()
        self._working: Counter[str] = Counter()
        self._changing = threading.Lock()

    def check_source(self, request: Request) -> None:
        """Check that neither another website nor another name leads to this server.

        Raises:
            Problem: another website sent the request, or the host's name is not the server's.
        """
        host = request.headers.get("host")
        if not self._is_host_allowed(host):
            raise Problem(403, "This server does not answer to that host name: use the name its operator gave you.")
        origin = request.headers.get("origin")
        if origin is not None and _host_of(origin) != host:
            raise Problem(403, "Other websites may not use this server: send the request from a program.")

    def admit(self, request: Request, settings: Settings) -> None:
        """Let a program's request pass.

        Raises:
            Problem: the API is closed; or as `check_source`.
        """
        if settings.api == "off":
            raise Problem(404, "This server's API is closed: use its pages, or ask its operator.")
        self.check_source(request)

    def admit_work(self, request: Request, settings: Settings) -> None:
        """Let a request for a photo pass: `admit`, the token, and the rate of its address.

        Raises:
            Problem: as `admit`; the token is missing or wrong; or the address has used up its requests.
        """
        self.admit(request, settings)
        if settings.api == "token":
            self._check_token(request, settings)
        elif settings.api_per_minute and not is_local(request):
            wait = self._requests.wait_seconds(address_of(request), settings.api_per_minute)
            if wait:
                raise _too_many(f"This address may send {settings.api_per_minute} photos a minute", wait)

    def _check_token(self, request: Request, settings: Settings) -> None:
        address = address_of(request)
        wait = self._wrong_tokens.wait_seconds(address, WRONG_TOKENS_PER_MINUTE, cost=0.0)
        if wait:
            raise _too_many("Too many wrong tokens came from this address", wait)
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        right = hmac.compare_digest(token.strip().encode(), settings.api_token.encode())
        if scheme.lower() == "bearer" and right:
            return
        if token:
            self._wrong_tokens.wait_seconds(address, WRONG_TOKENS_PER_MINUTE)
        raise Problem(
            401,
            "This server's API needs a token: send the header Authorization: Bearer TOKEN; its operator has it.",
            {"WWW-Authenticate": 'Bearer realm="segment"'},
        )

    @contextmanager
    def work(self, request: Request) -> Iterator[str]:
        """Hold a place for one photo of the request's address, which is yielded.

        Raises:
            Problem: the address, or all addresses together, have too many photos at once.
        """
        address = address_of(request)
        with self._changing:
            if self._working[address] >= MAX_PER_ADDRESS:
                raise _too_many(f"This address may send {MAX_PER_ADDRESS} photos at a time", 1.0)
            if self._working.total() >= MAX_AT_ONCE:
                raise Problem(503, "The server is busy with other photos: try again soon.", {"Retry-After": "2"})
            self._working[address] += 1
        try:
            yield address
        finally:
            with self._changing:
                self._working[address] -= 1
                if not self._working[address]:
                    del self._working[address]


def address_of(request: Request) -> str:
    """Return the address whose requests are counted together: an IPv4 address, or an IPv6 network of 64 bits."""
    host = request.client.host if request.client else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address):
        return str(address.ipv4_mapped or ipaddress.ip_network((address, 64), strict=False))
    return host


def is_local(request: Request) -> bool:
    """Return whether a program on this machine sent the request, and no proxy passed it on."""
    if any(name in request.headers for name in _FORWARDED):
        return False
    try:
        return ipaddress.ip_address(request.client.host if request.client else "").is_loopback
    except ValueError:
        return False


def _host_of(origin: str) -> str:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


def _too_many(what: str, seconds: float) -> Problem:
    wait = max(1, math.ceil(seconds))
    return Problem(429, f"{what}: try again in {wait} s.", {"Retry-After": str(wait)})
