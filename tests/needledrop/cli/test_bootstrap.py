"""`needledrop bootstrap` without a server."""

from __future__ import annotations

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.settings import PREFECT_API_URL, temporary_settings
from pydantic import SecretStr

from needledrop.service.deployments import check_pool, filled_in, set_up_server, training_pool
from storage.errors import InputError


def test_an_unreachable_server_is_bad_input() -> None:
    with (
        temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}),
        pytest.raises(InputError, match=r"No Prefect server answers at http://127\.0\.0\.1:9/api"),
    ):
        set_up_server()


def test_a_server_has_to_be_named() -> None:
    with (
        temporary_settings(restore_defaults={PREFECT_API_URL}),
        pytest.raises(InputError, match="set PREFECT_API_URL"),
    ):
        set_up_server()


def test_an_address_that_apprise_does_not_know_is_refused_and_not_shown() -> None:
    with pytest.raises(InputError, match="Apprise does not know") as raised:
        set_up_server(notify=SecretStr("nonsense://a-token"))
    assert "a-token" not in str(raised.value)


def test_training_runs_in_the_pool_of_the_gpu_where_somebody_works_in_it(prefect_server: None) -> None:
    with get_client(sync_client=True) as client:
        chosen = [training_pool(client)]
        client.create_work_pool(WorkPoolCreate(name="gpu", type="process"))
        chosen += [training_pool(client), training_pool(client, serves_all=True)]
        client.send_worker_heartbeat("gpu", "a-worker", heartbeat_interval_seconds=30)
        chosen.append(training_pool(client))
        client.delete_work_pool("gpu")
    assert chosen == ["local", "local", "gpu", "gpu"]


def test_a_worker_of_a_pool_that_does_not_exist_is_told_which_there_are(prefect_server: None) -> None:
    with get_client(sync_client=True) as client:
        client.create_work_pool(WorkPoolCreate(name="local", type="process"))
        check_pool("local")
        for name, remedy in (("gpu", "; `needledrop bootstrap --gpu` creates it"), ("lokal", "$")):
            with pytest.raises(InputError, match=rf"no work pool {name}; there are: .*\blocal\b.*{remedy}"):
                check_pool(name)
        client.delete_work_pool("local")


@pytest.mark.parametrize("chosen", ["local", "gpu"])
def test_only_deployments_that_train_are_in_the_pool_of_training(chosen: str) -> None:
    deployments = filled_in(chosen, None, "/home")["deployments"]
    with_models = [d for d in deployments if d["entrypoint"].split(".")[1] in ("train_and_evaluate", "index_library")]
    of_training = {d["work_pool"]["name"] for d in with_models}
    others = {d["work_pool"]["name"] for d in deployments if d not in with_models}
    assert (of_training, others) == ({chosen}, {"local"})


def test_one_lake_replaces_that_of_every_deployment() -> None:
    deployments = filled_in("local", "s3://bucket/lake", "/home")["deployments"]
    assert {deployment["parameters"]["lake"] for deployment in deployments} == {"s3://bucket/lake"}


def test_a_deployment_has_another_version_when_its_definition_changes() -> None:
    versions = [
        [d["version"] for d in filled_in(pool, None, home)["deployments"] if d["name"] == "on-new-version"]
        for pool, home in (("local", "/home"), ("local", "/home"), ("gpu", "/home"), ("local", "/srv"))
    ]
    assert versions[0] == versions[1]
    assert len({version for [version] in versions}) == 3
