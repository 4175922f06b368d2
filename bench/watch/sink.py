# SPDX-License-Identifier: Apache-2.0
"""A mail server that is no slower than it must be, in a process of its own, so that a figure of the gate is not one of
its measuring. It speaks SMTP (RFC 5321) without extensions, takes every mail but those to the mailboxes named, and says
at its end, on standard output, to whom it took mails: one mailbox a line.

usage: bench/watch/sink.py PORT < MAILBOXES-TO-REFUSE        ends with SIGTERM
"""
import selectors
import signal
import socket
import sys

WORDS = {b"EHLO": b"250 sink\r\n", b"HELO": b"250 sink\r\n", b"MAIL": b"250 OK\r\n", b"RSET": b"250 OK\r\n",
         b"DATA": b"354 go on\r\n", b"QUIT": b"221 bye\r\n", b"NOOP": b"250 OK\r\n"}


class Line:
    def __init__(self, sock):
        self.sock, self.bytes, self.to, self.in_data = sock, b"", [], False

    def word(self, line, refused):
        verb = line[:4].upper()
        if verb == b"RCPT":
            box = line[line.index(b"<") + 1:line.index(b">")]
            if box in refused:
                return b"550 no such user\r\n"
            self.to.append(box)
            return b"250 OK\r\n"
        if verb in (b"MAIL", b"RSET"):
            self.to = []
        if verb == b"DATA":
            if not self.to:
                return b"503 to whom?\r\n"
            self.in_data = True
        return WORDS.get(verb, b"500 what?\r\n")

    def take(self, more, refused, taken):
        """What to answer to these bytes."""
        self.bytes += more
        said = b""
        while True:
            end = self.bytes.find(b"\r\n.\r\n" if self.in_data else b"\r\n")
            if end < 0:
                return said
            if self.in_data:
                self.bytes, self.in_data = self.bytes[end + 5:], False
                taken += self.to
                self.to = []
                said += b"250 taken\r\n"
            else:
                line, self.bytes = self.bytes[:end], self.bytes[end + 2:]
                said += self.word(line, refused)


def main():
    refused = {line.strip().encode() for line in sys.stdin}
    listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=128)
    listener.setblocking(False)
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ, None)
    taken, going = [], []
    signal.signal(signal.SIGTERM, lambda *_: going.append(1))
    print("ready", flush=True)
    while not going:
        for key, _ in selector.select(0.2):
            if key.data is None:
                sock, _ = listener.accept()
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.sendall(b"220 sink\r\n")
                sock.setblocking(False)
                selector.register(sock, selectors.EVENT_READ, Line(sock))
                continue
            try:
                more = key.data.sock.recv(65536)
            except ConnectionError:
                more = b""
            if not more:
                selector.unregister(key.fileobj)
                key.fileobj.close()
                continue
            said = key.data.take(more, refused, taken)
            if said:
                key.data.sock.sendall(said)
    sys.stdout.write("".join(box.decode() + "\n" for box in taken))


if __name__ == "__main__":
    main()
