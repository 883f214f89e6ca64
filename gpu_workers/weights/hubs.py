"""One check of which model hubs are reachable, shared by the processes of a weights folder."""

import threading
import time
import urllib.error
import urllib.request
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from gpu_workers.weights.catalogue import CATALOGUE
from gpu_workers.weights.manifest import sweep, write_atomically

PROBE_S = 8.0  # for all hubs together
REMEMBER_S = 60.0  # how long other processes use the cached result
ASK_AGAIN_S = 600.0  # a service outlives most network failures


class Verdict(msgspec.Struct, frozen=True):
    """Why each unreachable host or mirror was unreachable, and when the hosts were checked."""

    unreachable: dict[str, str]
    checked_unix_s: float


class Hubs:
    """Caches which hosts are unreachable: 10 minutes in this process, 1 minute in others."""

    def __init__(self, folder: Path, urls: tuple[str, ...] = ()) -> None:
        self._path = folder / ".hubs.json"
        self._urls = urls or tuple(entry.url for entry in CATALOGUE.values() if entry.url)
        self._verdict: Verdict | None = None
        self._lock = threading.Lock()

    def reason_unreachable(self, address: str) -> str | None:
        """Return why a host or mirror is unreachable, or None. The first call may take 8 s."""
        with self._lock:
            known = self._verdict
            if known is None or time.time() - known.checked_unix_s > ASK_AGAIN_S:
                self._verdict = self._recent() or self._probe()
            assert self._verdict is not None
            return self._verdict.unreachable.get(address)

    def remember(self, address: str, reason: str) -> None:
        """Record a mirror that failed; it counts as unreachable until the next check."""
        with self._lock:
            known = self._verdict.unreachable if self._verdict else {}
            checked_unix_s = self._verdict.checked_unix_s if self._verdict else time.time()
            self._keep(Verdict(known | {address: reason}, checked_unix_s))

    def check_again(self) -> None:
        """Check now, because a host that was reachable did not answer; takes up to 8 s."""
        with self._lock:
            self._probe()

    def _recent(self) -> Verdict | None:
        try:
            verdict = msgspec.json.decode(self._path.read_bytes(), type=Verdict)
        except (OSError, msgspec.DecodeError):
            return None  # a missing or damaged cache only costs a new probe
        fresh = 0 <= time.time() - verdict.checked_unix_s < REMEMBER_S
        return verdict if fresh else None

    def _probe(self) -> Verdict:
        """Probe all hosts concurrently, in threads, because a DNS lookup has no timeout."""
        url_of_host = {urlsplit(url).netloc: url for url in self._urls}
        unreachable = dict.fromkeys(url_of_host, f"no answer within {PROBE_S:.0f} s")

        def ask(host: str, url: str) -> None:
            reason = _why_no_answer(url)
            if reason is None:
                unreachable.pop(host, None)
            else:
                unreachable[host] = reason

        threads = [
            threading.Thread(target=ask, args=item, daemon=True) for item in url_of_host.items()
        ]
        deadline = time.monotonic() + PROBE_S
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._keep(verdict := Verdict(dict(unreachable), time.time()))
        return verdict

    def _keep(self, verdict: Verdict) -> None:
        self._verdict = verdict
        with suppress(OSError):  # only a cache: without it, each process probes for itself
            self._path.parent.mkdir(parents=True, exist_ok=True)
            sweep(self._path)  # without a lock: a process whose file goes only probes once more
            write_atomically(self._path, msgspec.json.encode(verdict))


def _why_no_answer(url: str) -> str | None:
    """Return why the host does not respond, or None; an HTTP error is a response."""
    try:
        request = urllib.request.Request(url, method="HEAD")
        urllib.request.urlopen(request, timeout=PROBE_S).close()
    except urllib.error.HTTPError as error:
        error.close()
    except (OSError, HTTPException) as error:
        return str(getattr(error, "reason", error))
    return None
