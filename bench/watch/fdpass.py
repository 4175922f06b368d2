# SPDX-License-Identifier: Apache-2.0
"""OpenSSH's ProxyCommand with ProxyUseFdpass: connects, hands the socket to ssh and a copy of it to the measuring, so
that what the gate does is seen at the socket and not through a client that has to wake, decrypt, print and end.

usage: bench/watch/fdpass.py HOST PORT SOCKET
"""
import socket
import sys

HOST, PORT, BENCH = sys.argv[1], int(sys.argv[2]), sys.argv[3]
line = socket.create_connection((HOST, PORT), 30)
with socket.socket(socket.AF_UNIX) as bench:
    bench.connect(BENCH)
    socket.send_fds(bench, [b"s"], [line.fileno()])
    bench.recv(1)
with socket.socket(fileno=1) as ssh:
    socket.send_fds(ssh, [b"s"], [line.fileno()])
