"""The pages and answers of the fake edge: as much of YouTube's JSON as yt-dlp's extractors read."""

from __future__ import annotations

import json
from typing import Any

Video = dict[str, Any]
CHANNEL_ID = "UC" + "x" * 22


def player(video_id: str, facts: Video | None) -> dict[str, Any]:
    """The player's answer: whether it may be played, what it is, and where its streams lie."""
    if facts is None:
        return {"playabilityStatus": {"status": "ERROR", "reason": "Video unavailable"}}
    answer = {
        "playabilityStatus": _playability(facts),
        "videoDetails": _details(video_id, facts),
        "microformat": {
            "playerMicroformatRenderer": {
                "category": facts.get("category", "Music"),
                "uploadDate": "2015-03-09T00:00:00-08:00",
                "lengthSeconds": str(facts["seconds"]),
                "isFamilySafe": True,
                "availableCountries": facts.get("countries", ["US"]),
            }
        },
    }
    if answer["playabilityStatus"]["status"] == "OK" and not facts.get("no_formats"):
        answer["streamingData"] = _streams(video_id, facts)
    return answer


def _playability(facts: Video) -> dict[str, Any]:
    status: dict[str, Any] = {"status": facts.get("status", "OK")}
    if facts.get("reason"):
        message: dict[str, Any] = {"reason": {"simpleText": facts["reason"]}}
        if facts.get("subreason"):
            message["subreason"] = {"simpleText": facts["subreason"]}
        status |= {"reason": facts["reason"], "errorScreen": {"playerErrorMessageRenderer": message}}
    return status


def _details(video_id: str, facts: Video) -> dict[str, Any]:
    live = facts.get("live")
    return {
        "videoId": video_id,
        "title": facts["title"],
        "lengthSeconds": str(facts["seconds"]),
        "channelId": facts.get("channel_id", CHANNEL_ID),
        "author": facts["channel"],
        "shortDescription": facts.get("description", ""),
        "viewCount": "1234",
        "isLive": live == "is_live",
        "isUpcoming": live == "is_upcoming",
        "isLiveContent": live is not None,
        "isPrivate": bool(facts.get("private")),
    }


def _streams(video_id: str, facts: Video) -> dict[str, Any]:
    def stream(itag: int, mime: str, bitrate: int, **more: Any) -> dict[str, Any]:
        return {
            "itag": itag,
            "url": f"https://rr1---sn-x.googlevideo.com/videoplayback?id={video_id}&itag={itag}",
            "mimeType": mime,
            "bitrate": bitrate,
            "averageBitrate": bitrate,
            "contentLength": str(facts.get("bytes", 1)),
            "approxDurationMs": str(int(facts["seconds"] * 1000)),
            **more,
        }

    audio = {"audioSampleRate": "48000", "audioChannels": 2, "quality": "tiny", "audioQuality": "AUDIO_QUALITY_MEDIUM"}
    return {
        "expiresInSeconds": "21540",
        "formats": [stream(18, 'video/mp4; codecs="avc1.42001E, mp4a.40.2"', 600_000, width=640, height=360,
                           quality="medium", qualityLabel="360p", audioQuality="AUDIO_QUALITY_LOW", audioChannels=2)],
        "adaptiveFormats": [
            stream(137, 'video/mp4; codecs="avc1.640028"', 4_000_000, width=1920, height=1080, quality="hd1080",
                   qualityLabel="1080p"),
            stream(251, 'audio/webm; codecs="opus"', 135_000, **audio),
            stream(251, 'audio/webm; codecs="opus"', 135_000, isDrc=True, **audio),
            stream(140, 'audio/mp4; codecs="mp4a.40.2"', 129_000, **audio),
        ],
    }  # fmt: skip


def _renderer(video_id: str, facts: Video) -> dict[str, Any]:
    channel = {"browseEndpoint": {"browseId": facts.get("channel_id", CHANNEL_ID)}}
    owner = {"runs": [{"text": facts["channel"], "navigationEndpoint": channel}]}
    minutes, seconds = divmod(int(facts["seconds"]), 60)
    return {
        "videoId": video_id,
        "title": {"runs": [{"text": facts["title"]}]},
        "lengthText": {"simpleText": f"{minutes}:{seconds:02d}"},
        "lengthSeconds": str(int(facts["seconds"])),
        "ownerText": owner,
        "shortBylineText": owner,
        "viewCountText": {"simpleText": "1,234 views"},
    }


def _two_columns(kind: str, inner: dict[str, Any]) -> dict[str, Any]:
    return {"contents": {kind: inner}}


def video_results(found: list[tuple[str, Video]]) -> dict[str, Any]:
    """A search's answer with videos."""
    items = [{"videoRenderer": _renderer(video_id, facts)} for video_id, facts in found]
    return _results(items)


def playlist_results(found: list[tuple[str, str, str]]) -> dict[str, Any]:
    """A search's answer with playlists, as (id, title, PLAYLIST or ALBUM), and hashtags (HASHTAG)."""
    items = [
        _hashtag(title)
        if kind == "HASHTAG"
        else {
            "lockupViewModel": {
                "contentId": playlist_id,
                "contentType": f"LOCKUP_CONTENT_TYPE_{kind}",
                "metadata": {"lockupMetadataViewModel": {"title": {"content": title}}},
            }
        }
        for playlist_id, title, kind in found
    ]
    return _results(items)


def _hashtag(title: str) -> dict[str, Any]:
    address = {"commandMetadata": {"webCommandMetadata": {"url": f"/hashtag/{title}"}}}
    return {"hashtagTileRenderer": {"hashtag": {"simpleText": f"#{title}"}, "onTapCommand": address}}


def _results(items: list[dict[str, Any]]) -> dict[str, Any]:
    sections = {"sectionListRenderer": {"contents": [{"itemSectionRenderer": {"contents": items}}]}}
    return _two_columns("twoColumnSearchResultsRenderer", {"primaryContents": sections})


def playlist(playlist_id: str, title: str, videos: list[tuple[str, Video]]) -> dict[str, Any]:
    """An album or playlist with its videos in order."""
    items = [{"playlistVideoRenderer": _renderer(video_id, facts)} for video_id, facts in videos]
    listing = {"playlistVideoListRenderer": {"contents": items, "playlistId": playlist_id}}
    sections = {"sectionListRenderer": {"contents": [{"itemSectionRenderer": {"contents": [listing]}}]}}
    tabs = [{"tabRenderer": {"selected": True, "content": sections}}]
    page = _two_columns("twoColumnBrowseResultsRenderer", {"tabs": tabs})
    return {**page, "metadata": {"playlistMetadataRenderer": {"title": title}}}


def data_page(data: dict[str, Any]) -> str:
    """Return a page that contains its data as JSON."""
    return f"<html><script>var ytInitialData = {json.dumps(data)};</script></html>"


def embed_page() -> str:
    """The page of an embedded player."""
    client = {"clientName": "WEB_EMBEDDED_PLAYER", "clientVersion": "2.20260708.00.00"}
    config = {"INNERTUBE_CONTEXT": {"client": client}, "INNERTUBE_CONTEXT_CLIENT_NAME": 56}
    return f"<html><script>ytcfg.set({json.dumps(config)});</script></html>"


def watch_page(video_id: str, facts: Video) -> str:
    """A video's own page: its owner, its licence if it states one."""
    rows = []
    if facts.get("license"):
        row = {"title": {"simpleText": "License"}, "contents": [{"simpleText": facts["license"]}]}
        rows.append({"metadataRowRenderer": row})
    secondary = {
        "owner": {"videoOwnerRenderer": {"title": {"runs": [{"text": facts.get("channel", "")}]}}},
        "metadataRowContainer": {"metadataRowContainerRenderer": {"rows": rows}},
    }
    contents = [
        {"videoPrimaryInfoRenderer": {"title": {"simpleText": facts.get("title", "")}}},
        {"videoSecondaryInfoRenderer": secondary},
    ]
    data = _two_columns("twoColumnWatchNextResults", {"results": {"results": {"contents": contents}}})
    first_answer = {"videoDetails": {"videoId": video_id}}
    return (
        f"<html><script>var ytInitialData = {json.dumps(data)};</script>"
        f"<script>var ytInitialPlayerResponse = {json.dumps(first_answer)};</script></html>"
    )
