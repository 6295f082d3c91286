"""Make the sample corpus: invented films with plots, posters and music, all drawn from one seed.

corpus   write the whole corpus to a folder, or complete it; and a library of music without films, with a catalogue
films    invent the films: title, year, people, place, moods; write a plot from the sentences of a setting and two moods
moods    the ten moods: how each one sounds and looks
words    the texts and tables as TOML files, and their loader
wiki_export   write the articles as a MediaWiki XML export; music, posters: make the tracks and the posters
"""
