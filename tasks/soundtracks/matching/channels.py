"""Who owns a channel: the names that it states, and whether two names are of one owner or of a label."""

from __future__ import annotations

import re
from functools import lru_cache

from tasks.soundtracks.matching import keywords
from tasks.soundtracks.matching.normalise import same_name, words_of


def is_label_channel(channel: str | None) -> bool:
    """Return whether a channel is one of a label that publishes soundtracks."""
    return any(essence_of(owner) in _LABEL_ESSENCES for owner in owners_of(channel))


def owners_of(channel: str | None) -> list[str]:
    """Return the owners that a channel's name states: "Lahari Music | T-Series" has two.

    A label may be named in two scripts: "滾石唱片 ROCK RECORDS".
    """
    owners = re.split(r"\s*[|/]\s*", channel or "")
    return [*owners, *(match[1] for owner in owners if (match := keywords.LABEL_IN_TWO_SCRIPTS.fullmatch(owner)))]


def same_owner(channel: str, owner: str) -> bool:
    """Return whether a channel bears an owner's name, but for words like "Official", "Music" or "VEVO"."""
    return same_name(channel, owner) or essence_of(channel) == essence_of(owner) != ""


@lru_cache(maxsize=4096)
def essence_of(name: str) -> str:
    """Return what distinguishes the name of a channel or company: "Sony Music India", "SonyMusicVEVO" are "sony"."""
    words = words_of(re.sub(r"(?i)\(.*?\)|vevo$", " ", name)).words
    distinct = [word for word in words if word not in keywords.CHANNEL_WORDS]
    if len(words) == 1:
        distinct = [keywords.CHANNEL_ENDING.sub("", words[0])]
    return "".join(distinct)


_LABEL_ESSENCES = frozenset(essence_of(label) for label in keywords.LABELS) - {""}
