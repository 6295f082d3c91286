"""The files that hold what was measured: one per run, and one per version for its intervals and comparisons.

`runs/RUN.000003.parquet` has one row per run with its epochs and ranks as lists; the baselines of a version share a
file. `confidence/VERSION.000002.parquet` has one row with lists of intervals and comparisons. A file is never edited:
what is measured next is committed as a whole new file under the next number, the highest number counts, and the lower
ones are removed. So a run is always one file, however many epochs it has.

A number can be created once. Of two processes that add to the same run at once, the second reads what the first
committed and adds to that, so neither loses anything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from storage.errors import LakeError
from storage.lake.lake import Lake
from storage.metrics.run_rows import CONFIDENCE_SCHEMA, RUNS_SCHEMA

RUNS, CONFIDENCE = "runs", "confidence"
"""The two folders."""

_SCHEMAS = {RUNS: RUNS_SCHEMA, CONFIDENCE: CONFIDENCE_SCHEMA}


def baselines_name(dataset_version: str) -> str:
    """Return the name of the file in which all baselines of a version are."""
    return f"{dataset_version}-baselines"


def newest_files(lake: Lake, folder: str) -> dict[str, str]:
    """Return FOLDER/NAME -> path of the newest file of that name."""
    return {path.rsplit(".", 2)[0]: path for path in lake.list(folder, suffix=".parquet")}


def newest_number(lake: Lake, folder: str, name: str) -> int:
    """Return the highest number of a name; 0 when it has no file."""
    return max(_numbers(lake, folder, name), default=0)


def update(lake: Lake, folder: str, name: str, change: Callable[[pa.Table], pa.Table]) -> None:
    """Commit what `change` makes of the newest file's rows; of no rows when there is none.

    `change` is called again with what another process has committed in the meantime.
    """
    while True:
        numbers = _numbers(lake, folder, name)
        newest = max(numbers, default=0)
        before = _rows(lake, folder, name, newest)
        if before is None:
            continue  # replaced since it was listed
        after = change(before)
        if after.equals(before):
            return
        if create(lake, folder, name, newest + 1, after):
            break
    remove_older(lake, folder, name, newest + 1)


def create(lake: Lake, folder: str, name: str, number: int, rows: pa.Table) -> bool:
    """Commit a file under this number and return True; return False when another process has that number or a later.

    The second look is for a number that was free only because it was replaced and removed already.
    """
    buffer = pa.BufferOutputStream()
    pq.write_table(rows, buffer, compression="zstd", write_page_checksum=True)
    created = lake.create_bytes(buffer.getvalue().to_pybytes(), _path(folder, name, number))
    return created and newest_number(lake, folder, name) == number


def remove_older(lake: Lake, folder: str, name: str, number: int) -> None:
    """Remove the files of a name that a later number has replaced."""
    for older in _numbers(lake, folder, name):
        if older < number:
            lake.remove(_path(folder, name, older))


def read_rows(content: bytes, path: str) -> pa.Table:
    """Return the rows of a file's content. Raises `LakeError` when it is damaged."""
    schema = _SCHEMAS[path.split("/", maxsplit=1)[0]]
    try:
        file = pa.BufferReader(content)
        return pq.read_table(file, page_checksum_verification=True, use_threads=False).select(schema.names)
    except (pa.ArrowException, OSError, KeyError) as error:
        raise LakeError(f"{path} cannot be read ({error}); `needledrop verify` says what to do") from error


def _numbers(lake: Lake, folder: str, name: str) -> Sequence[int]:
    paths = (path.rsplit(".", 2) for path in lake.list(folder, suffix=".parquet"))
    return [int(number) for stem, number, _ in paths if stem == f"{folder}/{name}"]


def _path(folder: str, name: str, number: int) -> str:
    return f"{folder}/{name}.{number:06d}.parquet"


def _rows(lake: Lake, folder: str, name: str, number: int) -> pa.Table | None:
    """Return the rows under a number, none for number 0; None when the file is gone."""
    if not number:
        return _SCHEMAS[folder].empty_table()
    path = _path(folder, name, number)
    content = lake.read_many([path]).get(path)
    return None if content is None else read_rows(content, path)
