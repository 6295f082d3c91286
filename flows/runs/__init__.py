"""What every run of a flow does around its work.

start_and_end              name, record, state and end of a run, which fails when too many of its items did
retries                    repeat what the infrastructure failed
run_leases                 leases name the flow run that holds them
version_and_pause_events   events for automations: a new version, a source that pauses
prefect_logging_and_slots  each error is logged once, and a run goes on that lost its slot of a concurrency limit
process_exit               no leak reports of DuckDB's bindings
"""
