"""Make the sample corpus: invented films with plots, posters and music, all drawn from one seed.

corpus_and_library  write the whole corpus to a folder, or complete it; a library of music without films, its catalogue
films               invent the films: title, year, people, place, moods; a plot from sentences of setting and moods
moods               the ten moods: how each one sounds and looks
words               the texts and tables as TOML files, and their loader
wiki_export         write the articles as a MediaWiki XML export
music, posters      make the tracks and the posters
"""
