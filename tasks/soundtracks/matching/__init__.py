"""Decide which recordings belong to which film, by text only: no network and no audio.

keywords            regular expressions and word lists: soundtrack words, labels, unwanted kinds of recordings
titles              how far a text names a film: titles as words
alternative_titles  albums under another name than the title of the film's page
scoring             the text of a candidate and the five parts of its score
rule                the verdict for one film: guards, then the score; RULE_VERSION
film_index          all films of the lake by the words of their titles
matcher             the rule over all films, with reviews, takedowns and owners of recordings applied: one film per
                    recording, and the order in which a film's candidates are fetched
"""
