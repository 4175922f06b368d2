# SPDX-License-Identifier: Apache-2.0
"""A wire that breaks where a test wants: between a client and the gate, or between the gate and a machine.

    wire = Cutter(port)                        # leads to this port
    wire.after(up=700)                         # the next connections break when 700 bytes have gone up
    wire.after(down=2000, how="stall")         # or nothing moves any more

OWNS its sockets and threads. PROCESS tests. TRUST none. SPEC none.
"""
import socket
import struct
import threading

from relay import end


class Cutter:
    def __init__(self, port):
        self.to = port
        self.passed = {"up": 0, "down": 0}  # of the newest connection
        self.limits, self.how = {}, "reset"
        self.stalled = []
        self.count = 0  # connections so far
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def after(self, how="reset", **limits):
        """up: bytes towards the port; down: bytes from it. how: "reset", "close", "stall"."""
        self.how, self.limits = how, limits
        return self

    def close(self):
        end(self.socket)
        self.thread.join(10)
        self.socket.close()
        for one in self.stalled:
            one.close()

    def leads_to(self, near):
        """The port that this connection goes on to."""
        return self.to

    def _accept(self):
        while True:
            try:
                near, _ = self.socket.accept()
                self.count += 1
                far = socket.create_connection(("127.0.0.1", self.leads_to(near)))
            except OSError:
                return
            self.passed = passed = {"up": 0, "down": 0}
            for way, here, there in (("up", near, far), ("down", far, near)):
                threading.Thread(target=self._move, args=(way, here, there, self.limits.get(way), self.how, passed),
                                 daemon=True).start()

    def _move(self, way, here, there, limit, how, passed):
        try:
            while piece := here.recv(65536):
                if limit is not None:
                    piece = piece[:limit - passed[way]]
                there.sendall(piece)
                passed[way] += len(piece)
                if passed[way] == limit:
                    self._cut(here, there, how)
                    return
            there.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def _cut(self, here, there, how):
        if how == "stall":
            self.stalled += [here, there]
            return
        for one in (here, there):
            if how == "reset":
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            one.shutdown(socket.SHUT_RD)  # whoever waits in recv() comes back, and the descriptor goes
            one.close()
