"""What every run of a flow does around its work.

start_and_end              name, record, state and end of a run; its leases name it
retries                    repeat what the infrastructure failed
dead_runs                  runs whose process ended before it could say how, on the server and in the lake
version_and_pause_events   events for automations: a new version, a source that pauses
missing_trainings_and_workers   trainings of versions whose event was lost; work pools whose runs no worker takes
error_logging_and_workarounds   each error is logged once; a lost slot ends no run; no leak reports of DuckDB's bindings
"""
