# SPDX-License-Identifier: Apache-2.0
"""php-redis as Debian ships it, unmodified: phpredis.php."""

import pathlib
import shutil
import subprocess

import pytest

SCRIPT = pathlib.Path(__file__).with_name("phpredis.php")


@pytest.fixture(scope="module")
def php():
    path = shutil.which("php")
    modules = subprocess.run([path, "-m"], capture_output=True, text=True).stdout if path else ""
    if "redis" not in modules.split():
        pytest.skip("no php with its redis extension")
    return path


def test_php_redis(php, start_server, socket_path):
    server = start_server(unixsocket=socket_path)
    done = subprocess.run(
        [php, str(SCRIPT), str(server.port), socket_path],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout
    assert done.stdout == "all is well\n"
