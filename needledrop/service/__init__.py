"""Needledrop as a service: what a Prefect server is given, `needledrop serve`, and what the containers run.

deployments    everything that a server needs, in one call; prefect.yaml: what runs when, in which work pool
automations    automations.yaml: dead runs, new versions, notifications, and the address of whoever is notified
serve          server and workers; their address, port and database folder; runs that are cancelled at the end
worker         a Prefect worker whose flow runs end cleanly when it is stopped
startup_and_health_checks   checks before a service starts, and of the running services of the containers
"""
