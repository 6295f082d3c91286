"""The page in a real browser: a poster is dropped, music found, played, kept, filtered, and all of it by keyboard."""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from needledrop.studio.engine import Engine
from storage.lake.lake import Lake
from storage.libraries.library import open_library
from storage.libraries.library_embeddings import TrackEmbedding, append_embeddings, register_encoder
from tests.needledrop.studio.conftest import HOSTILE, poster
from tests.needledrop.studio.test_api import served
from tests.small_encoders import save_clap
from training.audio_encoders.embed_audio_and_text import Encoder
from training.audio_encoders.model_files import remember_model
from training.loop.devices_and_torchrun import Machine

CHROMIUM = next((path for path in ("/usr/bin/chromium", "/usr/bin/chromium-browser") if Path(path).exists()), None)
FLAGS = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
SIZES = {"desk": (1280, 860), "phone": (390, 844)}
DROP = """async ([selector, data, name, kind]) => {
    const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
    const transfer = new DataTransfer();
    transfer.items.add(new File([bytes], name, { type: kind }));
    const zone = document.querySelector(selector);
    for (const event of ["dragover", "drop"])
        zone.dispatchEvent(new DragEvent(event, { bubbles: true, cancelable: true, dataTransfer: transfer }));
}"""
IS_IN_SIGHT = """(id) => {
    const element = document.getElementById(id), box = element.getBoundingClientRect();
    return document.elementFromPoint(box.x + 5, box.y + box.height / 2) === element;
}"""
FOCUS = """(() => {
    const focused = document.activeElement;
    const seen = focused.matches('[type=file]') ? focused.closest('.drop')
        : focused.matches('[type=radio]') ? focused.nextElementSibling : focused;
    const { outlineStyle, outlineWidth } = getComputedStyle(seen);
    const name = focused.id || focused.className || focused.value || focused.tagName;
    return [name, outlineStyle !== 'none' && parseFloat(outlineWidth) > 0];
})()"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="the browser tests need playwright")
    if CHROMIUM is None:
        pytest.skip("the browser tests need Debian's chromium in /usr/bin")
    with playwright.sync_playwright() as running:
        opened = running.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def studio(indexed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real studio over a copy of the lake, started by its command."""
    lake = shutil.copytree(indexed / "lake", tmp_path_factory.mktemp("browser") / "lake")
    command = [sys.executable, "-m", "needledrop", "studio", "--lake", str(lake), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3]) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"http://localhost:\d+", process.stdout.readline())
            assert found is not None
            yield found.group()
        finally:
            process.terminate()
            process.wait(20)


@pytest.fixture
def open_page(browser: Any, studio: str) -> Iterator[Callable[..., Any]]:
    """A function that opens the page in a window of its own, in which nothing may go wrong unseen."""
    contexts, faults = [], list[str]()

    def open_page(size: str = "desk", scheme: str = "light", **options: Any) -> Any:
        width, height = SIZES[size]
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
        page.on(
            "request", lambda sent: None if sent.url.startswith((studio, "blob:", "data:")) else faults.append(sent.url)
        )
        page.goto(studio)
        until(page, "document.getElementById('model').textContent && !state.about.loading", 90)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert faults == []


def until(page: Any, condition: str, seconds: float = 30) -> None:
    """Wait for a condition of the page; Playwright's own function for it is refused by the page's policy."""
    deadline = time.monotonic() + seconds
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, condition
        time.sleep(0.05)


def ask(page: Any, plot: str = "A detective follows a stranger through the rain.") -> None:
    page.fill("#plot", plot)
    page.click("#search")
    page.wait_for_selector(".hit")


def current_time(page: Any) -> float:
    return float(page.evaluate("document.getElementById('audio').currentTime"))


def test_a_film_maker_drops_a_poster_listens_keeps_filters_and_exports(
    open_page: Callable[..., Any], tmp_path: Path
) -> None:
    page = open_page()
    page.evaluate(DROP, ["#poster-drop", poster(), "poster.png", "image/png"])
    page.wait_for_selector("#poster-preview:not([hidden])")
    ask(page)
    assert "tracks of 8" in page.inner_text("#status")
    best = page.evaluate("state.result.hits[0].best_second")
    page.click(".hit:first-child .round")
    until(page, f"document.getElementById('audio').currentTime > {best} + 0.3")
    assert best <= current_time(page) < best + 8
    page.click(".hit:first-child .strip", position={"x": 20, "y": 10})
    until(page, "document.getElementById('audio').currentTime < 4")
    page.click(".hit:first-child .keep")
    page.wait_for_selector("#listed li")
    kept = page.inner_text("#listed strong")
    page.fill("#listed textarea", "for the chase")
    page.keyboard.press("Tab")
    until(page, "document.getElementById('status').textContent.startsWith('Noted')")
    page.click("#filters summary")
    page.fill("#artist", "Artist 1")
    page.keyboard.press("Tab")
    until(page, "state.result.hits.every((hit) => hit.artist === 'Artist 1')")
    page.reload()
    page.wait_for_selector("#listed li")
    page.wait_for_selector(".hit")
    assert (page.inner_text("#listed strong"), page.input_value("#listed textarea")) == (kept, "for the chase")
    assert page.input_value("#artist") == "Artist 1"
    assert page.is_visible("#poster-preview")
    with page.expect_download() as export:
        page.click("#export-csv")
    export.value.save_as(tmp_path / "kept.csv")
    assert "for the chase" in (tmp_path / "kept.csv").read_text("utf-8-sig")


def test_what_a_browser_can_not_play_is_heard_and_sought_in(open_page: Callable[..., Any]) -> None:
    page = open_page()
    ask(page)
    for title in ("Deep", "Apple", "Big-Endian"):
        page.evaluate(f"play(state.result.hits.find((hit) => hit.title === '{title}'), 19.84)")
        until(page, "document.getElementById('audio').currentTime > 20.2")
        assert page.evaluate("document.getElementById('audio').duration") == pytest.approx(31, abs=0.1)
        assert page.inner_text("#player-error") == ""


def test_a_film_is_scored_by_keyboard_alone(open_page: Callable[..., Any]) -> None:
    page = open_page()
    page.keyboard.press("/")
    page.keyboard.type("A kiss in space/time, k or x?")
    assert page.input_value("#plot") == "A kiss in space/time, k or x?"
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(".hit")
    page.keyboard.press("Escape")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    assert page.get_attribute(".hit:nth-child(2)", "aria-current") == "true"
    page.keyboard.press("Space")
    until(page, "!document.getElementById('audio').paused && document.getElementById('audio').currentTime > 0.2")
    at = current_time(page)
    page.keyboard.press("ArrowRight")
    assert current_time(page) > at + 3
    page.keyboard.press("Space")
    until(page, "document.getElementById('audio').paused")
    page.keyboard.press("k")
    page.wait_for_selector(".hit:nth-child(2) .keep[aria-pressed=true]")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("x")
    page.wait_for_selector(".hit:nth-child(1).rejected")
    page.keyboard.press("x")
    page.wait_for_selector(".hit:nth-child(1):not(.rejected)")


def test_everything_can_be_reached_with_the_tab_key_and_shows_its_focus(open_page: Callable[..., Any]) -> None:
    page = open_page()
    ask(page)
    page.evaluate("document.activeElement.blur(), window.scrollTo(0, 0)")
    reached, unseen = set[str](), []
    for _ in range(120):
        page.keyboard.press("Tab")
        found = page.evaluate(FOCUS)
        reached.add(found[0])
        unseen += [] if found[1] or found[0] == "BODY" else [found[0]]
    wanted = {
        "plot",
        "poster",
        "tag",
        "like-file",
        "search",
        "shortlist",
        "shortlist-new",
        "round",
        "quiet keep",
        "mine",
    }
    assert wanted <= reached
    assert unseen == []


def test_tags_are_completed_with_the_keyboard(open_page: Callable[..., Any]) -> None:
    page = open_page()
    page.click("#tag")
    page.keyboard.type("films")
    page.wait_for_selector("#tag-options li")
    page.keyboard.press("ArrowDown")
    first = page.get_attribute("#tag-options li", "data-tag")
    assert page.get_attribute("#tag", "aria-activedescendant") == "tag-option-0"
    page.keyboard.press("Enter")
    assert page.inner_text("#tags li span") == first
    page.keyboard.press("Backspace")
    assert page.query_selector("#tags li") is None


def test_an_audio_encoder_is_chosen_in_the_menu_of_models_and_says_what_it_is(
    browser: Any, indexed: Path, machine: Machine, tmp_path: Path
) -> None:
    lake = Lake(str(shutil.copytree(indexed / "lake", tmp_path / "lake")))
    card = Encoder(str(save_clap(tmp_path / "clap")), machine.device).card
    library = open_library(lake, "mine")
    engine = register_encoder(library, card)
    remember_model(lake, card, str(tmp_path / "clap"))
    for number, row in enumerate(library.track_rows()):  # as if each were heard as another direction
        heard = TrackEmbedding(np.eye(card.dimensions, dtype=np.float32)[[number]], np.ones(1, np.float32))
        append_embeddings(library, engine, [(row["track_id"], heard)])
    with served(Engine(lake, machine)) as address:
        page = browser.new_page()
        faults = list[str]()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(address)
        until(page, "document.getElementById('model').textContent && !state.about.loading", 90)
        assert page.inner_text("#run option:last-child") == "clap: not trained on films"
        ask(page)
        assert page.evaluate("state.result.run_id !== null")
        page.select_option("#run", "encoder:clap")
        until(page, "state.result.encoder === 'clap'")
        assert page.inner_text("#model") == "Not trained on films: clap (apache-2.0)"
        assert "clap was not trained on films" in page.inner_text("#demo-warning")
        assert page.inner_text(".hit:first-child .fit small") == "score"
        page.select_option("#run", index=0)
        until(page, "state.result.run_id !== null")
        assert page.inner_text("#model").startswith("Trained on")
        page.close()
        assert faults == []


def test_a_hostile_title_is_shown_as_text(open_page: Callable[..., Any]) -> None:
    page = open_page()
    ask(page)
    assert HOSTILE in page.inner_text("#results")
    assert page.query_selector("#results img") is None
    assert page.title() == "Needledrop studio"


@pytest.mark.parametrize("size", list(SIZES))
def test_a_word_without_end_makes_the_page_no_wider(open_page: Callable[..., Any], size: str) -> None:
    page = open_page(size)
    ask(page)
    for name in ("status", "near", "trust", "search-error", "demo-warning"):
        page.evaluate(f"document.getElementById('{name}').textContent = 'W'.repeat(900)")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.evaluate("document.getElementById('status').clientHeight") < 60


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", list(SIZES))
def test_the_page_has_no_serious_fault_for_those_who_do_not_see_it(
    open_page: Callable[..., Any], size: str, scheme: str
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="this needs axe-playwright-python").Axe()
    # Without motion, since a slow machine measures the colours of a button in the middle of its change.
    page = open_page(size, scheme, bypass_csp=True, reduced_motion="reduce")
    faults = _serious(axe.run(page))
    ask(page)
    # What a test before this one decided is still decided: a second click would take it back.
    if not page.query_selector(".hit:nth-child(2) .keep[aria-pressed=true]"):
        page.click(".hit:nth-child(2) .keep")
    page.wait_for_selector("#listed li")
    if not page.query_selector(".hit:nth-child(3) .reject[aria-pressed=true]"):
        page.click(".hit:nth-child(3) .reject")
    page.wait_for_selector(".rejected")
    page.click(".hit:nth-child(1) .round")
    page.evaluate("document.getElementById('filters').open = true")
    page.wait_for_timeout(300)
    faults += _serious(axe.run(page))
    page.click(".hit:nth-child(2) .keep")
    page.click(".hit:nth-child(3) .reject")
    assert faults == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def _serious(result: Any) -> list[str]:
    return [
        f"{one['id']}: {one['nodes'][0]['html']} {one['nodes'][0].get('failureSummary')}"
        for one in result.response["violations"]
        if one["impact"] in ("serious", "critical")
    ]


def test_a_poster_that_can_not_be_used_is_a_sentence_on_the_page(browser: Any, studio: str) -> None:
    page = browser.new_page()
    page.goto(studio)
    page.evaluate(DROP, ["#poster-drop", base64.b64encode(b"no picture").decode(), "poster.png", "image/png"])
    page.wait_for_selector("#poster-remove:not([hidden])")
    page.click("#search")
    until(page, "document.getElementById('search-error').textContent.includes('give a JPEG or PNG')")
    assert page.evaluate(IS_IN_SIGHT, "search-error"), "nobody would learn why nothing was found"
    page.close()


def test_a_second_studio_on_the_same_port_is_a_sentence(studio: str, indexed: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "needledrop",
        "studio",
        "--lake",
        str(indexed / "lake"),
        "--port",
        studio.rsplit(":", maxsplit=1)[-1],
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert "give a free one with --port" in done.stderr
    assert "Traceback" not in done.stderr
