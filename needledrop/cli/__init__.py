"""The `needledrop` command: one typer app, one module per command or group of them.

main         the app, and how errors become exit statuses
options      a command's options from its flow's parameters; --lake
run_flow     a flow in this process, and the Prefect server of one that is recorded on no other
pipeline     demo and refresh, the whole pipeline; films, soundtracks and retry, which collect
review       accept or reject doubtful matches;       takedown     never collect an item again
datasets     curate, list, compare, delete, export;   train        train and measure systems
search       find music for a film;                   report       one HTML page of results
inspect/     sql, status, verify;                     service      serve, bootstrap, worker, leases
"""
