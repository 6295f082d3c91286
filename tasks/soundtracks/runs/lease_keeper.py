"""The claims of the films that a run has in hand, kept alive for as long as they are worked on.

A claim lapses after its lease, so that another machine may take over from one that died. A batch of films may
take longer than that; therefore a thread renews what is held, however long fetching and decoding take.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from contextlib import suppress
from types import TracebackType

from storage.coordination import leases as claims
from storage.coordination.leases import Claim
from storage.errors import LakeError
from storage.lake.lake import Lake


class HeldClaims:
    """Claims by film id; all are let go at the end of the `with` block, whatever ended it."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._held: dict[str, Claim] = {}
        self._one_at_a_time = threading.Lock()
        """A claim that is renewed while it is released would stand again, and for nobody."""
        self._over = threading.Event()
        self._renewer = threading.Thread(target=self._renew_until_over, name="renews-claims", daemon=True)

    def __enter__(self) -> HeldClaims:
        self._renewer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop renewing, and release what is still held."""
        self._over.set()
        self._renewer.join()
        self.release(list(self._held))

    def take(self, film_id: str) -> bool:
        """Claim a film; False when another worker holds it."""
        claimed = claims.claim(self._lake, film_id)
        if claimed is not None:
            self._held[film_id] = claimed
        return claimed is not None

    def release(self, film_ids: Iterable[str]) -> None:
        """Let these films go, as far as they are held."""
        with self._one_at_a_time:
            for film_id in film_ids:
                if (claimed := self._held.pop(film_id, None)) is not None:
                    claimed.release()

    def _renew_until_over(self) -> None:
        while not self._over.wait(claims.LEASE.total_seconds() / 3):
            with self._one_at_a_time, suppress(LakeError):  # the work itself hears of a full disk, and says so
                for claimed in list(self._held.values()):
                    claimed.renew()
