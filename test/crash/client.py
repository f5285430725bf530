# SPDX-License-Identifier: Apache-2.0
"""What one client of the load knows: the state that was acknowledged, and what is unknown.

keys     the state after everything that was answered; exact
mortal   keys that expire meanwhile: for each the states that the replies so far allow
pending  units that were sent, or are about to be, and have no whole reply yet, in order

After a crash the server's state must be `keys` after the first k of the pending units, for one k
(compare()); but those that may grow have been refused if the disk was full (is_pressed), whatever
became of the others. A reply that is no refusal must be the one that the model gives (answered()).
"""

import collections

from model import execute, matches
from process import Wrong
from resp import Error
from script import Script, mortal_keys, pair_key, universe

HISTORY = 600
REFUSALS = ("MISCONF", "ERR Ferric is shutting down", "EXECABORT")


class Clock:
    """What the group's clock may say. It begins where the last process could have ended, which
    after quick restarts is ahead of the machine's, and then waits for that one."""

    def __init__(self, wall_ms):
        self.wall_ms = wall_ms
        self.floor_ms = 0

    def lo(self):
        return self.wall_ms() - 2

    def hi(self):
        return max(self.wall_ms(), self.floor_ms) + 5


class Client:
    def __init__(self, number, clients, clock):
        self.number = number
        self.clock = clock
        self.script = Script(number, clients)
        self.script.now_ms = clock.hi
        self.keys = {}
        self.mortal = {name: [None] for name in mortal_keys(number)}
        self.names = universe(number)
        self.pending = collections.deque()
        self.history = collections.deque(maxlen=HISTORY)
        self.raised = collections.Counter()  # shared keys, by acknowledged units of this round
        self.seen = collections.Counter()  # highest replies of shared keys
        self.pair_acked = 0  # number of the last acknowledged unit that wrote the pair
        self.pair_seen = 0  # the highest that anybody has seen
        self.acked = 0
        self.refused = 0
        self.is_pressed = False  # since before the first of the pending units was sent

    # ---- Replies

    def answered(self, unit, others):
        """All replies of the oldest pending unit have come."""
        last = unit.replies[-1]
        if isinstance(last, Error) and last.startswith(REFUSALS):
            self.refused += 1
            self.note(unit, "refused")
            return
        now = (unit.sent_at, self.clock.hi())
        if any(isinstance(reply, Error) and reply.startswith("UNKNOWN") for reply in unit.replies):
            raise Wrong(f"client {self.number}: {unit} was answered {last!r}")
        self.note(unit, "acknowledged")
        name = unit.steps[0]
        if (name[0], name[1][1] if len(name[1]) > 1 else b"") in self.mortal:
            self.mortal_step(unit, now, self.mortal)
        else:
            expected = unit.run(self.keys, now)
            if not matches(expected, unit.replies):
                raise Wrong(
                    f"client {self.number}: {unit} was answered {brief(unit.replies)}, "
                    f"not {brief(expected)}\n{self.story(unit)}"
                )
        self.acked += 1
        self.look(unit, last, others)

    def look(self, unit, last, others):
        """What the reply says of keys that others change, too."""
        for i, (_, args) in enumerate(unit.steps):
            if args[0] == "incr" and args[1].startswith((b"shared:", b"joint:")):
                value = last[i] if unit.is_transaction else last
                if type(value) is not int or value <= self.seen[args[1]]:
                    raise Wrong(f"client {self.number}: {unit}: {value!r} does not grow")
                self.seen[args[1]] = value
                self.raised[args[1]] += 1
        args = unit.steps[0][1]
        if args[0] in ("mset", "set") and args[1].startswith(b"pair:"):
            self.pair_acked = unit.nth
        elif args[0] == "mget" and args[1].startswith(b"pair:"):
            owner = others[int(args[1].split(b":")[1])]
            if any(value != last[0] for value in last):
                raise Wrong(f"client {self.number}: {unit} saw halves: {brief(last)}")
            number = pair_number(last[0])
            if number < unit.floor:
                raise Wrong(
                    f"client {self.number}: {unit} saw number {number}; "
                    f"{unit.floor} had been acknowledged before it was sent"
                )
            owner.pair_seen = max(owner.pair_seen, number)

    def about_to_send(self, unit, others):
        unit.sent_at = self.clock.lo()
        args = unit.steps[0][1]
        if args[0] == "mget" and args[1].startswith(b"pair:"):
            unit.floor = others[int(args[1].split(b":")[1])].pair_acked

    # ---- Keys that expire meanwhile

    def mortal_step(self, unit, now, mortal):
        """Keeps the states that the reply allows; all that can follow, if none has come."""
        db, args = unit.steps[0]
        name = (db, args[1])
        after = []
        for state in mortal[name]:
            for seen in seen_states(state, now):
                keys = {} if seen is None else {name: seen}
                expected = execute(keys, db, args, now)
                if not unit.replies or matches(expected, unit.replies[0]):
                    after.append(keys.get(name))
        if not after:
            raise Wrong(
                f"client {self.number}: {unit} was answered {brief(unit.replies)} at {now}; "
                f"possible were {brief(mortal[name])}\n{self.story(unit)}"
            )
        mortal[name] = list(dict.fromkeys(after))

    # ---- After a crash

    def compare(self, sent, observed, now):
        """Holds what was found against what can be. `sent` is the position behind the last byte
        that was handed to the kernel, `observed` gives (value, expiry) of every key. Returns the
        lowest and highest possible count of unknown units' raises of each shared key."""
        unknown = [unit for unit in self.pending if unit.end <= sent]
        settling = Settling(self, observed, now)
        feasible = []
        for k in range(len(unknown) + 1):
            if k > 0 and not (self.is_pressed and unknown[k - 1].may_grow()):
                settling.apply(unknown[k - 1])
            if not settling.wrong:
                feasible.append(dict(settling.raised))
            elif settling.least is None or len(settling.wrong) < settling.least[0]:
                settling.least = (len(settling.wrong), k, settling.explain())
        for unit in unknown:
            self.note(unit, "unknown")
        if not feasible:
            count, k, text = settling.least
            raise Wrong(
                f"client {self.number}: the state is none of those after the first k of the "
                f"{len(unknown)} unknown units; with k = {k} {count} keys are wrong:\n{text}"
            )
        pair = observed[0, pair_key(self.number, 0)]
        number = pair_number(pair[0]) if pair else 0
        if number < self.pair_seen:
            raise Wrong(f"client {self.number}: pair {self.pair_seen} had been seen, is {number}")
        ranges = {}
        for name in set().union(*feasible):
            counts = [raised.get(name, 0) for raised in feasible]
            ranges[name] = (min(counts), max(counts))
        return ranges

    def adopt(self, observed):
        """What was found is what is known from now on."""
        pair = observed[0, pair_key(self.number, 0)]
        self.pair_acked = self.pair_seen = pair_number(pair[0]) if pair else 0
        for name in self.names:
            self.keys.pop(name, None)
            if observed[name]:
                value, at = observed[name]
                self.keys[name] = (value, at, at)
        for name in self.mortal:
            found = observed[name]
            self.mortal[name] = [(found[0], found[1], found[1]) if found else None]
        self.pending.clear()
        self.is_pressed = False
        self.raised.clear()

    # ---- Telling

    def note(self, unit, outcome):
        self.history.append((outcome, unit))

    def story(self, unit_or_key, count=12):
        """The last units that touched the same key."""
        keys = {unit_or_key}
        if not isinstance(unit_or_key, bytes):
            keys = {arg for _, args in unit_or_key.steps for arg in args[1:3]}
        lines = []
        for outcome, unit in reversed(self.history):
            touches = any(arg in keys for _, args in unit.steps for arg in args[1:])
            if touches or any(args[0] == "flushdb" for _, args in unit.steps):
                lines.append(f"    {outcome} {unit} -> {brief(unit.replies)}")
                if len(lines) == count:
                    break
        return "\n".join(reversed(lines))


class Settling:
    """The walk along the unknown units, and which keys differ from what was found."""

    def __init__(self, client, observed, now):
        self.client = client
        self.observed = observed
        self.now = now
        self.keys = dict(client.keys)
        self.mortal = dict(client.mortal)
        self.raised = collections.Counter()
        self.least = None
        self.names = {*client.names, *self.mortal}
        self.wrong = {name for name in self.names if not self.fits(name)}

    def fits(self, name):
        found = self.observed[name]
        if name in self.mortal:
            return any(
                same(state, found)
                for before in self.mortal[name]
                for state in seen_states(before, self.now)
            )
        return same(self.keys.get(name), found)

    def apply(self, unit):
        touched = set()
        for db, args in unit.steps:
            touched.update((db, arg) for arg in args[1:])
            if args[0] == "copy" and "db" in args:
                touched.add((int(args[-1]), args[2]))
            if args[0] == "flushdb":
                touched.update(name for name in self.client.names if name[0] == db)
            if args[0] == "incr" and args[1].startswith((b"shared:", b"joint:")):
                self.raised[args[1]] += 1
        now = (unit.sent_at, self.now[1])
        db, args = unit.steps[0]
        if len(args) > 1 and (db, args[1]) in self.mortal:
            self.client.mortal_step(unit, now, self.mortal)
        else:
            unit.run(self.keys, now)
        for name in touched:
            if name in self.names:
                self.wrong.discard(name)
                if not self.fits(name):
                    self.wrong.add(name)

    def explain(self):
        lines = []
        for name in sorted(self.wrong)[:6]:
            wanted = self.mortal.get(name) or self.keys.get(name)
            lines.append(
                f"  db {name[0]} {name[1]!r} is {brief(self.observed[name])}, "
                f"not {brief(wanted)}\n{self.client.story(name[1])}"
            )
        return "\n".join(lines)


def seen_states(state, now):
    """How a key that may expire can look at a time within `now`."""
    if state is None or not state[1]:
        return [state]
    states = [state] if state[2] > now[0] else []
    return states + [None] if state[1] <= now[1] else states


def same(state, found):
    if state is None or found is None:
        return state is None and found is None
    value, at = found
    return state[0] == value and state[1] <= at <= state[2]


def pair_number(value):
    return int(value.split(b".")[0]) if value else 0


def brief(value):
    if isinstance(value, bytes) and len(value) > 40:
        return f"{value[:24]!r}...[{len(value)} bytes]"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(brief, value)) + "]"
    return repr(value)

