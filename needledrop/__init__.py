"""What a user touches.

cli      the `needledrop` command
report   the HTML page of results
service  deployments and automations on a Prefect server; the processes of `needledrop serve`
demo     the invented corpus of `needledrop demo`
service  what the containers of docker-compose.yml run
"""

__version__ = "0.1.0"
