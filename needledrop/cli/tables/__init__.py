"""The tables that end a command.

training_table   systems with their intervals, next to baselines, chance and the paper: `needledrop train`
refresh_summary  what a refresh did, what was left out and how good the model is: `needledrop refresh`
"""
