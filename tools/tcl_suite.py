# SPDX-License-Identifier: Apache-2.0
"""Redis's TCL suite, driven from outside: this end of the protocol that its test clients speak.

The suite is a test server that hands units to test clients, processes which run them against a
Redis and send an event for each case. Here only its client is used; the test server's part is
taken by run_unit(), which so sees every case begin and end, and can tell a case that hangs, a unit
that breaks off and a server that dies from one another. Nothing of the suite is changed: what has
to be different is sent to the client as code, which its protocol has a message for.

An event is a line with a length and then a Tcl list of so many bytes: status, data, elapsed. On its
way each end of line becomes CR LF, which the length does not count.
"""

import collections
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

CONNECT_SECONDS = 30
TICK_SECONDS = 0.5
DYING_SECONDS = 3
LOST = re.compile('I/O error|connection refused|connection reset|broken pipe', re.IGNORECASE)

# What every block of a unit does first also clears functions, and would end the block where there
# are none. And where a case that is left out leaves something to those behind it, other code does.
PRELUDE = '''
proc run_external_server_test {code overrides} \\
    [string map {{r function flush} {catch {r function flush}}} \\
        [info body run_external_server_test]]
array set ::instead_of_test {%s}
rename test suite_test
proc test {name args} {
    if {[info exists ::instead_of_test($name)]} {
        uplevel 1 $::instead_of_test($name)
    }
    uplevel 1 [list suite_test $name {*}$args]
}
'''


def parse_list(text):
    """The words of a Tcl list."""
    words, at = [], 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        word, at = _braced(text, at) if text[at] == '{' else _bare(text, at)
        words.append(word)
    return words


def _braced(text, at):
    depth, begin = 0, at + 1
    while at < len(text):
        if text[at] == '\\':
            at += 1
        elif text[at] == '{':
            depth += 1
        elif text[at] == '}':
            depth -= 1
            if depth == 0:
                break
        at += 1
    return text[begin:at], at + 1


def _bare(text, at):
    quote = text[at] == '"'
    at += quote
    word = []
    while at < len(text) and not (text[at] == '"' if quote else text[at].isspace()):
        if text[at] == '\\' and at + 1 < len(text):
            at += 1
            word.append({'n': '\n', 't': '\t', 'r': '\r'}.get(text[at], text[at]))
        else:
            word.append(text[at])
        at += 1
    return ''.join(word), at + 1


def died(server):
    """A client may know it before the process has ended."""
    deadline = time.monotonic() + DYING_SECONDS
    while server.is_alive() and time.monotonic() < deadline:
        time.sleep(TICK_SECONDS / 10)
    return not server.is_alive()


class Unit:
    """What came of one run of a unit. Names count, as some stand twice in a unit."""

    def __init__(self):
        self.passed = collections.Counter()
        self.failed = collections.Counter()
        self.texts = {}       # name of a failed case -> why
        self.seconds = {}     # name -> how long it took
        self.ignored = []     # the suite's reasons for not running something
        self.aborts = []      # why a block or the unit broke off
        self.stuck = None     # the case under way when the run had to be ended
        self.reason = ''      # ... and why: 'hung' or 'the server died'
        self.is_done = False

    @property
    def seen(self):
        return self.passed + self.failed


class Workplace:
    """A folder to run in: the suite's files by links, and what it writes of its own."""

    def __init__(self, suite, folder):
        self.folder = Path(folder)
        (self.folder / 'tests' / 'tmp').mkdir(parents=True)
        (self.folder / 'src').mkdir()
        for path in (Path(suite).resolve() / 'tests').iterdir():
            if path.name != 'tmp':
                (self.folder / 'tests' / path.name).symlink_to(path)
        for tool in ('redis-cli', 'redis-benchmark', 'valkey-cli', 'valkey-benchmark'):
            found = shutil.which(tool) or shutil.which(tool.replace('valkey', 'redis'))
            if found:
                (self.folder / 'src' / tool).symlink_to(found)

    def units(self):
        """The units there are, in the order of the alphabet."""
        tests = self.folder / 'tests'
        found = [path for group in ('unit', 'unit/type') for path in (tests / group).glob('*.tcl')]
        return sorted(str(path.relative_to(tests).with_suffix('')) for path in found)


class Client:
    """One test client process and the connection it made to us."""

    def __init__(self, place, port, skipped, denied_tags):
        skip_file = place.folder / 'skipped'
        skip_file.write_text('\n'.join(sorted(skipped)), encoding='latin-1')
        self.buffer, self.odd = b'', b''
        with socket.create_server(('127.0.0.1', 0)) as listener:
            listener.settimeout(CONNECT_SECONDS)
            command = [
                'tclsh', 'tests/test_helper.tcl', '--host', '127.0.0.1', '--port', str(port),
                '--durable', '--clients', '1', '--skipfile', str(skip_file),
                '--client', str(listener.getsockname()[1])]
            if denied_tags:
                command += ['--tags', ' '.join(f'-{tag}' for tag in denied_tags)]
            self.output = open(place.folder / 'client.log', 'ab')
            self.process = subprocess.Popen(
                command, cwd=place.folder, stdin=subprocess.DEVNULL, stdout=self.output,
                stderr=subprocess.STDOUT, start_new_session=True,
                env={**os.environ, 'TERM': 'dumb', 'LC_ALL': 'C.UTF-8'})
            try:
                self.socket = listener.accept()[0]
            except OSError:
                self.socket = None
                self.close()
                raise
        self.socket.settimeout(TICK_SECONDS)

    def send(self, text):
        self.socket.sendall(f'{len(text)}\n{text}'.encode('latin-1'))

    def event(self):
        """The next (status, data), None if there is none yet; EOFError at the end."""
        event = self._take()
        if event:
            return event
        try:
            received = self.socket.recv(65536)
        except TimeoutError:
            return None
        except OSError:
            received = b''
        if not received:
            raise EOFError
        received = self.odd + received
        self.odd = b'\r' if received.endswith(b'\r') else b''
        self.buffer += received[:len(received) - len(self.odd)].replace(b'\r\n', b'\n')
        return self._take()

    def _take(self):
        line, newline, rest = self.buffer.partition(b'\n')
        if not newline or len(rest) < int(line):
            return None
        size = int(line)
        self.buffer = rest[size:]
        words = parse_list(rest[:size].decode('latin-1'))
        return words[0], words[1] if len(words) > 1 else ''

    def close(self):
        """Ends the client and all that it has started: load generators, blocked clients."""
        if self.socket:
            self.socket.close()
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.output.close()


class _Watch:
    """Turns events into a Unit."""

    def __init__(self, on_case):
        self.unit = Unit()
        self.stack = []
        self.began = time.monotonic()
        self.on_case = on_case

    def on(self, status, data):
        now = time.monotonic()
        if status == 'testing':
            self.stack.append(data)
        elif status == 'ok':
            self._end(data, now)
            self.unit.passed[data] += 1
        elif status == 'err':
            self._failed(data, now)
        elif status == 'ignore':
            self.unit.ignored.append(data)
        elif status == 'exception':
            self.unit.aborts.append(data)
        if status in ('testing', 'ok', 'err'):
            self.began = now
            self.on_case(status, data.split('\n', 1)[0])

    def _failed(self, data, now):
        first, _, rest = data.partition('\n')
        name = self.stack[-1] if self.stack else None
        if name is None or not first.startswith(f'{name} in '):
            self.unit.aborts.append(data)
            return
        self._end(name, now)
        self.unit.failed[name] += 1
        self.unit.texts.setdefault(name, rest)

    def _end(self, name, now):
        if name in self.stack:
            del self.stack[self.stack.index(name):]
        self.unit.seconds[name] = now - self.began


def run_unit(place, unit, server, skipped=(), instead=(), denied_tags=(), case_seconds=180,
             on_case=lambda status, name: None):
    """Runs one unit against `server`, which has .port and .is_alive(). Returns a Unit.

    `skipped` are names of cases, `instead` is a dictionary of Tcl that runs in their places.
    """
    client = Client(place, server.port, skipped, denied_tags)
    watch = _Watch(on_case)
    result = watch.unit
    prelude = PRELUDE % ' '.join(f'{{{word}}}' for pair in dict(instead).items() for word in pair)
    waiting = [f'run_code {{prelude prelude {{{prelude}}}}}', f'run {unit}']
    try:
        while not result.is_done:
            event = client.event()
            if event and event[0] in ('ready', 'done'):
                if waiting:
                    client.send(waiting.pop(0))
                else:
                    result.is_done = True
            elif event:
                watch.on(*event)
                if event[0] == 'err' and LOST.search(event[1]) and died(server):
                    result.reason, result.stuck = 'the server died', event[1].split(' in tests/')[0]
                    break
            elif not server.is_alive():
                result.reason = 'the server died'
                break
            elif time.monotonic() - watch.began > case_seconds:
                result.reason = 'hung'
                break
    except EOFError:
        if not server.is_alive():
            result.reason = 'the server died'
        else:
            result.aborts.append('the test client ended')
    finally:
        client.close()
    if result.reason and result.stuck is None:
        result.stuck = watch.stack[-1] if watch.stack else ''
    return result
