# SPDX-License-Identifier: Apache-2.0
"""The SSH gate on bad days: the disk is full while a shell prints, a machine's clock is off.

OWNS a small file system. PROCESS tests. TRUST none. SPEC docs/SSH.md "Limits", gates/ssh/README.md.
"""
import os
import shutil
import subprocess

import pytest

from officelib import wait_for
from sshgatelib import ACCOUNT, HOST, TARGET_CA, SshOffice, Sshd, engineers_work_on
from test_disk_full import fill

CLOCKS = {"behind": "-5m", "slightly": "-30s", "ahead": "+10m", "keyed": "-5m"}


@pytest.fixture
def cramped():
    if os.geteuid() != 0:
        pytest.skip("mounts a file system")
    mounted = []

    def mount(office):
        os.mkdir(office.state)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m,mode=0711", "tmpfs", office.state], check=True)
        mounted.append(office.state)

    one = None
    try:
        one = SshOffice(engineers_work_on("host"), prepare=mount)
        yield one
    finally:
        if one is not None:
            one.close()
        for path in mounted:
            subprocess.run(["umount", "-l", path], check=False)


def test_a_full_disk_ends_what_runs_says_so_and_loses_nothing_that_was_shown(cramped):
    office = cramped
    office.key("ann")
    with office.terminal("ann", "host") as terminal:
        terminal.type("PS1=; echo re''ady; while :; do echo line-$((i=i+1)); sleep 0.02; done\r")
        terminal.wait("line-20\n")
        one = office.connection("ann", "host")
        ballast = fill(office.office.state)
        terminal.wait("cannot be recorded any more", 60)
        assert terminal.process.wait(10) != 0
        shown = [line for line in terminal.text.splitlines() if line.startswith("line-")]
    told = office.ssh("ann", "host", "echo not-run")  # and nothing new begins
    assert told.returncode != 0 and "not-run" not in told.stdout and told.stderr.strip()
    os.unlink(ballast)
    wait_for("the gate again", 30, lambda: office.ssh("ann", "host", "echo again").stdout == "again\n", step=0.3)
    wait_for("the index", 10, lambda: f"{shown[0]}\r\n" in (office.printed(one["id"]) or ""))
    printed = office.printed(one["id"])
    missing = [line for line in shown[:-1] if f"{line}\r\n" not in printed]
    assert not missing, f"{len(missing)} of {len(shown)} lines were shown and are not recorded: {missing[:3]}"
    wait_for("a checkpoint of all", 15, lambda: "GOOD" in office.office.cli(
        "ledger", "verify", "-c", office.office.config).stdout)


# ---- machines whose clock is off

@pytest.fixture(scope="module")
def clocks():
    if shutil.which("faketime") is None:
        pytest.skip("faketime is not installed")
    machines = {name: Sshd(clock=clock) for name, clock in CLOCKS.items()}
    documents = "".join(HOST.format(name=name, port=one.port, host_key=one.host_key, account=ACCOUNT,
                                    more="  sign_in: key\n" if name == "keyed" else "")
                        for name, one in machines.items())
    office = None
    try:
        office = SshOffice(documents + engineers_work_on("host", *machines))
        office.key("ann")
        for one in machines.values():
            one.start(office._public(TARGET_CA) + "\n")
        office.machines = machines
        office.office.forgiven = ("ERROR: LeakSanitizer",)  # of libssh, as in test_ssh_vault_key.py
        yield office
    finally:
        if office is not None:
            office.close()
        for one in machines.values():
            one.close()


@pytest.mark.parametrize("machine, comes", [("slightly", True), ("behind", False), ("ahead", False)])
def test_a_certificate_is_good_for_clocks_that_are_about_right(clocks, machine, comes):
    told = clocks.ssh("ann", machine, "echo in")
    if comes:
        assert (told.stdout, told.returncode) == ("in\n", 0), told.stderr
    else:
        assert told.returncode != 0 and "does not take the certificate" in told.stderr
        log = clocks.machines[machine].log()
        assert "not yet valid" in log or "expired" in log


def test_a_key_of_the_vault_needs_no_clock(clocks):
    line = clocks.sam.put(f"/admin/ssh/keys/keyed/{ACCOUNT}", {})["public"]
    with open(os.path.join(clocks.machines["keyed"].dir, "direct.pub"), "w", encoding="ascii") as file:
        file.write(line + "\n")
    told = clocks.ssh("ann", "keyed", "echo in")
    assert (told.stdout, told.returncode) == ("in\n", 0), told.stderr
