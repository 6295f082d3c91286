"""The Prefect flows: parameters, order of steps, and how a run ends.

collect_films, collect_soundtracks, curate_dataset, train_and_evaluate   one stage each
index_library    a library of the user's own music
refresh          all stages in order, and the summary of what they changed
missing_trainings  the deployment that trains new versions is started where it was not
missing_workers  work pools whose runs no worker takes
runs/            what every run does around its work
parameters       the parameters of each flow, from `tasks.options_and_defaults`
parameter_checks which parameters cannot work
"""

from flows.runs.process_exit import silence_leak_reports

silence_leak_reports()
