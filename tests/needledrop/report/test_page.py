"""The report: its content, that it loads nothing, and how a real browser draws it."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from needledrop.cli import report as command
from needledrop.report.best_and_worst_films import best_and_worst_films
from needledrop.report.page import write_report
from needledrop.report.report_queries import Report
from needledrop.report.svg_charts import COLOURS, GREY, Line, histograms_section, loss_chart, recall_chart
from storage.errors import InputError
from storage.lake.lake import Lake
from storage.metrics.database import connect_metrics
from storage.metrics.record_measurements import Run, record_ranks, record_run
from storage.metrics.run_files import RANKS_SCHEMA
from storage.records.review_answers_and_agreement import record_new_rows
from storage.tables.schemas import RATINGS, REVIEW_SAMPLES
from storage.tables.tables import open_tables
from storage.takedown_list_and_erasure import record_takedown

BROWSER = next((p for name in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(name))), None)
needs_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed here")

# Runs in the page: layout faults that a reader would see.
_MEASURE = """<script>addEventListener("load", () => {
  const clipped = [...document.querySelectorAll("svg text")].filter(t => {
    const a = t.getBoundingClientRect(), b = t.ownerSVGElement.getBoundingClientRect();
    return a.left < b.left - 1 || a.right > b.right + 1 || a.top < b.top - 1 || a.bottom > b.bottom + 1; });
  const cut = [...document.querySelectorAll("caption")].filter(c =>
    c.getBoundingClientRect().width > c.closest(".scroll").clientWidth + 1).length;
  const hidden = [...document.querySelectorAll(".scroll")].filter(s => s.scrollWidth > s.clientWidth + 1).length;
  document.body.innerHTML = "<pre>MEASURED" + JSON.stringify({
    width: innerWidth, cut, hidden, page: document.documentElement.scrollWidth,
    empty: [...document.querySelectorAll("svg")].filter(s => s.getBoundingClientRect().height < 50).length,
    charts: document.querySelectorAll("svg").length, clipped: clipped.map(t => t.textContent),
    unnamed: [...document.querySelectorAll("svg")].filter(s => !s.getAttribute("aria-label")).length,
    dead: [...document.querySelectorAll("nav a")].filter(a => !document.querySelector(a.getAttribute("href"))).length,
  }) + "MEASURED</pre>"; });</script>"""


@pytest.fixture(scope="module")
def report(measured: Lake, tmp_path_factory: pytest.TempPathFactory) -> tuple[Report, Path]:
    path = tmp_path_factory.mktemp("report") / "report.html"
    return write_report(measured, None, path), path


@pytest.fixture(scope="module")
def text(report: tuple[Report, Path]) -> str:
    return report[1].read_text()


class Outline(HTMLParser):
    """The tags that are not closed, and every attribute."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open, self.attributes = list[str](), list[tuple[str, str | None]]()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += attrs
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_every_tag_is_closed(text: str) -> None:
    assert Outline(text).open == []


def test_the_page_loads_nothing_and_runs_nothing(text: str) -> None:
    attributes = Outline(text).attributes
    assert not [a for a in attributes if a[0] in ("src", "srcset", "data") or a[0].startswith("on")]
    assert "default-src 'none'" in text and "<script" not in text and "<link" not in text
    assert "url(" not in text and "@import" not in text


def test_a_suggestion_that_was_taken_down_since_is_not_shown(measured: Lake, text: str, tmp_path: Path) -> None:
    shown = re.findall(r"Theme (t\d+-\d)", text)
    shutil.copytree(measured.root, tmp_path / "lake")
    lake = open_tables(str(tmp_path / "lake"))
    record_takedown(lake, shown[0], "asked", "test")
    write_report(lake, None, tmp_path / "report.html")
    after = re.findall(r"Theme (t\d+-\d)", (tmp_path / "report.html").read_text())
    assert shown[0] not in after and len(after) == len(shown)


def test_titles_are_escaped_and_only_web_links_are_links(text: str) -> None:
    assert "&lt;b&gt;&quot;&amp;" in text and '<b>"&' not in text
    assert "javascript:" not in text


def test_the_table_has_the_rows_of_the_paper(report: tuple[Report, Path], text: str) -> None:
    shown, _ = report
    assert [s.label for s in shown.systems] == ["All", "Im"]
    table = text[text.index('id="table"') : text.index('id="byfilm"')]
    assert ">26.17<" in table and ">language oracle<" in table and ">ceiling<" in table
    assert shown.policy == "segments8" and table.count(">one segment per track<") == 2
    low, high = shown.systems[0].intervals["r_at_10"]
    assert f"<small>{low:.2f}–{high:.2f}</small>" in table


def test_the_metrics_by_film_are_a_separate_table(report: tuple[Report, Path], text: str) -> None:
    shown, _ = report
    table = text[text.index('id="byfilm"') : text.index('id="recall"')]
    low, high = shown.systems[0].intervals["map"]
    assert f"{shown.systems[0].row['map']:.3f}<small>{low:.3f}–{high:.3f}</small>" in table
    assert all(f">{name}<" in table for name in ("Hit@1", "Hit@100", "MRR", "mAP", "nDCG", "ceiling", "nearest tags"))


def test_uniform_ranks_give_equal_bars(report: tuple[Report, Path]) -> None:
    even = replace(report[0].shown, rank=np.arange(1.0, 101.0))
    section = histograms_section(replace(report[0], systems=(even,), tracks=100))
    assert section.count("<title>5.0 %</title>") == 20


def test_an_evaluated_version_has_every_section(text: str) -> None:
    sections = re.findall(r'<section id="(\w+)"', text)
    assert sections == [
        "table",
        "byfilm",
        "recall",
        "ranks",
        "differences",
        "training",
        "slices",
        "films",
        "pairs",
        "runs",
    ]


def test_long_settings_are_named_by_their_digest_and_said_once_below_the_table(measured: Lake, tmp_path: Path) -> None:
    shutil.copytree(measured.root, tmp_path / "lake")
    lake = open_tables(str(tmp_path / "lake"))
    with connect_metrics(lake) as connection:
        ranks = connection.sql(
            f"SELECT {', '.join(RANKS_SCHEMA.names)} FROM ranks WHERE run_id = 'All-run' AND policy = 'segments8'"
        ).to_arrow_table()
    wide = "strong, text=none, text.width=96, text.layers=2, data.modality_dropout=0.3, training.batch=32"
    record_run(lake, Run("wide-run", "All", "strong", 0, "v1", settings=wide, settings_digest="1f3c9a2b"))
    record_ranks(lake, "wide-run", ranks.cast(RANKS_SCHEMA))
    report = write_report(lake, None, tmp_path / "report.html")
    assert {"All · small", "All · strong · 1f3c9a2b"} <= {system.label for system in report.systems}
    assert (tmp_path / "report.html").read_text().count(f"1f3c9a2b: {wide}") == 1


def test_the_precision_that_people_found_is_in_the_report(measured: Lake, text: str, tmp_path: Path) -> None:
    assert "Nobody has rated a sample" in text
    shutil.copytree(measured.root, tmp_path / "lake")
    lake = open_tables(str(tmp_path / "lake"))
    pairs = [{"film_id": f"f{n}", "track_id": "a"} for n in range(20)]
    sampled = {"sample": "sample-1", "decision": "taken", "band": "0.9–1.0", "kind": "<b>", "weight": 5.0}
    strata = {"decade": "1990s", "language": "Tamil"}
    record_new_rows(lake, REVIEW_SAMPLES, [{**pair, **sampled, **strata} for pair in pairs], "test")
    for rater in ("anna", "ben"):
        rows = [{**pair, "rater": rater, "answer": "no" if n == 7 else "yes"} for n, pair in enumerate(pairs)]
        record_new_rows(lake, RATINGS, rows, "test")
    write_report(lake, None, tmp_path / "report.html")
    section = (tmp_path / "report.html").read_text().split('id="pairs"')[1].split("</section>")[0]
    assert "<td>100</td><td>20</td><td>19</td><td>1</td><td>0</td><td>95.0 %</td><td>76.4–99.1 %</td>" in section
    assert "anna and ben rated 20 pairs in common; Cohen's kappa is 1.00" in section.replace("&#x27;", "'")
    assert "&lt;b&gt;" in section and Outline(section.split(">", 1)[1]).open == []


def test_the_best_films_come_first_with_their_own_tracks_marked(
    measured: Lake, report: tuple[Report, Path], text: str
) -> None:
    shown, _ = report
    with connect_metrics(measured) as connection:
        films = best_and_worst_films(connection, measured, shown.shown.runs[0], shown.policy)
    best, worst = films.best, films.worst
    assert len(best) == len(worst) == 10
    assert best[0].median_rank <= best[-1].median_rank <= worst[-1].median_rank <= worst[0].median_rank
    assert [track["rank"] for track in best[0].suggestions] == [1, 2, 3, 4, 5]
    assert sum(track["own"] for track in best[0].suggestions) >= 3 and 'class="own"' in text


def test_the_report_does_not_load_torch(repository: Path) -> None:
    program = "import sys, needledrop.report.page; print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", program], cwd=repository, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_the_same_lake_gives_the_same_page(
    measured: Lake, report: tuple[Report, Path], text: str, tmp_path: Path
) -> None:
    write_report(measured, "v1", tmp_path / "again.html")
    assert (tmp_path / "again.html").read_text() == text


def test_a_version_without_runs_is_an_error(measured: Lake, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No run of v9 has been evaluated"):
        write_report(measured, "v9", tmp_path / "r.html")
    with pytest.raises(InputError, match="run `needledrop train`"):
        write_report(open_tables(str(tmp_path / "lake")), None, tmp_path / "r.html")


def test_the_command_writes_the_page_or_names_the_option_to_change(measured: Lake, text: str, tmp_path: Path) -> None:
    app = typer.Typer()
    app.command("other")(lambda: None)
    command.register(app)
    options = ["report", "--lake", measured.root, "--output"]
    CliRunner().invoke(app, [*options, str(tmp_path / "new" / "page.html")], catch_exceptions=False)
    assert (tmp_path / "new" / "page.html").read_text() == text
    failed = CliRunner().invoke(app, [*options, str(tmp_path)])
    assert isinstance(failed.exception, InputError) and "choose another --output" in str(failed.exception)


def test_charts_of_a_single_point_are_drawn() -> None:
    assert "<circle" in loss_chart([Line("one", [(1, 2.0)], "#000")], "one epoch")
    assert "<svg" in recall_chart([Line("one", [(1, 100.0), (2, 100.0)], "#000")], "all found")


def test_labels_in_line_colours_have_enough_contrast() -> None:
    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    assert all(1.05 / (luminance(colour) + 0.05) >= 4.5 for colour in (*COLOURS, GREY))


def browse(*options: str) -> str:
    fixed = ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-background-networking")
    return subprocess.run([BROWSER, *fixed, *options], capture_output=True, text=True, timeout=120, check=True).stdout


@needs_browser
@pytest.mark.parametrize("width", [500, 1280])
def test_a_browser_lays_the_page_out_without_clipping(text: str, tmp_path: Path, width: int) -> None:
    path = tmp_path / "measured.html"
    path.write_text(re.sub(r"<meta http-equiv[^>]*>", "", text).replace("</body>", _MEASURE + "</body>"))
    layout = json.loads(browse(f"--window-size={width},900", "--dump-dom", path.as_uri()).split("MEASURED")[1])
    assert layout["page"] <= layout["width"] and layout["charts"] >= 6
    assert (layout["clipped"], layout["empty"], layout["unnamed"], layout["dead"]) == ([], 0, 0, 0)
    assert layout["cut"] == 0 and (layout["hidden"] == 0 or width < 1000)


@needs_browser
def test_a_browser_draws_the_curves(report: tuple[Report, Path], tmp_path: Path) -> None:
    browse("--window-size=1200,5000", f"--screenshot={tmp_path / 'page.png'}", report[1].as_uri())
    with Image.open(tmp_path / "page.png") as picture:
        colours = {colour for _, colour in picture.convert("RGB").getcolors(2**24)}
    assert {(0x00, 0x72, 0xB2), (0xC1, 0x46, 0x00), (255, 255, 255)} <= colours


@needs_browser
def test_a_browser_prints_the_page_on_paper(report: tuple[Report, Path], tmp_path: Path) -> None:
    browse("--no-pdf-header-footer", f"--print-to-pdf={tmp_path / 'page.pdf'}", report[1].as_uri())
    pages = len(re.findall(rb"/Type\s*/Page\b", (tmp_path / "page.pdf").read_bytes()))
    assert 2 <= pages <= 12
