"""What every run of a flow does around its work.

record            name, record, state and end of a run
failed_share      a run fails when too many of its items did
retries           repeat what the infrastructure failed
leases            leases name the flow run that holds them
events            events for automations: a new version, a source that pauses
error_log         each error is logged once
deployment_slots  a run goes on that lost its slot of Prefect's concurrency limit
process_exit      no leak reports of DuckDB's bindings
"""
