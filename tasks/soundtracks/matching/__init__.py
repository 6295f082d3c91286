"""Decide which recordings belong to which film, by text only: no network and no audio.

normalise              names without case, accents and apostrophes, and what a word is in each script
soundtrack_words       regular expressions and word lists: soundtrack words in many languages, neutral words
film_titles_and_sequels  how far a text names a film and no sequel: titles as words; albums under another name
label_channels_and_descriptions  labels, the owners of channels, and what a delivery's generated description names
official_evidence      what named fields prove: delivery, the channel's owner, people, label, track list
scoring                the text of a candidate and the parts of its score: a `Case`
unwanted_recordings    what rejects a kind of recording: trailers, covers, compilations, other media
other_films_and_years  what rejects another film's recording: sequels, remakes, other editions, years, languages
verdict                the verdict for one film: evidence and guards, then the score; RULE_VERSION
film_index             all films of the lake by the words of their titles
track_selection        the rule over all films, with reviews, takedowns and owners of recordings applied: one film per
                       recording, and the order in which a film's candidates are fetched
"""
