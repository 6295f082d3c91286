"""Decide which recordings belong to which film, by text only: no network and no audio.

keywords            regular expressions and word lists: soundtrack words in many languages, labels, unwanted recordings
normalise           names without case, accents and apostrophes, and what a word is in each script
titles              how far a text names a film: titles as words
alternative_titles  albums under another name than the title of the film's page
channels            the owners that a channel's name states, and the channels of labels
deliveries          what a label delivered to YouTube, and what its generated description names
evidence            what named fields prove: delivery, the channel's owner, people, label, track list
scoring             the text of a candidate and the parts of its score
guards              what rejects a candidate whatever its score: other films, artists, years, kinds of recordings
rule                the verdict for one film: evidence and guards, then the score; RULE_VERSION
film_index          all films of the lake by the words of their titles
matcher             the rule over all films, with reviews, takedowns and owners of recordings applied: one film per
                    recording, and the order in which a film's candidates are fetched
"""
