# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the end-to-end tests, and the collection of transcripts. See README.md."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from support import server as servers  # noqa: E402
from support.transcript import TranscriptFile  # noqa: E402


def pytest_collect_file(file_path, parent):
    if file_path.suffix == ".transcript":
        return TranscriptFile.from_parent(parent, path=file_path)
    return None


def pytest_report_header():
    return f"server under test: {servers.binary()} ({servers.kind()})"


def pytest_sessionstart():
    binary = servers.binary()
    if not os.access(binary, os.X_OK):
        pytest.exit(f"no server at {binary}: build it, or set FERRIC_SERVER or PEER_SERVER", 4)


def pytest_runtest_setup(item):
    kind = servers.kind()
    for mark in item.iter_markers("ferric_only"):
        if kind != "ferric":
            pytest.skip("Ferric only: " + mark.args[0])
    for mark in item.iter_markers("not_on"):
        if kind == mark.args[0]:
            pytest.skip(f"not on {kind}: {mark.args[1]}")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows the end of its servers' logs."""
    outcome = yield
    report = outcome.get_result()
    if not report.failed:
        return
    item.has_failed = True
    values = getattr(item, "funcargs", {}).values()
    for server in {id(v): v for v in values if isinstance(v, servers.Server)}.values():
        report.sections.append((f"log of {server.directory}", server.log()[-4000:]))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_teardown(item):
    """The log of a server alone takes a hundred megabytes: only what has failed is kept."""
    folder = getattr(item, "funcargs", {}).get("tmp_path")
    yield
    if folder is not None and not hasattr(item, "has_failed"):
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory):
    with servers.Server(tmp_path_factory.mktemp("shared")) as server:
        yield server


@pytest.fixture
def server(shared_server):
    """The server shared by all tests that do not stop it: empty, with no other connection."""
    if shared_server.process is None or shared_server.process.poll() is not None:
        log = shared_server.log()[-4000:]
        shared_server.kill()
        shared_server.start()
        pytest.fail(f"an earlier test brought the server down:\n{log}")
    shared_server.reset()
    yield shared_server
    shared_server.close_clients()


@pytest.fixture
def own_server(tmp_path):
    """A server of this test alone, which may be stopped, killed and started again."""
    with servers.Server(tmp_path / "data") as server:
        yield server


@pytest.fixture
def start_server(tmp_path):
    """Starts servers with options: start_server(requirepass="x"). Each call is another one."""
    started = []

    def start(**options):
        server = servers.Server(tmp_path / f"data{len(started)}", **options)
        started.append(server)
        return server.start()

    yield start
    for server in started:
        server.kill()


@pytest.fixture
def socket_path():
    """Short enough for a socket's name, whatever the tests' own folder is called."""
    with tempfile.TemporaryDirectory() as folder:
        yield os.path.join(folder, "socket")


@pytest.fixture
def connect(server):
    """Opens connections to the shared server: connect(), connect(protocol=3)."""
    return server.connect


@pytest.fixture
def client(server):
    """A RESP2 connection to the shared server."""
    return server.connect()


@pytest.fixture
def client3(server):
    """A RESP3 connection to the shared server."""
    return server.connect(protocol=3)


@pytest.fixture(params=[2, 3], ids=["resp2", "resp3"])
def any_client(server, request):
    """The test runs once in each protocol."""
    return server.connect(protocol=request.param)


def own_address():
    """An address of this machine that is not its loopback, or None."""
    done = subprocess.run(["hostname", "-I"], capture_output=True, text=True)
    found = [word for word in done.stdout.split() if "." in word]
    return found[0] if found else None


@pytest.fixture
def address():
    found = own_address()
    if found is None:
        pytest.skip("this machine has its loopback address only")
    return found
