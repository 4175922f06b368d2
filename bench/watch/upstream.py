# SPDX-License-Identifier: Apache-2.0
"""An application with answers that begin and do not end, one process and one thread for all of them: when a gate cuts a
thousand of them, what wakes is the gate.

usage: bench/watch/upstream.py     prints its port; ends with its standard input
"""
import selectors
import socket
import sys

HOLD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n8000\r\n" + b"x" * 0x8000 + b"\r\n"
SHORT = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nhi\n"


def main():
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    selector.register(sys.stdin, selectors.EVENT_READ)
    print(listener.getsockname()[1], flush=True)
    heads = {}
    while True:
        for key, _ in selector.select():
            one = key.fileobj
            if one is sys.stdin:
                return
            if one is listener:
                one, _ = listener.accept()
                heads[one] = b""
                selector.register(one, selectors.EVENT_READ)
                continue
            try:
                more = one.recv(65536)
            except ConnectionError:
                more = b""
            if not more:
                selector.unregister(one)
                del heads[one]
                one.close()
                continue
            heads[one] += more
            if heads[one].endswith(b"\r\n\r\n"):
                one.sendall(HOLD if heads[one].split(b" ", 2)[1].startswith(b"/stream") else SHORT)
                heads[one] = b""


if __name__ == "__main__":
    main()
