# SPDX-License-Identifier: Apache-2.0
"""INFO: figures that only grow."""

from support.client import wait_until

SIZE = 16 << 20  # far more than the questions and answers meanwhile


def test_bytes_are_counted_once(own_server):
    """While a connection is open, and not again when it ends."""
    client = own_server.connect()
    sender = own_server.connect()
    sender("CLIENT", "SETNAME", "sender")
    sender("SET", "k", b"x" * SIZE)
    sender("GET", "k")

    def passed():
        info = own_server.info()
        return int(info["total_net_input_bytes"]), int(info["total_net_output_bytes"])

    wait_until(lambda: min(passed()) > SIZE)
    sender.close()
    wait_until(lambda: b"name=sender" not in client("CLIENT", "LIST"))
    assert max(passed()) < 2 * SIZE
