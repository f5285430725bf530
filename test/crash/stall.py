#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A process that is stopped for seconds under load, and goes on as if nothing had been (R22, R23).
See README.md.
"""

import random
import signal

import cases
from cases import check
from load import Load
from rounds import SMALL, Campaign

STOPPED_SECONDS = 3


def stopped_for_seconds(server):
    campaign = Campaign(random.SystemRandom().randrange(10**9), server.directory.parent)
    campaign.begin_generation(8)
    print(f"SEED={campaign.seed}", flush=True)
    ours = campaign.server
    try:
        ours.start(["--timeout", "0"])
        campaign.verify()
        load = Load(ours, campaign.clients, random.Random(campaign.seed))
        for seconds in (0.5, STOPPED_SECONDS, 1):
            load.run_for(0.5)
            ours.process.send_signal(signal.SIGSTOP)
            load.run_for(seconds)  # clients go on sending until nothing more is taken
            ours.process.send_signal(signal.SIGCONT)
            before = sum(client.acked for client in campaign.clients)
            load.run_for(0.5)
            done = sum(client.acked for client in campaign.clients) - before
            check(done > 0, "nothing is answered after SIGCONT")
        load.drain()
        check(sum(client.refused for client in campaign.clients) == 0, "writes were refused")
        ours.kill()
        load.close()
        campaign.sent = [line.sent for line in load.lines]
        ours.start()
        campaign.verify()
    finally:
        ours.kill()


if __name__ == "__main__":
    cases.run("stall", [stopped_for_seconds], SMALL)
