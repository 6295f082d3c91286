"""YouTube Music as the fake edge answers it: searches for albums and album pages, in the shape that ytmusicapi reads.

An album of the world is a dict: `phrase` (found by searches that contain it), `browse_id`, `playlist_id` (or None),
`title`, `kind`, `artists` ([name, channel or None]), `year` (or None), `tracks` and, if it differs, `track_count`. A
track is a dict: `video` (or None), `title`, `length` ("3:05") and, where they differ, `available` and `type`.
"""

from __future__ import annotations

import gzip
import io
import json
from email.message import Message
from typing import Any

from urllib3 import HTTPResponse

Json = dict[str, Any]
DOT = {"text": " • "}
HOME_PAGE = '<html><script>ytcfg.set({"VISITOR_DATA": "CgtmYWtl", "INNERTUBE_API_VERSION": "v1"});</script></html>'


def answer(body: Json, endpoint: str, world: Json) -> Json:
    """Return the answer to a search or to the request for a page; an unknown album is a page that says so."""
    albums = world["music_albums"]
    if endpoint == "search":
        query = str(body["query"]).casefold()
        return search_results([one for one in albums if one["phrase"].casefold() in query], world.get("did_you_mean"))
    found = [one for one in albums if one["browse_id"] == body.get("browseId")]
    return album_page(found[0]) if found else {"contents": {"messageRenderer": {"text": runs("Not available")}}}


def runs(*texts: str) -> Json:
    return {"runs": [{"text": text} for text in texts]}


def search_results(albums: list[Json], did_you_mean: str | None = None) -> Json:
    """A search with the filter for albums: one shelf of them, or a message that there are none."""
    if albums:
        items = [{"musicResponsiveListItemRenderer": _search_item(album)} for album in albums]
        sections = [{"musicShelfRenderer": {"title": runs("Albums"), "contents": items}}]
    else:
        message = {"messageRenderer": {"text": runs("No results found")}}
        sections = [{"itemSectionRenderer": {"contents": [message]}}]
    if did_you_mean:
        suggestion = {"didYouMeanRenderer": {"correctedQuery": runs(did_you_mean)}}
        sections.insert(0, {"itemSectionRenderer": {"contents": [suggestion]}})
    tab = {"tabRenderer": {"content": {"sectionListRenderer": {"contents": sections}}, "selected": True}}
    return {"contents": {"tabbedSearchResultsRenderer": {"tabs": [tab]}}, "trackingParams": "CAAQ"}


def _search_item(album: Json) -> Json:
    play = {"watchPlaylistEndpoint": {"playlistId": album["playlist_id"]}} if album["playlist_id"] else {}
    facts: list[Json] = [{"text": album["kind"]}]
    if album["artists"]:
        facts += [DOT, *_artist_runs(album["artists"])]
    if album["year"]:
        facts += [DOT, {"text": str(album["year"])}]
    return {
        "overlay": _play_button(play),
        "flexColumns": [_column([{"text": album["title"]}]), _column(facts)],
        "navigationEndpoint": _browse(album["browse_id"], "MUSIC_PAGE_TYPE_ALBUM"),
    }


def album_page(album: Json) -> Json:
    """The page of an album: a header in one column, the tracks in the other."""
    header = {
        "title": runs(album["title"]),
        "subtitle": runs(*filter(None, [album["kind"], " • " if album["year"] else None, str(album["year"] or "")])),
        "secondSubtitle": runs(f"{album.get('track_count', len(album['tracks']))} songs", " • ", "31 minutes"),
        "buttons": [{"musicPlayButtonRenderer": _play_endpoint(album["playlist_id"])}],
    }
    if album["artists"]:
        header["straplineTextOne"] = {"runs": _artist_runs(album["artists"])}
    tracks = [{"musicResponsiveListItemRenderer": _track(one, n, album)} for n, one in enumerate(album["tracks"], 1)]
    sections = [{"musicShelfRenderer": {"contents": tracks, "contentsMultiSelectable": True}}] if tracks else []
    tab = {"tabRenderer": {"content": _sections([{"musicResponsiveHeaderRenderer": header}])}}
    columns = {"secondaryContents": _sections(sections), "tabs": [tab]}
    return {"contents": {"twoColumnBrowseResultsRenderer": columns}, "trackingParams": "CAAQ"}


def _track(track: Json, number: int, album: Json) -> Json:
    is_playable = track["video"] is not None and track.get("available", True)
    watch = {
        "videoId": track["video"],
        "playlistId": album["playlist_id"],
        "watchEndpointMusicSupportedConfigs": {
            "watchEndpointMusicConfig": {"musicVideoType": track.get("type", "MUSIC_VIDEO_TYPE_ATV")}
        },
    }
    title = {"text": track["title"], **({"navigationEndpoint": {"watchEndpoint": watch}} if is_playable else {})}
    item: Json = {
        "flexColumns": [_column([title]), _column(_artist_runs(track.get("artists", [])))],
        "fixedColumns": [{"musicResponsiveListItemFixedColumnRenderer": {"text": runs(track["length"])}}],
        "index": runs(str(number)),
    }
    if is_playable:
        item["overlay"] = _play_button({"watchEndpoint": watch})
    else:
        item["musicItemRendererDisplayPolicy"] = "MUSIC_ITEM_RENDERER_DISPLAY_POLICY_GREY_OUT"
    return item


def _artist_runs(artists: list[list[str | None]]) -> list[Json]:
    result: list[Json] = []
    for name, channel_id in artists:
        result += [{"text": " & "}] if result else []
        endpoint = {"navigationEndpoint": _browse(channel_id, "MUSIC_PAGE_TYPE_ARTIST")} if channel_id else {}
        result.append({"text": name, **endpoint})
    return result


def _browse(browse_id: str, page_type: str) -> Json:
    config = {"browseEndpointContextMusicConfig": {"pageType": page_type}}
    return {"browseEndpoint": {"browseId": browse_id, "browseEndpointContextSupportedConfigs": config}}


def _column(parts: list[Json]) -> Json:
    return {"musicResponsiveListItemFlexColumnRenderer": {"text": {"runs": parts} if parts else {}}}


def _play_endpoint(playlist_id: str | None) -> Json:
    return {"playNavigationEndpoint": {"watchPlaylistEndpoint": {"playlistId": playlist_id}}} if playlist_id else {}


def _play_button(endpoint: Json) -> Json:
    button = {"musicPlayButtonRenderer": {"playNavigationEndpoint": endpoint}}
    return {"musicItemThumbnailOverlayRenderer": {"content": button}}


def _sections(contents: list[Json]) -> Json:
    return {"sectionListRenderer": {"contents": contents}}


def response(body: str | Json, status: int = 200, headers: dict[str, str] | None = None) -> HTTPResponse:
    """Return a response as a connection of requests gives it: compressed JSON, or a page."""
    text = body if isinstance(body, str) else json.dumps(body)
    kind = "text/html" if isinstance(body, str) else "application/json"
    data = gzip.compress(text.encode())
    every = {"Content-Type": kind, "Content-Encoding": "gzip", "Content-Length": str(len(data)), **(headers or {})}
    original = _Original(every)
    return HTTPResponse(
        io.BytesIO(data), every, status, preload_content=False, decode_content=False, original_response=original
    )


class _Original:
    """What requests reads cookies from."""

    def __init__(self, headers: dict[str, str]) -> None:
        self.msg = Message()
        for name, value in headers.items():
            self.msg[name] = value

    def isclosed(self) -> bool:
        return False

    def close(self) -> None:
        pass
