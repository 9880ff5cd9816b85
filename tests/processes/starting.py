"""The fixture `start`, for the folders whose tests run servers: ended whatever happens."""

from __future__ import annotations

import pytest
from running import Running


@pytest.fixture
def start(tmp_path):
    """`start(...)` is a server that accepts requests; with `ready=False` it may not yet."""
    servers = []

    def call(*arguments, ready=True, folder=tmp_path, **options):
        server = Running(folder, *arguments, **options)
        servers.append(server)
        return server.announced() if ready else server

    yield call
    for server in servers:
        server.end()
