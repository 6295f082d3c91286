"""Fixtures of several packages (a Prefect server, a refreshed lake, a measured version), and the order of the tests."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.scheduler.protocol import Scheduling

    from needledrop.demo.corpus_and_library import Corpus
    from storage.lake.lake import Lake
    from tasks.run_report import RunReport
    from tasks.soundtracks.extraction.embed_audio import Encoders
    from tasks.soundtracks.extraction.film_jobs import FilmJob, FilmResult
    from tasks.soundtracks.runs.soundtrack_option_checks import SoundtrackSettings
    from training.evaluation.baselines import HeldOut
    from training.evaluation.embeddings import Embeddings

pytest_plugins = ["tests.installed", "tests.lakes", "tests.recordings"]

os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"
if not os.environ.get("NEEDLEDROP_TEST_GPU"):
    os.environ["CUDA_VISIBLE_DEVICES"] = ""  # tests expect the bits of a CPU; `make gpu` is the test of a GPU
if "PYTEST_XDIST_WORKER" in os.environ:
    # Every core has a process already: more threads in each would wait for one another. Subprocesses inherit this.
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
# A deadline per example fails a test on a machine that is busy with others, or while the first example loads a module.
hypothesis.settings.register_profile("any-machine", deadline=None)
hypothesis.settings.load_profile("any-machine")
MEMORY_DISK = Path("/dev/shm")
MEMORY_DISK_BYTES = 8 << 30
"""What must be free of it. Tests have a gibibyte or two of files at a time: those of one that passed are removed."""


def _keep_files_in_memory() -> None:
    """Create the tests' files in memory where there is enough of it.

    A lake syncs every file that it commits, sixty of them when it is created: on a disk, tests mostly wait for that.
    """
    meminfo = Path("/proc/meminfo")
    if not (MEMORY_DISK.is_dir() and meminfo.exists()):
        return
    [kibibytes] = re.findall(r"MemAvailable: +(\d+) kB", meminfo.read_text())
    if min(shutil.disk_usage(MEMORY_DISK).free, int(kibibytes) << 10) >= MEMORY_DISK_BYTES:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY_DISK))


_keep_files_in_memory()


@pytest.fixture(scope="session")
def new_prefect_home(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """Return a function that makes a PREFECT_HOME with an empty database.

    All are copies of one, also in other processes and later runs: Prefect's migrations take ten seconds of a core.
    """
    cache = getattr(pytestconfig, "cache", None)
    shared = cache.mkdir(f"prefect-{version('prefect')}") if cache else tmp_path_factory.getbasetemp()
    made = shared / "home"
    with (shared / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            home = Path(tempfile.mkdtemp(dir=shared))
            command = [sys.executable, "-m", "prefect", "server", "database", "upgrade", "--yes"]
            subprocess.run(command, env={**os.environ, "PREFECT_HOME": str(home)}, check=True, capture_output=True)
            home.rename(made)

    def make(folder: Path) -> Path:
        return shutil.copytree(made, folder, dirs_exist_ok=True)

    return make


@pytest.fixture(scope="session")
def prefect_server(new_prefect_home: Callable[[Path], Path]) -> Iterator[None]:
    """Start a Prefect server with a temporary database; the user's stays untouched."""
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
    from prefect.testing import utilities

    # Not below pytest's own folder, which is removed before the harness, at the exit of Python, removes this one.
    home = new_prefect_home(
        Path(tempfile.mkdtemp(prefix="needledrop-prefect-", dir=os.environ.get("PYTEST_DEBUG_TEMPROOT")))
    )
    (home / "prefect.db").rename(home / "prefect-test.db")
    with (
        pytest.MonkeyPatch.context() as patch,
        temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}),
    ):
        patch.setattr(utilities, "mkdtemp", lambda: str(home))  # where the harness looks for its database
        with utilities.prefect_test_harness(server_startup_timeout=180):
            yield


@dataclass(frozen=True)
class Refreshed:
    """A finished refresh: the parameters that it was called with, and the summary that it returned."""

    parameters: dict[str, Any]
    summary: dict[str, Any]


@pytest.fixture(scope="session")
def demo_corpus(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Corpus]:
    """Return a function that gives the demo's corpus with so many films of each year; do not change it.

    Each is written once for all processes: its music takes ten seconds of a core per film of a year.
    """
    from needledrop.demo.corpus_and_library import write_corpus

    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent

    def corpus(films_per_year: int) -> Corpus:
        with (shared / "corpus.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            return write_corpus(shared / f"corpus-{films_per_year}", films_per_year=films_per_year)

    return corpus


@pytest.fixture(scope="session")
def refreshed(
    prefect_server: None, demo_corpus: Callable[[int], Corpus], tmp_path_factory: pytest.TempPathFactory
) -> Refreshed:
    """Run the whole pipeline over a third of the demo's films."""
    from flows.refresh import refresh

    corpus = demo_corpus(4)
    parameters = {
        "lake": str(tmp_path_factory.mktemp("refreshed") / "lake"),
        "export": str(corpus.export),
        "images": str(corpus.images),
        "music": [str(corpus.music)],
        "i_have_the_right_to_collect": True,
        "epochs": 2,
    }
    return Refreshed(parameters, refresh(**parameters))


@pytest.fixture(scope="session")
def refreshed_lake(refreshed: Refreshed) -> str:
    """Return the root of the lake that the refresh filled."""
    return str(refreshed.parameters["lake"])


@pytest.fixture
def refreshed_copy(refreshed_lake: str, tmp_path: Path) -> Lake:
    """Return a copy of the refreshed lake, which the test may change."""
    from storage.lake.lake import Lake

    return Lake(str(shutil.copytree(refreshed_lake, tmp_path / "lake")))


@pytest.fixture(scope="session")
def repository() -> Path:
    """Return the folder of the checkout."""
    return Path(__file__).parents[1]


@pytest.fixture(scope="session")
def test_data() -> Callable[[str], Path]:
    """Return a function that finds a folder of real data, or skips the test."""

    def find(name: str) -> Path:
        root = os.environ.get("NEEDLEDROP_TEST_DATA")
        if not root:
            pytest.skip("NEEDLEDROP_TEST_DATA does not name a folder with real data; see CONTRIBUTING.md")
        folder = Path(root) / name
        if not folder.is_dir():
            pytest.skip(f"NEEDLEDROP_TEST_DATA names a folder without {name}/; see CONTRIBUTING.md")
        return folder

    return find


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mount a file system of one mebibyte; the fixture is a function of its mount options."""
    mounted: list[Path] = []

    def mount(options: str) -> Path:
        folder = tmp_path / "disk"
        folder.mkdir(exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode:
            pytest.skip("mounting a small file system needs root")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", str(folder)], check=True)


MEASURED_VERSION = "v1"
MEASURED_LANGUAGES = ("Tamil", "Hindi", "English")


@pytest.fixture(scope="session")
def held_out() -> HeldOut:
    """24 test films in three languages with four tracks each."""
    from training.evaluation.baselines import HeldOut

    owners = tuple((f"t{film}-{track}", f"f{film}") for film in range(24) for track in range(4))
    language = {f"f{film}": MEASURED_LANGUAGES[film % 3] for film in range(24)}
    return HeldOut(MEASURED_VERSION, "segments8", tuple(sorted(owners)), language, language, frozenset())


@pytest.fixture(scope="session")
def measured(tmp_path_factory: pytest.TempPathFactory, held_out: HeldOut) -> Lake:
    """A measured version without any training: "All" finds each film's own corner of the space, "Im" is noise."""
    import numpy as np

    from storage.tables.tables import open_tables
    from training.evaluation.embeddings import Embeddings
    from training.evaluation.intervals_and_comparisons import record_confidence
    from training.evaluation.record_baselines import record_baselines

    lake = open_tables(str(tmp_path_factory.mktemp("measured")))
    _write_measured_version(lake, held_out)
    random = np.random.default_rng(0)
    corner = {film: random.normal(size=16) for film in held_out.films}
    owner = dict(held_out.owners)
    tracks = np.array([corner[owner[track]] + 1.5 * random.normal(size=16) for track in held_out.tracks])
    for system in ("All", "Im"):
        queries = [corner[film] if system == "All" else random.normal(size=16) for film in held_out.films]
        films = Embeddings(held_out.films, np.array(queries))
        noisier = Embeddings(held_out.tracks, tracks + 2 * random.normal(size=tracks.shape))
        _record_measured_run(lake, held_out, system, films, Embeddings(held_out.tracks, tracks), noisier)
    record_baselines(lake, MEASURED_VERSION)
    record_confidence(lake, MEASURED_VERSION, draws=300)
    return lake


def _write_measured_version(lake: Lake, held_out: HeldOut) -> None:
    """The data-set version's films and tracks, with text that must be escaped and a link that must not be followed."""
    import pyarrow as pa

    from storage.datasets import versions as datasets

    films = [
        {"film_id": f, "title": f'Film {f} <b>"&', "year": 2023 + i % 2, "split": "test", "url": "javascript:alert(1)"}
        | {"tags": [f"2023 {held_out.language[f]}-language films"]}
        for i, f in enumerate(held_out.films)
    ]
    films += [
        {"film_id": f"train-{name}", "title": name, "year": 2020, "split": "train", "tags": [f"{name}-language films"]}
        for name in MEASURED_LANGUAGES
    ]
    tracks = [{"track_id": t, "film_id": f, "title": f"Theme {t}", "split": "test"} for t, f in held_out.owners]
    for file in datasets.FILES:
        rows = {datasets.FILMS_FILE.name: films, datasets.TRACKS_FILE.name: tracks}.get(file.name, [])
        lake.write_table(pa.Table.from_pylist(rows, file.schema), f"datasets/{MEASURED_VERSION}/{file.name}")
    lake.write_json({}, f"datasets/{MEASURED_VERSION}/manifest.json")


def _record_measured_run(
    lake: Lake, held_out: HeldOut, system: str, films: Embeddings, tracks: Embeddings, from_one_segment: Embeddings
) -> None:
    """A completed run of a system with its embeddings, epochs and ranks."""
    from storage.metrics.record_measurements import Epoch, Run, record_epoch, record_ranks, record_run
    from training.evaluation.embeddings import save_embeddings
    from training.evaluation.ranking import rank_tracks

    folder = f"models/{system}-run"
    run = Run(f"{system}-run", system, "small", 0, MEASURED_VERSION, state="completed", model_folder=folder)
    save_embeddings(lake, films, f"{folder}/test-films.parquet")
    save_embeddings(lake, films, f"{folder}/test-films-years.parquet")
    save_embeddings(lake, tracks, f"{folder}/test-tracks.parquet")
    save_embeddings(lake, from_one_segment, f"{folder}/test-tracks-segments1.parquet")
    record_run(lake, run)
    for epoch in range(4):
        record_epoch(lake, Epoch(run.run_id, epoch, train_loss=3 - 0.5 * epoch, valid_loss=3.2 - 0.4 * epoch))
    for policy, embedded in (("segments8", tracks), ("segments1", from_one_segment)):
        record_ranks(lake, run.run_id, rank_tracks(films, embedded, held_out.owners).to_arrow(policy))


SHARED_SETUPS = {
    "refreshed": (
        "tests/flows/test_refresh.py",
        "tests/needledrop/cli/test_datasets.py",
        "tests/needledrop/cli/retrieval/test_library.py",
        "tests/needledrop/cli/retrieval/test_cues.py",
        "tests/needledrop/cli/retrieval/test_early_refusals.py",
        "tests/test_docs.py",
        "tests/integration/test_restore.py",
    ),
    "indexed": ("tests/needledrop/studio/",),
    "installed_command": ("tests/test_packaging.py", "tests/integration/service/test_serve.py"),
    "running_wiki": ("tests/integration/mediawiki/",),
    "bucket": ("tests/integration/s3/", "tests/integration/dask/"),
}
"""Fixtures that take long to set up, with the files of their tests, all of which run in the same process."""

SLOWEST_FIRST = (
    *SHARED_SETUPS["refreshed"],
    *SHARED_SETUPS["installed_command"],
    "tests/integration/test_old_lake.py",
    *SHARED_SETUPS["running_wiki"],
    "tests/integration/test_crash.py",
    "tests/integration/service/",
    "tests/flows/test_collect_soundtracks.py",
    "tests/training/loop/",
    "tests/training/test_train_and_evaluate.py",
    "tests/tasks/soundtracks/extraction/",
    "tests/integration/",
    "tests/training/",
)
"""Files and folders whose tests take long: one that started last would leave the other processes idle."""


def _group(nodeid: str) -> str:
    """Return the name of the group whose tests run in one process: an expensive fixture, or else the test's file."""
    return next(
        (name for name, files in SHARED_SETUPS.items() if nodeid.startswith(files)), nodeid.split("::", maxsplit=1)[0]
    )


def _start(nodeid: str) -> int:
    """Return the rank of a test by when its file should start."""
    return next((i for i, path in enumerate(SLOWEST_FIRST) if nodeid.startswith(path)), len(SLOWEST_FIRST))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the slowest files first where tests run in several processes."""
    for item in items:
        for name in set(SHARED_SETUPS).intersection(getattr(item, "fixturenames", ())):
            if _group(item.nodeid) != name:
                raise pytest.UsageError(
                    f"{item.nodeid} uses {name}: add its file to SHARED_SETUPS in tests/conftest.py"
                )
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: _start(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return one process more than there are cores (`-n auto`): tests of services, pauses and leases mostly wait."""
    return (os.cpu_count() or 1) + 1


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling | None:
    """Distribute whole groups over processes, in the order of collection (`--dist loadgroup`).

    xdist's own scheduler for `loadgroup` reads the groups from the ids of tests, which pytest 9.2 does not let it
    change: it would distribute each test by itself.
    """
    from xdist.scheduler.loadscope import LoadScopeScheduling

    class GroupScheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _group(nodeid)

    if config.getoption("dist") != "loadgroup":
        return None
    config.option.loadscopereorder = False  # xdist would start the groups with the most tests first
    return GroupScheduling(config, log)


@pytest.fixture
def run_collection() -> Callable[..., RunReport]:
    """A function that does one collection run as the flow does, without Prefect, with audio encoders if given.

    Films are extracted in this process: worker processes have tests of their own, and starting them takes seconds.
    """
    from storage.coordination.leases import LeaseKeeper
    from tasks.run_report import RunReport
    from tasks.soundtracks.extraction.extract_film import extract_film
    from tasks.soundtracks.extraction.film_jobs import FilmExtractor
    from tasks.soundtracks.runs.batch_pipeline import BatchPipeline, embedding_extractor
    from tasks.soundtracks.runs.collect_film import Collector
    from tasks.soundtracks.runs.crash_recovery import recover
    from tasks.soundtracks.runs.open_sources import RunContext, open_context
    from tasks.soundtracks.runs.plan import plan
    from tasks.soundtracks.runs.reopen_finished_films import Reopener

    @dataclass(frozen=True)
    class InProcessExtractor:
        context: RunContext

        def extract(self, jobs: Sequence[FilmJob], *, drain: bool) -> Iterator[FilmResult]:
            mels, run_id = self.context.settings.mels, self.context.run_id
            return (extract_film(self.context.lake, job, mels, run_id) for job in jobs)

    def run(lake: Lake, settings: SoundtrackSettings, encoders: Encoders | None = None) -> RunReport:
        settings.check()
        recover(lake, "test")
        with open_context(lake, settings, "test") as context, LeaseKeeper(lake) as leases:
            context.encoders = encoders
            planned, report = plan(context), RunReport(paused=context.paused)
            if not report.paused:
                extractor: FilmExtractor = InProcessExtractor(context)
                if encoders is not None:
                    extractor = embedding_extractor(context, extractor)
                pipeline = BatchPipeline(Collector(context, planned), extractor, leases)
                report.add(pipeline.collect(settings.chosen(planned.films, context.matcher.film_index), drain=True))
            if planned.reopened and not report.paused:
                report.add(Reopener(context).reopen(planned.reopened))
        return report

    return run
