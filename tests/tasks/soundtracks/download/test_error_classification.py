"""Messages and exceptions of yt-dlp are classified: each gets its reason and its action."""

from __future__ import annotations

import errno
import io
import socket

import pytest
from yt_dlp.networking import Response
from yt_dlp.networking.exceptions import CertificateVerifyError, HTTPError, TransportError
from yt_dlp.utils import DownloadError, ExtractorError, GeoRestrictedError, UserNotLive

from storage.errors import Retry
from storage.records.outcomes import FETCH_REASONS
from tasks.soundtracks.download.error_classification import ErrorResponse, classify
from tasks.soundtracks.download.error_patterns_and_pauses import RULES, Action, CallKind

MESSAGES = [
    ("Sign in to confirm you’re not a bot. Use --cookies-from-browser or --cookies for the authentication", "bot"),
    ("Sign in to confirm that you're not a bot", "bot"),
    ("Our systems have detected unusual traffic from your computer network", "bot"),
    ("Please complete the CAPTCHA to continue", "bot"),
    ("This content isn't available, try again later. The current session has been rate-limited", "rate_limit"),
    ("Unable to download API page: HTTP Error 429: Too Many Requests", "rate_limit"),
    ("The provided YouTube account cookies are no longer valid", "cookies"),
    ("Private video. Sign in if you've been granted access to this video", "private"),
    ("This video is private", "private"),
    ("Video unavailable. This video has been removed by the uploader", "removed"),
    ("This video has been removed for violating YouTube's Terms of Service", "removed"),
    ("This video is no longer available because the account associated with it has been terminated.", "removed"),
    ("The uploader has closed their YouTube account.", "removed"),
    ("This playlist does not exist", "unresolved_list"),
    ("Video unavailable. The uploader has not made this video available in your country", "geo"),
    ("This video is not available in your region", "geo"),
    ("This video contains content from SME, who has blocked it in your country on copyright grounds", "geo"),
    ("This video contains content from UMG, who has blocked it on copyright grounds", "copyright"),
    ("This video is no longer available due to a copyright claim by Somebody", "copyright"),
    ("Sign in to confirm your age. This video may be inappropriate for some users.", "age"),
    ("This video is age-restricted and only available on the site", "age"),
    ("Join this channel to get access to members-only content like this video, and other exclusive perks.", "members"),
    ("This video is available to this channel's members on level: Gold", "members"),
    ("This video is only available to Music Premium members", "members"),
    ("This video requires payment to watch.", "paid"),
    ("This video is DRM protected", "drm"),
    ("This video is only available to registered users", "paid"),
    ("To protect our community, we sometimes block this IP", "bot"),
    ("YouTube is no longer available on this device", "reload"),
    ("This version of the app is no longer available. Update the app", "reload"),
    ("Your account has been suspended", "unknown"),
    ("Premieres in 3 hours", "live"),
    ("This live event will begin in 5 days.", "live"),
    ("This live stream recording is not available.", "live"),
    ("We're processing this video. Check back later.", "live"),
    ("Requested format is not available. Use --list-formats for a list of available formats", "no_format"),
    ("The page needs to be reloaded.", "reload"),
    ("The following content is not available on this app.. Watch on the latest version", "reload"),
    ("Video unavailable", "unavailable"),
    ("This video is not available", "unavailable"),
    ("Failed to extract any player response; please report this issue on https://…", "extractor"),
    ("Unable to extract initial data", "extractor"),
    ("No video formats found!", "extractor"),
    ("Unsupported URL: https://example.invalid/", "unsupported"),
    ("unable to download video data: HTTP Error 403: Forbidden", "http_403"),
    ("Unable to download webpage: HTTP Error 404: Not Found", "youtube_4xx"),
    ("Unable to download API page: HTTP Error 400: Bad Request", "youtube_4xx"),
    ("HTTP Error 410: Gone", "youtube_4xx"),
    ("HTTP Error 503: Service Unavailable", "http_5xx"),
    ("Got error: HTTP Error 500: Internal Server Error. Giving up after 3 retries", "http_5xx"),
    ("Got error: 200000 bytes read, 300000 more expected. Giving up after 3 retries", "truncated"),
    ("Did not get any data blocks", "truncated"),
    ("fragment 1 not found, unable to continue", "truncated"),
    ("The read operation timed out", "timeout"),
    ("<urlopen error [Errno -3] Temporary failure in name resolution>", "dns"),
    ("Failed to resolve 'www.youtube.com' ([Errno -2] Name or service not known)", "dns"),
    ("Failed to resolve url (does the playlist exist?)", "unresolved_list"),
    ("[Errno 101] Network is unreachable", "dns"),
    ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate", "tls"),
    ("('Connection aborted.', RemoteDisconnected('Remote end closed connection without response'))", "transport"),
    ("[Errno 111] Connection refused", "transport"),
    ("unable to write data: [Errno 28] No space left on device", "disk"),
    ("unable to open for writing: [Errno 30] Read-only file system: 'x.part'", "disk"),
    ("Unable to download webpage: Remote end closed connection without response", "transport"),
    ("unable to download video data: Remote end closed connection without response", "transport"),
    (
        "Unable to download webpage: [SSL: UNEXPECTED_EOF] EOF occurred in violation of protocol (_ssl.c:1000)",
        "transport",
    ),
    ("Unable to download webpage: HTTP Error 504: Gateway Timeout", "http_5xx"),
    ("This account has been closed", "removed"),
    ("This video has been removed due to a violation of our policy on spam", "removed"),
    ("This request was flagged as a bot. Use --cookies", "bot"),
    ("This video is protected by a password, use the --video-password option", "private"),
    ("We're sorry, this video is unavailable because it's been set to private", "private"),
    ("The following content may contain suicide or self-harm topics. Viewer discretion is advised", "age"),
    ("Incomplete YouTube ID jNQ. URL https://www.youtube.com/watch?v=jNQ looks truncated.", "unsupported"),
    ("This channel does not have a videos tab", "unsupported"),
    ("This video is unavailable on this device.", "reload"),
    ("YouTube is no longer supported in this application or device", "reload"),
    ("YouTube said: This playlist type is unviewable.", "unavailable"),
    ("Failed to resolve album to playlist; please report this issue on https://…", "unresolved_list"),
    ("Unable to recognize tab page; please report this issue on https://…", "unresolved_list"),
    ("YouTube said: The playlist does not exist.", "unresolved_list"),
    ("This video has been identified by the YouTube community as inappropriate or offensive to some audiences.", "age"),
    ("This video may be inappropriate for some users. Sign in to confirm your age", "age"),
    (
        "Video unavailable. This video contains content from DRM Records, who has blocked it on copyright grounds",
        "copyright",
    ),
    ("This video is no longer available due to a copyright claim by Not A Robot Ltd", "copyright"),
    ("This video is available to this channel's members on level: Captcha (or any higher level).", "members"),
    ("Video unavailable. This video is no longer available due to a trademark claim by a third party", "copyright"),
    ("This video is not available in your country due to a legal complaint from the government", "geo"),
    ("Video unavailable. The YouTube account associated with this video has been terminated due to claims", "removed"),
    ("Video unavailable. This video is private", "private"),
    ("All player responses are invalid. Your IP is likely being blocked by Youtube", "bot"),
    ("Playback on other websites has been disabled by the video owner", "reload"),
    ("Error code: 152 - 18. This video is unavailable", "unavailable"),
    ("Signature solving failed: Some formats may be missing", "extractor"),
    ("n challenge solving failed: Some formats may be missing", "extractor"),
    ("Only images are available for download. use --list-formats to see them", "no_format"),
    ("YouTube is requiring a captcha challenge before playback", "bot"),
    ("Unable to download API page: HTTP Error 403: Forbidden (caused by <HTTPError 403: Forbidden>)", "blocked"),
    ("Unable to download webpage: HTTP Error 403: Forbidden (caused by <HTTPError 403: Forbidden>)", "blocked"),
    ("unable to download video data: HTTP Error 404: Not Found", "media_gone"),
    ("unable to download video data: HTTP Error 400: Bad Request", "youtube_4xx"),
    ("unable to download video data: HTTP Error 416: Requested range not satisfiable", "http_416"),
    ("Unable to download webpage: the connection was terminated", "unknown"),
    ("Unable to download API page: Connection reset by peer", "transport"),
    ("Unable to connect to proxy: 407 Proxy Authentication Required", "proxy"),
    ("Requested range not satisfiable", "http_416"),
    ("Please sign in. Use --cookies-from-browser or --cookies for the authentication", "needs_login"),
    ("Video unavailable. This video is restricted by your administrator", "restricted"),
    ("Offline.", "live"),
    ("Something that nobody has ever seen", "unknown"),
]
"""What the site and yt-dlp say: of its installed release's source, and of reports by its users."""


@pytest.mark.parametrize(("message", "reason"), MESSAGES, ids=[message[:60] for message, _reason in MESSAGES])
def test_message_is_classified(message: str, reason: str) -> None:
    assert classify(f"ERROR: [youtube] abcdefghijk: {message}").reason == reason


def http_error(status: int, headers: dict[str, str] | None = None, url: str = "https://example.invalid/") -> HTTPError:
    return HTTPError(Response(io.BytesIO(b""), url, headers or {}, status=status))


def wrapped(cause: Exception) -> DownloadError:
    return DownloadError("ERROR: it failed", (type(cause), cause, None))


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (wrapped(GeoRestrictedError("not here")), "geo"),
        (wrapped(UserNotLive()), "live"),
        (wrapped(http_error(429)), "rate_limit"),
        (wrapped(http_error(403)), "http_403"),
        (wrapped(http_error(410)), "http_gone"),
        (wrapped(http_error(418)), "http_4xx"),
        (wrapped(http_error(502)), "http_5xx"),
        (wrapped(ExtractorError("boom", cause=TransportError(cause=TimeoutError()))), "timeout"),
        (wrapped(ExtractorError("boom", cause=TransportError(cause=socket.gaierror(-2, "no")))), "dns"),
        (wrapped(CertificateVerifyError("bad")), "tls"),
        (OSError(errno.ENOSPC, "full"), "disk"),
        (MemoryError(), "memory"),
        (KeyError("streamingData"), "extractor"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_exception_is_classified(error: Exception, reason: str) -> None:
    assert classify(error).reason == reason


def test_warnings_of_the_call_decide_if_the_exception_is_vague() -> None:
    vague = "No video formats found!"
    assert classify(vague, ["[youtube] x: HTTP Error 429: Too Many Requests"]).reason == "rate_limit"
    assert classify(vague, ["HTTP Error 403: Forbidden"]).reason == "blocked"
    assert classify(vague, ["Some harmless warning"]).reason == "extractor"


def test_403_of_the_player_is_a_block_and_403_of_the_media_is_not() -> None:
    assert classify("No video formats found!", (), [ErrorResponse(403, "www.youtube.com")]).reason == "blocked"
    assert classify("x", (), [ErrorResponse(403, "rr1---sn-x.googlevideo.com")]).reason == "http_403"


@pytest.mark.parametrize("status", [400, 401, 404, 410, 418])
@pytest.mark.parametrize("host", ["www.youtube.com", "youtubei.googleapis.com"])
def test_error_status_of_youtube_is_retried_and_counts_for_the_breaker(status: int, host: str) -> None:
    raised = classify(wrapped(http_error(status, url=f"https://{host}/youtubei/v1/search")))
    suppressed = classify("No video formats found!", (), [ErrorResponse(status, host)])
    for failure in (raised, suppressed):
        assert (failure.reason, failure.retry, failure.counts_for_breaker) == ("youtube_4xx", Retry.SOON, True)


def test_message_of_the_player_goes_before_an_error_status() -> None:
    assert classify("Private video", (), [ErrorResponse(404, "www.youtube.com")]).retry is Retry.NEVER


@pytest.mark.parametrize("kind", list(CallKind))
@pytest.mark.parametrize("status", [400, 404, 409, 412, 426, 451, 471, 500, 520, 530, 999])
def test_no_status_of_youtube_condemns_a_recording(status: int, kind: CallKind) -> None:
    failure = classify("Failed to extract any player response", [], [ErrorResponse(status, "www.youtube.com")], kind)
    assert failure.action in (Action.SOON, Action.LATER)


ODD = [
    "Dieses Video ist privat",
    "この動画は再生できません",
    "",
    " \n ",
    "None",
    "[]",
    "\x00\xff",
    "<title>Error 404 (Not Found)!!1</title>",
]


@pytest.mark.parametrize("message", [*ODD, "a" * 100_000], ids=range(len(ODD) + 1))
def test_an_odd_answer_of_the_player_is_tried_again(message: str) -> None:
    assert classify(f"ERROR: [youtube] abc12345678: {message}").action in (Action.SOON, Action.LATER)


@pytest.mark.parametrize("host", ["example.invalid", "notyoutube.com", "rr1---sn-x.googlevideo.com"])
@pytest.mark.parametrize("status", [404, 410])
def test_a_file_that_is_gone_today_is_tried_again_later(host: str, status: int) -> None:
    assert classify("x", (), [ErrorResponse(status, host)]).action is Action.LATER
    assert classify(wrapped(http_error(status, url=f"https://{host}/x.webm"))).action is Action.LATER


API, MEDIA_HOST = "www.youtube.com", "rr1---sn-x.googlevideo.com"
PO_TOKEN = (
    "[youtube] abc: web client https formats require a GVS PO Token which was not provided. They will be skipped as "
    'they may yield HTTP Error 403. You can pass one with --extractor-args "youtube:po_token=web.gvs+XXX"'
)
OF_THE_SITE = [
    # message or exception, warnings, responses, kind -> reason, action, whether it counts for the breaker
    ("Failed to extract any player response", [], [(400, API)], "player", "youtube_4xx", "soon", True),
    ("Unable to download API page: HTTP Error 400", [], [(400, API)], "search", "youtube_4xx", "soon", True),
    ("Unable to download API page: HTTP Error 404: Not Found", [], [(404, API)], "search", "youtube_4xx", "soon", True),
    ("unable to download video data: HTTP Error 404", [], [(404, MEDIA_HOST)], "media", "media_gone", "later", True),
    ("unable to download video data: HTTP Error 410", [], [(410, MEDIA_HOST)], "media", "media_gone", "later", True),
    ("unable to download video data: HTTP Error 403", [], [(403, MEDIA_HOST)], "media", "http_403", "soon", True),
    ("Unable to download webpage: HTTP Error 403: Forbidden", [], [(403, API)], "player", "blocked", "pause", False),
    ("Unable to download API page: HTTP Error 403: Forbidden", [], [(403, API)], "search", "blocked", "pause", False),
    ("No video formats found!", [PO_TOKEN], [], "player", "extractor", "soon", True),
    ("No video formats found!", ["HTTP Error 403: Forbidden", PO_TOKEN], [], "player", "blocked", "pause", False),
    ("No video formats found!", [], [(404, API)], "player", "youtube_4xx", "soon", True),
    ("Failed to resolve album to playlist", [], [], "list", "unresolved_list", "later", True),
    ("Failed to resolve url (does the playlist exist?)", [], [], "list", "unresolved_list", "later", True),
    ("Failed to resolve url (does the playlist exist?)", [], [(400, API)], "list", "youtube_4xx", "soon", True),
    ("Failed to resolve url (does the playlist exist?)", [], [(429, API)], "list", "rate_limit", "pause", False),
    ("Failed to resolve url (does the playlist exist?)", [], [(503, API)], "list", "http_5xx", "soon", False),
    ("YouTube said: This playlist is private", [], [], "list", "unresolved_list", "later", True),
    ("This video has been removed by the uploader", [], [], "search", "unknown", "soon", False),
    ("This video has been removed by the uploader", [], [], "album", "unresolved_list", "later", True),
    ("This video has been removed by the uploader", [], [], "media", "removed", "never", False),
    ("Please sign in. Use --cookies-from-browser or --cookies", [], [], "player", "needs_login", "later", True),
    ("No video formats found!", ["This video is DRM protected"], [], "player", "extractor", "soon", True),
    (GeoRestrictedError("not here"), [], [], "list", "unresolved_list", "later", True),
    (KeyError("streamingData"), [], [], "player", "extractor", "soon", True),
    (TypeError("'NoneType' object is not subscriptable"), [], [], "search", "extractor", "soon", True),
]  # fmt: skip


@pytest.mark.parametrize(("error", "warnings", "responses", "kind", "reason", "action", "counts"), OF_THE_SITE)
def test_what_the_site_says_in_general_is_no_verdict_on_a_recording(
    error: Exception | str,
    warnings: list[str],
    responses: list[tuple[int, str]],
    kind: str,
    reason: str,
    action: str,
    counts: bool,
) -> None:
    failure = classify(error, warnings, [ErrorResponse(*one) for one in responses], CallKind(kind))
    assert (failure.reason, failure.action, failure.counts_for_breaker) == (reason, action, counts)


TITLES = ["I'm Not a Robot", "Room 429", "Captcha", "Copyright Criminals", "Under 18", "DRM", "Legal Reasons"]
TITLES += ["Private Video", 'The "Bot"', "No Space Left on Device", "Premieres in 1999: Offline", "Slow Down"]


@pytest.mark.parametrize("title", TITLES)
@pytest.mark.parametrize("prefix", ["ERROR: ", "ERROR: [youtube:search] ", ""])
def test_the_title_of_a_film_is_not_read_as_an_error(title: str, prefix: str) -> None:
    query = f"{title} 2023 soundtrack"
    message = f'{prefix}query "{query}" page 1: Unable to download API page: HTTP Error 503: Service Unavailable'
    for subjects in ((), (query,)):
        failure = classify(message, [message], [ErrorResponse(503, API)], CallKind.SEARCH, subjects)
        assert (failure.reason, failure.action) == ("http_5xx", Action.SOON)


@pytest.mark.parametrize("media_id", ["-_429_DRM-a", "captcha-429", "DRM_-DRM-18"])
def test_an_id_is_not_read_as_an_error(media_id: str) -> None:
    message = f"ERROR: [youtube] {media_id}: Video unavailable"
    assert classify(message).reason == "unavailable"
    assert (
        classify(f"No data for {media_id} at https://example.invalid/captcha", subjects=[media_id]).reason == "unknown"
    )


@pytest.mark.parametrize("value", ["30", "Wed, 21 Oct 2099 07:28:00 GMT"])
def test_retry_after_is_read_as_seconds_or_as_a_date(value: str) -> None:
    failure = classify(wrapped(http_error(429, {"Retry-After": value})))
    assert failure.retry_after_seconds is not None
    assert failure.retry_after_seconds >= 30


def test_retry_after_is_limited_to_a_month() -> None:
    failure = classify(wrapped(http_error(429, {"Retry-After": "9" * 30})))
    assert failure.retry_after_seconds == 30 * 86_400


def test_every_reason_of_an_item_is_a_reason_of_outcomes() -> None:
    reasons = {name for name, rule in RULES.items() if rule.action in (Action.NEVER, Action.LATER, Action.SOON)}
    assert reasons == FETCH_REASONS


def test_every_pause_has_a_length() -> None:
    pauses = [rule for rule in RULES.values() if rule.action is Action.PAUSE]
    assert all(rule.first_pause and rule.first_pause <= rule.longest_pause for rule in pauses)
