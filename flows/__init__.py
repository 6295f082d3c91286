"""The Prefect flows: parameters, order of steps, and how a run ends.

collect_films, collect_soundtracks, curate_dataset, train_and_evaluate   one stage each
index_library    a library of the user's own music
refresh          all stages in order, and the summary of what they changed
runs/            what every run does around its work
parameters       the parameters of each flow, from `tasks.options_and_defaults`, and which of them cannot work
"""

from flows.runs.error_logging_and_workarounds import silence_leak_reports

silence_leak_reports()
