"""State shared by workers on all machines, kept in the lake.

leases       at most one worker per item; a commit under a lost lease is refused
sigterm      SIGTERM as an exception while leases are held
holders      who holds leases; heartbeats: whether it lives, as others see it
lease_files  the files of leases and their numbers, also those of older versions
held_leases  list leases, wait for their holders, release them by hand, remove those of the dead
breakers     sources that are paused, and until when
budgets      requests and downloads that a source may see per day
"""
