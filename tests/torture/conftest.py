"""What the torture tests share: contents to begin with, and each verb's recording, made once a process."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from torture_bases import make_bases
from torture_scenes import VERBS, Bases, Scene, record


@pytest.fixture(scope="session")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Bases:
    """Volumes and a WIM to begin with."""
    return make_bases(tmp_path_factory.mktemp("bases"))


@pytest.fixture(scope="session")
def recorded(bases: Bases, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Scene]:
    """The recording of a verb, by name and batch size; made once, only read from."""
    made: dict[tuple[str, int], Scene] = {}

    def recording(name: str, batch_pages: int = 8192) -> Scene:
        if (name, batch_pages) not in made:
            made[name, batch_pages] = record(name, bases, tmp_path_factory.mktemp(name), batch_pages=batch_pages)
        return made[name, batch_pages]

    return recording


@pytest.fixture(params=VERBS)
def scene(request: pytest.FixtureRequest, recorded: Callable[..., Scene]) -> Scene:
    """Each verb in turn, its commit cut into batches of 16 KiB, so that there are many."""
    return recorded(request.param, 4)
