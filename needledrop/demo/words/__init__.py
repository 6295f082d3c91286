"""The words and tables from which the corpus is drawn, one TOML file per subject.

loader   read a file into frozen dataclasses and check it: countries, settings, plots, titles, articles
The fields of moods.toml are explained in `needledrop.demo.moods`.
"""
