"""Needledrop as a service: what a Prefect server is given, `needledrop serve`, and what the containers run.

set_up         everything that a server needs, in one call
deployments    prefect.yaml: what runs when, in which work pool
automations    automations.yaml: dead runs, new versions, notifications
notifications  the block that holds the address of whoever is notified
serve          server and workers as child processes
place          address, port and database folder of `serve`
checks         what a container lacks: a contact, folders that can be written, a free port
server         the Prefect server of a container, once its database answers
worker         a Prefect worker whose flow runs end cleanly when it is stopped
health         the health checks of both
"""
