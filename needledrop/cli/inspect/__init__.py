"""Commands that only read a lake.

sql     query everything in SQL, or open a shell
status  what is collected, due, failed and paused, on one screen
verify  check files and their references for damage
"""
