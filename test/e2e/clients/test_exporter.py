# SPDX-License-Identifier: Apache-2.0
"""Debian's redis exporter for Prometheus, unmodified: what it shows is what happened.

`tools/install peers` unpacks it; without it these tests are skipped. It scrapes the server when it
is scraped itself: it counts what has been before its own INFO.
"""

import http.client
import os
import re
import subprocess

import pytest

from support.client import wait_until
from support.server import ROOT, die_with_parent, free_port, kind

EXPORTER = ROOT / "build/peers/redis-exporter"

pytestmark = pytest.mark.skipif(not os.access(EXPORTER, os.X_OK), reason=f"no {EXPORTER}")


class Exporter:
    def __init__(self, server, folder, *options):
        self.path = folder / "exporter.log"
        for _ in range(5):
            self.port = free_port()
            with open(self.path, "wb") as log:
                self.process = subprocess.Popen(
                    [
                        EXPORTER,
                        "-redis.addr",
                        f"redis://127.0.0.1:{server.port}",
                        "-web.listen-address",
                        f"127.0.0.1:{self.port}",
                        *options,
                    ],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    preexec_fn=die_with_parent,
                )
            wait_until(lambda: self.process.poll() is not None or self.get("/health") == "ok")
            if self.process.poll() is None:
                return
        raise RuntimeError(self.log())

    def get(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("GET", path)
            return connection.getresponse().read().decode()
        except ConnectionError:
            return None
        finally:
            connection.close()

    def scrape(self):
        """Name with labels -> value, of all that is the server's."""
        lines = re.findall(r"^(redis_.*) (\S+)$", self.get("/metrics"), re.MULTILINE)
        return {name: float(value) for name, value in lines}

    def log(self):
        return self.path.read_text(errors="replace")


@pytest.fixture
def watch(tmp_path):
    """Starts exporters: watch(server, "-option", "value")"""
    started = []

    def start(server, *options):
        started.append(Exporter(server, tmp_path, *options))
        return started[-1]

    yield start
    for exporter in started:
        exporter.process.kill()
        exporter.process.wait()


def assert_no_errors(exporter):
    assert exporter.process.poll() is None
    for word in ("level=error", "level=warn", "panic"):
        assert word not in exporter.log(), exporter.log()[-4000:]


def test_what_it_shows(own_server, watch):
    client = own_server.connect()
    client("CONFIG", "RESETSTAT")  # of PINGs while it was loading
    client.pipeline(*[("SET", f"k{i}", "v") for i in range(10)], "SET t v EX 1000")
    client.pipeline("SELECT 3", "SET other v", "SELECT 0", "GET k1", "GET k2", "GET nothing")
    client("INCR", "k1")
    subscriber = own_server.connect()
    subscriber("SUBSCRIBE", "c")
    exporter = watch(own_server)

    def settled():
        """None before the last scrape's connection has ended and bytes have been counted."""
        got = exporter.scrape()
        is_settled = got["redis_connected_clients"] == 3 and got["redis_net_input_bytes_total"] > 0
        return got if is_settled else None

    got = wait_until(settled)
    assert got["redis_up"] == 1
    assert got['redis_exporter_last_scrape_error{err=""}'] == 0
    assert got["redis_blocked_clients"] == 0
    assert got['redis_db_keys{db="db0"}'] == 11
    assert got['redis_db_keys_expiring{db="db0"}'] == 1
    if kind() == "ferric":  # the others guess it later, from samples
        assert 900 < got['redis_db_avg_ttl_seconds{db="db0"}'] <= 1000
    assert got['redis_db_keys{db="db3"}'] == 1
    assert got['redis_db_keys{db="db15"}'] == 0
    assert got['redis_commands_total{cmd="set"}'] == 12
    assert got['redis_commands_total{cmd="get"}'] == 3
    assert got['redis_commands_duration_seconds_total{cmd="set"}'] > 0
    assert got['redis_commands_failed_calls_total{cmd="incr"}'] == 1
    assert got['redis_commands_rejected_calls_total{cmd="incr"}'] == 0
    assert got['redis_latency_percentiles_usec_count{cmd="set"}'] == 12
    assert got['redis_errors_total{err="ERR"}'] == 1
    assert got["redis_total_error_replies"] == 1
    assert got["redis_keyspace_hits_total"] >= 2
    assert got["redis_keyspace_misses_total"] == 1
    assert got["redis_pubsub_channels"] == 1
    assert got["redis_config_maxclients"] >= 100
    assert got["redis_memory_used_bytes"] > 0
    assert got["redis_memory_used_rss_bytes"] > 0
    assert got["redis_memory_max_bytes"] == 0
    assert got["redis_start_time_seconds"] > 1700000000
    assert got["redis_process_id"] == own_server.process.pid
    assert got["redis_aof_enabled"] == 1
    assert got["redis_aof_last_write_status"] == 1
    assert got["redis_rdb_last_bgsave_status"] == 1
    assert got["redis_loading_dump_file"] == 0
    assert got["redis_connected_slaves"] == 0
    assert any('role="master"' in name for name in got if name.startswith("redis_instance_info"))
    assert_no_errors(exporter)


def test_what_goes_on_between_two_scrapes(own_server, watch):
    client = own_server.connect()
    exporter = watch(own_server)
    before = exporter.scrape()
    client.pipeline(*[("SET", f"k{i}", "v") for i in range(1000)], "DEL k0")
    after = exporter.scrape()

    def growth(name):
        return after[name] - before.get(name, 0)

    assert growth('redis_commands_total{cmd="set"}') == 1000
    assert growth('redis_commands_total{cmd="del"}') == 1
    assert growth("redis_commands_processed_total") >= 1001
    assert growth("redis_connections_received_total") == 1
    assert growth('redis_db_keys{db="db0"}') == 999
    assert_no_errors(exporter)


def test_with_all_it_can_ask_for(own_server, watch):
    client = own_server.connect()
    client("CLIENT", "SETNAME", "shown")
    client("SET", "number", 42)
    client("SET", "text", "x" * 100)
    client("PFADD", "hll", "a", "b", "c")
    client("CONFIG", "SET", "slowlog-log-slower-than", 0)
    client("PING")
    exporter = watch(
        own_server,
        *("-ping-on-connect", "-export-client-list", "-include-config-metrics"),
        *("-include-system-metrics", "-check-keys", "*", "-count-keys", "db0=*"),
        *("-check-single-keys", "db0=number"),
    )
    got = exporter.scrape()
    assert got["redis_up"] == 1
    assert got['redis_key_value{db="db0",key="number"}'] == 42
    assert got['redis_key_size{db="db0",key="text"}'] == 100
    assert got['redis_key_size{db="db0",key="hll"}'] == 3
    assert got['redis_keys_count{db="db0",key="*"}'] == 3
    assert got["redis_slowlog_length"] > 0
    assert got["redis_slowlog_last_id"] > 0
    assert got["redis_total_system_memory_bytes"] > 1 << 20
    details = [name for name in got if name.startswith("redis_connected_clients_details")]
    assert sum('name="shown"' in name for name in details) == 1
    assert sum('name="redis_exporter"' in name for name in details) == 1
    assert got['redis_config_value{key="databases"}'] == 16
    assert got['redis_config_key_value{key="appendonly",value="yes"}'] == 1
    assert_no_errors(exporter)


def test_a_password_and_the_end(start_server, watch):
    server = start_server(requirepass="sesame")
    exporter = watch(server, "-redis.password", "sesame")
    assert exporter.scrape()["redis_up"] == 1
    assert_no_errors(exporter)
    server.kill()
    assert exporter.scrape()["redis_up"] == 0
