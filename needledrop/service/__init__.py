"""Needledrop as a service: what a Prefect server is given, and the processes of `needledrop serve`.

set_up         everything that a server needs, in one call
deployments    prefect.yaml: what runs when, in which work pool
automations    automations.yaml: dead runs, new versions, notifications
notifications  the block that holds the address of whoever is notified
serve          server and workers as child processes
place          address, port and database folder of `serve`
"""
