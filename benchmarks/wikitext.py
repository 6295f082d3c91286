"""Benchmark parsing articles (plot, tags, year, image) against a full parse of the same pages in the same run.

    python benchmarks/wikitext.py            # under a minute; --rounds 9 for a steadier figure

The pages are the real articles of the folder that NEEDLEDROP_TEST_DATA names (see CONTRIBUTING.md), else the demo's.
Rounds of both alternate, so that a busy machine slows both; the median round counts, in CPU seconds of one core.
Then two dumps are read, one ten times as large as the other, each in a separate process, to compare peak memory.
"""

from __future__ import annotations

import argparse
import bz2
import multiprocessing
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from xml.sax.saxutils import escape

import mwparserfromhell

from tasks.films.parsing.article import parse_article
from tasks.films.xml_export import read_export

SMALL_DUMP_PAGES = 500
TIMES_AS_LARGE = 10

Articles = list[tuple[str, str]]


def main() -> None:
    """Print pages per second of both parsers, their ratio, and the peak memory of both dumps."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    articles = _articles()
    ours, theirs = _race(articles, parser.parse_args().rounds)
    size = sum(len(text) for _, text in articles) / len(articles)
    print(f"{len(articles)} articles of films, {size:,.0f} characters on average, on one core")
    print(f"plot, tags, year, image     {len(articles) / ours:8,.0f} pages/s")
    print(f"mwparserfromhell.parse      {len(articles) / theirs:8,.0f} pages/s")
    print(f"ratio                       {theirs / ours:8.1f}")
    with tempfile.TemporaryDirectory() as folder:
        for pages in (SMALL_DUMP_PAGES, SMALL_DUMP_PAGES * TIMES_AS_LARGE):
            dump = _dump(Path(folder) / f"{pages}.xml.bz2", articles, pages)
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                seconds, peak_mib = pool.apply(_stream, (str(dump),))
            mib = dump.stat().st_size / 2**20
            print(f"dump of {pages:5} pages, {mib:5.1f} MiB: {pages / seconds:6,.0f} pages/s, peak {peak_mib:.0f} MiB")


def _articles() -> Articles:
    """Return titles and wikitext of articles about films."""
    if test_data := os.environ.get("NEEDLEDROP_TEST_DATA"):
        paths = sorted(Path(test_data, "wikitext").rglob("*.wikitext"))
        pages = [(path.stem.replace("_", " ").strip(), path.read_text(encoding="utf-8")) for path in paths]
    else:
        from needledrop.demo.corpus_and_library import write_corpus

        with tempfile.TemporaryDirectory() as folder:
            corpus = write_corpus(Path(folder))
            pages = [(item.page.title, item.page.wikitext) for item in read_export(corpus.export)]
    return sorted((title, text) for title, text in pages if not parse_article(title, text).reason)


def _race(articles: Articles, rounds: int) -> tuple[float, float]:
    """Return the median CPU seconds to parse all articles: with our parser, and with a parse of the whole page."""
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(_cpu_seconds(lambda: [parse_article(title, text) for title, text in articles]))
        theirs.append(_cpu_seconds(lambda: [mwparserfromhell.parse(text) and None for _, text in articles]))
    return statistics.median(ours), statistics.median(theirs)


def _cpu_seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def _dump(path: Path, articles: Articles, pages: int) -> Path:
    """Write an export of so many pages: the articles repeated, each time under another id."""
    with bz2.open(path, "wt", encoding="utf-8") as file:
        file.write(
            "<mediawiki><siteinfo><dbname>enwiki</dbname><base>https://en.wikipedia.org/wiki/Main_Page</base></siteinfo>"
        )
        for number in range(pages):
            title, text = articles[number % len(articles)]
            file.write(
                f"<page><title>{escape(title)}</title><ns>0</ns><id>{number + 1}</id><revision><id>{number + 1}</id>"
                f"<text>{escape(text)}</text></revision></page>"
            )
        file.write("</mediawiki>")
    return path


def _stream(dump: str) -> tuple[float, float]:
    """Return the seconds to parse every page of a dump, and the process's peak memory in MiB."""
    started = time.perf_counter()
    for item in read_export(dump):
        parse_article(item.page.title, item.page.wikitext)
    return time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
