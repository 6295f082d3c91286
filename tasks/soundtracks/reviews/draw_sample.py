"""Draw a stratified random sample of the lake's pairs of film and recording, for people to rate.

A stratum is a band of the score, 0.1 wide, and a kind of source. Half of a band's places are divided equally among its
kinds, so that rare ones are seen, and half in proportion. Within a stratum the pairs are ordered by decade, language
and chance, and taken at equal distances from a random start (systematic sampling, L. Kish, Survey Sampling, 1965,
ch. 4), so decades and languages have their share. Each drawn pair has the weight N/n of its stratum: how many pairs of
the lake it represents.

Chance comes from MD5 of the seed and the pair, so the same lake and seed give the same sample on every machine.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa

from storage.errors import InputError
from storage.lake.lake import Lake
from storage.records.review_answers_and_agreement import record_new_rows, refused_pairs
from storage.tables import duckdb_connection, tables
from storage.tables.schemas import FILMS, REVIEW_SAMPLES, TRACKS
from storage.takedown_list_and_erasure import read_takedowns
from tasks.soundtracks.candidate_recordings import Decision

UNKNOWN = "unknown"
KINDS = ("official_album", "delivery", "own_channel", "search", "url_list", "music_folder")
"""Kinds of source. The first four are YouTube's: an official album's track, another delivery of a label, an official
channel's video, and any other upload."""
PLOT_CHARACTERS = 300

_FRAME = """
CREATE TABLE frame AS
SELECT film_id, track_id, band, kind, decade, language,
    md5(concat_ws('/', 'drawn', $seed, film_id, track_id)) AS chance,
    count(*) OVER (PARTITION BY band, kind) AS stratum_pairs,
    row_number() OVER (PARTITION BY band, kind ORDER BY decade, language, chance) AS stratum_row
FROM (
    SELECT t.film_id, t.track_id,
        CASE WHEN score IS NULL THEN 'no score'
            ELSE format('{{:.1f}}–{{:.1f}}', tenth / 10, (tenth + 1) / 10) END AS band,
        CASE WHEN t.source <> 'youtube' THEN t.source WHEN starts_with(album_id, 'OLAK5uy_') THEN 'official_album'
            WHEN official >= 1 THEN 'delivery' WHEN official >= 0.7 THEN 'own_channel' ELSE 'search' END AS kind,
        coalesce((f.year // 10 * 10)::VARCHAR || 's', $unknown) AS decade,
        coalesce(f.languages[1], $unknown) AS language
    FROM (
        SELECT *, least(9, floor(round(score * 10, 6))) AS tenth, score_parts['official'] AS official FROM {tracks}
        WHERE decision = $decision AND (decision = 'review' OR segments > 0)
    ) AS t JOIN {films} AS f USING (film_id)
    WHERE coalesce(f.state, 'present') = 'present'
        AND NOT list_has_any($left_out, [t.film_id, t.track_id, 'channel:' || t.channel_id])
        AND t.film_id || '/' || t.track_id NOT IN (FROM answered)
)
"""
_DRAWN = """
SELECT film_id, track_id, band, kind, decade, language,
    row_number() OVER (ORDER BY md5(concat_ws('/', 'order', $seed, film_id, track_id)))::INTEGER AS position
FROM (
    SELECT *, md5_number_lower(concat_ws('/', $seed, band, kind)) / 18446744073709551616.0 AS start
    FROM frame JOIN places USING (band, kind)
)
WHERE floor(stratum_row * places / stratum_pairs + start) > floor((stratum_row - 1) * places / stratum_pairs + start)
ORDER BY position
"""
"""The places of a stratum lie at equal distances on its ordered rows, from a random start in 0…1."""

_SHOWN = """
SELECT film_id, track_id, f.title AS film, f.year, f.url AS article,
    array_to_string(f.plot[:2], ' ') AS plot, t.title AS track, t.artist, t.album, t.uploader,
    coalesce(t.decoded_seconds, t.duration_seconds) AS seconds, t.url AS listen
FROM {tracks} AS t JOIN {films} AS f USING (film_id)
"""


@dataclass(frozen=True)
class Sample:
    """A drawn sample: its rows as `review_samples` keeps them, and what the sheet shows of each, in the same order."""

    name: str
    rows: tuple[dict[str, Any], ...]
    shown: tuple[dict[str, Any], ...]


def draw_sample(lake: Lake, decision: Decision, per_band: int, seed: int, run_id: str) -> Sample:
    """Draw at most `per_band` pairs of each band from what was taken and has mels, or from what is left for review.

    What was taken down is left out, and so are pairs that a reviewer said no to. The sample is recorded with its
    weights. Raises `InputError` when the lake has no such pair.
    """
    with duckdb_connection.connect_alone(lake) as connection:
        _make_frame(connection, lake, decision, seed)
        sizes = connection.execute("SELECT band, kind, count(*) FROM frame GROUP BY ALL ORDER BY ALL").fetchall()
        if not sizes:
            what = "recording was collected" if decision is Decision.TAKEN else "recording is left for review"
            raise InputError(f"No {what} yet, so there is nothing to sample; run `needledrop soundtracks` first")
        places = divide_places({(band, kind): size for band, kind, size in sizes}, per_band)
        connection.register("places", _places_table(places))
        drawn = duckdb_connection.fetch_rows(connection, _DRAWN, seed=seed)
        shown = _read_shown(connection, lake, drawn)
    weights = weights_of({(band, kind): size for band, kind, size in sizes}, places)
    name = _name_of(drawn, decision, per_band, seed)
    rows = [
        {**row, "sample": name, "decision": str(decision), "film": text["film"], "track": text["track"], "seed": seed}
        | {"weight": weights[row["band"], row["kind"]]}
        for row, text in zip(drawn, shown, strict=True)
    ]
    record_new_rows(lake, REVIEW_SAMPLES, rows, run_id)
    return Sample(name, tuple(rows), tuple(shown))


def _make_frame(connection: duckdb.DuckDBPyConnection, lake: Lake, decision: Decision, seed: int) -> None:
    connection.register("refused", pa.table({"pair": pa.array(sorted(refused_pairs(lake)), pa.string())}))
    connection.execute("CREATE VIEW answered AS SELECT pair FROM refused")
    values = {
        "seed": seed,
        "unknown": UNKNOWN,
        "decision": str(decision),
        "left_out": sorted(read_takedowns(lake)),
    }
    sources = {"tracks": tables.latest_sql(lake, TRACKS), "films": tables.latest_sql(lake, FILMS)}
    connection.execute(_FRAME.format(**sources), values)


def divide_places(sizes: Mapping[tuple[str, str], int], per_band: int) -> dict[tuple[str, str], int]:
    """Return how many pairs to draw from each stratum (band, kind), given its size.

    Places that a small kind cannot fill go to the others; a band with fewer pairs than places is taken whole.
    """
    places: dict[tuple[str, str], int] = {}
    bands = defaultdict(list)
    for stratum in sizes:
        bands[stratum[0]].append(stratum)
    for strata in bands.values():
        wanted = {stratum: per_band / 2 / len(strata) for stratum in strata}
        total = sum(sizes[stratum] for stratum in strata)
        wanted = {stratum: share + per_band / 2 * sizes[stratum] / total for stratum, share in wanted.items()}
        given = dict.fromkeys(strata, 0)
        for _ in range(min(per_band, total)):
            open_strata = [stratum for stratum in strata if given[stratum] < sizes[stratum]]
            given[max(open_strata, key=lambda one: (wanted[one] - given[one], sizes[one], one))] += 1
        places |= given
    return places


def weights_of(
    sizes: Mapping[tuple[str, str], int], places: Mapping[tuple[str, str], int]
) -> dict[tuple[str, str], float]:
    """Return how many pairs one drawn pair of each stratum represents.

    Kinds for which a band has no place are represented by the others, so that weights add up to the band's pairs.
    """
    pairs: defaultdict[str, int] = defaultdict(int)
    covered: defaultdict[str, int] = defaultdict(int)
    for (band, kind), size in sizes.items():
        pairs[band] += size
        covered[band] += size if places[band, kind] else 0
    return {
        stratum: sizes[stratum] / count * pairs[stratum[0]] / covered[stratum[0]]
        for stratum, count in places.items()
        if count
    }


def _places_table(places: Mapping[tuple[str, str], int]) -> pa.Table:
    bands, kinds = zip(*places, strict=True)
    return pa.table({"band": bands, "kind": kinds, "places": pa.array(places.values(), pa.int64())})


def _read_shown(
    connection: duckdb.DuckDBPyConnection, lake: Lake, drawn: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return what raters are shown of the drawn pairs, in the same order: no score, no decision, no reason."""
    keys = {name: pa.array([row[name] for row in drawn], pa.string()) for name in ("film_id", "track_id")}
    connection.register("drawn", pa.table(keys))
    query = _SHOWN.format(
        tracks=tables.latest_sql(lake, TRACKS, "(film_id, track_id) IN (FROM drawn)"),
        films=tables.latest_sql(lake, FILMS, "film_id IN (SELECT film_id FROM drawn)"),
    )
    found = {(row["film_id"], row["track_id"]): row for row in duckdb_connection.fetch_rows(connection, query)}
    return [found[row["film_id"], row["track_id"]] for row in drawn]


def _name_of(drawn: Sequence[Mapping[str, Any]], decision: Decision, per_band: int, seed: int) -> str:
    """Return the sample's name, which does not tell the decision: the same pairs, drawn alike, are the same sample."""
    parts = [str(decision), str(per_band), str(seed), *(f"{row['film_id']}/{row['track_id']}" for row in drawn)]
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    return f"sample-{digest[:8]}"
