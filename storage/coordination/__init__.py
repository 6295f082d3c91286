"""State shared by workers on all machines, kept in the lake.

leases       at most one worker per item; a commit under a lost lease is refused; waiting for a holder
holders_and_heartbeats   who holds leases, and whether it lives, as others see it
list_and_free_leases     list leases, release them by hand, remove those of the dead
old_claims   the leases of older versions
breakers                 sources that are paused, and until when
budgets                  what a source may see per day
"""
