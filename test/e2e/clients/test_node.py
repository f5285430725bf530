# SPDX-License-Identifier: Apache-2.0
"""node-redis and ioredis from the npm registry, unmodified and pinned, in RESP2 and RESP3.

They are installed into build/node/ of the tree when they are missing. Where npm cannot be had the
tests are skipped, and say so in the summary.
"""

import fcntl
import json
import os
import pathlib
import shutil
import subprocess
import warnings

import pytest

from support.server import die_with_parent

HERE = pathlib.Path(__file__).parent
NODE = HERE.parents[2] / "build" / "node"
PACKAGES = {"redis": "6.3.1", "ioredis": "6.0.0"}
LEAST_NODE = 20


def skip(reason):
    warnings.warn(f"NODE CLIENTS ARE NOT TESTED: {reason}")
    pytest.skip(f"NODE CLIENTS ARE NOT TESTED: {reason}")


def version_of(name):
    path = NODE / "node_modules" / name / "package.json"
    return json.loads(path.read_text())["version"] if path.exists() else None


def install():
    wanted = [f"{name}@{version}" for name, version in PACKAGES.items()]
    flags = ["--no-save", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund"]
    return subprocess.run(
        ["npm", "install", "--prefix", str(NODE), *flags, *wanted],
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def packages():
    """The packages are there, in the versions that are wanted."""
    if not shutil.which("node") or not shutil.which("npm"):
        skip("node or npm is missing")
    version = subprocess.run(["node", "--version"], capture_output=True, text=True).stdout
    if int(version.lstrip("v").split(".")[0]) < LEAST_NODE:
        skip(f"node {version.strip()} is older than {LEAST_NODE}")
    NODE.mkdir(parents=True, exist_ok=True)
    with open(NODE / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if any(version_of(name) != version for name, version in PACKAGES.items()):
            done = install()
            if done.returncode != 0:
                skip("npm install failed: " + done.stderr[-500:])


@pytest.mark.not_on("redis", "SETINFO came with 7.2")
@pytest.mark.parametrize("protocol", [2, 3], ids=["resp2", "resp3"])
@pytest.mark.parametrize("script", ["node_redis.js", "ioredis.js"])
def test_client(packages, server, script, protocol):
    done = subprocess.run(
        ["node", str(HERE / script), str(server.port), str(protocol)],
        env=os.environ | {"NODE_PATH": str(NODE / "node_modules")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout
    assert done.stdout.endswith("all is well\n"), done.stdout


@pytest.mark.parametrize("protocol", [2, 3], ids=["resp2", "resp3"])
@pytest.mark.parametrize("client", ["redis", "ioredis"])
def test_reconnection(packages, start_server, socket_path, client, protocol):
    """After a crash; at a unix socket, since somebody else may take a port meanwhile."""
    server = start_server(unixsocket=socket_path)
    script = subprocess.Popen(
        ["node", str(HERE / "reconnect.js"), client, socket_path, str(protocol)],
        env=os.environ | {"NODE_PATH": str(NODE / "node_modules")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=die_with_parent,
    )
    try:
        line = script.stdout.readline()
        assert line == "restart it\n", line + script.communicate(timeout=60)[0]
        server.crash_and_restart()
        said, _ = script.communicate("it is back\n", timeout=120)
        assert (script.returncode, said) == (0, "all is well\n")
    finally:
        script.kill()
        script.wait()
