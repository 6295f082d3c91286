"""The views of how far each stage is: progress, failures, pace, what waits, what is missing, runs and refreshes."""

RECENT_ITEMS = 500
"""How many of the newest items of a stage give its pace."""

_PROGRESS = """
SELECT stage, count(*) AS items, count(*) FILTER (status = 'ok') AS ok, count(*) FILTER (status = 'skipped') AS skipped,
    count(*) FILTER (status = 'failed') AS failed, max(recorded_at) AS newest
FROM outcomes GROUP BY stage
ORDER BY list_position(['film', 'thumbnail', 'evidence', 'soundtrack', 'track', 'availability'], stage)
"""

_FAILURES = """
SELECT stage, reason, status, retry, count(*) AS items, sum(attempt) AS attempts, min(retry_at) AS next_retry,
    any_value(item ORDER BY item) AS example, any_value(message ORDER BY item) AS message
FROM outcomes WHERE status <> 'ok' GROUP BY stage, reason, status, retry
ORDER BY items DESC, stage, reason
"""

_PACE = f"""
WITH newest AS (
    SELECT stage, unnest(max(
        {{'at': recorded_at, 'item': item, 'seconds': seconds, 'audio': audio_seconds}}, {RECENT_ITEMS})) AS recent
    FROM outcomes WHERE status = 'ok' AND seconds IS NOT NULL GROUP BY stage
)
SELECT stage, count(*) AS items, avg(recent.seconds) AS seconds_each,
    sum(recent.audio) / nullif(sum(recent.seconds), 0) AS times_realtime
FROM newest GROUP BY stage
"""
"""`max` with a number keeps the newest items in a heap: sorting the outcomes of years would fill the memory."""

_WAITING = """
WITH untried AS (
    SELECT 'thumbnail' AS stage, film_id AS item FROM films WHERE coalesce(state, 'present') = 'present'
    UNION ALL
    SELECT 'soundtrack', film_id FROM films WHERE coalesce(state, 'present') = 'present' AND year IS NOT NULL
), tried AS (
    SELECT stage, item FROM outcomes WHERE stage IN ('thumbnail', 'soundtrack')
), waiting AS (
    SELECT stage, 'never_tried' AS state, NULL::TIMESTAMPTZ AS due FROM untried ANTI JOIN tried USING (stage, item)
    UNION ALL
    SELECT stage, CASE WHEN retry = 'soon' OR retry_at <= now() THEN 'due' ELSE 'later' END, retry_at
    FROM outcomes WHERE (status <> 'ok' OR stage = 'availability') AND retry <> 'never'
)
SELECT stage, state, count(*) AS items, min(due) AS next_due, any_value(seconds_each) * count(*) AS estimated_seconds
FROM waiting LEFT JOIN pace USING (stage) GROUP BY stage, state
ORDER BY list_position(['film', 'thumbnail', 'evidence', 'soundtrack', 'track', 'availability'], stage), state
"""

_MISSING = """
WITH described AS (
    SELECT film_id, title, year, coalesce(state, 'present') AS state, coalesce(len(plot), 0) > 0 AS has_plot FROM films
), with_tracks AS (
    SELECT film_id, count(*) AS candidates, count(*) FILTER (decision = 'taken' AND segments > 0) AS recordings
    FROM tracks GROUP BY film_id
), with_thumbnail AS (
    SELECT film_id FROM thumbnails WHERE width IS NOT NULL
), not_done AS (
    SELECT item AS film_id, any_value(reason) FILTER (stage = 'thumbnail') AS thumbnail_reason,
        any_value(reason) FILTER (stage = 'soundtrack') AS soundtrack_reason
    FROM outcomes WHERE stage IN ('thumbnail', 'soundtrack') AND status <> 'ok' GROUP BY item
)
SELECT described.*, with_thumbnail.film_id IS NOT NULL AS has_thumbnail, coalesce(recordings, 0) AS recordings,
    coalesce(candidates, 0) AS candidates, thumbnail_reason, soundtrack_reason
FROM described LEFT JOIN with_tracks USING (film_id) LEFT JOIN with_thumbnail USING (film_id)
    LEFT JOIN not_done USING (film_id)
WHERE state <> 'present' OR year IS NULL OR NOT has_plot OR NOT has_thumbnail
    OR coalesce(with_tracks.recordings, 0) = 0
ORDER BY film_id
"""

_DEAD_TRACKS = """
SELECT tracks.film_id, films.title AS film, outcomes.item AS track_id, tracks.title, tracks.url, outcomes.reason,
    outcomes.message, outcomes.recorded_at AS asked_at, outcomes.retry_at AS asked_again_at, versions
FROM outcomes JOIN tracks ON tracks.track_id = outcomes.item AND tracks.segments > 0
LEFT JOIN films USING (film_id)
LEFT JOIN (
    SELECT track_id, list(DISTINCT dataset_version ORDER BY dataset_version) AS versions
    FROM dataset_tracks GROUP BY track_id
) USING (track_id)
WHERE outcomes.stage = 'availability' AND outcomes.status = 'failed' ORDER BY tracks.film_id, track_id
"""

_VERSION_HISTORY = """
SELECT number, version, previous, films, tracks, segments, recorded_at, run_id,
    films - lag(films) OVER by_number AS films_more, tracks - lag(tracks) OVER by_number AS tracks_more
FROM versions WINDOW by_number AS (ORDER BY number) ORDER BY number
"""

_RUN_COUNTS = """
WITH runs AS (
    SELECT *, lag(flow_run_id) OVER (PARTITION BY flow ORDER BY recorded_at) AS previous
    FROM flow_runs WHERE state NOT IN ('running', 'crashed', 'skipped')
), counted AS (
    SELECT flow, flow_run_id, fullkey[3:] AS name, atom::DOUBLE AS value
    FROM runs, json_tree(runs.summary) AS entry WHERE entry.type IN ('UBIGINT', 'BIGINT', 'DOUBLE')
)
SELECT runs.flow, runs.flow_run_id, runs.recorded_at, runs.state, names.name, coalesce(this.value, 0) AS this_run,
    CASE WHEN runs.previous IS NOT NULL THEN coalesce(before.value, 0) END AS run_before,
    coalesce(this.value, 0) - CASE WHEN runs.previous IS NOT NULL THEN coalesce(before.value, 0) END AS more
FROM runs JOIN (SELECT DISTINCT flow, name FROM counted) AS names USING (flow)
LEFT JOIN counted AS this ON this.flow_run_id = runs.flow_run_id AND this.name = names.name
LEFT JOIN counted AS before ON before.flow_run_id = runs.previous AND before.name = names.name
WHERE this.value IS NOT NULL OR before.value IS NOT NULL
ORDER BY runs.recorded_at DESC, names.name
"""

_REFRESHES = """
SELECT recorded_at, state, summary->>'$.dataset.version' AS version,
    (summary->'$.dataset.new')::BOOLEAN AS is_new_version,
    (summary->'$.changes.films_new')::BIGINT AS films_new,
    (summary->'$.changes.films_changed')::BIGINT AS films_changed,
    (summary->'$.changes.films_gone')::BIGINT AS films_gone,
    (summary->'$.changes.tracks_new')::BIGINT AS tracks_new,
    (summary->'$.changes.tracks_dead')::BIGINT AS tracks_dead,
    (summary->'$.changes.tracks_back')::BIGINT AS tracks_back,
    list_sum(map_values((summary->'$.not_done')::MAP(VARCHAR, BIGINT))) AS not_done,
    (summary->'$.training.trained')::BIGINT AS trained, (summary->'$.training.runs')::VARCHAR[] AS runs,
    coalesce(summary->>'$.paused', summary->>'$.soundtracks.paused', summary->>'$.error') AS said, flow_run_id
FROM flow_runs WHERE flow = 'refresh' AND state <> 'running' ORDER BY recorded_at DESC
"""

STATUS_VIEWS: dict[str, str] = {
    "progress": _PROGRESS,
    "failures": _FAILURES,
    "pace": _PACE,
    "waiting": _WAITING,
    "missing": _MISSING,
    "dead_tracks": _DEAD_TRACKS,
    "version_history": _VERSION_HISTORY,
    "run_counts": _RUN_COUNTS,
    "refreshes": _REFRESHES,
}
"""View -> SELECT over the lake's tables, ordered so that the views it selects from come first."""
