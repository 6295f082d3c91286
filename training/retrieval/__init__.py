"""Find music for a new film with a trained model.

film_query        a film to find music for, as its user describes it
blended_query     its vector, mixed with tracks that the music should, and should not, sound like
search            embed the film's query, rank the tracks of a data set
choose_run        the run to search with, and what it can be searched for
dataset_tracks    the tracks of a data-set version, embedded to be searched like a library
library_index     embed the tracks of a library
library_search    rank the tracks of a library by their mean or best segment, filtered
search_engine     libraries in memory as one engine hears them, for one query after another
retriever         the engine that is a trained run
zero_shot         the engine that is an audio encoder, which has seen no film
decision_results  how often what users kept ranks above what they rejected
"""
