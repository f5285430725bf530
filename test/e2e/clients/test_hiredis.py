# SPDX-License-Identifier: Apache-2.0
"""hiredis as Debian ships it: hiredis.c, compiled against it.

Debian 12's speaks RESP2 only. What hiredis.c does in RESP3, with pushes, is compiled in where
hiredis is 1.0 or later; redis-cli, which has such a one in itself, is tested in RESP3 in any case.
"""

import pathlib
import shutil
import subprocess

import pytest

SOURCE = pathlib.Path(__file__).parent / "hiredis.c"
WARNINGS = ["-Wall", "-Wextra", "-Werror"]


def flags(*wanted):
    return subprocess.run(["pkg-config", *wanted, "hiredis"], capture_output=True, text=True)


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    if not shutil.which("cc") or flags("--exists").returncode != 0:
        pytest.skip("no C compiler or no hiredis")
    path = tmp_path_factory.mktemp("hiredis") / "hiredis"
    given = flags("--cflags", "--libs").stdout.split()
    done = subprocess.run(
        ["cc", "-std=gnu17", *WARNINGS, "-o", str(path), str(SOURCE), *given],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    return path


def test_hiredis(program, start_server, socket_path):
    server = start_server(unixsocket=socket_path)
    done = subprocess.run(
        [str(program), str(server.port), socket_path],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout
    assert done.stdout.startswith("all is well with hiredis "), done.stdout
