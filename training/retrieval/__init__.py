"""Find music for a new film with a trained model.

search  choose a run, embed the film's query, rank the tracks
"""
