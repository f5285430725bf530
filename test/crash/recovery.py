#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Recovery is killed in each of its calls that change files, one further each time, until one has
come through; then everything must be there. See README.md.
"""

import os
import random

import cases
from cases import check
from kill import ENDINGS
from load import Load
from rounds import SMALL, Campaign

MOST_CALLS = 3000


def begin(server):
    seed = int(os.environ.get("SEED") or random.SystemRandom().randrange(10**9))
    print(f"SEED={seed}", flush=True)
    campaign = Campaign(seed, server.directory.parent)
    campaign.begin_generation(8)
    return campaign


def make_work(campaign, rng, seconds, options):
    """A directory in which there is something to recover."""
    server = campaign.server
    server.start(options)
    campaign.verify()
    for client in campaign.clients:
        client.script.begin(rng, "mixed")
    load = Load(server, campaign.clients, rng)
    load.run_for(seconds)
    server.kill()
    load.close()
    campaign.sent = [line.sent for line in load.lines]


def sweep(campaign, ending, options):
    """Gives the number of calls of a whole recovery, up to readiness."""
    server = campaign.server
    for nth in range(1, MOST_CALLS):
        campaign.crashpoint.arm(nth, ending)
        server.spawn(options)
        if server.wait_ready_or_killed():
            # Ready, but what it prepares in the background may still meet the call.
            campaign.crashpoint.disarm()
            if server.wait_ready_or_killed():
                return nth
    return MOST_CALLS


def killed_in_every_call(server):
    campaign = begin(server)
    rng = random.Random(campaign.seed)
    try:
        for options in ([], ["--log-writer", "thread", "--io-threads", "2"]):
            for ending in ENDINGS:
                make_work(campaign, rng, 0.2 + rng.random(), options)
                calls = sweep(campaign, ending, options)
                print(f"  {calls} calls, killed {ending} each", flush=True)
                check(5 < calls < MOST_CALLS, f"a recovery of {calls} calls")
                campaign.verify()
                campaign.server.kill()
    finally:
        campaign.server.kill()


if __name__ == "__main__":
    cases.run("recovery", [killed_in_every_call], SMALL)
