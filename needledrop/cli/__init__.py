"""The `needledrop` command: one typer app, one module per command or group of them.

main         the app, and how errors become exit statuses
options      a command's options from its flow's parameters; --lake
run_prefect_flow   a flow in this process, and the Prefect server of one that is recorded on no other
output/            what commands print alike: tables, lengths, pauses, the leaderboard, help pages
demo         the whole pipeline on an invented corpus;   refresh   the whole pipeline
collect      films, soundtracks, retry, fingerprint
review       accept or reject doubtful matches;       takedown     never collect an item again
datasets     curate, list, compare, delete, export
train        train and measure systems;               compare   two systems
retrieval/   search, library, cues, studio;           report       one HTML page of results
inspect/     sql, status, verify, doctor, leases;     service      serve, bootstrap, worker
"""
