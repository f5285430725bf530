# SPDX-License-Identifier: Apache-2.0
"""TIME is this machine's clock."""

import time


def server_time(client):
    seconds, micros = client("TIME")
    assert 0 <= int(micros) < 1000000
    return int(seconds) + int(micros) / 1e6


def test_time_is_now(client):
    before = time.time()
    now = server_time(client)
    after = time.time()
    assert before - 1 <= now <= after + 1


def test_time_does_not_go_back(client):
    times = [server_time(client) for _ in range(200)]
    assert times == sorted(times)


def test_times_of_a_pipeline_do_not_go_back(client):
    replies = client.pipeline(*["TIME"] * 200)
    times = [(int(s), int(us)) for s, us in replies]
    assert times == sorted(times)
