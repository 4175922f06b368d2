# SPDX-License-Identifier: Apache-2.0
"""Ways round what the SSH gate decides, with clients that say what no usual one says: flags and numbers of sftp, links
and folders that move, options that eat the next one, shells without a terminal. Each is refused, or seen.
OWNS nothing. PROCESS tests. TRUST none. SPEC gates/ssh/sftp_judge.c, gates/ssh/start.c, lib/argv/transfer.c."""

import hashlib
import os
import shutil
import struct
import subprocess
import tempfile

import pytest
from paramiko.message import Message

from officelib import wait_for
from sshgatelib import ACCOUNT, SshOffice

DOCUMENTS = """\
{ kind: Role, name: putter, title: Putters }
---
{ kind: Role, name: sipper, title: Sippers }
---
{ kind: Role, name: watched, title: Watched people }
---
{ kind: Role, name: asker, title: Askers }
---
kind: Rule
name: engineers work
who: { roles: [engineer] }
to: { classes: [internal, sensitive] }
may: [connect, read, write, execute, import, export, destroy]
with: { record: true }
---
kind: Rule
name: engineers change what is vital and take nothing of it
who: { roles: [engineer] }
to: { classes: [core] }
may: [read, write, execute]
with: { record: true }
---
kind: Rule
name: putters bring files and take nothing away
who: { roles: [putter] }
to: { classes: [internal] }
may: [connect, read, write, import]
---
kind: Rule
name: sippers take small files
who: { roles: [sipper] }
to: { classes: [internal] }
may: [connect, read, export]
with: { limit: { bytes: 100 KiB } }
---
kind: Rule
name: somebody looks at what these do
who: { roles: [watched] }
to: { classes: [internal] }
may: [connect, execute, import, export]
with: { watch: true }
---
kind: Rule
name: askers bring files
who: { roles: [asker] }
to: { classes: [internal] }
may: [connect, read, import]
---
kind: Rule
name: a colleague agrees to what askers take or change
who: { roles: [asker] }
to: { classes: [internal] }
may: [execute, export, write, destroy]
ask: { approved_by: 1, by: { roles: [engineer] }, on: { owner: [unknown, personal, company] }, expires: 15m }
"""
INIT, OPEN, CLOSE, READ, WRITE, SETSTAT, SYMLINK, EXTENDED = 1, 3, 4, 5, 6, 9, 20, 200
STATUS, HANDLE, DATA = 101, 102, 103
DENIED = 3
F_READ, F_WRITE, F_APPEND, F_CREAT, F_TRUNC, F_EXCL = 1, 2, 4, 8, 16, 32


@pytest.fixture(scope="module")
def top():
    path = os.path.realpath(tempfile.mkdtemp(prefix="sp-round-", dir="/tmp"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
def office(top):
    one = SshOffice(DOCUMENTS, more=f"  parts: [{{ path: {top}/*/vital, class: core }}]\n",
                    hosts={"plain": "  commands: [{ name: rest, argv: [sleep, \"{n:int}\"] }]\n", "typed": "  record_input: true\n  alarm: page\n",
                           "mixed": f"  parts: [{{ path: {top}/mixed, class: sensitive }}]\n"})
    one.mixed = f"{top}/mixed"
    os.mkdir(one.mixed)
    put(f"{one.mixed}/far", "far away")
    try:
        one.people(ann="engineer", pat="putter", sue="sipper", wes="watched", abe="asker")
        yield one
    finally:
        one.close()


@pytest.fixture
def folder(top):
    """One with a part that nobody takes from, and a file in it."""
    path = tempfile.mkdtemp(dir=top)
    os.mkdir(f"{path}/vital")
    put(f"{path}/vital/secret", "secret")
    yield path


def put(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def get(path):
    with open(path, encoding="ascii") as file:
        return file.read()


class Raw:
    """sftp, packet by packet."""

    def __init__(self, office, name, machine="host"):
        self.client = office.paramiko(name, machine)
        self.channel = self.client.get_transport().open_session()
        self.channel.settimeout(20)
        self.channel.invoke_subsystem("sftp")
        self.send(INIT, 3)
        assert self.answer()[0] == 2

    def send(self, kind, *words):
        self.channel.sendall(self.packet(kind, *words))

    @staticmethod
    def packet(kind, *words):
        body = Message()
        body.add_byte(bytes([kind]))
        for word in words:
            if isinstance(word, int):
                body.add_int(word)
            else:
                body.add_string(word)
        return struct.pack(">I", len(body.asbytes())) + body.asbytes()

    def _exactly(self, count):
        read = b""
        while len(read) < count:
            more = self.channel.recv(count - len(read))
            if not more:
                raise EOFError
            read += more
        return read

    def answer(self):
        """Its kind and its words."""
        body = self._exactly(struct.unpack(">I", self._exactly(4))[0])
        return body[0], Message(body[5:])

    def ask(self, kind, number, *words):
        self.send(kind, number, *words)
        return self.answer()

    def status(self, kind, number, *words):
        kind, told = self.ask(kind, number, *words)
        assert kind == STATUS
        return told.get_int()

    def open(self, path, flags, number=7):
        """The handle, or the number that says why not."""
        kind, told = self.ask(OPEN, number, path, flags, 0)
        return told.get_binary() if kind == HANDLE else told.get_int()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.close()


# ---- sftp: what is written over

def test_no_flag_of_an_open_cuts_a_file_off_unjudged(office, folder):
    for flags in (F_WRITE | F_TRUNC | F_EXCL, F_WRITE | F_EXCL, F_TRUNC | F_EXCL, F_WRITE | F_APPEND | F_TRUNC,
                  F_READ | F_TRUNC, F_WRITE | F_CREAT | F_TRUNC):
        put(f"{folder}/kept", "kept")
        with Raw(office, "pat") as raw:
            assert raw.open(f"{folder}/kept", flags) == DENIED, flags
        assert get(f"{folder}/kept") == "kept", flags
    with Raw(office, "pat") as raw:
        assert isinstance(raw.open(f"{folder}/new", F_WRITE | F_CREAT | F_EXCL), bytes)


# ---- sftp: names that go elsewhere

def test_what_lies_below_a_folder_moves_with_it(office, folder, top):
    with office.paramiko("ann") as client:
        files = client.open_sftp()
        for ask in (files.rename, files.posix_rename):
            with pytest.raises(PermissionError):
                ask(folder, f"{top}/../sp-round-away")
        assert get(f"{folder}/vital/secret") == "secret"
        os.mkdir(f"{folder}/other")
        put(f"{folder}/other/plain", "plain")
        files.rename(f"{folder}/other", f"{folder}/another")
        assert get(f"{folder}/another/plain") == "plain"


def test_links_lead_nowhere_that_their_maker_may_not_take_from(office, folder, top):
    """Else one could be put in the place of what was judged, before it is opened."""
    put(f"{folder}/plain", "plain")
    with office.paramiko("ann") as client:
        files = client.open_sftp()
        for where in (f"{folder}/vital/secret", f"{folder}/vital", folder, "/", top, "vital/secret", "plain", "../x",
                      f"{folder}/none/none"):
            with pytest.raises(PermissionError):
                files.symlink(where, f"{folder}/link")
            assert not os.path.lexists(f"{folder}/link"), where
        files.symlink(f"{folder}/plain", f"{folder}/link")
        with files.open(f"{folder}/link") as file:
            assert file.read() == b"plain"
    with office.paramiko("ann", "plain") as client:  # a machine of one part
        client.open_sftp().symlink("plain", f"{folder}/other")
    assert os.readlink(f"{folder}/other") == "plain"


def test_a_link_with_a_slash_behind_it_is_what_it_leads_to(office, folder):
    os.chmod(f"{folder}/vital", 0o700)
    os.symlink(f"{folder}/vital", f"{folder}/link")
    with Raw(office, "pat") as raw:
        assert raw.status(EXTENDED, 1, b"lsetstat@openssh.com", f"{folder}/link/", 4, 0o777) == DENIED
    assert os.stat(f"{folder}/vital").st_mode & 0o777 == 0o700


# ---- sftp: whose answer it is

def test_two_requests_of_one_number_end_it(office, folder):
    """Else the bytes of one are counted as those of the other: a limit that is none, a file that was never read."""
    put(f"{folder}/big", "x" * 400000)
    with Raw(office, "sue") as raw:
        one, two = raw.open(f"{folder}/big", F_READ, 1), raw.open(f"{folder}/big", F_READ, 2)
        with pytest.raises((EOFError, OSError)):
            for _ in range(3):
                raw.channel.sendall(b"".join(raw.packet(READ, 9, handle, 0, 0, 9000) for handle in (one, two)))
                raw.answer()
                raw.answer()
    wait_for("the refusal", 10, lambda: [e for e in office.events(person="sue", verdict="deny")
                                         if e.get("reason") == "unparsed"])


# ---- sftp: what is open when the word changes

def test_an_open_file_does_not_outlive_its_permission(office, folder):
    """A class is cut: the connection stays, since it is of another one; what was opened of that class does not."""
    put(f"{folder}/plain", "plain")
    with Raw(office, "ann", "mixed") as raw:
        far, near = raw.open(f"{office.mixed}/far", F_READ), raw.open(f"{folder}/plain", F_READ)
        for handle in (far, near):
            assert raw.ask(READ, 1, handle, 0, 0, 2)[0] == DATA
        office.sam.fresh()
        made = office.sam.post("/cuts", {"kind": "class", "name": "sensitive", "reason": "a test"})
        try:
            wait_for("the refusal", 5, lambda: raw.ask(READ, 1, far, 0, 2, 2)[0] == STATUS)
            assert raw.ask(READ, 1, near, 0, 2, 2)[0] == DATA
            wait_for("its entry", 5, lambda: office.events(object=f"{office.mixed}/far", verdict="deny"))
        finally:
            office.sam.post(f"/cuts/{made['id']}/undo", {"reason": "over"})


# ---- sftp: what others agree to

@pytest.mark.parametrize("request_, words", [
    ((OPEN, "{f}/there", F_READ | F_WRITE, 0), "sftp get and put {f}/there over what is there"),
    ((OPEN, "{f}/there", F_READ, 0), "sftp get {f}/there"),
    ((SETSTAT, "{f}/there", 5, 0, 0, 0o4755), "sftp setstat {f}/there size 0 mode 4755"),
    ((SETSTAT, "{f}/there", 2, 0, 4), "sftp setstat {f}/there owner 0:4"),
    ((SYMLINK, "{f}/there", "{f}/link"), "sftp symlink {f}/there to {f}/link")], ids=lambda p: str(p)[:20])
def test_who_agrees_reads_all_that_it_does(office, folder, request_, words):
    put(f"{folder}/there", "there")
    kind, *rest = [w.format(f=folder) if isinstance(w, str) else w for w in request_]
    with Raw(office, "abe") as raw:
        raw.send(kind, 5, *rest)
        assert office.decide("refuse")["statement"] == f"{ACCOUNT}@host: " + words.format(f=folder)
        assert raw.answer()[0] == STATUS
    assert get(f"{folder}/there") == "there"


# ---- commands

def test_no_option_of_rsync_hides_the_direction(office, folder):
    put(f"{folder}/kept", "kept")
    for words in ("-e --sender", "-re --sender", "-B --sender", "-@ --sender", "--sender -e"):
        told = office.ssh("sue", "plain", f"rsync --server {words} . {folder}/", input="")
        assert told.returncode == 254 and "file transfer" in told.stderr, (words, told)


def test_a_command_is_watched_where_a_shell_is(office):
    for words in (["-T", "sh"], ["-tt", "sh -i"], ["-T", "true"], ["-T"]):
        client = subprocess.Popen(office.argv("wes", "plain", *words[:1], "127.0.0.1", *words[1:]), text=True,
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            client.stdin.write("echo un''watched\n")
            client.stdin.flush()
            assert "begins when somebody watches" in client.stdout.readline(), words
            one = office.connection("wes", "plain")
            office.sam.post(f"/ssh/connections/{one['id']}/watch", {})
            assert "watched by" in client.stdout.readline()
            office.sam.call("DELETE", f"/ssh/connections/{one['id']}/watch")
        finally:
            client.kill()
            client.communicate()
        wait_for("its end", 10, lambda: not [c for c in office.sam.items("/ssh/connections")
                                             if c["person"]["name"] == "wes"])


def test_one_that_is_watched_has_a_connection_of_its_own(office):
    """Else a second one begins while who watches still looks at the first."""
    with office.paramiko("wes", "plain") as client:
        one, two, three = (client.get_transport().open_session() for _ in range(3))
        one.exec_command("read x; echo done")
        shown = office.connection("wes", "plain")
        office.sam.post(f"/ssh/connections/{shown['id']}/watch", {})
        two.exec_command("echo unseen")
        three.invoke_shell()
        for other in (two, three):
            other.settimeout(15)
            assert other.recv_exit_status() == 254
            assert b"a connection of its own" in other.recv_stderr(4096) and not other.recv(10)
        one.sendall(b"\n")
        assert one.makefile().read() == b"done\n"
        late = client.get_transport().open_session()
        late.exec_command("echo unseen")
        assert late.recv_exit_status() == 254
        office.sam.call("DELETE", f"/ssh/connections/{shown['id']}/watch")
    with office.paramiko("wes", "plain") as client:
        first, second = (client.get_transport().open_session() for _ in range(2))
        first.exec_command("sleep 20")  # is listed, so nobody has to look: but who looks would see it
        wait_for("it to run", 10, lambda: office.connection("wes", "plain")["channels"])
        second.exec_command("echo unseen")
        assert second.recv_exit_status() == 254


def test_who_agrees_sees_all_of_a_command_or_is_not_asked(office, folder):
    client = subprocess.Popen(office.argv("abe", "plain", "127.0.0.1", f"true \\x0a\ntouch {folder}/mark\u202e"), text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert office.decide("refuse")["statement"] == f"{ACCOUNT}@plain, with input$ true \\x0a\ntouch {folder}/mark<U+202E>"
    assert "did not agree" in client.communicate(timeout=20)[1]
    told = office.ssh("abe", "plain", "true\x01" + "\x01" * 25000 + f"\ntouch {folder}/mark")
    assert told.returncode == 254 and "shown to them whole" in told.stderr
    assert not os.path.exists(f"{folder}/mark") and not office.person("ann").items("/approvals?state=waiting")


def test_a_long_command_is_written_down_whole(office, folder):
    for length in (3000, 30000):
        command = "true " + "x" * length + f" the end {length}"
        assert office.ssh("ann", "plain", command).returncode == 0
        found = wait_for("the entry", 10, lambda: [e for e in office.events(person="ann", resource="plain")
                                                   if e.get("detail", {}).get("command_bytes") == len(command)])[0]
        assert found["detail"]["command_sha256"] == hashlib.sha256(command.encode()).hexdigest()
        if length < 8000:
            assert found["detail"]["command"] == command
        else:
            recording = found["detail"]["connection"]
            wait_for("the recording", 10, lambda: "the end 30000" in office.audrey.request(
                "GET", "portal", f"/api/v1/ssh/recordings/{recording}").body.decode())


# ---- shells without a terminal

def test_a_shell_without_a_terminal_is_recorded_and_looked_at(office, folder):
    told = office.ssh("ann", "typed", None, "-T", timeout=30,
                      input="head -c 300000 /dev/zero | tr '\\0' x; echo; echo the last words\nrm -rf --no-preserve-root "
                            f"{folder}/none /etc/none\nsleep 1\n")
    assert told.stdout.endswith("the last words\n")
    alarm = wait_for("the alarm", 10, lambda: office.events(
        object="files are removed with everything below them"))[0]
    recording = alarm["detail"]["connection"]

    def whole():
        text = office.audrey.request("GET", "portal", f"/api/v1/ssh/recordings/{recording}").body.decode()
        return text if "the last words" in text and '"i"' in text else None
    assert "no-preserve-root" in wait_for("its recording", 10, whole)


def recording_of(office, connection):
    return office.audrey.request("GET", "portal", f"/api/v1/ssh/recordings/{connection}").body.decode()


def statement_of(office, connection):
    info = wait_for("its end", 10, lambda: (lambda i: i if i["ended_at"] else None)(
        office.audrey.get(f"/ssh/recordings/{connection}/info")))
    return info["coverage"]


@pytest.mark.parametrize("machine", ["typed", "plain"])
def test_commands_that_are_sent_to_a_command_are_looked_at_and_kept(office, folder, machine):
    """`bash -s` without a terminal: an alarm, and what was sent in the recording."""
    token = f"sent-{os.path.basename(folder)}"
    before = {e["entry"] for e in office.events(object="files are removed with everything below them")}
    told = office.ssh("ann", machine, "bash -s", timeout=30,
                      input=f"echo said-{token}\nrm -rf --no-preserve-root {folder}/none /etc/none\n: {token}\n")
    assert told.stdout == f"said-{token}\n"
    alarm = wait_for("the alarm", 10, lambda: [
        e for e in office.events(object="files are removed with everything below them")
        if e["resource"] == machine and e["entry"] not in before])[0]
    connection = alarm["detail"]["connection"]
    coverage = statement_of(office, connection)
    text = wait_for("its recording", 10, lambda: (lambda t: t if f"said-{token}" in t else None)(
        recording_of(office, connection)))
    assert coverage["unseen"] == 0 and f": {token}" in text
    assert token not in str(office.events(object=alarm["object"]))  # an alarm says what stood out, not what was sent


def test_of_what_is_sent_to_a_command_the_first_is_kept_and_that_there_was_more(office):
    told = office.ssh("ann", "typed", "wc -c; echo counted-here", timeout=30, input="y" * 200000)
    assert told.stdout == "200000\ncounted-here\n"
    connection = office.audrey.get("/ssh/recordings?person=ann")["items"][0]["id"]
    assert statement_of(office, connection)["unseen"] == 1
    text = recording_of(office, connection)
    assert "counted-here" in text and "cut: more was sent than is kept" in text and 60000 < text.count("y") < 70000


def test_data_that_is_sent_to_what_takes_no_commands_raises_nothing(office, folder):
    before = len(office.events(object="files are removed with everything below them"))
    assert office.ssh("ann", "plain", f"cat > {folder}-x; rm {folder}-x", input="rm -rf /etc/none\n").returncode == 0
    office.ssh("ann", "host", "true")
    assert len(office.events(object="files are removed with everything below them")) == before
