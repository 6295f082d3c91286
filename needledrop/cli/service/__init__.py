"""Commands of whoever runs Needledrop as a service.

serve      server, deployments and workers on this machine;   bootstrap  what a Prefect server needs
worker     one worker that checks what it needs first;        leases     who holds what; free one by hand
"""
