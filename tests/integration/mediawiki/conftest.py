"""A real MediaWiki on loopback: Debian's, unpacked without root, on SQLite, with a small invented wiki.

It is built once per session in a temporary folder and served by PHP's built-in server behind `server/front.php`,
which logs requests and injects faults on request.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

HERE = Path(__file__).parent
UNPACKED = HERE.parents[2] / ".cache" / "mediawiki"
EXTENSIONS = "Cite,PageImages,ParserFunctions"
STUBS = int(os.environ.get("NEEDLEDROP_WIKI_STUBS", "60"))
WORKERS = 3
AGENT = {"User-Agent": "needledrop-tests/1 (tests@example.org)"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.integration)


@dataclass
class Wiki:
    """A running wiki, with what tests change about it."""

    work: Path
    port: int

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.port}/w/api.php"

    def php(self, *arguments: str) -> str:
        """Run PHP with the server's environment and return its output."""
        compiled = self.work / "compiled"
        compiled.mkdir(exist_ok=True)
        settings = [
            "memory_limit=512M",
            "opcache.enable_cli=1",
            f"opcache.file_cache={compiled}",
            "opcache.file_cache_only=1",
        ]
        options = [part for setting in settings for part in ("-d", setting)]
        done = subprocess.run(
            [str(UNPACKED / "php"), *options, *arguments],
            env={**os.environ, **environment(self.work, self.port)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        return done.stdout

    def maintain(self, script: str, *arguments: str) -> str:
        """Run a maintenance script of MediaWiki and return its output."""
        return self.php(str(UNPACKED / "usr/share/mediawiki/maintenance" / f"{script}.php"), *arguments)

    def call(self, **parameters: Any) -> dict[str, Any]:
        """Call the API directly, without the client under test."""
        fields = {"format": "json", "formatversion": 2, **parameters}
        answer: dict[str, Any] = requests.post(self.api, data=fields, headers=AGENT, timeout=60).json()
        assert "error" not in answer, answer
        return answer

    def edit(self, title: str, text: str) -> None:
        self.call(action="edit", title=title, text=text, token="+\\")
        self.maintain("runJobs", "--nothrottle")

    def move(self, old: str, new: str) -> None:
        self._batch("moveBatch", f"{old}|{new}")

    def delete(self, title: str) -> None:
        self._batch("deleteBatch", title)

    def text(self, title: str) -> str:
        pages = self.call(action="query", titles=title, prop="revisions", rvprop="content", rvslots="main")
        return str(pages["query"]["pages"][0]["revisions"][0]["slots"]["main"]["content"])

    def page_id(self, title: str) -> int:
        return int(self.call(action="query", titles=title)["query"]["pages"][0]["pageid"])

    def misbehave(self, **edge: Any) -> None:
        """Set the faults that `server/front.php` injects; none without arguments."""
        (self.work / "edge.json").write_text(json.dumps(edge))

    def requests(self) -> list[dict[str, Any]]:
        """Return every request since the log was cleared, once it stops growing: PHP may log after it has answered."""
        file, before, log = self.work / "requests.jsonl", None, ""
        while log != before:
            before = log
            time.sleep(0.25)
            log = file.read_text() if file.exists() else ""
        return [json.loads(line) for line in log.splitlines()]

    def api_requests(self) -> list[dict[str, Any]]:
        return [r for r in self.requests() if r["uri"].startswith("/w/api.php")]

    def clear_log(self) -> None:
        self.requests()  # a line of the previous test may not be written yet
        (self.work / "requests.jsonl").unlink(missing_ok=True)

    def _batch(self, script: str, line: str) -> None:
        (self.work / "batch").write_text(line + "\n")
        self.maintain(script, "-u", "Admin", str(self.work / "batch"))
        self.maintain("runJobs", "--nothrottle")


def environment(work: Path, port: int) -> dict[str, str]:
    home = str(UNPACKED / "usr/share/mediawiki")
    names = {"WIKI_WORK": str(work), "WIKI_PORT": str(port), "WIKI_HOME": home}
    settings = work / "LocalSettings.php"
    return {**names, "MW_CONFIG_FILE": str(settings)} if settings.exists() else names


def build(wiki: Wiki) -> None:
    """Install MediaWiki, import the corpus, and run the jobs that fill links and categories."""
    for name in ("data", "images", "cache", "tmp"):
        (wiki.work / name).mkdir()
    wiki.maintain(
        "install", "--confpath", str(wiki.work), "--dbtype", "sqlite", "--dbpath", str(wiki.work / "data"), "--dbname",
        "enwiki", "--server", f"http://127.0.0.1:{wiki.port}", "--scriptpath", "/w", "--lang", "en", "--pass",
        "a-Password-of-4-tests", "--extensions", EXTENSIONS, "Wikipedia", "Admin",
    )  # fmt: skip
    with (wiki.work / "LocalSettings.php").open("a") as settings:
        settings.write(f"\nrequire '{HERE / 'server' / 'settings.php'}';\n")
    subprocess.run([sys.executable, str(HERE / "corpus.py"), str(wiki.work), str(STUBS)], check=True)
    wiki.maintain("importImages", "--comment-ext=txt", "--user=Admin", str(wiki.work / "posters"))
    wiki.maintain("importDump", "--no-updates", "--username-prefix=imported", str(wiki.work / "films.xml"))
    wiki.maintain("refreshLinks")
    wiki.maintain("rebuildrecentchanges")
    wiki.maintain("runJobs", "--nothrottle")


def serve(wiki: Wiki) -> subprocess.Popen[bytes]:
    """Start PHP's server in a new process group: its workers survive a signal to the parent alone."""
    settings = ["output_buffering=0", "zlib.output_compression=0", "display_errors=0", "memory_limit=256M"]
    options = [part for setting in settings for part in ("-d", setting)]
    with (wiki.work / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [str(UNPACKED / "php"), *options, "-S", f"127.0.0.1:{wiki.port}", str(HERE / "server" / "front.php")],
            env={**os.environ, **environment(wiki.work, wiki.port), "PHP_CLI_SERVER_WORKERS": str(WORKERS)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            wiki.call(action="query", meta="siteinfo")
        except requests.ConnectionError:
            time.sleep(0.05)
        else:
            return server
    os.killpg(server.pid, signal.SIGKILL)
    raise AssertionError((wiki.work / "server.log").read_text()[-2000:])


@pytest.fixture(scope="session")
def running_wiki(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wiki]:
    fetched = subprocess.run(
        [sys.executable, str(HERE / "fetch.py"), str(UNPACKED)], capture_output=True, text=True, check=False
    )
    if fetched.returncode:
        pytest.skip(f"no MediaWiki to test against: {fetched.stderr.strip().splitlines()[-1]}")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    wiki = Wiki(tmp_path_factory.mktemp("wiki"), port)
    build(wiki)
    server = serve(wiki)
    yield wiki
    os.killpg(server.pid, signal.SIGTERM)
    server.wait(timeout=20)


@pytest.fixture
def wiki(running_wiki: Wiki) -> Wiki:
    """The wiki without faults and with an empty log."""
    running_wiki.misbehave()
    running_wiki.clear_log()
    return running_wiki


@pytest.fixture
def collect(wiki: Wiki, prefect_server: None, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Return a function that runs the flow against the wiki, by default into a new lake."""
    from flows.collect_films import collect_films

    def run(**parameters: Any) -> dict[str, Any]:
        defaults = {"lake": str(tmp_path / "lake"), "wiki": wiki.api, "contact": "tests@example.org"}
        return collect_films(**{**defaults, "requests_per_minute": 60_000, **parameters})

    return run
