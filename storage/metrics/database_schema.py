"""The tables of `needledrop.duckdb`: runs, epochs, ranks, intervals and comparisons, and which files they hold."""

from __future__ import annotations

SCHEMA_VERSION = 6
FIRST_WITH_FILES = 3
"""Raised when a table changes. Before 3, the rows were in the DuckDB file only (`storage.metrics.database_import`)."""
SCHEMA = """
CREATE TABLE runs (
    run_id VARCHAR NOT NULL,
    system VARCHAR NOT NULL,           -- All, Im, Plo, …, or the name of a control
    preset VARCHAR NOT NULL,
    seed INTEGER NOT NULL,
    dataset_version VARCHAR NOT NULL,
    source VARCHAR NOT NULL,           -- trained, control
    state VARCHAR NOT NULL,            -- running, completed, failed, interrupted
    message VARCHAR,
    config_json VARCHAR NOT NULL,
    code_version VARCHAR,
    model_folder VARCHAR,
    started_at TIMESTAMPTZ,
    finished_at TIMESTAMPTZ,
    ranks_digest VARCHAR,              -- the same for the same ranks
    settings VARCHAR,                  -- the preset and what differs from it: paper, optimiser.rate=1e-3
    settings_digest VARCHAR NOT NULL   -- runs of one digest differ in their seeds alone; '' of a control without model
);
CREATE TABLE epochs (
    run_id VARCHAR NOT NULL,
    epoch INTEGER NOT NULL,
    train_loss DOUBLE,
    valid_loss DOUBLE,
    valid_medr DOUBLE,                 -- the median rank in the validation split, of runs that stop on it
    learning_rate DOUBLE,
    seconds DOUBLE,
    items BIGINT,
    items_per_second DOUBLE,
    data_wait_share DOUBLE,            -- of the epoch's wall time, 0 … 1
    mfu DOUBLE,                        -- model FLOPs used, as a share of the device's peak
    peak_memory_bytes BIGINT,
    recorded_at TIMESTAMPTZ NOT NULL
);
CREATE TABLE ranks (
    run_id VARCHAR NOT NULL,
    film_id VARCHAR NOT NULL,
    track_id VARCHAR NOT NULL,
    policy VARCHAR NOT NULL,           -- what was embedded: segments8, segments1, segments8-paragraphs
    rank_lo INTEGER NOT NULL,          -- 1 + tracks that score higher
    rank_hi INTEGER NOT NULL,          -- tracks that score higher or the same
    score FLOAT,
    candidates INTEGER NOT NULL
);
CREATE TABLE intervals (
    dataset_version VARCHAR NOT NULL,
    policy VARCHAR NOT NULL,
    preset VARCHAR NOT NULL,
    settings_digest VARCHAR,
    system VARCHAR NOT NULL,
    metric VARCHAR NOT NULL,           -- a column of the view metrics
    value DOUBLE NOT NULL,             -- over all seeds together
    low DOUBLE NOT NULL,
    high DOUBLE NOT NULL,              -- low … high: 95 % by bootstrap over films
    draws INTEGER NOT NULL,
    basis VARCHAR NOT NULL             -- of the ranks it was computed from, see the view bases
);
CREATE TABLE comparisons (
    dataset_version VARCHAR NOT NULL,
    policy VARCHAR NOT NULL,
    preset VARCHAR NOT NULL,
    settings_digest VARCHAR,
    system VARCHAR NOT NULL,
    against_preset VARCHAR NOT NULL,
    against_settings_digest VARCHAR,
    against VARCHAR NOT NULL,
    metric VARCHAR NOT NULL,
    difference DOUBLE NOT NULL,        -- system minus against, on the same films
    low DOUBLE NOT NULL,
    high DOUBLE NOT NULL,
    p DOUBLE NOT NULL,                 -- swapping the two systems' results film by film
    p_holm DOUBLE NOT NULL,            -- the same, adjusted for the number of comparisons (Holm)
    draws INTEGER NOT NULL,
    basis VARCHAR NOT NULL             -- of all ranks of the version: p_holm depends on every system
);
CREATE TABLE imported_files (
    name VARCHAR NOT NULL,             -- runs/RUN or confidence/VERSION
    path VARCHAR NOT NULL,             -- the file of that name whose rows are in the tables above
    run_ids VARCHAR[] NOT NULL         -- the runs in it
);
CREATE TABLE damaged_files (
    name VARCHAR NOT NULL,             -- as in imported_files
    path VARCHAR NOT NULL,             -- the file of that name that cannot be read
    damage VARCHAR NOT NULL
);
"""
