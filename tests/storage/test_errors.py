"""Every error of the tree crosses a process boundary with its message and its attributes."""

from __future__ import annotations

import importlib
import inspect
import pickle
import pkgutil
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from storage.errors import NeedledropError, Retry

EXAMPLES: dict[str, Any] = {
    "str": "a sentence",
    "int": 429,
    "datetime": datetime(2026, 1, 2, tzinfo=UTC),
    "Retry": Retry.LATER,
}
"""A value for each type of parameter that an error has."""


def subclasses(error: type[NeedledropError]) -> Iterator[type[NeedledropError]]:
    yield error
    for subclass in error.__subclasses__():
        yield from subclasses(subclass)


def every_error() -> list[type[NeedledropError]]:
    for package in ("storage", "tasks"):
        path = importlib.import_module(package).__path__
        for module in pkgutil.walk_packages(path, f"{package}."):
            if not module.name.endswith(".worker"):  # the main module of a child process
                importlib.import_module(module.name)
    return list(subclasses(NeedledropError))


def example(error: type[NeedledropError]) -> NeedledropError:
    if "__init__" not in vars(error) and error.__init__ is Exception.__init__:
        return error("a sentence")
    parameters = list(inspect.signature(error.__init__).parameters.values())[1:]
    return error(*(EXAMPLES[str(parameter.annotation).split(" | ")[0]] for parameter in parameters))


@pytest.mark.parametrize("error", every_error(), ids=lambda error: error.__name__)
def test_an_error_can_be_pickled(error: type[NeedledropError]) -> None:
    before = example(error)
    after = pickle.loads(pickle.dumps(before))
    assert type(after) is error
    assert (str(after), vars(after)) == (str(before), vars(before))
