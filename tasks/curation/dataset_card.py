"""Write the data-set card (README.md of a version) from the version's numbers.

The front matter follows the format of the Hugging Face Hub. Biases are those that the numbers of this version show,
and those that hold for every version because of how it is collected.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

import duckdb

from storage.datasets import versions as datasets
from storage.lake.lake import Lake
from storage.records.review_answers_and_agreement import read_precision

MOST_FREQUENT = 15
"""Tags and languages in a table of the card; all of them are in films.parquet."""
_REVIEWS_HEADING = "## Are the pairs right?"
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"), (10**12, "n>1M"))

_RULES = {
    "gone": "the page was deleted, merged or turned into a redirect, or is not about a film",
    "asked_out": "it was excluded by setting or taken down",
    "no_year": "no release year is known, so it belongs to no split",
    "no_plot": "its page has no plot",
    "no_thumbnail": "it has no image",
    "no_track": "no recording of its music could be used",
    "only_duplicates": "all its recordings belong to earlier films",
    "only_rare_tags": "all its tags are rare",
    "refused": "a person said that it is not of the film",
    "not_taken": "the matching rule did not take the candidate",
    "no_mels": "taken, but its audio could not be used",
    "silent": "it is silent",
    "shard_missing": "its mels are not in the lake",
    "film_excluded": "its film is not in the version",
    "same_audio": "the same file belongs to an earlier film or track",
    "same_track": "the same upload belongs to an earlier film",
    "same_sound": "it is a re-encoding of a recording of an earlier film or track",
    "rare": "fewer films have it than the threshold",
}
CARD = "README.md"


def write_card(connection: duckdb.DuckDBPyConnection, manifest: Mapping[str, Any], charts: Mapping[str, str]) -> str:
    """Return the text of README.md. `charts` maps the file names of its charts to their captions."""
    sections = [
        _front_matter(connection, manifest),
        _introduction(manifest),
        _splits(manifest),
        _files(manifest),
        _tags_and_languages(connection),
        _missing(connection, manifest),
        _reviews(manifest),
        _licences(manifest),
        _biases(connection, manifest),
        _citing(manifest),
        *([_charts(charts)] if charts else []),
    ]
    return "\n\n".join(sections) + "\n"


def _front_matter(connection: duckdb.DuckDBPyConnection, manifest: Mapping[str, Any]) -> str:
    films = manifest["counts"]["films"]
    size = next(name for limit, name in _SIZES if films < limit)
    wikis = [
        wiki
        for (wiki,) in connection.execute(
            "SELECT DISTINCT split_part(film_id, '-', 1) FROM films ORDER BY 1"
        ).fetchall()
    ]
    languages = [match.group(1) for wiki in wikis if (match := re.fullmatch(r"([a-z]{2,3})wiki", wiki))] or ["en"]
    lines = [
        f"pretty_name: Needledrop {manifest['version']}",
        "license: other",
        "license_name: see-the-section-licences",
        "language:",
        *(f"- {language}" for language in languages),
        "size_categories:",
        f"- {size}",
        "task_categories:",
        "- feature-extraction",
        "tags:",
        *(f"- {tag}" for tag in ("music", "film", "soundtrack", "cross-modal-retrieval", "mel-spectrogram")),
        "configs:",
    ]
    for file in datasets.FILES:
        name = file.name.removesuffix(".parquet")
        lines += [f"- config_name: {name}", "  data_files:", f"  - path: {file.name}", "    split: full"]
        lines += ["  default: true"] if file is datasets.FILMS_FILE else []
    return "\n".join(["---", *lines, "---"])


def _introduction(manifest: Mapping[str, Any]) -> str:
    counts = manifest["counts"]
    return (
        f"# Needledrop, version {manifest['version']}\n\n"
        f"Films and their soundtracks: {counts['films']:,} films with plot, image and {counts['tags']:,} tags from "
        f"Wikipedia, and {counts['tracks']:,} recordings ({counts['hours']:,.1f} hours) as {counts['segments']:,} "
        "mel-spectrogram segments of 9.92 s. Made to train and evaluate models that retrieve music for a film.\n\n"
        "The data of a version are written once and never edited. Its name is a hash of its content and rules, and "
        "`manifest.json` holds the hashes of its files and inputs. What people found about its pairs may grow: the "
        'section "Are the pairs right?" is brought up to date by each later curation with the same content.'
    )


def _splits(manifest: Mapping[str, Any]) -> str:
    rows = [
        [
            split,
            _years(s["first_year"], s["last_year"]),
            *(f"{s[k]:,}" for k in ("films", "tracks", "segments")),
            f"{s['hours']:,.1f}",
        ]
        for split, s in manifest["splits"].items()
    ]
    table = _table(["split", "years", "films", "tracks", "segments", "hours"], rows)
    return (
        "## Splits\n\nChronological, by release year and by film, so no film and no recording "
        "is in two splits.\n\n" + table + "\n\n" + _joined_recordings(manifest["recordings"])
    )


def _years(first: int, last: int) -> str:
    return f"{first}" if first == last else f"{first}–{last}"


def _joined_recordings(counts: Mapping[str, int]) -> str:
    """Return what was found of recordings that are in the lake more than once."""
    text = (
        f"Recordings found under several films or twice under one: {counts['joined']:,}, with "
        f"{counts['tracks_left_out']:,} further tracks, which were left out. Recognised by their sound, at any offset: "
        f"{counts['by_sound']:,}. With a track in the test split: {counts['in_test']:,}. In two splits, where each "
        f"would have let a model train on what it is tested with: {counts['across_splits']:,}."
    )
    if lacking := counts["without_fingerprint"]:
        text += (
            f" {lacking:,} tracks have a fingerprint of an earlier version or none, so copies of them were recognised "
            "by their bytes only; `needledrop fingerprint` makes it from their mels."
        )
    return text


def _files(manifest: Mapping[str, Any]) -> str:
    rows = [
        [f"`{file.name}`", f"{manifest['files'][file.name]['rows']:,}", ", ".join(file.schema.names)]
        for file in datasets.FILES
    ]
    return (
        "## Files\n\n" + _table(["file", "rows", "columns"], rows) + "\n\n"
        "`segments.parquet` has the shard of the lake and the row of each segment's mel-spectrogram. "
        "`exclusions.parquet` has one row, with its rule, for every film, recording and tag that is not here."
    )


def _tags_and_languages(connection: duckdb.DuckDBPyConnection) -> str:
    tags = (
        "SELECT tag, count(*) AS films FROM (SELECT unnest(tags) AS tag FROM films) {where} "
        "GROUP BY tag ORDER BY films DESC, tag"
    )
    every = connection.execute(tags.format(where="")).fetchall()
    spoken = connection.execute(tags.format(where="WHERE tag ILIKE '%-language films'")).fetchall()
    languages = [[tag[: -len("-language films")], f"{films:,}"] for tag, films in spoken[:MOST_FREQUENT]]
    frequent = [[tag, f"{films:,}"] for tag, films in every[:MOST_FREQUENT]]
    return (
        f"## Tags and languages\n\n{len(every):,} tags occur in this version. The most frequent:\n\n"
        + _table(["tag", "films"], frequent)
        + f"\n\nLanguages spoken, from {len(spoken)} tags of the form “X-language films”:\n\n"
        + (_table(["language", "films"], languages) if languages else "No film has such a tag.")
    )


def _missing(connection: duckdb.DuckDBPyConnection, manifest: Mapping[str, Any]) -> str:
    [(films, *lacking)] = connection.execute(
        "SELECT count(*), count(*) FILTER (paragraphs = 0), count(*) FILTER (thumbnail_sha256 IS NULL), "
        "count(*) FILTER (film_id NOT IN (SELECT film_id FROM usable_tracks)) FROM candidate_films"
    ).fetchall()
    shares = [
        [what, f"{n:,}", f"{n / films:.1%}"] for what, n in zip(("plot", "image", "recording"), lacking, strict=True)
    ]
    rules = [
        [kind, f"`{rule}`", f"{count:,}", _RULES.get(rule, "")]
        for kind, counts in manifest["exclusions"].items()
        for rule, count in sorted(counts.items(), key=lambda pair: -pair[1])
    ]
    return (
        f"## What is missing\n\nOf {films:,} films that were collected, some lack a part:\n\n"
        + _table(["without", "films", "share"], shares)
        + "\n\nWhy films, tracks and tags were excluded, each by the first rule that applies:\n\n"
        + (_table(["kind", "rule", "count", "meaning"], rules) if rules else "Nothing was excluded.")
    )


def _reviews(manifest: Mapping[str, Any]) -> str:
    """Return the section with what people found: precision by stratum, and how well raters agree."""
    heading = f"{_REVIEWS_HEADING}\n\n"
    rows = [row for row in manifest["reviews"]["precision"] if row["precision"] is not None]
    if not rows:
        return heading + (
            "Nobody had rated a sample of the pairs when this card was written, so their precision is not known. "
            "`needledrop review sample --taken` draws one."
        )
    whole, *slices = rows
    table = [
        [row["slice_by"], row["slice"], f"{row['pairs']:,}", f"{row['matches'] + row['wrong']:,}", _estimate(row)]
        for row in slices
    ]
    agreement = [
        f"Two raters agree on {row['agreement']:.1%} of {row['pairs'] - row['unsure']:,} pairs that both decided"
        + (f", Cohen's kappa {row['kappa']:.2f}." if row["kappa"] is not None else ".")
        for row in manifest["reviews"]["agreement"]
        if row["agreement"] is not None
    ]
    return heading + (
        f"People rated {whole['rated']:,} of {whole['pairs']:,} collected pairs of film and recording in a blind "
        f"random sample, before this card was written: {_estimate(whole)} are right, weighted to all pairs; "
        f"{whole['unsure']:,} were unsure, and {whole['disputed']:,} on which raters disagree count as wrong. Pairs "
        "that were found wrong are not in this version (`refused`). In brackets: Wilson's 95 % interval.\n\n"
        + "".join(f"{line}\n\n" for line in agreement)
        + _table(["by", "stratum", "pairs", "decided", "precision"], table)
    )


def with_reviews(card: str, manifest: Mapping[str, Any]) -> str:
    """Return a card that was written earlier with what people have found by now."""
    start = card.find(_REVIEWS_HEADING)
    if start < 0:  # of a version of Needledrop whose cards had no such section
        return f"{card.rstrip()}\n\n{_reviews(manifest)}\n"
    end = card.find("\n## ", start)
    return card[:start] + _reviews(manifest) + ("\n" + card[end:] if end >= 0 else "\n")


def _estimate(row: Mapping[str, Any]) -> str:
    return f"{row['precision']:.1%} ({row['low']:.1%}–{row['high']:.1%})"


def _licences(manifest: Mapping[str, Any]) -> str:
    rows = [[kind, licence, f"{count:,}"] for kind, by in manifest["licences"].items() for licence, count in by.items()]
    return (
        "## Licences\n\n" + _table(["of", "licence", "count"], rows) + "\n\n"
        "Plots and tags are by Wikipedia's authors; each film's `url` and `revision_id` name the page they are from. "
        "Most film posters and recordings are protected by copyright: their licence is that of their owners, and "
        "`unknown` does not mean free. Pass on identifiers and code, not images or audio, unless you hold the rights."
    )


def _biases(connection: duckdb.DuckDBPyConnection, manifest: Mapping[str, Any]) -> str:
    [(median_year, most, of_all)] = connection.execute(
        "SELECT (SELECT median(year) FROM films), max(tracks), sum(tracks) "
        "FROM (SELECT count(*) AS tracks FROM tracks GROUP BY film_id)"
    ).fetchall()
    lost = manifest["counts"]["candidate_films"] - manifest["counts"]["films"]
    share = lost / max(1, manifest["counts"]["candidate_films"])
    own = [
        f"Half of the films are from {median_year:.0f} or later; the test split is later than all training data.",
        f"One film owns {most:,} of {of_all:,} recordings, so a metric over tracks weighs films unequally.",
        f"{share:.1%} of the collected films are excluded, and not at random: "
        "films that few people wrote about more often lack a plot or a recording.",
    ]
    general = [
        "Wikipedia writes more about popular and English-language films, and its categories are set by hand.",
        "Music is matched to a film by titles and albums; a wrong match is possible and keeps its score in the lake.",
        "A recording that several films use belongs here to the earliest of them.",
        "Tags include the release year and country, from which a model may infer the sound of an era alone.",
    ]
    return "## Known biases\n\n" + "\n".join(f"- {line}" for line in [*own, *general])


def _citing(manifest: Mapping[str, Any]) -> str:
    version = manifest["version"]
    return (
        "## How to cite\n\nName the version, which is immutable, and the paper whose system this is:\n\n"
        f"```bibtex\n@misc{{needledrop_{version},\n"
        f"  title = {{Needledrop: films and their soundtracks, version {version}}},\n"
        f"  note = {{{manifest['counts']['films']} films, {manifest['counts']['tracks']} tracks; "
        f"films.parquet sha256 {manifest['files']['films.parquet']['sha256'][:16]}}}\n}}\n"
        "@misc{wang_soundtrack_retrieval,\n  title = {Soundtrack Retrieval for Film Production},\n"
        "  author = {Wang, Bill and Kim, Haven and Chen, Leduo and Kim, Minje and McAuley, Julian}\n}\n```\n\n"
        "## How to have something taken down\n\nWrite to whoever runs the lake, and name the film, the recording or "
        "the channel. They record a takedown (`needledrop takedown`): it is in no later version and never collected. "
        "`needledrop datasets delete` then removes the versions that hold it."
    )


def _charts(charts: Mapping[str, str]) -> str:
    return "## Charts\n\n" + "\n\n".join(
        f"![{caption}](plots/{name})\n\n*{caption[:1].upper()}{caption[1:]}.*" for name, caption in charts.items()
    )


def _table(columns: list[str], rows: list[list[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


def commit_card_file(lake: Lake, version: str, name: str, content: bytes) -> dict[str, Any]:
    """Write one file of a version; return its bytes and sha256."""
    lake.write_bytes(content, datasets.FOLDER, version, name)
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def restate_reviews(lake: Lake, version: str) -> None:
    """State on a card that exists what people have found about the pairs since it was written."""
    manifest, reviews = datasets.read_manifest(lake, version), read_precision(lake)
    if manifest.get("reviews") == json.loads(json.dumps(reviews)):
        return
    manifest["reviews"] = reviews
    with datasets.exclusive_access(lake, version):
        card = with_reviews(lake.read_bytes(datasets.FOLDER, version, CARD).decode(), manifest)
        manifest["files"][CARD] = commit_card_file(lake, version, CARD, card.encode())
        lake.write_json(manifest, datasets.FOLDER, version, datasets.MANIFEST)
