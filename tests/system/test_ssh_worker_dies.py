# SPDX-License-Identifier: Apache-2.0
"""A process of the SSH gate that is killed in the middle of its work: what it had shown is on record but for the last
second, its sessions end and are told, those of the others go on.
OWNS nothing. PROCESS tests. TRUST none. SPEC gates/ssh/recording.c, docs/THREAT-MODEL.md."""

import os
import re
import signal
import threading
import time

import pytest

from officelib import SANITIZED, wait_for
from sshgatelib import SshOffice, Terminal, engineers_work_on

LOST_S = 1.0  # a chunk is cut each second
SHOWERS = 4
COUNT = "PS1=; stty -echo; while :; do echo line-{}-$((i=i+1))-; sleep 0.01; done\r"


@pytest.fixture
def office():
    one = SshOffice(engineers_work_on("host"), workers=2)
    try:
        one.key("ann")
        yield one
    finally:
        one.close()


class Shower(Terminal):
    """A terminal on which numbers are printed, and when each came."""

    def __init__(self, office, name):
        super().__init__(office.argv("ann", "host", "-tt", "127.0.0.1"))
        os.set_blocking(self.process.stdout.fileno(), True)
        self.name = name
        self.type(COUNT.format(name))
        self.came, self.thread = {}, threading.Thread(target=self._note, daemon=True)
        self.thread.start()
        wait_for("numbers", 20, lambda: len(self.came) > 20)

    def _note(self):
        text = b""
        while got := self.process.stdout.read1(65536):
            now, text = time.monotonic(), text[-40:] + got
            for number in self.numbers(text.decode()):
                self.came.setdefault(number, now)

    def numbers(self, text):
        return {int(number) for number in re.findall(rf"line-{self.name}-(\d+)-\r\n", text)}


def cut_off(office):
    """The connections whose end core wrote, because their worker could not."""
    return {event["reference"] for event in office.events(kind="close") if "lost" in (event.get("detail") or {})}


def test_of_what_was_shown_the_last_second_is_lost_at_most_and_others_go_on(office):
    wait_for("both workers", 10, lambda: len(office.workers()) == 2)
    showers = []
    try:
        while len(showers) < SHOWERS:
            showers.append(Shower(office, len(showers)))
        time.sleep(1.3)  # more than a chunk
        began = time.monotonic()
        os.kill(office.worker(), signal.SIGKILL)
        ended = wait_for("ends", 5, lambda: [one for one in showers if one.process.poll() is not None])
        wait_for("entries", 10, lambda: len(cut_off(office)) >= len(ended))
        lost = cut_off(office)
        time.sleep(0.3)
        dead = [one for one in showers if one.process.poll() is not None]
        assert len(dead) == len(lost) == SHOWERS / 2
        for one in showers:
            if one not in dead:  # those of the other process
                before = len(one.came)
                wait_for("more numbers", 5, lambda: len(one.came) > before + 10)
        recorded = "".join(wait_for("the recording", 10, lambda: office.printed(reference)) for reference in lost)
        worst = 0
        for one in dead:
            one.thread.join(10)
            kept = one.numbers(recorded)
            assert len(kept) > 20
            worst = max([worst] + [began - when for number, when in one.came.items() if number not in kept])
        print(f"{len(dead)} terminals: at most {1000 * worst:.0f} ms of what was shown is not on record")
        busy = SANITIZED or os.getloadavg()[0] > os.cpu_count() * 1.2
        assert worst <= LOST_S * (2 if busy else 1.1)
        assert office.ssh("ann", "host", "echo again").stdout == "again\n"
    finally:
        for one in showers:
            one.close()
