"""What the routes of the studio share: the engine, a place in line for searches, and tracks that may be asked about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from anyio import CapacityLimiter, to_thread
from jinja2 import Environment, PackageLoader, select_autoescape

from needledrop.studio import exports
from needledrop.studio.api_answers import Shortlist
from needledrop.studio.engine import Engine
from needledrop.studio.error_answers import Refusal
from needledrop.studio.security import Access
from storage.libraries.library import Library, open_library

RECORDINGS_AT_ONCE = 1
T = TypeVar("T")


class Studio:
    """What the routes share: the engine, and a place in line for searches."""

    def __init__(self, engine: Engine, access: Access) -> None:
        self.engine, self.access = engine, access
        self.one_at_a_time = CapacityLimiter(1)
        """Searches wait here and not in threads, which others need to stream and to list."""
        self.decoding = CapacityLimiter(RECORDINGS_AT_ONCE)
        """Recordings that are sent to be searched by are decoded next to searches, which do not wait for them."""
        self.templates = Environment(
            loader=PackageLoader("needledrop.studio"),
            autoescape=select_autoescape(default=True, default_for_string=True),
        )

    async def search(self, call: Callable[[], T]) -> T:
        """Call what needs a model, after those that came before."""
        return await to_thread.run_sync(call, limiter=self.one_at_a_time)

    def library(self, name: str) -> Library:
        """Return a library that this studio searches. Raises `Refusal` for any other."""
        if name not in {one.name for one in self.engine.searchable().libraries}:
            raise Refusal(404, f"There is no library {name} here")
        return open_library(self.engine.lake, name)

    def find_sound(self, track_id: str, library: str | None) -> tuple[Library, list[dict[str, Any]]]:
        """Return the library that holds a track, and its files. Raises `Refusal` where there is none."""
        self.check_not_hidden(track_id)
        names = [library] if library else [one.name for one in self.engine.searchable().libraries]
        for found in (self.library(name) for name in names):
            files = found.find_files([track_id])
            if files:
                return found, files
        raise Refusal(404, "There is no such track in the libraries of this studio; search again")

    def track(self, track_id: str, library: str | None) -> dict[str, Any]:
        """Return what is known of a track. Raises `Refusal` where there is none, or it was taken down."""
        self.check_not_hidden(track_id)
        names = [one.name for one in self.engine.searchable().music if library in (None, one.name)]
        found = next((facts for name in names if (facts := self.engine.facts(name, [track_id]).get(track_id))), None)
        if found is None:
            raise Refusal(404, "There is no such track in the music of this studio; search again")
        return found

    def check_not_hidden(self, track_id: str) -> None:
        """Raise `Refusal` for a track that was taken down."""
        if track_id in self.engine.hidden():
            raise Refusal(410, "This track was taken down")

    def shortlist(self, shortlist_id: str) -> Shortlist:
        """Return a shortlist with its tracks."""
        return exports.read_shortlist(self.engine.lake, shortlist_id, self.engine.hidden, self.engine.facts)
