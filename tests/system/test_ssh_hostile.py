# SPDX-License-Identifier: Apache-2.0
"""Clients of the SSH gate that break the protocol's rules, or use them against it: they harm nobody but themselves.
OWNS nothing. PROCESS tests. TRUST none. SPEC RFC 4254, gates/ssh/README.md."""

import paramiko
import pytest

from officelib import wait_for
from sshgatelib import SshOffice

DOCUMENTS = """\
kind: Rule
name: engineers work
who: { roles: [engineer] }
to: { resources: [host] }
may: [connect, read, write, execute, import, export, destroy]
with: { record: true }
"""


@pytest.fixture(scope="module")
def office():
    one = SshOffice(DOCUMENTS)
    try:
        yield one
    finally:
        one.close()


@pytest.fixture(autouse=True)
def others(office):
    """Whatever a test does: who was connected before still is, by the same process."""
    with office.paramiko("ann") as client:
        yield client
        _, out, _ = client.exec_command("echo still here")
        assert out.read() == b"still here\n"


def channel(client, window=2 ** 21, packet=2 ** 15, timeout=15):
    """A session of exactly these sizes: paramiko has bounds of its own."""
    transport = client.get_transport()
    transport._sanitize_packet_size = lambda size: size
    transport._sanitize_window_size = lambda size: size
    return transport.open_session(window_size=window, max_packet_size=packet, timeout=timeout)


# ---- sizes of packets and windows

@pytest.mark.parametrize("packet", [0, 9, 10, 255])
def test_who_takes_no_packets_gets_none(office, packet):
    with office.paramiko("ann") as client:
        with pytest.raises((paramiko.SSHException, EOFError, OSError)):
            one = channel(client, packet=packet, timeout=1 if packet == 0 else 15)
            one.exec_command("head -c 100000 /dev/zero")
            one.recv(1)
        if packet > 0:  # libssh itself does not answer those that take nothing at all
            wait_for("its end", 10, lambda: not client.get_transport().is_active())
            wait_for("the refusal", 10, lambda: office.events(
                message=f"the client takes packets of {packet} bytes, and must take at least 256"))


def test_small_packets_and_windows_come_through_whole(office):
    with office.paramiko("ann") as client:
        for window, packet in ((256, 256), (20, 4096), (70000, 300), (2 ** 32 - 1, 2 ** 32 - 1)):
            one = channel(client, window, packet)
            one.exec_command("head -c 30000 /dev/zero; exit 3")
            got = b""
            while piece := one.recv(65536):
                got += piece
            assert got == bytes(30000) and one.recv_exit_status() == 3, (window, packet)
