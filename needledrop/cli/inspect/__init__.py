"""Commands that only read a lake, and the check of this machine.

sql     query everything in SQL, or open a shell
status  what is collected, due, failed and paused, on one screen
leases  what processes are working on
verify  check files and their references for damage
doctor  check that this machine can do the work, and that the site answers
"""
