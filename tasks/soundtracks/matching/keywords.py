"""List the words that identify a soundtrack, the channel of a label, and unwanted kinds of recordings.

Kept apart from the rule, so that a word can be added without touching it. Every pattern is matched against text
without case and accents (`plain`). Raise `rule.RULE_VERSION` when a pattern changes.
"""

from __future__ import annotations

import re
import unicodedata

_MEDIUM = r"(?:motion\s?picture|movie|film|picture)s?"

SOUNDTRACK = re.compile(
    rf"""\b(?:
      (?:original|official|complete)?\s*{_MEDIUM}\s*(?:sound\s?tracks?|scores?|musics?|ost)
    | (?:original|official|complete)\s+(?:sound\s?tracks?|scores?|ost|cast\s+sound\s?track)
    | sound\s?tracks?
    | (?:music|songs?|themes?|selections?|score|highlights)\s+(?:from|to|for|of|composed\s+for)\s+
      (?:and\s+inspired\s+by\s+)?(?:the\s+)?(?:(?:original|netflix|disney|hbo|pixar|paramount|feature)\s+)*{_MEDIUM}
    | music\s+from\s+and\s+inspired\s+by
    | o\.?s\.?t\b | film\s+score | original\s+score
    | bande[\s-]+(?:originale|son) | b\.?o\.?f\b
    | colonna\s+sonora | musiche?\s+(?:originali|dal\s+film|del\s+film)
    | banda\s+sonora | trilha\s+sonora | musica\s+original\s+de\s+la\s+pelicula
    | (?:original)?film\s?musik | soundtrack\s+zum\s+film | der\s+soundtrack
    | саундтрек
    ) | サントラ | 原声""",
    re.VERBOSE,
)
"""A soundtrack, in the languages whose films an encyclopaedia lists most."""

THEME = re.compile(
    r"\b(?:(?:main|opening|closing|love|end(?:ing)?)\s+(?:theme|titles?|credits)|theme(?:\s+song)?|(?:film\s+)?score|suite)\b"
)
"""Weaker evidence of a soundtrack: songs and games have themes too."""

OTHER_MEDIUM = re.compile(
    r"\b(?:(?:video\s?)?game\s+(?:sound\s?track|score|music|ost)|original\s+game|video\s?game"
    r"|(?:tv|television|series|season|anime|show)\s+(?:sound\s?track|score|music|ost)|original\s+series"
    r"|(?:tv|television|netflix|original|mini)\s+series|seasons?\s+\d+|episodes?\s+\d+"
    r"|broadway|west\s+end|(?:original\s+)?(?:london\s+|musical\s+)?cast\s+recording|stage\s+musical|audio\s?book|podcast)\b"
)
"""A recording of a game, a series or a stage play, which may have the film's name."""

UNWANTED = re.compile(
    r"\b(?:trailers?|teasers?|tv\s+spots?|featurettes?|making\s+of|behind\s+the\s+scenes|interviews?"
    r"|reactions?|reacts?|reacting|review(?:s|ed)?|explained|recap|breakdown|analysis|video\s+essay"
    r"|gameplay|walkthrough|let'?s\s+play|full\s+(?:movie|film)|(?:movie|film)\s+complet[oe]?|pelicula\s+completa|ganzer\s+film"
    r"|full\s+(?:album|soundtrack|score|ost|cd)|complete\s+(?:album|score|soundtrack|ost)|whole\s+(?:album|score)"
    r"|\d+\s*(?:hours?|hrs?|stunden|heures|h)\b|hour\s+(?:loop|version)|loop(?:ed)?|extended\s+(?:mix|loop)"
    r"|compilations?|medleys?|mega\s?mix|mash\s?ups?|playlist|mixtape|best\s+of|greatest\s+(?:hits|themes|film|movie)"
    r"|movie\s+themes|film\s+themes|themes\s+from\s+the\s+movies|tributes?|karaoke|sing\s?along|instrumental\s+karaoke"
    r"|covers?\s+(?:versions?|by|songs?|bands?|of)|covered\s+by|re-?record(?:ed|ing)s?|as\s+made\s+famous\s+by|in\s+the\s+style\s+of"
    r"|tutorials?|how\s+to\s+play|lessons?|sheet\s+music|synthesia|guitar\s+tab"
    r"|(?:piano|guitar|violin|cello|flute|ukulele|orchestral|epic|metal|rock|lo-?fi|8-?\s?bit|16-?\s?bit|acoustic|music\s+box|jazz|synthwave)"
    r"\s+(?:version|cover|arrangement|remake|rendition|remix)"
    r"|re-?mix(?:es|ed)?|slowed|sped\s+up|reverb(?:ed)?|night\s?core|8\s?d(?:\s+audio)?|bass\s+boosted|lo-?fi"
    r"|type\s+beat|beat\s+tape|asmr|ambience|meme|parody|fan\s?made|fan\s+edit|amv|edit\s+audio|lyrics?\s+breakdown"
    r"|live\s+(?:at|in|from|on|performance|concert|orchestra|session|to\s+projection)|\(live\)|in\s+concert|concerts?|philharmoni[ck]\s+live"
    r"|scene\s+pack|(?:movie|film|best|deleted|full)\s+(?:scenes?|clips?)|audition|premiere|press\s+conference|unboxing|ringtone|city\s+of\s+prague\s+philharmonic"
    r")\b"
)
"""Never the film's own music, whoever uploads it."""

DOUBTFUL = re.compile(
    r"\b(?:scenes?|clips?|mix|covers?|medley|live|concert|cut|edit|loop|version|h[dq]\s+full|\d+\s*min(?:ute)?s?)\b"
)
"""Unwanted in the title of an unofficial upload, but ordinary in the track list of an official album."""

INSPIRED = re.compile(r"\b(?:inspired\s+by)\b")
FROM_AND_INSPIRED = re.compile(r"\bfrom\s+(?:and|&)\s+inspired\s+by\b")

REISSUE = re.compile(
    r"\b(?:re-?master(?:ed|s)?|re-?issued?|anniversary|expanded|deluxe|collector'?s?|archival|restored|special\s+edition|complete\s+recordings?)\b"
)
"""Why an album may be younger than its film."""

LABELS = re.compile(
    r"\b(?:watertower\s+music|milan\s+records|lakeshore\s+records|varese\s+sarabande|sony\s+(?:soundtracks|music|classical)\w*"
    r"|hollywood\s+records|(?:walt\s+)?disney\s*(?:records|music)\w*|back\s*lot\s+music|la-?la\s+land\s+records|netflix\s+music"
    r"|universal\s+(?:pictures|music)\w*|warner\s+(?:records|music|classics)\w*|decca\w*|deutsche\s+grammophon|capitol\s+records"
    r"|island\s+records|interscope\w*|columbia\s+records|atlantic\s+records|mondo|intrada|quartet\s+records|fox\s+music"
    r"|paramount\s+music|a24\s+music|invada\s+records|nonesuch\s+records|t-?series|zee\s+music\w*|sony\s+music\s+\w+|saregama\w*"
    r"|yrf|eros\s+now\s+music|lahari\s+music|aditya\s+music|think\s+music\w*|tips\s+(?:official|music))\b|vevo$"
)
"""Channels of labels that release soundtracks; a name is weaker evidence than a delivery by the label."""

# fmt: off
NEUTRAL_WORDS = frozenset(
    {
        "original", "official", "motion", "picture", "film", "movie", "soundtrack", "soundtracks", "score", "ost",
        "music", "from", "and", "inspired", "by", "of", "to", "for", "in", "on", "with", "ft", "feat", "featuring",
        "songs", "song", "theme", "themes", "main", "title", "titles", "end", "credits", "opening", "closing",
        "suite", "album", "deluxe", "expanded", "edition", "complete", "extended", "special", "anniversary",
        "remastered", "remaster", "reissue", "collectors", "version", "bonus", "tracks", "track", "hd", "hq", "4k",
        "audio", "video", "lyrics", "lyric", "visualizer", "disney", "disneys", "marvel", "marvels", "pixar",
        "pixars", "dreamworks", "netflix", "warner", "bros", "universal", "dc", "records", "recordings",
        "entertainment", "bande", "originale", "colonna", "sonora", "banda", "trilha", "musique", "du", "il", "la",
        "le", "el", "les", "del", "de", "der", "zum", "filmmusik", "composed", "composer", "conducted", "performed",
        "orchestra", "feature", "limited", "release", "series", "studios", "cast", "various", "artists", "b", "o",
        "f", "os", "t",
    }
)
# fmt: on
"""Words next to a film's title that do not make it another title."""


def plain(text: str | None) -> str:
    """Return a text without case and accents, for the patterns of this module."""
    decomposed = unicodedata.normalize("NFKD", text or "")
    return "".join(c for c in decomposed if not unicodedata.combining(c)).casefold().replace("’", "'")
