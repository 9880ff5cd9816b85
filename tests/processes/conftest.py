"""Servers that are ended whatever happens."""

from __future__ import annotations

import sys

import pytest
from running import Running


def pytest_ignore_collect(collection_path):
    """Processes are looked at through /proc."""
    return True if sys.platform != "linux" and collection_path.name.startswith("test_") else None


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
