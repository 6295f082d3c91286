"""Ask a wiki what it is: its name, clock, licence and the hosts of its files."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from storage.errors import InputError
from tasks.films.models import UNKNOWN_LICENCE, wiki_name
from tasks.films.wiki.answers import moment
from tasks.films.wiki.client import Wikipedia

_WIKIMEDIA = ("wikipedia.org", "wikimedia.org")
_WIKIMEDIA_FILES = frozenset({"upload.wikimedia.org", "thumb.wikimedia.org"})


@dataclass(frozen=True)
class Site:
    """A wiki as its API describes it; `file_hosts` are the hosts that its images may be downloaded from."""

    wiki: str
    base_url: str
    licence: str
    time: datetime
    file_hosts: frozenset[str]


def describe_site(client: Wikipedia) -> Site:
    """Return a wiki's name, clock, licence and file hosts. Raises `InputError` if the address is no wiki's."""
    query = client.call(action="query", meta="siteinfo", siprop="general|rightsinfo")["query"]
    general, rights = _texts(query.get("general")), _texts(query.get("rightsinfo"))
    time = moment(general.get("time"))
    if time is None:
        raise InputError(f"{client.api_url} does not describe a wiki; check the address")
    base_url = general.get("base") or client.api_url
    hosts = {urlsplit(client.api_url).netloc.lower(), urlsplit(base_url).netloc.lower()}
    if any(host.endswith(_WIKIMEDIA) for host in hosts):
        hosts |= _WIKIMEDIA_FILES
    return Site(
        wiki=wiki_name(general.get("wikiid"), base_url),
        base_url=base_url,
        licence=rights.get("text") or rights.get("url") or UNKNOWN_LICENCE,
        time=time,
        file_hosts=frozenset(hosts),
    )


def _texts(values: object) -> dict[str, str]:
    """Return the values of an object that are texts."""
    return {key: value for key, value in values.items() if isinstance(value, str)} if isinstance(values, dict) else {}
