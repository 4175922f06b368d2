# SPDX-License-Identifier: Apache-2.0
"""How the porter starts, watches, restarts and stops roles, with roles that behave as told."""

import os
import re
import signal
import socket
import stat
import struct
import subprocess
import time

import pytest
from officelib import BUILD, ROLES, SANITIZED, Office, alive, free_port, wait_for

TINY = os.path.join(BUILD, "tests", "unit", "porter", "tiny_office")
AS_ROOT = os.geteuid() == 0


@pytest.fixture
def tiny():
    made = []

    def make(start=True, **kwargs):
        behave = {role: "" for role in ROLES}
        behave.update(kwargs.pop("behave", {}))
        one = Office(documents=behave, program=TINY, **kwargs)
        made.append(one)
        return one.start() if start else one

    try:
        yield make
    finally:
        for one in made:
            one.close()


def who_answers(office, timeout=20):
    """Connects to the HTTPS port: the web role answers with its process id."""
    with socket.create_connection(("127.0.0.1", office.port), timeout) as link:
        return link.makefile().readline().split()


def ended(office):
    """The exit status of an office that ends by itself, and its log."""
    status = office.process.wait(30)
    return status, office.log()


# ---- starting and stopping


def test_starts_in_order_under_own_users(tiny):
    office = tiny()
    lines = [line for line in office.log().splitlines() if " is ready" in line]
    assert [line.split()[3] for line in lines] == list(ROLES)
    for role in ROLES:
        pid = office.pid(role)
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            facts = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
        assert facts["Name"] == f"sp-{role}"
        assert facts["Seccomp"] == "2" and facts["NoNewPrivs"] == "1"
        assert facts["CapEff"] == "0000000000000000"
        assert facts["CapPrm"] == "0000000000000000"
        if office.uids:
            assert facts["Uid"].split() == [str(office.uids[role])] * 4
            assert facts["Gid"].split() == [str(office.uids[role])] * 4
            assert facts["Groups"].strip() == ""
        assert facts["Umask"] == "0077"
        assert office.role(role)["status"] == "at work"
        assert "seccomp=filter" in office.role(role)["sandbox"]


def test_the_porter_is_locked_in_too(tiny):
    office = tiny()
    with open(f"/proc/{office.process.pid}/status", encoding="ascii") as file:
        text = file.read()
    assert "Seccomp:\t2" in text and "NoNewPrivs:\t1" in text
    # CAP_KILL 5, CAP_SETGID 6, CAP_SETUID 7
    assert re.search(r"CapEff:\t(\w+)", text).group(1) in ("00000000000000e0", "0000000000000000")


def test_roles_inherit_nothing_but_their_sockets(tiny):
    office = tiny()
    for role, sockets in (("vault", 1), ("ledger", 1), ("core", 3), ("web", 1)):
        fds = {int(fd): os.readlink(f"/proc/{office.pid(role)}/fd/{fd}")
               for fd in os.listdir(f"/proc/{office.pid(role)}/fd")}
        assert fds.pop(0) == "/dev/null"
        assert fds.pop(1) == fds.pop(2) == office.log_path
        assert sorted(fds) == list(range(3, 3 + sockets)), (role, fds)
        with open(f"/proc/{office.pid(role)}/environ", "rb") as file:
            names = {word.split(b"=")[0].decode() for word in file.read().split(b"\0") if word}
        assert names - {"ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"} == {
            "PATH", "LANG", "NOTIFY_SOCKET", "WATCHDOG_USEC", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}


def test_sockets_and_directories_have_their_modes(tiny):
    office = tiny()
    modes = {name: stat.S_IMODE(os.stat(os.path.join(office.run_dir, name + ".sock")).st_mode)
             for name in ("core", "vault", "ledger", "api", "local", "notify-core", "notify-web")}
    assert modes == {"core": 0o666, "vault": 0o666, "ledger": 0o666, "api": 0o660, "local": 0o600,
                     "notify-core": 0o600, "notify-web": 0o600}
    if AS_ROOT:
        for role in ROLES:  # nobody else's words are in the way of a role's own
            assert os.stat(os.path.join(office.run_dir, f"notify-{role}.sock")).st_uid == office.uids[role]
        api = os.stat(os.path.join(office.run_dir, "api.sock"))
        assert (api.st_uid, api.st_gid) == (office.uids["core"], office.uids["web"])
    for role in ROLES:
        assert stat.S_IMODE(os.stat(os.path.join(office.state, role)).st_mode) == 0o700


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stops_in_the_other_order_and_leaves_nothing(tiny, number):
    office = tiny()
    pids = [office.pid(role) for role in ROLES] + [office.process.pid]
    assert office.stop(number) == 0
    assert not any(alive(pid) for pid in pids)
    assert os.listdir(office.run_dir) == []
    with pytest.raises(ConnectionRefusedError):
        who_answers(office)


def lingering():
    """A TCP socket that holds up whoever closes it last, and its other end."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        one = socket.create_connection(server.getsockname())
        other, _ = server.accept()
    one.setblocking(False)
    try:
        while one.send(bytes(65536)):
            pass
    except BlockingIOError:
        pass
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 30))
    return one, other


def test_a_passed_socket_does_not_hold_the_porter_up(tiny):
    office = tiny()
    pid = office.pid("web")
    held = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
        stranger.connect(os.path.join(office.run_dir, "notify-web.sock"))
        for count in (1, 200):  # also more than one asks for
            one, other = lingering()
            held.append(other)
            socket.send_fds(stranger, [b"READY=1"], [one.fileno()] * count)
            one.close()
    begin = time.monotonic()
    office.kill("web")
    wait_for("another web role", 10, lambda: office.pid("web") not in (0, pid))
    assert time.monotonic() - begin < 10
    for other in held:
        other.close()


def test_starts_again_where_it_was(tiny):
    office = tiny()
    office.stop()
    office.start()
    assert who_answers(office)[0] == "web"


def test_stop_while_starting(tiny):
    office = tiny(start=False, behave={"core": "hang"})
    office.start(wait=False)
    wait_for("core", 20, lambda: office.role("core").get("state") == "starting")
    assert office.stop() == 0
    assert "web is ready" not in office.log()


def test_a_role_that_does_not_end_is_ended(tiny):
    office = tiny(behave={"core": "deaf"})
    begin = time.monotonic()
    assert office.stop() == 0
    assert 9 < time.monotonic() - begin < 15
    assert "core did not end within 10 s" in office.log()


def test_a_second_signal_is_in_a_hurry(tiny):
    office = tiny(behave={"core": "deaf"})
    office.process.send_signal(signal.SIGINT)
    wait_for("stopping", 5, lambda: "asked to stop" in office.log())
    begin = time.monotonic()
    assert office.stop(signal.SIGINT) == 0
    assert time.monotonic() - begin < 5


def test_nothing_lives_on_without_the_porter(tiny):
    office = tiny()
    pids = [office.pid(role) for role in ROLES]
    office.process.kill()
    office.process.wait()
    wait_for("the end of all roles", 10, lambda: not any(alive(pid) for pid in pids))
    office.start()  # what it left (sockets, status.json) is in nobody's way
    assert who_answers(office)[0] == "web"


def test_what_a_role_leaves_behind_goes_with_the_office(tiny):
    office = tiny(behave={"web": "orphan"})
    first = office.kill("web")
    office.wait_role("web", other_than=first)
    assert office.stop() == 0  # close() finds whatever is left


# ---- dying and coming back


@pytest.mark.parametrize("role", ROLES)
def test_a_killed_role_comes_back_and_its_socket_never_goes(tiny, role):
    office = tiny()
    others = {other: office.pid(other) for other in ROLES if other != role}
    begin = time.monotonic()
    first = office.kill(role)
    if role == "web":
        answer = who_answers(office)  # waits in the socket that the porter holds
        assert answer[0] == "web" and int(answer[1]) != first
    second = office.wait_role(role, other_than=first)
    assert time.monotonic() - begin < (10 if SANITIZED else 2)
    assert second != first
    assert {other: office.pid(other) for other in others} == others
    entry = office.role(role)
    assert entry["restarts"] == 1
    assert entry["last_end"] == "was ended by signal 9 (Killed)"
    assert f"{role} was ended by signal 9 (Killed); it is started again in 0.1 s" in office.log()


def test_back_off_grows(tiny):
    office = tiny()
    pid = office.pid("ledger")
    for _ in range(5):
        os.kill(pid, signal.SIGKILL)
        pid = office.wait_role("ledger", other_than=pid)
    rests = re.findall(r"ledger was ended .* again in ([0-9.]+) s", office.log())
    assert rests == ["0.1", "0.2", "0.4", "0.8", "1.6"]


@pytest.mark.slow
def test_a_silent_role_is_ended_and_started_again(tiny):
    office = tiny(behave={"core": "silent"})
    first = office.pid("core")
    office.wait_role("core", other_than=first, seconds=40)
    assert "core has been silent for 20 s" in office.log()
    assert "Aborted" in office.role("core")["last_end"]


@pytest.mark.skipif(SANITIZED, reason="sanitizers need what intruders use")
def test_a_forbidden_call_is_told(tiny):
    office = tiny(start=False, behave={"web": "intrude"})
    office.start(wait=False)
    wait_for("the death", 20, lambda: "a system call its sandbox forbids" in office.log())
    office.stop()


def test_a_role_that_cannot_start_says_why_and_the_office_ends(tiny):
    office = tiny(start=False, behave={"ledger": "exit"})
    office.start(wait=False)
    status, log = ended(office)
    assert status == 1
    assert "ledger error the flag is not found: put it back" in log
    assert "ledger ended by itself with status 3 before it was ready: the line above says why" in log
    assert os.listdir(office.run_dir) == []


def test_after_the_start_an_ending_role_is_started_again(tiny):
    office = tiny()
    with open(os.path.join(office.documents, "web"), "w", encoding="ascii") as file:
        file.write("exit")
    office.kill("web")
    wait_for("two deaths", 10, lambda: office.log().count("ended by itself with status 3") >= 2)
    with open(os.path.join(office.documents, "web"), "w", encoding="ascii") as file:
        file.write("")
    office.wait_role("web", seconds=20)
    assert office.process.poll() is None


def test_hup_is_handed_on(tiny):
    office = tiny()
    office.process.send_signal(signal.SIGHUP)
    wait_for("reloading", 5, lambda: office.log().count(" reloads") == len(ROLES) - 1)  # the ledger takes none
    assert "ledger info reloads" not in office.log()


# ---- what is in the way


def start_fails(office, *words):
    office.start(wait=False)
    status, log = ended(office)
    assert status == 1
    line = [one for one in log.splitlines() if "the office cannot be opened" in one][-1]
    for word in words:
        assert word in line, line
    return line


def test_a_second_porter_is_refused(tiny):
    office = tiny()
    for extra in ("", "run"):
        other = subprocess.run([TINY, "run", "-c", office.config], capture_output=True, text=True,
                               timeout=30, check=False)
        assert other.returncode == 1
        assert "another porter runs this office" in other.stderr
        if extra == "":  # another state directory, the same run directory
            with open(office.config, encoding="ascii") as file:
                text = file.read()
            with open(office.config, "w", encoding="ascii") as file:
                file.write(text.replace(office.state, office.state + "2"))
    assert who_answers(office)[0] == "web"


def test_a_port_in_use_is_told(tiny):
    port = free_port()
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        office = tiny(start=False, port=port)
        start_fails(office, f"cannot listen on 127.0.0.1:{port}", "another program listens there")
        assert os.listdir(office.run_dir) == []


def test_stale_sockets_are_replaced_and_files_are_not(tiny):
    office = tiny(start=False)
    os.mkdir(office.run_dir, 0o755)
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(os.path.join(office.run_dir, "core.sock"))
    office.start()
    office.stop()
    with open(os.path.join(office.run_dir, "core.sock"), "w", encoding="ascii") as file:
        file.write("precious")
    start_fails(office, "core.sock is in the way and is no socket")
    assert os.listdir(office.run_dir) == ["core.sock"]


def test_wrong_modes_and_owners_are_refused(tiny):
    office = tiny()
    office.stop()
    vault = os.path.join(office.state, "vault")
    os.chmod(vault, 0o755)
    start_fails(office, f"{vault} is open to others (mode 0755)", f"chmod 0700 {vault}")
    os.chmod(vault, 0o700)
    os.chmod(office.state, 0o777)
    start_fails(office, f"{office.state} may be changed by others", "mode 0777")
    os.chmod(office.state, 0o711)
    if AS_ROOT:
        os.chown(vault, 12345, 12345)
        start_fails(office, f"{vault} belongs to user 12345", f"chown -R {office.uids['vault']}")
        os.chown(vault, office.uids["vault"], office.uids["vault"])
    os.rename(vault, vault + "-away")
    os.symlink("/tmp", vault)
    start_fails(office, "vault in the state directory cannot be opened")
    os.unlink(vault)
    os.rename(vault + "-away", vault)
    office.start()


def test_a_bad_bootstrap_file_is_told_by_line_and_column(tiny):
    office = tiny(start=False)
    with open(office.config, "a", encoding="ascii") as file:
        file.write("sessions_max: lots\n")
    lines = len(open(office.config, encoding="ascii").readlines())
    office.start(wait=False)
    status, log = ended(office)
    assert status == 4
    assert f"{office.config}:{lines}:15: error: sessions_max: 'lots' is not a number" in log
    assert not os.path.exists(office.run_dir)


def test_check_only_checks(tiny):
    office = tiny(start=False)
    assert office.cli("run", "-c", office.config, "--check").returncode == 0
    assert not os.path.exists(office.state)


def test_a_long_run_directory_is_told(tiny):
    office = tiny(start=False)
    deep = os.path.join(office.dir, "d" * 100)
    with open(office.config, encoding="ascii") as file:
        text = file.read()
    with open(office.config, "w", encoding="ascii") as file:
        file.write(text.replace(f"run: {office.run_dir}", f"run: {deep}"))
    start_fails(office, "is too long for a socket: choose a shorter run: directory")


@pytest.mark.skipif(not AS_ROOT, reason="only root can be somebody else")
def test_an_ordinary_user_cannot_make_others(tiny):
    office = tiny(start=False)
    os.chmod(office.dir, 0o777)

    def become_nobody():
        os.setgid(65534)
        os.setuid(65534)

    done = subprocess.run([TINY, "run", "-c", office.config], capture_output=True, text=True, timeout=30,
                          preexec_fn=become_nobody, check=False)
    os.chmod(office.dir, 0o755)
    assert done.returncode == 1
    assert "cannot be given to its role" in done.stderr


# ---- doctor


def test_doctor_sees_roles_as_the_kernel_does(tiny):
    office = tiny()
    found, _ = office.doctor()
    texts = [one["text"] for one in found["findings"] if one["area"] == "roles"]
    for role in ROLES:
        assert any(text.startswith(f"{role}: process {office.pid(role)}") and "seccomp=filter" in text
                   for text in texts), texts
    people = office.cli("doctor", "-c", office.config, check=False).stdout
    assert "roles\n  ok    vault: process" in people and " bad\n" in people


def test_doctor_names_what_is_bad(tiny):
    office = tiny()
    os.chmod(os.path.join(office.state, "vault"), 0o750)
    found, status = office.doctor()
    assert status == 1 and not found["ok"]
    bad = [one for one in found["findings"] if one["level"] == "bad"]
    mine = [one for one in bad if one["area"] == "directories"]
    assert len(mine) == 1 and "open to others (mode 0750)" in mine[0]["text"]
    assert mine[0]["hint"].endswith(f"chmod 0700 {office.state}/vault")
    # tiny roles speak neither TLS nor our messages
    assert {one["area"] for one in bad} == {"directories", "ports", "vault", "ledger"}


def test_doctor_of_a_closed_office(tiny):
    office = tiny(start=False)
    found, status = office.doctor()
    assert status == 0 and not found["running"]
    office.config += ".missing"
    done = office.cli("doctor", "-c", office.config, check=False)
    assert done.returncode == 4 and "cannot be read: No such file" in done.stderr
