"""The Prefect flows: parameters, order of steps, and how a run ends.

collect_films, collect_soundtracks, curate_dataset, train_and_evaluate   one stage each
refresh          all stages in order, and the summary of what they changed
new_versions     the event of a new version, and the deployment that trains it
run_record       name, record, leases and end of every run; repeat what the infrastructure failed
process_exit     no leak reports of DuckDB's bindings
parameters       the parameters of each flow, from `tasks.options`
parameter_checks which parameters cannot work
"""

from flows.process_exit import silence_leak_reports

silence_leak_reports()
