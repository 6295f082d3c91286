"""Write the card of each trained run, `models/RUN/card.md`: what it is, how good it is, what it may be used for.

Everything on it is in the lake: the run's configuration, the leaderboard of its data-set version, and the licences of
the version's data. It is written when a run has been evaluated, and again whenever the confidence of its version is
computed, as that adds intervals, controls and other seeds.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import duckdb

from storage.audio_embeddings import EncoderCard, list_encoders, read_card, stored_encoder
from storage.datasets import versions as datasets
from storage.errors import InputError, LakeError
from storage.lake.lake import Lake
from storage.metrics.database import connect_metrics
from storage.tables.duckdb_connection import fetch_rows
from training.audio_encoders.model_files import UNKNOWN_LICENCE, is_non_commercial
from training.evaluation.intervals_and_comparisons import CONFIDENCE, DRAWS
from training.evaluation.record_baselines import digest_of
from training.settings import Settings, answers_any_parts, settings_from_json
from training.settings_parsing import shown
from training.systems import SYSTEMS

CARD = "card.md"
_FOLDER = "models"
_METRICS = ("r_at_1", "r_at_10", "r_at_100", "recall_at_10", "medr")
_HEADS = ("R@1", "R@10", "R@100", "recall@10 per film", "MedR")
_CONTROLS = "source IN ('chance', 'ceiling') OR source = 'control' AND coalesce(settings_digest, '') IN $digests"

Row = dict[str, Any]


@dataclass(frozen=True)
class _Facts:
    """What a card is written from: the row of `runs`, results with their intervals, epochs, licences of the data."""

    run: Row
    policy: str
    """What its settings ask for: how it is measured first."""
    results: list[Row]
    intervals: dict[tuple[str, str, str], tuple[float, float]]
    """(system, digest, metric) -> both ends, under the run's own policy."""
    epochs: list[Row]
    licences: list[Row]
    texts: dict[str, int]
    """Films by the licence of their plot and tags."""
    counts: dict[str, Any]
    encoder: EncoderCard | None
    """The pretrained audio model whose embeddings the run was trained on."""
    weights: dict[str, str]
    """The licence that the weights of each pretrained tower state."""

    @property
    def settings(self) -> Settings:
        """Return the settings of the run."""
        return settings_from_json(json.loads(self.run["config_json"]))


def write_model_cards(lake: Lake, dataset_version: str, run_id: str | None = None) -> None:
    """Write the card of a run, or of every completed run of a version; unchanged ones are left as they are."""
    with connect_metrics(lake) as connection:
        runs = fetch_rows(
            connection,
            "FROM runs WHERE dataset_version = ? AND source = 'trained' AND state = 'completed' "
            "AND model_folder = 'models/' || run_id AND run_id = coalesce(?, run_id) ORDER BY run_id",
            dataset_version,
            run_id,
        )
        cards = {
            run["run_id"]: model_card(_facts(connection, lake, run))
            for run in runs
            if lake.exists(_FOLDER, run["run_id"], "config.json")
        }
    for name, text in cards.items():
        content = text.encode()
        if not lake.exists(_FOLDER, name, CARD) or lake.read_bytes(_FOLDER, name, CARD) != content:
            lake.write_bytes(content, _FOLDER, name, CARD)


def _readable_cards(lake: Lake) -> Iterator[EncoderCard]:
    """Yield the cards of the lake's encoders but damaged ones: a run that needs none must not fail for one."""
    for folder in list_encoders(lake):
        with suppress(LakeError):
            yield read_card(lake, folder)


def _facts(connection: duckdb.DuckDBPyConnection, lake: Lake, run: Row) -> _Facts:
    encoders = list(_readable_cards(lake))
    digests = ["", run["settings_digest"], *map(digest_of, encoders)]  # controls of no run, of this one, of encoders
    key = {"version": run["dataset_version"], "digests": digests}
    [[policy]] = connection.execute("SELECT policy FROM run_policies WHERE run_id = ?", [run["run_id"]]).fetchall()
    results = fetch_rows(
        connection,
        "FROM leaderboard WHERE dataset_version = $version AND (source = 'trained' AND settings_digest = $digest "
        "AND (system = $system OR policy = $policy AND ends_with(system, ' by ' || $system)) "
        f"OR ({_CONTROLS}) AND (policy IS NULL OR policy = $policy))",
        **key,
        digest=run["settings_digest"],
        system=run["system"],
        policy=policy,
    )
    intervals = fetch_rows(
        connection,
        "FROM intervals WHERE dataset_version = $version AND settings_digest IN $digests AND policy = $policy",
        **key,
        policy=policy,
    )
    version = run["dataset_version"]
    manifest = datasets.read_manifest(lake, version)
    return _Facts(
        run=run,
        policy=policy,
        results=results,
        intervals={
            (row["system"], row["settings_digest"], row["metric"]): (row["low"], row["high"]) for row in intervals
        },
        epochs=fetch_rows(connection, "FROM epochs WHERE run_id = ? ORDER BY epoch", run["run_id"]),
        licences=fetch_rows(
            connection,
            "SELECT coalesce(licence, 'not stated') AS licence, count(*) AS tracks FROM dataset_tracks "
            "WHERE dataset_version = ? GROUP BY 1 ORDER BY 2 DESC, 1",
            version,
        ),
        counts=manifest.get("counts", {}),
        texts=manifest.get("licences", {}).get("films", {}),
        encoder=_encoder(lake, settings_from_json(json.loads(run["config_json"]))),
        weights=_licences_of_weights(lake, run["run_id"]),
    )


def _licences_of_weights(lake: Lake, run_id: str) -> dict[str, str]:
    """Return what config.json has of them; nothing for a run of an earlier version, or a damaged file."""
    try:
        licences = json.loads(lake.read_bytes(_FOLDER, run_id, "config.json")).get("towers", {}).get("licences", {})
    except (ValueError, AttributeError):
        return {}
    return dict(licences)


def _encoder(lake: Lake, settings: Settings) -> EncoderCard | None:
    try:
        return read_card(lake, stored_encoder(lake, settings.audio.encoder)) if settings.audio.encoder else None
    except InputError:  # its embeddings were deleted since
        return None


def model_card(facts: _Facts) -> str:
    """Return the text of a run's card."""
    sections = (_introduction, _settings, _results, _how_to_use, _limits, _licences)
    return "\n\n".join(section(facts) for section in sections) + "\n"


def _introduction(facts: _Facts) -> str:
    run, system = facts.run, SYSTEMS.get(facts.run["system"])
    parts = [name for name in ("image", "tags", "plot") if system and getattr(system, name)]
    counts = ", ".join(f"{facts.counts[name]:,} {name}" for name in ("films", "tracks") if name in facts.counts)
    trained = f" It trained for {len(facts.epochs)} epochs" if facts.epochs else ""
    trained += _best_epoch(facts.epochs)
    any_parts = " Parts may be missing: it was trained with some left out." * bool(
        system and answers_any_parts(system, facts.settings)
    )
    return (
        f"# {run['system']}, {run['preset']}\n\n"
        f"A model that ranks recordings by how well they suit a film, given its {', '.join(parts) or 'description'}: "
        f"system {run['system']} with seed {run['seed']}, run `{run['run_id']}` of Needledrop"
        f"{' ' + run['code_version'] if run['code_version'] else ''}.{any_parts} It was trained on the data-set "
        f"version {run['dataset_version']}{f' ({counts})' if counts else ''}: films up to its last training year, and "
        f"measured on later ones.{trained}{'.' if trained else ''} How the data came about and what they lack is in "
        f"the card of the version, `datasets/{run['dataset_version']}/README.md`."
    )


def _best_epoch(epochs: list[Row]) -> str:
    """Return which epoch's weights were kept: that with the lowest of what the run stops on, the first of equals."""
    by_rank = any(row["valid_medr"] is not None for row in epochs)
    column, name = ("valid_medr", "median rank in validation") if by_rank else ("valid_loss", "validation loss")
    measured = [row for row in epochs if row[column] is not None and not math.isnan(row[column])]
    if not measured:
        return ""
    best = min(measured, key=lambda row: row[column])
    return f", and its weights are of epoch {best['epoch'] + 1}, with the lowest {name}"


def _settings(facts: _Facts) -> str:
    rows = [f"| `{name}` | {_typed(value)} |" for name, value in facts.settings.by_name().items()]
    label = facts.run["settings"] or facts.run["preset"]
    return (
        f"## Settings\n\n{label}. Digest {facts.run['settings_digest']}; runs of one digest differ in their seeds "
        "alone. Where a tower has pretrained weights, its sizes are those of the weights.\n\n"
        + "\n".join(["| setting | value |", "| --- | --- |", *rows])
    )


def _typed(value: Any) -> str:
    """Return a value as a user would type it after NAME=, with a word for nothing."""
    if value in ("", ()):
        return "none"
    return value if isinstance(value, str) else shown(value)


def _results(facts: _Facts) -> str:
    lines = ["| | " + " | ".join(("tracks embedded from", "seeds", *_HEADS)) + " |", "| --- |" + " --- |" * 7]
    for row in facts.results:
        name = f"**{row['system']}**" if row["system"] == facts.run["system"] else row["system"]
        if row["settings_digest"] not in (None, "", facts.run["settings_digest"]):
            name += f" ({row['settings']})"  # of which audio encoder
        figures = " | ".join(_figure(facts, row, metric) for metric in _METRICS)
        lines.append(f"| {name} | {row['policy'] or 'any'} | {row['seeds'] or ''} | {figures} |")
    films, tracks = (facts.results[0][name] for name in ("films", "tracks")) if facts.results else (0, 0)
    return (
        f"## Results\n\nOn {films:,} held-out films and {tracks:,} tracks, over all seeds of these settings. R@K: "
        "percent of tracks with a rank of at most K for their film; recall@10 per film: the same as a mean over films, "
        f"whatever their number of tracks; MedR: the median rank. In brackets the {100 * CONFIDENCE:.0f} % interval "
        f"by {DRAWS:,} bootstrap draws over films, where it has been computed. Chance is a random order, the ceiling a "
        "perfect one, in which a film's tracks still share one ranking; the others order tracks without a model of "
        "music.\n\n" + "\n".join(lines)
    )


def _figure(facts: _Facts, row: Row, metric: str) -> str:
    value = f"{row[metric]:,.1f}"
    key = (row["system"], row["settings_digest"] or "", metric)
    bounds = facts.intervals.get(key) if row["policy"] == facts.policy else None
    return f"{value} ({bounds[0]:,.1f}–{bounds[1]:,.1f})" if bounds else value


def _how_to_use(facts: _Facts) -> str:
    run_id, files = facts.run["run_id"], "`config.json`, `tokenizer.json` (of a model that reads text)"
    hears = facts.settings.audio.encoder
    index = "" if hears else f"needledrop library index NAME --run {run_id}\n"
    commands = (
        "The command ranks the recordings of the data set for a new film. The model hears music through an audio "
        "encoder, so it cannot index a library of your own music."
        if hears
        else "The first command ranks the recordings of the data set for a new film, the second prepares a library of "
        "your own music."
    )
    return (
        "## How to use\n\n```bash\n"
        f'needledrop search --run {run_id} --plot @plot.txt --tags "Thriller films" --image poster.jpg\n'
        f"{index}```\n\n"
        f"{commands} In Python, `training.loop.checkpoint.load_model(lake, run_id)` returns the model; `encode_query` "
        f"and `encode_audio` embed films and segments, to be compared by cosine. {files} and `best.safetensors` "
        "in this folder are all that it needs."
    )


def _limits(facts: _Facts) -> str:
    chance = next((row for row in facts.results if row["source"] == "chance"), None)
    measured = (facts.run["system"], facts.policy)
    own = next((row for row in facts.results if (row["system"], row["policy"]) == measured), None)
    oracle = next((row for row in facts.results if row["system"] == "language oracle"), None)
    points = [
        "It suggests; it does not know what a scene needs, nor whether a recording may be used: listen, clear rights.",
        "It learned which music films had, with the habits of their makers, countries and years, not which would be "
        "best for them.",
        "Films and music of languages and genres that are rare in the training years are ranked worse: "
        "`SELECT * FROM slices` shows by how much.",
        "The intervals are over the test films of this one version. They say nothing of other data, of other years, or "
        "of other seeds where there is one.",
        "R@K depends on the number of candidates: compare multiples of chance between data sets, not percentages.",
    ]
    if own and chance:
        points.append(f"R@10 is {own['r_at_10'] / chance['r_at_10']:.1f} times chance here.")
    if own and oracle and own["r_at_10"] <= oracle["r_at_10"]:
        points.append(
            "It is not above the language oracle, which knows the languages of films and nothing of music: it has "
            "shown no skill within a language."
        )
    return "## Limits\n\n" + "\n".join(f"- {point}" for point in points)


def _licences(facts: _Facts) -> str:
    settings, system = facts.settings, SYSTEMS.get(facts.run["system"])
    towers = ((settings.text.pretrained, "text"), (settings.image.pretrained, "image"))
    used = [(name, facts.weights.get(tower)) for name, tower in towers if name and getattr(system, tower, True)]
    weights = (
        f"The weights started from {_listed(used)}, whose own licences apply; they are on the pages or in the folders "
        "that they came from."
        if used
        else "All weights started from random numbers."
    )
    if forbidding := sorted({licence for _, licence in used if licence and is_non_commercial(licence)}):
        weights += f" {' and '.join(forbidding)} forbids commercial use, which covers what is made with the weights."
    if settings.audio.encoder:
        weights += f" It hears music through {_encoder_and_licence(facts)}."
    tracks = "; ".join(f"{row['licence']} ({row['tracks']:,})" for row in facts.licences[:8]) or "none recorded"
    texts = "; ".join(f"{licence} ({films:,})" for licence, films in facts.texts.items()) or "none recorded"
    heard = "Embeddings" if settings.audio.encoder else "Mel-spectrograms"
    return (
        f"## Licences\n\n{weights} Films by the licence of their texts: {texts}. Recordings by licence: "
        f"{tracks}. {heard} and posters were used to train; where no licence is stated, most are of protected works. "
        "Whether a model made from them may be passed on or sold is for the laws of your country to say, not for this "
        "card."
    )


def _encoder_and_licence(facts: _Facts) -> str:
    card = facts.encoder
    if card is None:
        return f"the pretrained audio model `{facts.settings.audio.encoder}`, whose licence applies"
    stated = "whose licence is not stated" if card.licence == UNKNOWN_LICENCE else f"whose licence is {card.licence}"
    forbids = ", which forbids commercial use of what is made with it" * is_non_commercial(card.licence)
    return f"the pretrained audio model `{card.name}`, {stated}{forbids}"


def _listed(models: Sequence[tuple[str, str | None]]) -> str:
    """Return models by name, each with the licence that its card states; of earlier runs that is not known."""
    words = {UNKNOWN_LICENCE: " (licence not stated)", None: ""}
    return " and ".join(f"`{name}`{words.get(licence, f' ({licence})')}" for name, licence in dict.fromkeys(models))
