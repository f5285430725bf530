# SPDX-License-Identifier: Apache-2.0
"""What the program tells of itself without serving, and that README.md tells the same."""

import re
import subprocess

import pytest

from support.server import ROOT, binary

pytestmark = pytest.mark.ferric_only("the texts are Ferric's own")


def tell(*words):
    done = subprocess.run([binary(), *words], capture_output=True, text=True, timeout=30)
    assert done.stderr == ""
    assert done.returncode == 0
    return done.stdout


def refusal(*words):
    done = subprocess.run([binary(), *words], capture_output=True, text=True, timeout=30)
    assert done.stdout == ""
    assert done.returncode == 1
    return done.stderr


def test_version(own_server):
    version = own_server.info()["ferric_version"]
    assert tell("--version") == tell("-v") == f"Ferric {version}\n"


def test_help_begins_with_the_command_line():
    assert tell("--help") == tell("-h")
    assert tell("--help").startswith("usage: ferric-server [file] [--directive value ...]\n")


def test_help_names_every_directive(own_server):
    names = own_server.connect()("CONFIG", "GET", "*")[::2]
    assert re.findall(r"^[* ] --(\S+)", tell("--help"), re.MULTILINE) == [n.decode() for n in names]


@pytest.mark.parametrize("word", ["-p", "-", "-x"])
def test_a_dash_is_no_file(word):
    assert f"'{word}' is not a directive: write --name value" in refusal(word, "7000")


def test_an_unknown_directive_leads_to_help():
    assert "'ferric-server --help' lists those there are" in refusal("--nosuch", "1")


# ---- README.md


def directives_of_help():
    """name -> (can be set, default, what it is)"""
    rows = {}
    for line in tell("--help").splitlines():
        if head := re.match(r"([* ]) --(\S+) (.*)", line):
            name = head[2]
            rows[name] = (head[1] == "*", head[3].replace('""', "empty"), "")
        elif rows:
            is_live, default, doc = rows[name]
            line = re.sub(r"(One of: .*)", r"\1.", line)
            rows[name] = (is_live, default, f"{doc} {line.strip()}".strip())
    return rows


def directives_of_readme():
    rows = {}
    for line in (ROOT / "README.md").read_text().splitlines():
        if row := re.fullmatch(r"\| (\*?)`([a-z-]+)`\*? \| (`[^`]*`|empty) \| (.*) \|", line):
            rows[row[2]] = (row[1] == "*", row[3].strip("`"), row[4])
    return rows


def test_readme_has_the_directives_of_help():
    assert directives_of_readme() == directives_of_help()
