"""An app over a catalogue of some videos."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from asking import Asker, fill
from fastapi import FastAPI

from api_lambda.app import ApiConfig, create_app


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a state folder with a catalogue of some videos, to be copied."""
    fill(folder := tmp_path_factory.mktemp("filled") / "state")
    return folder


@pytest.fixture
def state(tmp_path: Path, filled: Path) -> Path:
    """Return a state folder with a catalogue of some videos."""
    return shutil.copytree(filled, tmp_path / "state")


@pytest.fixture
def make_app(state: Path) -> Iterator[Callable[..., FastAPI]]:
    """Return a function that makes an app over that catalogue."""
    made: list[FastAPI] = []

    def make(**more: Any) -> FastAPI:  # noqa: ANN401 (settings of the API)
        made.append(create_app(ApiConfig(state, durable=False, **more)))
        return made[-1]

    yield make
    for app in made:
        app.state.close()


@pytest.fixture
def owner(make_app: Callable[..., FastAPI]) -> Asker:
    """Return the owner, at his machine."""
    return Asker(make_app())
