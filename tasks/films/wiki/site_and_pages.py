"""A wiki and its pages: its name, clock, licence and file hosts; a page, from the API or an export, and its film id."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote, urlsplit

from storage.errors import InputError
from tasks.films.wiki.api_client import Wikipedia, moment

WIKIPEDIA_LICENCE = "CC BY-SA 4.0"
"""The licence of the text of every Wikipedia since June 2023."""
UNKNOWN_LICENCE = "not stated"
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


def wiki_name(dbname: str | None, base_url: str) -> str:
    """Return a wiki's short name: that of its database, else one made of its address (en.wikipedia.org: enwiki)."""
    if dbname and re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", dbname):
        return dbname
    host = urlsplit(base_url).hostname or ""
    labels = [label for label in host.split(".") if label not in ("www", "m")]
    if len(labels) >= 3 and labels[-2] == "wikipedia":
        return re.sub(r"[^a-z0-9]", "_", labels[0]) + "wiki"
    return re.sub(r"[^A-Za-z0-9]+", "_", host).strip("_") or "wiki"


def page_url(base_url: str, title: str) -> str:
    """Return a page's canonical address, given the address of another page of the wiki (its main page)."""
    return base_url.rsplit("/", 1)[0] + "/" + quote(title.replace(" ", "_"), safe="/:@!$*(),;'~")


def text_licence(base_url: str) -> str:
    """Return the licence of a wiki's text, which is known only for Wikipedia."""
    host = urlsplit(base_url).hostname or ""
    return WIKIPEDIA_LICENCE if host == "wikipedia.org" or host.endswith(".wikipedia.org") else UNKNOWN_LICENCE


@dataclass(frozen=True)
class Page:
    """One revision of one page. `categories` is None if the source lists none and they must be found in the text."""

    wiki: str
    page_id: int
    revision_id: int
    revision_time: datetime | None
    title: str
    url: str
    wikitext: str
    source: str
    licence: str
    categories: tuple[str, ...] | None = None
    image: str | None = None
    image_url: str | None = None
    image_non_free: bool | None = None
    wikidata_id: str | None = None

    @property
    def film_id(self) -> str:
        """The key of the page in every table: `WIKI-PAGEID`."""
        return film_id(self.wiki, self.page_id)


def film_id(wiki: str, page_id: int) -> str:
    """Return the key of a page in every table, which is safe as a file name."""
    return f"{wiki}-{page_id}"
