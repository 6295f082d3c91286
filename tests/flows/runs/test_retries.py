"""Work is repeated when the infrastructure failed, and only then."""

from __future__ import annotations

import time
from datetime import timedelta

import httpx
import pytest

from flows.refresh import refresh
from flows.runs.retries import retried
from storage.errors import InputError, LakeError, StoreUnreachable

AT_ONCE = timedelta(0)


def _answered(status: int) -> httpx.HTTPStatusError:
    request = httpx.Request("POST", "http://127.0.0.1:4200/api/artifacts/")
    return httpx.HTTPStatusError(f"{status}", request=request, response=httpx.Response(status))


@pytest.mark.parametrize(
    "error",
    [
        httpx.ConnectError("away"),
        StoreUnreachable("away"),
        ConnectionResetError("away"),
        _answered(503),
        _answered(429),
    ],
)
def test_work_is_repeated_after_an_error_of_the_infrastructure(error: Exception) -> None:
    errors = [error, error]

    def work() -> str:
        if errors:
            raise errors.pop()
        return "done"

    assert retried(work, AT_ONCE) == "done"


@pytest.mark.parametrize(
    "error", [InputError("wrong"), LakeError("full"), ValueError("a defect"), _answered(401), _answered(422)]
)
def test_other_errors_are_not_repeated(error: Exception) -> None:
    calls = []

    def work() -> None:
        calls.append(1)
        raise error

    with pytest.raises(type(error)):
        retried(work, AT_ONCE)
    assert len(calls) == 1


def test_whoever_types_the_address_of_a_store_that_does_not_answer_is_told_at_once(
    prefect_server: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = pytest.importorskip("s3fs").S3FileSystem
    for name, value in (("ENDPOINT_URL", "http://127.0.0.1:9"), ("ACCESS_KEY_ID", "a"), ("SECRET_ACCESS_KEY", "b")):
        monkeypatch.setenv(f"AWS_{name}", value)
    client.clear_instance_cache()
    began = time.monotonic()
    with pytest.raises(StoreUnreachable, match="check its address"):
        refresh(lake="s3://nobody/lake", train="never")
    client.clear_instance_cache()
    assert time.monotonic() - began < 240


def test_the_last_error_of_the_infrastructure_is_raised() -> None:
    def work() -> None:
        raise StoreUnreachable("still away")

    with pytest.raises(StoreUnreachable, match="still away"):
        retried(work, AT_ONCE, retries=2)
