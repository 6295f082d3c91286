"""Extraction on Dask workers of other machines: the same shards, no work lost, and one sentence for what is wrong."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from flows.collect_soundtracks import collect_soundtracks
from storage.coordination.list_and_free_leases import list_leases
from storage.errors import InputError, LakeError
from storage.lake.lake import LAKE_VERSION, Lake
from storage.tables import tables
from storage.tables.schemas import FLOW_RUNS, OUTCOMES
from storage.verify import verify
from tasks.soundtracks.extraction import dask
from tests.integration.dask.conftest import FILMS_IN_THE_LAKE, Cluster

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

OpenLake = Callable[[str], Lake]


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Send one film at a time, so that both workers get some of the few films of these tests."""
    monkeypatch.setattr(dask, "FILMS_PER_TASK_RUN", 1)


def collect(lake: Lake, music: Path, cluster: Cluster) -> dict[str, object]:
    listed = str(music.with_suffix(".csv"))
    return collect_soundtracks(lake=lake.root, music=[listed], runner="dask", dask_address=cluster.address, workers=2)  # type: ignore[return-value]


def test_two_workers_make_the_shards_that_one_machine_makes(
    cluster: Cluster, open_lake: OpenLake, music: Path, tmp_path: Path
) -> None:
    remote, local = open_lake("equal"), open_lake(str(tmp_path / "local"))
    for _ in range(2):
        cluster.add_worker()
    assert collect(remote, music, cluster)["films"] == FILMS_IN_THE_LAKE
    collect_soundtracks(lake=local.root, music=[str(music.with_suffix(".csv"))], workers=1)
    assert remote.list("mels") == local.list("mels")
    for shard in local.list("mels"):
        assert pq.read_table(remote.local_path(shard)).equals(pq.read_table(local.local_path(shard)))
    assert list(verify(remote, deep=True)) == []
    assert not list_leases(remote)


def test_a_killed_worker_costs_nothing(cluster: Cluster, open_lake: OpenLake, music: Path) -> None:
    lake = open_lake("killed")
    first, _ = cluster.add_worker(), cluster.add_worker()
    threading.Thread(target=_once_a_shard_exists, args=(lake, first.kill), daemon=True).start()
    assert collect(lake, music, cluster)["films"] == FILMS_IN_THE_LAKE
    assert first.wait() != 0
    assert len(lake.list("mels")) == FILMS_IN_THE_LAKE
    assert {row["status"] for row in tables.latest(lake, OUTCOMES).to_pylist()} == {"ok"}


def _once_a_shard_exists(lake: Lake, action: Callable[[], object]) -> None:
    while not lake.list("mels"):
        time.sleep(0.1)
    action()


def test_a_machine_without_the_music_mount_fails_the_run_with_one_sentence(
    cluster: Cluster, open_lake: OpenLake, music: Path
) -> None:
    hidden = ["unshare", "--mount", "sh", "-c", f'mount -t tmpfs none {music} && exec "$@"', "sh"]
    if subprocess.run([*hidden, "true"], check=False, capture_output=True).returncode:
        pytest.skip("hiding a folder from a process needs root and mount namespaces")
    lake = open_lake("no-mount")
    cluster.add_worker(before=hidden)
    with pytest.raises(InputError, match=r"sees no music, such as .*mount it there under the same path"):
        collect(lake, music, cluster)
    assert [run["state"] for run in tables.latest(lake, FLOW_RUNS).to_pylist()] == ["failed"]
    assert tables.latest(lake, OUTCOMES).num_rows == 0
    cluster.add_worker()
    cluster.workers[0].kill()
    assert collect(lake, music, cluster)["films"] == FILMS_IN_THE_LAKE


def test_a_worker_with_other_code_is_refused_before_any_work(
    cluster: Cluster, open_lake: OpenLake, music: Path, repository: Path, tmp_path: Path
) -> None:
    for package in ("storage", "tasks"):
        shutil.copytree(repository / package, tmp_path / "other" / package)
    with (tmp_path / "other" / "tasks" / "__init__.py").open("a") as changed:
        changed.write("# one line more\n")
    lake = open_lake("other-code")
    cluster.add_worker(PYTHONPATH=f"{tmp_path / 'other'}:{repository}")
    with pytest.raises(InputError, match=r"The Dask worker .* has code .* instead of .*; install the same release"):
        collect(lake, music, cluster)
    assert lake.list("mels") == []


def test_a_scheduler_without_workers_is_an_input_error(
    cluster: Cluster, open_lake: OpenLake, music: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask, "WAIT_SECONDS", 1)
    with pytest.raises(InputError, match="No Dask worker has joined"):
        collect(open_lake("nobody"), music, cluster)


def test_an_older_worker_stops_with_a_sentence_when_the_lake_becomes_newer(
    cluster: Cluster, open_lake: OpenLake, music: Path
) -> None:
    lake = open_lake("upgraded")
    cluster.add_worker()
    newer = {"lake_version": LAKE_VERSION + 1}
    upgrade = threading.Thread(
        target=_once_a_shard_exists, args=(lake, lambda: lake.write_json(newer, "lake.json")), daemon=True
    )
    upgrade.start()
    with pytest.raises(LakeError, match="upgrade Needledrop"):
        collect(lake, music, cluster)
    upgrade.join()
    assert 0 < len(lake.list("mels")) < FILMS_IN_THE_LAKE
