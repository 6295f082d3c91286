"""How commands show what they have to say.

terminal_tables    rows as a table or as CSV, lengths and places in a recording, pauses, the command as it is typed
leaderboard_table  the table that ends `needledrop train`
help_pages         help that a narrow terminal shows whole
"""
