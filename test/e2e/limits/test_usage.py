# SPDX-License-Identifier: Apache-2.0
"""What the program tells of itself without serving, and that README.md tells the same."""

import re
import subprocess

import pytest

from support.server import ROOT, binary

pytestmark = pytest.mark.ferric_only("the texts are Ferric's own")


def tell(*words):
    done = subprocess.run([binary(), *words], capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    assert done.returncode == 0
    return done.stdout


def refusal(*words):
    done = subprocess.run([binary(), *words], capture_output=True, text=True, timeout=60)
    assert done.stdout == ""
    assert done.returncode == 1
    return done.stderr


def test_version(own_server):
    version = own_server.info()["ferric_version"]
    assert tell("--version") == tell("-v")
    assert re.fullmatch(rf"Ferric {re.escape(version)} \(\w+, \w+ [\d.]+\)\n", tell("-v"))


def test_help_begins_with_the_command_line():
    assert tell("--help") == tell("-h")
    assert tell("--help").startswith("usage: ferric-server [file | -] [--directive value ...]\n")


def test_help_names_every_directive(own_server):
    names = {name.decode() for name in own_server.connect()("CONFIG", "GET", "*")[::2]}
    said = re.findall(r"^(?:  )?[* ] --(\S+)", tell("--help"), re.MULTILINE)
    said += re.findall(r"ormerly(?: --|: )([a-z-]+)[.)]$", tell("--help"), re.MULTILINE)
    assert len(said) == len(set(said))
    assert names <= set(said)
    for hidden in set(said) - names:
        assert own_server.connect()("CONFIG", "GET", hidden)[0] == hidden.encode()


@pytest.mark.parametrize("words", ["--port 7000 --help", "missing.conf -h", "- --nosuch --help",
                                   "--check-config --help", "--help --version"])
def test_help_wherever_it_stands(words):
    assert tell(*words.split()) == tell("--help")


@pytest.mark.parametrize("words", ["--port 7000 --version", "missing.conf -v",
                                   "--nosuch --version"])
def test_version_wherever_it_stands(words):
    assert tell(*words.split()) == tell("--version")


@pytest.mark.parametrize("words", ["--requirepass -h", "--logfile -v"])
def test_a_letter_may_be_a_value(words):
    assert check(*words.split())[0] == 0


@pytest.mark.parametrize(
    "words, why",
    [
        ("--port 7000 my.conf", "'my.conf': a configuration file is the first argument"),
        ("--bind 127.0.0.1 my.conf", "'my.conf': a configuration file is the first argument"),
        ("--port 7000 mine", "'port': wrong number of arguments (a configuration file is"),
        ("--port 7000 --check-config mine", "'mine': a configuration file is the first argument"),
        ("-- mine", "command line: unknown directive ''"),
    ],
)
def test_a_file_comes_first(words, why):
    assert why in refusal(*words.split())


@pytest.mark.parametrize("word", ["-p", "-x"])
def test_a_dash_and_more_is_no_file(word):
    assert f"'{word}' is not a directive: write --name value" in refusal(word, "7000")


def test_an_unknown_directive_leads_to_help():
    assert "'ferric-server --help' lists those there are" in refusal("--nosuch", "1")


# ---- --check-config, and the standard input


def check(*words, said=""):
    """Status and all that was said of a configuration, `said` on the standard input."""
    done = subprocess.run([binary(), "--check-config", *words], input=said, capture_output=True,
                          text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


FINE = ("no mistake found. Nothing was opened: whether addresses are free, and files and data can "
        "be read and written, a start shows\n")


def test_a_good_configuration(tmp_path):
    file = tmp_path / "server.conf"
    file.write_text("port 7000\nbind 127.0.0.1 -::1 * ::*\nrename-command FLUSHALL \"\"\n")
    assert check(str(file), "--timeout", "5") == (0, FINE)
    assert check() == (0, FINE)
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("words", ["FILE --check-config", "FILE --port 7001 --check-config",
                                   "FILE --check-config --port 7001", "--check-config FILE"])
def test_check_config_wherever_it_stands(tmp_path, words):
    file = tmp_path / "server.conf"
    file.write_text("port 7000\n")
    words = words.replace("FILE", str(file)).split()
    assert tell(*words) == FINE
    file.write_text("port seven\n")
    assert f"{file}, line 1: 'port'" in refusal(*words)


def test_what_is_taken_differently_is_said():
    status, said = check("--appendfsync", "no")
    assert status == 0
    assert "appendfsync: writes are always durable" in said
    assert check("--maxmemory", "1gb", "--hz", "9")[1].splitlines()[:2] == [
        "maxmemory: no limit is enforced and nothing is evicted; the directive is only remembered",
        "only remembered, and without effect here: hz: see docs/remembered.md",
    ]


def test_what_counts_for_less_is_said():
    said = "max-entry-bytes counts as 524288, half of log-segment-size\n"
    assert check("--log-segment-size", "1mb") == (0, said + FINE)
    assert check("--log-segment-size", "1mb", "--max-entry-bytes", "512kb") == (0, FINE)


def test_a_folder_that_is_missing(tmp_path):
    status, said = check("--pidfile", tmp_path / "no/ferric.pid")
    assert status == 0
    assert said == (f"'pidfile': the folder of {tmp_path}/no/ferric.pid is not there: none will be "
                    f"written\n{FINE}")
    for name in ("logfile", "unixsocket"):
        status, said = check(f"--{name}", tmp_path / "no/such")
        assert status == 1
        assert said == f"ferric-server: '{name}': the folder of {tmp_path}/no/such is not there\n"
        assert check(f"--{name}", tmp_path / "such") == (0, FINE)
        assert check(f"--{name}", "such") == (0, FINE)


def test_a_data_directory_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("")
    assert check("--dir", f"{tmp_path}/no/data/") == (
        1, f"ferric-server: 'dir': {tmp_path}/no/data/ cannot be made: make the folder above it "
        "first\n")
    assert check("--dir", tmp_path / "file") == (
        1, f"ferric-server: 'dir': {tmp_path}/file is no folder\n")
    assert check("--dir", f"{tmp_path}/data/") == (0, FINE)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    "text, why",
    [
        ("port 70000", "standard input, line 1: 'port': argument must be between 0 and 65535"),
        ("\nnosuch 1", "standard input, line 2: unknown directive 'nosuch'"),
        ("bind example", "'bind': 'example' is no address"),
        ('bind ""', "'bind' names no address, and there is no 'unixsocket'"),
        ("unixsocketperm 999", "'unixsocketperm': argument must be octal digits, such as 770"),
        ("unixsocketperm 1000", "'unixsocketperm': argument must be between 0 and 777 inclusive"),
        ("rename-command get", "'rename-command': wrong number of arguments"),
        ("rename-command nosuch x", "rename-command: 'nosuch' to 'x': there is no such command"),
        ("rename-command get SET", "'get' to 'SET': there is a command of that name"),
    ],
    ids=lambda text: text.strip().split()[0] if " " not in text.strip()[:9] else "",
)
def test_a_bad_configuration(text, why):
    status, said = check("-", said=text)
    assert status == 1
    assert said.startswith("ferric-server: ") and why in said


def test_a_pipe_may_be_the_file():
    status, said = check("/dev/stdin", said="timeout 17\nport 70000\n")
    assert status == 1 and "/dev/stdin, line 2: 'port'" in said
    assert check("/dev/stdin", said="timeout 17\n") == (0, FINE)
    status, said = check("--include", "/dev/stdin", said="\nport 70000\n")
    assert status == 1 and "/dev/stdin, line 2: 'port'" in said
    assert check("/dev/null") == (0, FINE)


def test_the_configuration_may_come_on_the_standard_input(tmp_path):
    done = subprocess.run([binary(), "-", "--port", "0", "--shards", "2"], timeout=60,
                          input="timeout 17\nport 70000\n", capture_output=True, text=True,
                          cwd=tmp_path)
    assert done.returncode == 1
    assert "standard input, line 2" in done.stderr


# ---- What is made from the rows


def test_documents_have_the_directives():
    done = subprocess.run([ROOT / "tools/documents", "--check", "--server", binary()],
                          capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_manual_has_every_default():
    lines = (ROOT / "docs/ferric-server.1").read_text().splitlines()
    rows = dict(re.match(r'\.BI (\S+) " (.*)"$', line).groups() for line in lines
                if line.startswith(".BI ") and '" ' in line and "old new" not in line)
    plain = {name.replace("\\-", "-"): value.replace("\\-", "-") for name, value in rows.items()}
    for name, (_, default, _) in directives_of_help().items():
        assert plain[name] == default.replace("empty", r"\(dq\(dq"), name


def test_the_sample_configuration_can_be_served(tmp_path):
    lines = (ROOT / "docs/ferric.conf").read_text().splitlines()
    names = {name for name in directives_of_help()}
    given = [line[2:] for line in lines if line[2:].split(" ")[0] in names]
    assert {line.split(" ")[0] for line in given} == names
    file = tmp_path / "all.conf"
    file.write_text("\n".join(given) + "\n")
    assert check(str(file))[0] == 0
    assert check(str(ROOT / "docs/ferric.conf"))[0] == 0


def test_what_is_installed_can_be_taken_away_again(tmp_path):
    place = [f"DESTDIR={tmp_path}", "PREFIX=/usr", f"SERVER={binary()}"]

    def make(target):
        subprocess.run(["make", "-C", ROOT, target, *place], check=True, capture_output=True,
                       timeout=60)
        return {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}

    files = {
        "usr/bin/ferric-check",
        "usr/bin/ferric-server",
        "usr/share/man/man1/ferric-check.1",
        "usr/share/man/man1/ferric-server.1",
        "usr/lib/systemd/system/ferric-server.service",
        "etc/ferric/ferric.conf",
    }
    assert make("install") == files
    unit = (tmp_path / "usr/lib/systemd/system/ferric-server.service").read_text()
    assert "ExecStart=/usr/bin/ferric-server /etc/ferric/ferric.conf --supervised systemd" in unit
    assert "@" not in re.sub(r"@[a-z-]+\b", "", unit)
    said = subprocess.run([tmp_path / "usr/bin/ferric-server", "-v"], capture_output=True)
    assert said.stdout.startswith(b"Ferric ")
    mine = tmp_path / "etc/ferric/ferric.conf"
    mine.write_text("port 7000\n")
    assert make("install") == files
    assert mine.read_text() == "port 7000\n"
    assert make("uninstall") == {"etc/ferric/ferric.conf"}


# ---- README.md


def directives_of_help():
    """name -> (can be set, default, what it is)"""
    rows = {}
    for line in tell("--help").partition("\nOf Redis, and only remembered")[0].splitlines():
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
