"""Find music for a new film with a trained model.

query             a film to find music for, and tracks that the music should, and should not, sound like
choose_run        the run to search with, what it can be searched for, and the mels it hears
search_engines    a trained run, or an audio encoder that has seen no film, with libraries in memory
dataset_search    the tracks of a data-set version, ranked for a query or searched like a library
library_search    rank the tracks of a library by their mean or best segment, filtered; percentiles
library_index     embed the recordings of a library
decision_results  how often what users kept ranks above what they rejected
"""
