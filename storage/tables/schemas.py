"""The Arrow schema of every table of the lake: the contract between the packages.

Every row records its provenance: the run that wrote it and the time, and for what was read from
outside also its source, revision, tool versions and licence.

Keys: `film_id` is `WIKI-PAGEID` ("enwiki-30007"); `track_id` is `SOURCE:MEDIAID` ("youtube:dQw4…").
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

_TIME = pa.timestamp("us", tz="UTC")
PROVENANCE = [("run_id", pa.string()), ("recorded_at", _TIME)]


@dataclass(frozen=True)
class Table:
    """A table of the lake: its folder, its columns, and the columns that identify a row."""

    name: str
    key: tuple[str, ...]
    schema: pa.Schema


def _table(name: str, key: tuple[str, ...], *columns: tuple[str, pa.DataType]) -> Table:
    return Table(name, key, pa.schema([*columns, *PROVENANCE]))


PAGES = _table(
    "pages",
    ("film_id",),
    ("film_id", pa.string()),
    ("wiki", pa.string()),
    ("page_id", pa.int64()),
    ("revision_id", pa.int64()),
    ("revision_time", _TIME),
    ("title", pa.string()),
    ("url", pa.string()),
    ("wikitext", pa.string()),
    ("categories", pa.list_(pa.string())),  # as the API gave them; null from an export, which has none
    ("image", pa.string()),  # the page image's file name, if the source names one
    ("image_url", pa.string()),  # a thumbnail's URL exactly as the source gave it
    ("image_non_free", pa.bool_()),
    ("source", pa.string()),  # "api:https://…/w/api.php" or "export:NAME"
    ("licence", pa.string()),
    ("state", pa.string()),  # "present" or "gone" (deleted, merged, turned into a redirect)
    ("wikidata_id", pa.string()),  # as the API gave it with the text; null from an export
)

FILMS = _table(
    "films",
    ("film_id",),
    ("film_id", pa.string()),
    ("wiki", pa.string()),
    ("page_id", pa.int64()),
    ("revision_id", pa.int64()),
    ("revision_time", _TIME),
    ("title", pa.string()),
    ("year", pa.int16()),
    ("url", pa.string()),
    ("plot", pa.list_(pa.string())),  # paragraphs
    ("tags", pa.list_(pa.string())),  # complete category names ending in "films"
    ("image", pa.string()),
    ("image_url", pa.string()),
    ("image_non_free", pa.bool_()),
    ("source", pa.string()),
    ("licence", pa.string()),
    ("state", pa.string()),
    ("parser_version", pa.int32()),
    (
        "names",
        pa.list_(pa.string()),
    ),  # other than the title: original and foreign ones; null if parsed by an older version
    # Evidence of whose music is the film's, null if parsed by an older version:
    ("composers", pa.list_(pa.string())),
    ("song_producers", pa.list_(pa.string())),  # of the soundtrack's songs
    ("record_labels", pa.list_(pa.string())),  # that published the soundtrack
    ("languages", pa.list_(pa.string())),  # spoken in the film, as the infobox names them
    ("imdb_id", pa.string()),  # "tt0110912"
    ("wikidata_id", pa.string()),  # "Q104123"; from the wiki's page properties
    ("album_page", pa.string()),  # title of the linked article about the soundtrack album
)

ALBUM_LISTINGS = _table(
    "album_listings",
    ("film_id", "listing"),
    ("film_id", pa.string()),
    ("listing", pa.string()),  # "article:1", "album_page:1" or "musicbrainz:MBID"; in the order of its source
    ("title", pa.string()),
    ("artists", pa.list_(pa.string())),
    ("record_label", pa.string()),
    ("release_date", pa.string()),  # ISO 8601, as precise as the source: "1994", "1994-09" or "1994-09-27"
    (
        "tracks",
        pa.list_(pa.struct([("title", pa.string()), ("seconds", pa.float64()), ("artists", pa.list_(pa.string()))])),
    ),
    ("source", pa.string()),  # "api:https://…", "export:NAME" or "musicbrainz"
    ("url", pa.string()),  # of the article or the release
    ("revision_id", pa.int64()),  # of the article; null for MusicBrainz
    ("licence", pa.string()),
    ("state", pa.string()),  # "present", or "gone" when its source lists it no more
    ("parser_version", pa.int32()),
)

THUMBNAILS = _table(
    "thumbnails",
    ("film_id",),
    ("film_id", pa.string()),
    ("wiki", pa.string()),
    ("page_id", pa.int64()),
    ("source_url", pa.string()),
    ("image", pa.string()),
    ("non_free", pa.bool_()),
    ("sha256", pa.string()),  # of the image as it was downloaded
    ("width", pa.int32()),  # of the stored JPEG, whose shorter side is 224 pixels
    ("height", pa.int32()),
    ("jpeg", pa.binary()),
)

TRACKS = _table(
    "tracks",
    ("film_id", "track_id"),
    ("film_id", pa.string()),
    ("track_id", pa.string()),
    ("source", pa.string()),  # music_folder, youtube, url_list
    ("media_id", pa.string()),
    ("url", pa.string()),  # canonical address, or the file's path as the music list gave it
    ("title", pa.string()),
    ("artist", pa.string()),
    ("album", pa.string()),
    ("album_id", pa.string()),  # of the album that lists it: "OLAK5uy_…"; null from older versions
    ("uploader", pa.string()),
    ("channel_id", pa.string()),
    ("release_year", pa.int16()),
    ("duration_seconds", pa.float64()),  # as the source states it
    ("query", pa.string()),
    ("position", pa.int32()),  # order in the album, the search or the folder
    ("score", pa.float64()),
    ("score_parts", pa.map_(pa.string(), pa.float64())),
    ("decision", pa.string()),  # taken, rejected, review
    ("reason", pa.string()),
    ("rule_version", pa.int32()),
    ("audio_sha256", pa.string()),
    ("audio_bytes", pa.int64()),
    ("codec", pa.string()),
    ("sample_rate_hz", pa.int32()),
    ("decoded_seconds", pa.float64()),
    ("shard", pa.string()),  # path of the film's mel shard, relative to the lake
    ("first_row", pa.int32()),  # this track's rows in the shard: first_row … first_row + segments - 1
    ("segments", pa.int32()),
    ("fingerprint", pa.binary()),  # of the mels, begins with its version; copies of one recording have similar ones
    ("licence", pa.string()),
    ("tool_versions", pa.map_(pa.string(), pa.string())),
)

OUTCOMES = _table(
    "outcomes",
    ("stage", "item"),
    ("stage", pa.string()),
    ("item", pa.string()),
    ("status", pa.string()),  # ok, skipped, failed
    ("reason", pa.string()),
    ("retry", pa.string()),  # never, later, soon
    ("retry_at", _TIME),
    ("message", pa.string()),
    ("attempt", pa.int32()),
    ("seconds", pa.float64()),  # wall time spent
    ("audio_seconds", pa.float64()),  # audio processed, so x-realtime is a division away
    # Of stages soundtrack and track, null from older versions: what an upgrade or another source opens again.
    ("tool_version", pa.string()),  # yt-dlp's, if the network was asked; of searches on YouTube also ytmusicapi's
    ("rule_version", pa.int32()),  # of the matching rule
    ("sources", pa.list_(pa.string())),  # the sources that were asked
)

FLOW_RUNS = _table(
    "flow_runs",
    ("flow_run_id",),
    ("flow_run_id", pa.string()),
    ("flow", pa.string()),
    ("state", pa.string()),  # running, completed, failed, paused
    ("parameters", pa.string()),  # JSON, including the user's statement of their right to collect
    ("summary", pa.string()),  # JSON of counts
    ("code_version", pa.string()),
)

VERSIONS = _table(
    "versions",
    ("version",),
    ("version", pa.string()),
    ("number", pa.int32()),  # incremented when the current version changes; the highest is current
    ("previous", pa.string()),  # the version that was current before
    ("films", pa.int64()),
    ("tracks", pa.int64()),
    ("segments", pa.int64()),
    ("recordings_joined", pa.int64()),  # recordings that several tracks are; null from older versions
    ("joined_in_test", pa.int64()),  # those of them with a track of a film of the test split
    ("parameters", pa.string()),  # JSON
    ("manifest_sha256", pa.string()),
)

REVIEWS = _table(
    "reviews",
    ("film_id", "track_id"),
    ("film_id", pa.string()),
    ("track_id", pa.string()),
    ("is_match", pa.bool_()),  # the user's answer, which takes precedence over the rule
    ("note", pa.string()),
)

ALBUM_REVIEWS = _table(
    "album_reviews",
    ("film_id", "album", "rater"),
    ("film_id", pa.string()),
    ("album", pa.string()),  # `album_id` of its tracks, or "name:" and the name where they have none
    ("rater", pa.string()),  # empty: the answer of `needledrop review`, which counts before all raters'
    ("is_match", pa.bool_()),
    ("album_title", pa.string()),
    ("note", pa.string()),
)

RATINGS = _table(
    "ratings",
    ("film_id", "track_id", "rater"),
    ("film_id", pa.string()),
    ("track_id", pa.string()),
    ("rater", pa.string()),
    ("answer", pa.string()),  # yes, no, unsure
    ("note", pa.string()),
)

REVIEW_SAMPLES = _table(
    "review_samples",
    ("sample", "film_id", "track_id"),
    ("sample", pa.string()),  # a hash of its pairs and how they were drawn
    ("film_id", pa.string()),
    ("track_id", pa.string()),
    ("decision", pa.string()),  # of all its pairs: taken, or review
    ("position", pa.int32()),  # in the sheet
    ("film", pa.string()),  # titles as the sheet shows them, to recognise rows that were mixed up
    ("track", pa.string()),
    ("band", pa.string()),  # of the score: "0.9–1.0"
    ("kind", pa.string()),  # official_album, delivery, own_channel, search, url_list, music_folder, …
    ("decade", pa.string()),
    ("language", pa.string()),
    ("weight", pa.float64()),  # how many pairs of the lake this one represents
    ("seed", pa.int64()),
)

BREAKERS = _table(
    "breakers",
    ("source", "kind"),
    ("source", pa.string()),
    ("kind", pa.string()),  # the kind of call: search, player, …; null for a source as a whole, and from older versions
    ("state", pa.string()),  # open or closed; an open one whose pause has ended lets one canary through
    ("reason", pa.string()),
    ("message", pa.string()),
    ("until", _TIME),
    ("openings", pa.int32()),  # consecutive, each pause longer than the one before
    ("suspects", pa.list_(pa.string())),  # different media that failed alike one after another
    ("tool_version", pa.string()),  # an upgrade is a reason to retry
)

TAKEDOWNS = _table(
    "takedowns",
    ("item",),
    ("item", pa.string()),  # a film_id, a track_id, or channel:ID
    ("because", pa.string()),
    ("active", pa.bool_()),
)

LIBRARY_QUERIES = _table(
    "library_queries",
    ("query_id",),
    ("query_id", pa.string()),  # a hash of the query
    ("plot", pa.list_(pa.string())),  # paragraphs
    ("tags", pa.list_(pa.string())),
    ("image", pa.binary()),  # the poster as a thumbnail, JPEG
    ("image_sha256", pa.string()),
    ("likes", pa.list_(pa.string())),  # track_ids that it should sound like
    ("not_likes", pa.list_(pa.string())),
    ("like_weight", pa.float64()),
)

LIBRARY_DECISIONS = _table(
    "library_decisions",
    ("query_id", "library", "track_id"),
    ("query_id", pa.string()),
    ("library", pa.string()),  # or dataset:VERSION, for a track of the data set
    ("track_id", pa.string()),
    ("decision", pa.string()),  # keep, reject, or undecided: withdrawn
    ("model_run", pa.string()),  # the trained run that ranked it
    ("ranking", pa.string()),  # mean or best
    ("rank", pa.int32()),
    ("score", pa.float64()),
    ("note", pa.string()),
)

DECISION_RESULTS = _table(
    "decision_results",
    ("model_run",),
    ("model_run", pa.string()),
    ("queries", pa.int32()),  # with a kept and a rejected track that the run has heard
    ("pairs", pa.int32()),  # of a kept and a rejected track of one query
    ("kept_before_rejected", pa.float64()),  # share of the pairs, ties half; null without pairs
    ("low", pa.float64()),  # 95 % interval, by bootstrap over queries
    ("high", pa.float64()),
    ("left_out", pa.int32()),  # decisions about tracks that the run has not heard, or was trained on
    ("trained_on", pa.int32()),  # those of them about tracks that the run was trained on
)

SHORTLISTS = _table(
    "shortlists",
    ("shortlist_id",),
    ("shortlist_id", pa.string()),
    ("name", pa.string()),
    ("note", pa.string()),
    ("state", pa.string()),  # present, removed
)

SHORTLIST_TRACKS = _table(
    "shortlist_tracks",
    ("shortlist_id", "library", "track_id"),
    ("shortlist_id", pa.string()),
    ("library", pa.string()),
    ("track_id", pa.string()),
    ("state", pa.string()),  # present, removed
    ("title", pa.string()),  # what was known of the track then: its library may be removed
    ("artist", pa.string()),
    ("album", pa.string()),
    ("composer", pa.string()),
    ("publisher", pa.string()),
    ("licence", pa.string()),
    ("isrc", pa.string()),
    ("duration_seconds", pa.float64()),
    ("note", pa.string()),
    ("usage", pa.string()),  # as on a cue sheet
    ("from_second", pa.float64()),  # where the moment begins for which it was kept
    ("added_at", _TIME),
)

TABLES: dict[str, Table] = {
    t.name: t
    for t in (
        PAGES,
        FILMS,
        ALBUM_LISTINGS,
        THUMBNAILS,
        TRACKS,
        OUTCOMES,
        FLOW_RUNS,
        VERSIONS,
        REVIEWS,
        ALBUM_REVIEWS,
        RATINGS,
        REVIEW_SAMPLES,
        BREAKERS,
        TAKEDOWNS,
        LIBRARY_QUERIES,
        LIBRARY_DECISIONS,
        DECISION_RESULTS,
        SHORTLISTS,
        SHORTLIST_TRACKS,
    )
}
