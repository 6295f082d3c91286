"""The tables of `needledrop.duckdb` and their migrations, as SQL.

Only what was measured is stored: runs, epochs, ranks, and the confidence computed from them. Every metric is a view
over the ranks (`storage/metrics/leaderboard_views.py`), so each number can be traced, and a new metric needs no new
run.
"""

from __future__ import annotations

VERSION_1 = """
CREATE TABLE runs (
    run_id VARCHAR PRIMARY KEY,
    system VARCHAR NOT NULL,           -- All, Im, Plo, …, or the name of a control
    preset VARCHAR NOT NULL,
    seed INTEGER NOT NULL,
    dataset_version VARCHAR NOT NULL,
    source VARCHAR NOT NULL,           -- trained, control
    state VARCHAR NOT NULL,            -- running, completed, failed
    message VARCHAR,
    config_json VARCHAR NOT NULL,
    code_version VARCHAR,
    model_folder VARCHAR,
    started_at TIMESTAMPTZ,
    finished_at TIMESTAMPTZ
);
CREATE TABLE epochs (
    run_id VARCHAR NOT NULL,
    epoch INTEGER NOT NULL,
    train_loss DOUBLE,
    valid_loss DOUBLE,
    learning_rate DOUBLE,
    seconds DOUBLE,
    items BIGINT,
    items_per_second DOUBLE,
    data_wait_share DOUBLE,            -- of the epoch's wall time, 0 … 1
    mfu DOUBLE,                        -- model FLOPs used, as a share of the device's peak
    peak_memory_bytes BIGINT,
    recorded_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (run_id, epoch)
);
CREATE TABLE ranks (
    run_id VARCHAR NOT NULL,
    film_id VARCHAR NOT NULL,
    track_id VARCHAR NOT NULL,
    policy VARCHAR NOT NULL,           -- how a track was embedded: segments8, segments1
    rank_lo INTEGER NOT NULL,          -- 1 + tracks that score higher
    rank_hi INTEGER NOT NULL,          -- tracks that score higher or the same
    score FLOAT,
    candidates INTEGER NOT NULL
);
"""

VERSION_2 = """
CREATE TABLE intervals (
    dataset_version VARCHAR NOT NULL,
    policy VARCHAR NOT NULL,
    preset VARCHAR NOT NULL,
    system VARCHAR NOT NULL,
    metric VARCHAR NOT NULL,           -- a column of the view metrics
    value DOUBLE NOT NULL,             -- over all seeds together
    low DOUBLE NOT NULL,
    high DOUBLE NOT NULL,              -- low … high: 95 % by bootstrap over films
    draws INTEGER NOT NULL
);
CREATE TABLE comparisons (
    dataset_version VARCHAR NOT NULL,
    policy VARCHAR NOT NULL,
    preset VARCHAR NOT NULL,
    system VARCHAR NOT NULL,
    against_preset VARCHAR NOT NULL,
    against VARCHAR NOT NULL,
    metric VARCHAR NOT NULL,
    difference DOUBLE NOT NULL,        -- system minus against, on the same films
    low DOUBLE NOT NULL,
    high DOUBLE NOT NULL,
    p DOUBLE NOT NULL,                 -- swapping the two systems' results film by film
    p_holm DOUBLE NOT NULL,            -- the same, adjusted for the number of comparisons (Holm)
    draws INTEGER NOT NULL
);
"""

MIGRATIONS: tuple[str, ...] = (VERSION_1, VERSION_2)
"""`MIGRATIONS[n]` takes a database of schema version n to n + 1. Never edited once released: only appended to."""
