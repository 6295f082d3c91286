"""Find music for a new film with a trained model.

query_and_filters      a film to find music for, tracks that it should, and should not, sound like; filters of tracks
choose_run             the run to search with, what it can be searched for, and the mels it hears
search_engines         a trained run, or an audio encoder that has seen no film, with libraries in memory
dataset_search         the tracks of a data-set version, ranked for a query or searched like a library; training films
search_results         tracks ranked by their mean or best segment, a few of an album; percentiles
library_track_encoder  embed the recordings of a library
decision_results       how often what users kept ranks above what they rejected
"""
