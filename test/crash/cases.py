# SPDX-License-Identifier: Apache-2.0
"""Small scenarios: functions that take a Server in an empty directory, run one after the other."""

import sys
import time

from process import Server, Workplace, Wrong

SKIPPED = 77  # as ctest is told in CMakeLists.txt


class Skip(Exception):
    """What this machine cannot do."""


def check(condition, text):
    if not condition:
        raise Wrong(text)


def wait_until(condition, seconds, text):
    """Asks again and again; gives what is true at last."""
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() >= deadline:
            raise Wrong(f"not within {seconds} s: {text}")
        time.sleep(0.005)


def run(name, functions, options=()):
    """The main program of a file of scenarios; arguments name some of them."""
    wanted = sys.argv[1:]
    status = 0
    for function in functions:
        if wanted and function.__name__ not in wanted:
            continue
        began = time.monotonic()
        with Workplace(name) as place:
            server = Server(place / "data", options)
            try:
                function(server)
            except Skip as skip:
                print(f"SKIPPED {function.__name__}: {skip}", flush=True)
                status = SKIPPED
                continue
            except (Wrong, ConnectionError) as wrong:
                print(f"FAILED {function.__name__}: {wrong}", flush=True)
                print(f"The server {server.status()}.", flush=True)
                if "---- the end of" not in str(wrong):
                    print(server.log_tail(), flush=True)
                raise SystemExit(1) from None
            finally:
                server.kill()
        print(f"ok {function.__name__} ({time.monotonic() - began:.1f} s)", flush=True)
    raise SystemExit(status)
