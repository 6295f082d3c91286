"""State shared by workers on all machines, kept in the lake.

leases     at most one worker per item, with a heartbeat
breakers   circuit breakers: sources that are paused, and until when
budgets    requests and downloads that a source may see per day
"""
