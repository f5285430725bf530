#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Ferric against the TCL suite of Redis or Valkey, unit by unit.

    tools/conformance.py [UNIT ...]          all units, or such as unit/type/string
    tools/conformance.py --record            measures the reference: with --server redis-server
    tools/conformance.py --without CLASS     what fails if a real Redis lacks the commands of CLASS
    tools/conformance.py --check             whether the lists of what is expected are in order

What is expected lies in test/conformance/<name of the suite's folder>/; test/conformance/README.md
says what is in which file. A case counts as failed if it fails, hangs, takes the server along or is
not run at all. Each unit gets a server of its own. Failed cases with what they said are in
build/conformance/result/, and the exit code is 1 if there are any, 2 if the lists are not in order.
"""

import argparse
import collections
import concurrent.futures
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import tcl_suite

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / 'build' / 'conformance'
LISTS = ROOT / 'test' / 'conformance'
# One case sends a value of 32 MiB and a few bytes.
FERRIC_OPTIONS = {'max-entry-bytes': '64mb', 'log-segment-size': '128mb'}
START_SECONDS = 60
STOP_SECONDS = 20
SKIP_PERCENT = 2
WHOLE = 'whole'    # marks units of which nothing is left, because they test Redis's own inside
BROKEN = 'broken'  # marks cases that fail on the real server, too, and are left out everywhere
# A design decision is named by its promise, rule or invariant, or by the document that holds it.
DECISION = re.compile(r'\b([A-Z]{1,2}[1-9][0-9]?|[\w/]+\.md)\b')

# Commands that come with later work: without these on a real Redis, the cases of a class fail.
CLASSES = {
    'collections': """
        lpush rpush lpushx rpushx lpop rpop llen lindex lset linsert lrange lrem ltrim lpos
        lmove lmpop rpoplpush blpop brpop blmove blmpop brpoplpush sadd srem smembers sismember
        smismember scard smove spop srandmember sinter sinterstore sintercard sunion sunionstore
        sdiff sdiffstore sscan zadd zrem zscore zmscore zincrby zcard zcount zlexcount zrange
        zrangestore zrevrange zrangebyscore zrevrangebyscore zrangebylex zrevrangebylex zrank
        zrevrank zpopmin zpopmax bzpopmin bzpopmax zmpop bzmpop zunion zunionstore zinter
        zinterstore zintercard zdiff zdiffstore zremrangebyscore zremrangebyrank zremrangebylex
        zrandmember zscan hset hsetnx hmset hget hmget hgetall hdel hexists hlen hkeys hvals
        hincrby hincrbyfloat hstrlen hrandfield hscan sort sort_ro""",
    'streams': """
        xadd xlen xrange xrevrange xdel xtrim xread xreadgroup xgroup xack xclaim xautoclaim
        xpending xinfo xsetid""",
    'scripts': 'eval eval_ro evalsha evalsha_ro script function fcall fcall_ro',
    'geo': """
        geoadd geodist geohash geopos geosearch geosearchstore georadius georadius_ro
        georadiusbymember georadiusbymember_ro""",
    'acl': 'acl',
    'replication': 'replicaof slaveof psync sync replconf failover role migrate',
    'snapshots': 'save bgsave bgrewriteaof lastsave',
}


def die(text):
    print(f'conformance: {text}', file=sys.stderr)
    sys.exit(2)


# --- the server --------------------------------------------------------------------------------

class Server:
    """A server with an empty directory, on a port of its own."""

    def __init__(self, binary, folder, extra=()):
        self.folder = Path(folder)
        (self.folder / 'data').mkdir(parents=True)
        with socket.socket() as probe:
            probe.bind(('127.0.0.1', 0))
            self.port = probe.getsockname()[1]
        options = {'port': self.port, 'bind': '127.0.0.1', 'dir': self.folder / 'data', 'save': '',
                   'enable-debug-command': 'yes', 'enable-protected-configs': 'yes'}
        known = subprocess.run([binary, '--help'], capture_output=True, text=True).stdout
        if 'ferric' in known:
            options.update(FERRIC_OPTIONS)
            options = {name: options[name] for name in options if f'--{name} ' in known}
        command = [str(binary)]
        for name, value in options.items():
            command += [f'--{name}', str(value)]
        self.log = self.folder / 'server.log'
        with open(self.log, 'ab') as log:
            self.process = subprocess.Popen([*command, *extra], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, cwd=self.folder)
        self._wait()

    def _wait(self):
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.is_alive():
            try:
                with socket.create_connection(('127.0.0.1', self.port), timeout=5) as connection:
                    connection.sendall(b'PING\r\n')
                    if connection.recv(16).startswith(b'+PONG'):
                        return
            except OSError:
                pass
            time.sleep(0.02)
        self.stop()
        die(f'the server did not start:\n{self.log.read_text("utf-8", "replace")[-2000:]}')

    def is_alive(self):
        return self.process.poll() is None

    def stop(self):
        if self.is_alive():
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()


# --- what is expected --------------------------------------------------------------------------

def read_list(path):
    """[(unit, word behind the unit, case, note)] of a list: sections, cases, indented notes."""
    rows, unit, word = [], None, ''
    for line in path.read_text('latin-1').split('\n') if path.exists() else []:
        if line.startswith('#') or not line.strip():
            continue
        section = re.fullmatch(r'\[(unit/\S+?)(?: (\S+))?\]', line)
        if section:
            unit, word = section[1], section[2] or ''
        elif line.startswith('    ') and rows:
            rows[-1][3] = f'{rows[-1][3]} {line.strip()}'.strip()
        elif unit:
            rows.append([unit, word, line, ''])
        else:
            die(f'{path}: a case before any [unit/...]')
    return rows


class Expectation:
    """The lists of one suite."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.reference = collections.defaultdict(collections.Counter)
        self.broken = collections.defaultdict(set)
        for unit, word, case, _ in read_list(self.folder / 'reference.txt'):
            if word == BROKEN:
                self.broken[unit].add(case)
            else:
                self.reference[unit][case] += 1
        self.instead = collections.defaultdict(dict)
        self.whole = set()
        self.planned = self._apart('planned')
        self.differs = self._apart('differs')
        self.skip = self._apart('skip')

    def _apart(self, name):
        apart = collections.defaultdict(dict)
        for unit, word, case, note in read_list(self.folder / f'{name}.txt'):
            why, _, code = note.partition('instead: ')
            apart[unit][case] = word if name == 'planned' else why.strip()
            if code:
                self.instead[unit][case] = code
            if word == WHOLE:
                self.whole.add(unit)
        return apart

    def counted(self, unit):
        """The cases of a unit that must pass."""
        left_out = {**self.planned[unit], **self.differs[unit], **self.skip[unit]}
        return collections.Counter({case: count for case, count in self.reference[unit].items()
                                    if case not in left_out})

    def number(self, unit, apart):
        return sum(self.reference[unit][case] for case in apart[unit])

    def mistakes(self):
        """What is wrong with the lists themselves."""
        for name in ('planned', 'differs', 'skip'):
            for unit, cases in getattr(self, name).items():
                for case, why in cases.items():
                    if case not in self.reference[unit]:
                        yield f'{name}.txt: the reference has no "{case}" in {unit}'
                    if not why:
                        yield f'{name}.txt: no reason for "{case}"'
        for unit in self.skip:
            for case, why in self.skip[unit].items():
                if not DECISION.search(why):
                    yield f'skip.txt: the reason for "{case}" names no design decision'
            total = sum(self.reference[unit].values())
            skipped = self.number(unit, self.skip)
            if skipped != total if unit in self.whole else skipped * 100 > total * SKIP_PERCENT:
                yield f'skip.txt: {skipped} of {total} cases of {unit}: at most {SKIP_PERCENT} %'
        for unit in self.reference:
            for case in self.reference[unit]:
                lists = [name for name in ('planned', 'differs', 'skip')
                         if case in getattr(self, name)[unit]]
                if len(lists) > 1:
                    yield f'"{case}" of {unit} is in {" and ".join(lists)}'


# --- running -----------------------------------------------------------------------------------

class Runner:
    """Runs units, each with a server of its own, again without a case that hangs or kills."""

    def __init__(self, options, folder, progress):
        self.options = options
        self.folder = Path(folder)
        self.progress = progress
        self.extra = []
        for name in CLASSES.get(options.without, '').split():
            self.extra += ['--rename-command', name, '']

    def run(self, unit, skipped, instead=()):
        """A Unit with the outcome of all attempts."""
        skipped, stuck = set(skipped), {}
        for attempt in range(self.options.attempts):
            result = self._once(unit, skipped, instead)
            if not result.stuck:
                break
            skipped.add(result.stuck)
            stuck[result.stuck] = result.reason
        for case, reason in stuck.items():
            result.failed[case] += 0 if case in result.failed else 1
            result.texts[case] = f'{reason}\n{result.texts.get(case, "")}'
        if result.reason and not result.stuck:
            result.aborts.append(f'{result.reason} outside any case')
        return result

    def _once(self, unit, skipped, instead):
        folder = Path(tempfile.mkdtemp(prefix=unit.replace('/', '_') + '.', dir=self.folder))
        place = tcl_suite.Workplace(self.options.suite, folder / 'suite')
        server = Server(self.options.server, folder / 'server', self.extra)
        try:
            result = tcl_suite.run_unit(
                place, unit, server, skipped, instead, self.options.deny,
                self.options.case_seconds,
                lambda status, name: self.progress(unit, status, name))
            if result.reason == 'the server died':
                kept = WORK / 'result' / f'{unit.replace("/", "_")}.server.log'
                shutil.copyfile(server.log, kept)
                print(f'{unit}: the server died in "{result.stuck}", see {kept}', flush=True)
            return result
        finally:
            server.stop()
            shutil.rmtree(folder, ignore_errors=True)


class Progress:
    """On a terminal the case under way, in one line; elsewhere nothing but finished units."""

    def __init__(self):
        self.is_shown = sys.stdout.isatty()
        self.lock = threading.Lock()
        self.cases = 0

    def __call__(self, unit, status, name):
        with self.lock:
            self.cases += status != 'testing'
            if self.is_shown and status == 'testing':
                columns = shutil.get_terminal_size().columns - 1
                line = f'{self.cases} {unit}: {name}'[:columns]
                print(f'\r\033[K{line}', end='', flush=True)

    def line(self, text):
        with self.lock:
            print(('\r\033[K' if self.is_shown else '') + text, flush=True)


# --- reports -----------------------------------------------------------------------------------

class Outcome:
    """One unit held against what is expected of it."""

    def __init__(self, expectation, unit, result, seconds):
        self.unit, self.result, self.seconds = unit, result, seconds
        counted = expectation.counted(unit)
        passed = counted & result.passed
        missing = counted - passed
        self.passed = sum(passed.values())
        self.failed = {case: count for case, count in missing.items() if result.failed[case]}
        self.not_run = {case: count for case, count in missing.items() if not result.failed[case]}
        self.skip = expectation.number(unit, expectation.skip)
        self.planned = expectation.number(unit, expectation.planned)
        self.differs = expectation.number(unit, expectation.differs)

    def line(self):
        numbers = (self.passed, sum(self.failed.values()), sum(self.not_run.values()), self.skip,
                   self.planned, self.differs)
        return f'{self.unit:26}' + ''.join(f'{number:9}' for number in numbers) + \
            f'{self.seconds:8.0f} s'

    @property
    def bad(self):
        return sum(self.failed.values()) + sum(self.not_run.values())

    def write(self):
        path = WORK / 'result' / f'{self.unit.replace("/", "_")}.txt'
        with open(path, 'w', encoding='latin-1', errors='replace') as out:
            for case in self.failed:
                text = self.result.texts.get(case, '').strip().replace('\n', '\n    ')[:2000]
                out.write(f'FAILED {case}\n    {text}\n')
            for case in self.not_run:
                out.write(f'NOT RUN {case}\n')
            for text in self.result.aborts:
                text = text.strip().replace('\n', '\n    ')[:2000]
                out.write(f'BROKE OFF\n    {text}\n')
            for case in self.result.failed:
                if case not in self.failed:
                    out.write(f'FAILED, not counted: {case}\n')


TITLES = ('unit', 'ok', 'failed', 'not run', 'skip', 'planned', 'differs')


def judge(options, runner, progress, expectation, units):
    mistakes = list(expectation.mistakes())
    if not expectation.reference:
        die(f'there is no {expectation.folder}/reference.txt: measure it with --record')
    progress.line(f'{TITLES[0]:26}' + ''.join(f'{title:>9}' for title in TITLES[1:]))

    def one(unit):
        begin = time.monotonic()
        left_out = {**expectation.differs[unit], **expectation.skip[unit],
                    **dict.fromkeys(expectation.broken[unit])}
        if not options.planned:
            left_out.update(expectation.planned[unit])
        instead = {case: code for case, code in expectation.instead[unit].items()
                   if case in left_out}
        result = runner.run(unit, left_out, instead) \
            if expectation.counted(unit) or options.planned else tcl_suite.Unit()
        outcome = Outcome(expectation, unit, result, time.monotonic() - begin)
        outcome.write()
        progress.line(outcome.line())
        for case in [*outcome.failed, *outcome.not_run]:
            if options.verbose:
                what = 'failed ' if case in outcome.failed else 'not run'
                progress.line(f'    {what}  {case}')
        return outcome

    outcomes = list(in_parallel(options, one, units))
    early = [(outcome.unit, case) for outcome in outcomes
             for case in expectation.planned[outcome.unit] if outcome.result.passed[case]]
    if early:
        progress.line(f'planned, and passes already ({len(early)}):')
        for unit, case in early:
            progress.line(f'    {unit}  {case}')
    passed, bad = (sum(values) for values in zip(*((o.passed, o.bad) for o in outcomes)))
    progress.line(f'{passed} passed, {bad} failed or not run; why: {WORK / "result"}/*.txt')
    for mistake in mistakes:
        print(f'conformance: {mistake}', file=sys.stderr)
    return 2 if mistakes else 1 if bad else 0


def record(options, runner, progress, expectation, units):
    """Writes reference.txt; with names of units, only these are measured anew."""
    def one(unit):
        begin = time.monotonic()
        result = runner.run(unit, ())
        broken, passed = set(), result.passed
        # What fails may spoil those behind it: so only the first one is believed, and left out.
        while result.failed:
            broken.add(next(iter(result.failed)))
            result = runner.run(unit, broken)
            passed |= result.passed
        progress.line(f'{unit:26}{sum(passed.values()):9}{len(broken):9}'
                      f'{time.monotonic() - begin:8.0f} s')
        for case in broken:
            progress.line(f'    broken  {case}')
        for text in result.aborts:
            progress.line(f'    broke off  {text[:200]}')
        expectation.broken[unit] = broken
        return unit, passed

    measured = dict(expectation.reference)
    measured.update(in_parallel(options, one, units))
    expectation.folder.mkdir(parents=True, exist_ok=True)
    version = subprocess.run([options.server, '--version'], capture_output=True, text=True).stdout
    with open(expectation.folder / 'reference.txt', 'w', encoding='latin-1') as out:
        out.write('# The cases that pass on the real server, in the suite\'s external mode.\n'
                  f'# Measured by tools/conformance.py --record on {version.split(" sha")[0]}.\n')
        for unit in sorted(measured):
            if measured[unit]:
                out.write(f'\n[{unit}]\n')
                out.writelines(f'{case}\n' for case in sorted(measured[unit].elements()))
            if expectation.broken[unit]:
                out.write(f'\n[{unit} {BROKEN}]\n')
                out.writelines(f'{case}\n' for case in sorted(expectation.broken[unit]))
    return 0


def without(options, runner, progress, expectation, units):
    """Prints in the form of planned.txt what a real server without a class does not pass."""
    def one(unit):
        lost, left_out = [], set(expectation.broken[unit])
        while True:
            result = runner.run(unit, left_out)
            failed = [case for case in result.failed if expectation.reference[unit][case]]
            missing = expectation.reference[unit] - result.passed
            more = failed[:1] or [case for case in missing if case not in left_out]
            if not more:
                break
            lost += more
            left_out.update(more)
        lines = [f'[{unit} {options.without}]', *sorted(lost)]
        progress.line('\n'.join(lines) + '\n' if lost else f'# {unit}: nothing')

    list(in_parallel(options, one, units))
    return 0


def in_parallel(options, function, units):
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        yield from pool.map(function, units)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('units', nargs='*', metavar='UNIT')
    parser.add_argument('--server', default=ROOT / 'build' / 'release' / 'ferric-server')
    parser.add_argument('--suite', default=WORK / 'redis-7.0.15', help='folder with tests/')
    parser.add_argument('--jobs', type=int, default=1, help='units at a time')
    parser.add_argument('--attempts', type=int, default=4, help='runs of a unit that gets stuck')
    parser.add_argument('--case-seconds', type=int, default=180, help='a longer case hangs')
    parser.add_argument('--deny', action='append', default=[], help='leave cases with a tag out')
    parser.add_argument('--planned', action='store_true', help='run what is planned as well')
    parser.add_argument('--verbose', '-v', action='store_true', help='name the failed cases')
    parser.add_argument('--record', action='store_true')
    parser.add_argument('--without', choices=CLASSES)
    parser.add_argument('--check', action='store_true', help='only whether the lists are in order')
    return parser.parse_args()


def check():
    mistakes = [f'{folder.name}: {mistake}' for folder in sorted(LISTS.iterdir()) if folder.is_dir()
                for mistake in Expectation(folder).mistakes()]
    for mistake in mistakes:
        print(f'conformance: {mistake}', file=sys.stderr)
    return 2 if mistakes else 0


def main():
    options = arguments()
    if options.check:
        return check()
    suite, server = Path(options.suite).absolute(), Path(options.server).absolute()
    options.suite, options.server = suite, server
    if not (suite / 'tests' / 'test_helper.tcl').exists():
        die(f'{suite} holds no suite')
    if not os.access(server, os.X_OK):
        die(f'there is no {server}: make build')
    (WORK / 'result').mkdir(parents=True, exist_ok=True)
    progress = Progress()
    expectation = Expectation(LISTS / suite.name)
    with tempfile.TemporaryDirectory(prefix='run.', dir=WORK) as folder:
        runner = Runner(options, folder, progress)
        units = options.units
        if not units:
            known = tcl_suite.Workplace(suite, Path(folder) / 'units').units()
            units = known if options.record else [u for u in known if expectation.reference[u]]
        work = record if options.record else without if options.without else judge
        return work(options, runner, progress, expectation, units)


if __name__ == '__main__':
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
