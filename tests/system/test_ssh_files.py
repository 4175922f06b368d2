# SPDX-License-Identifier: Apache-2.0
"""Files through the SSH gate: sftp, scp both ways, rsync, git, and who may not.
OWNS nothing. PROCESS tests. TRUST none. SPEC lib/proto/sftp.h, gates/ssh/sftp.c."""

import hashlib
import os
import shlex
import subprocess

import pytest

from officelib import wait_for
from sshgatelib import SshOffice

DOCUMENTS = """\
kind: Role
name: reader
title: Readers
---
kind: Rule
name: engineers work
who: { roles: [engineer] }
to: { resources: [host] }
may: [connect, read, write, execute, import, export, destroy]
---
kind: Rule
name: readers take files away
who: { roles: [reader] }
to: { resources: [host] }
may: [connect, read, export]
"""


@pytest.fixture(scope="module")
def office():
    one = SshOffice(DOCUMENTS)
    one.person("rita", ["reader"])
    try:
        yield one
    finally:
        one.close()


def data(mebibytes):
    return hashlib.sha256(b"x").digest() * 32768 * mebibytes


def sftp(office, name, batch, machine="host", *words):
    return subprocess.run([*office.argv(name, machine, "-b", "-", *words, "127.0.0.1", program="sftp")], input=batch,
                          capture_output=True, text=True, timeout=120, check=False)


def test_sftp_puts_and_gets_and_the_ledger_has_the_sum(office, tmp_path):
    one = tmp_path / "one.bin"
    one.write_bytes(data(8))
    far = tmp_path / "far"
    far.mkdir()
    told = sftp(office, "ann", f"put {one} {far}/two.bin\nget {far}/two.bin {tmp_path}/three.bin\nls -l {far}\n"
                               f"rename {far}/two.bin {far}/four.bin\nmkdir {far}/d\nrmdir {far}/d\nrm {far}/four.bin\n")
    assert told.returncode == 0, told.stderr
    assert (tmp_path / "three.bin").read_bytes() == data(8)
    assert not list(far.iterdir())
    digest = hashlib.sha256(data(8)).hexdigest()

    def both():
        found = [e for e in office.events() if "sha256" in e.get("detail", {}) and e["object"] == f"{far}/two.bin"]
        return found if len(found) == 2 else None
    found = wait_for("both files in the ledger", 10, both)
    assert {e["detail"].get("sha256") for e in found} == {digest}
    assert {e["action"] for e in found} == {"import", "export"}
    words = {e.get("detail", {}).get("request") for e in office.events()}
    assert {"open", "mkdir", "rmdir", "remove"} <= words


def test_what_changes_names_and_rights_is_entered_with_its_action_and_paths(office, tmp_path):
    far = str(tmp_path)
    (tmp_path / "a").write_bytes(b"x")
    with office.paramiko("ann") as client, client.open_sftp() as files:
        files.rename(f"{far}/a", f"{far}/b")
        files.posix_rename(f"{far}/b", f"{far}/c")
        files.chmod(f"{far}/c", 0o600)
        files.truncate(f"{far}/c", 0)
        files.symlink(f"{far}/c", f"{far}/l")
    expected = {("rename", "write", f"{far}/a -> {far}/b"),
                ("posix-rename@openssh.com", "write", f"{far}/b -> {far}/c"),
                ("setstat", "write", f"{far}/c"), ("setstat", "destroy", f"{far}/c"),  # cut off, it is destroyed
                ("symlink", "write", f"{far}/c -> {far}/l")}

    def entered():
        return {(e["detail"].get("request"), e["action"], e["object"]) for e in office.events(person="ann", verdict="allow")
                if far in e.get("object", "")}
    try:
        wait_for("the entries", 5, lambda: expected <= entered(), 0.2)
    except AssertionError:
        raise AssertionError(f"not entered: {expected - entered()}; entered: {entered()}") from None


def test_of_a_file_that_was_read_in_part_the_ledger_says_so(office, tmp_path):
    one = tmp_path / "part.bin"
    one.write_bytes(data(8))
    with office.paramiko("ann") as client, client.open_sftp() as files:
        with files.open(str(one)) as half:
            half.read(1000)
        files.get(str(one), str(tmp_path / "whole.bin"))

    def both():
        found = [e for e in office.events(object=str(one)) if "to_end" in e.get("detail", {})]
        return found if len(found) == 2 else None
    whole, half = wait_for("both readings", 10, both)
    assert whole["detail"]["to_end"] is True and whole["detail"]["sha256"] == hashlib.sha256(data(8)).hexdigest()
    assert half["detail"]["to_end"] is False and half["bytes_out"] < len(data(8))


def test_who_may_only_read_gets_and_puts_nothing(office, tmp_path):
    near = tmp_path / "near"
    near.write_bytes(b"secret")
    assert sftp(office, "rita", f"get {near} {tmp_path}/got\n").returncode == 0
    assert (tmp_path / "got").read_bytes() == b"secret"
    for batch in (f"put {near} {tmp_path}/put\n", f"rm {near}\n", f"rename {near} {near}2\n", f"mkdir {tmp_path}/m\n",
                  f"chmod 777 {near}\n", f"symlink {near} {tmp_path}/l\n"):
        told = sftp(office, "rita", batch)
        assert told.returncode != 0, batch
    assert near.read_bytes() == b"secret" and sorted(p.name for p in tmp_path.iterdir()) == ["got", "near"]
    assert any(e.get("verdict") == "deny" and "request" in e.get("detail", {}) for e in office.events())


def test_scp_in_both_of_its_ways(office, tmp_path):
    one = tmp_path / "one"
    one.write_bytes(data(3))
    for words in ([], ["-O"]):
        scp = ["scp", *office.options("ann"), "-o", "User=ann:host", "-P", str(office.port), *words]
        put = subprocess.run([*scp, str(one), f"127.0.0.1:{tmp_path}/two"], capture_output=True, text=True, timeout=60,
                             check=False)
        assert put.returncode == 0, put.stderr
        assert (tmp_path / "two").read_bytes() == data(3)
        get = subprocess.run([*scp, f"127.0.0.1:{tmp_path}/two", str(tmp_path / "three")], capture_output=True,
                             text=True, timeout=60, check=False)
        assert get.returncode == 0, get.stderr
        assert (tmp_path / "three").read_bytes() == data(3)
        os.remove(tmp_path / "two")


def test_rsync_and_git(office, tmp_path):
    shell = shlex.join([*office.argv("ann", "host")])
    tree = tmp_path / "tree"
    tree.mkdir()
    for n in range(20):
        (tree / f"f{n}").write_bytes(bytes([n]) * 5000)
    told = subprocess.run(["rsync", "-a", "-e", shell, f"{tree}/", f"127.0.0.1:{tmp_path}/copy/"], capture_output=True,
                          text=True, timeout=60, check=False)
    assert told.returncode == 0, told.stderr
    assert (tmp_path / "copy" / "f7").read_bytes() == b"\x07" * 5000
    subprocess.run(["git", "init", "-q", "--bare", str(tmp_path / "g.git")], check=True)
    env = {**os.environ, "GIT_SSH_COMMAND": shell, "GIT_CONFIG_GLOBAL": "/dev/null"}
    told = subprocess.run(["git", "clone", f"127.0.0.1:{tmp_path}/g.git", str(tmp_path / "g")], env=env,
                          capture_output=True, text=True, timeout=60, check=False)
    assert told.returncode == 0, told.stderr
    wait_for("both in the ledger", 10, lambda: {"rsync", "git"} <= {e.get("detail", {}).get("kind") for e in office.events()})


def test_a_reader_gets_by_scp_and_rsync_but_puts_nothing(office, tmp_path):
    one = tmp_path / "one"
    one.write_bytes(b"1")
    scp = ["scp", "-O", *office.options("rita"), "-o", "User=rita:host", "-P", str(office.port)]
    assert subprocess.run([*scp, f"127.0.0.1:{one}", str(tmp_path / "got")], capture_output=True, timeout=60,
                          check=False).returncode == 0
    told = subprocess.run([*scp, str(one), f"127.0.0.1:{tmp_path}/put"], capture_output=True, text=True, timeout=60,
                          check=False)
    assert told.returncode != 0 and "reference" in told.stderr
    assert not (tmp_path / "put").exists()
    told = office.ssh("rita", "host", "id")
    assert told.returncode == 254 and "execute" in told.stderr
    told = office.ssh("rita", "host", f"scp -f {one}; id")
    assert told.returncode == 254


def test_paramikos_sftp_with_many_requests_at_once(office, tmp_path):
    with office.paramiko("ann") as client:
        files = client.open_sftp()
        with files.open(f"{tmp_path}/p", "wb") as file:
            file.set_pipelined(True)
            file.write(data(4))
        with files.open(f"{tmp_path}/p", "rb") as file:
            file.prefetch()
            assert file.read() == data(4)
        with pytest.raises(OSError):
            files.open(f"{tmp_path}/none/none", "rb")
        assert files.normalize(f"{tmp_path}/../{tmp_path.name}") == str(tmp_path)


def test_psftp_and_pscp(office, tmp_path):
    (tmp_path / "p").write_bytes(data(1))
    told = office.putty("ann", "psftp", "-l", "ann:host", "127.0.0.1", input=f"get {tmp_path}/p {tmp_path}/q\nquit\n")
    assert (tmp_path / "q").read_bytes() == data(1), told.stderr + told.stdout
    for words in (["-sftp"], ["-scp"]):
        for one, two in ((f"{tmp_path}/p", f"127.0.0.1:{tmp_path}/far"), (f"127.0.0.1:{tmp_path}/p", f"{tmp_path}/near")):
            told = office.putty("ann", "pscp", *words, "-l", "ann:host", one, two)
            assert told.returncode == 0, (words, told)
        for made in ("far", "near"):
            assert (tmp_path / made).read_bytes() == data(1)
            (tmp_path / made).unlink()


def test_the_server_by_its_program_is_refused(office):
    told = office.ssh("ann", "host", "/usr/lib/openssh/sftp-server")
    assert told.returncode == 254 and "subsystem" in told.stderr


def test_junk_instead_of_sftp_ends_the_channel(office):
    told = office.ssh("ann", "host", "sftp", "-s", input="\xff" * 5000)
    assert told.returncode != 0 and office.ssh("ann", "host", "echo ok").stdout == "ok\n"


def old_scp(office, *words):
    scp = ["scp", "-O", *office.options("ann"), "-o", "User=ann:host", "-P", str(office.port), *words]
    return subprocess.run(scp, capture_output=True, text=True, timeout=60, check=False)


def files_of(office, method):
    return {(e["object"], e["detail"].get("name")): e for e in office.events(method=method)}


def test_each_file_of_the_old_scp_is_an_entry(office, tmp_path):
    tree = tmp_path / "tree"
    (tree / "deep").mkdir(parents=True)
    (tree / "one").write_bytes(data(1))
    (tree / "deep" / "zwei 文件").write_bytes(b"two")
    (tree / "empty").write_bytes(b"")
    far = tmp_path / "far"
    told = old_scp(office, "-r", "-p", str(tree), f"127.0.0.1:{far}")
    assert told.returncode == 0 and (far / "deep" / "zwei 文件").read_bytes() == b"two", told.stderr
    told = old_scp(office, "-r", f"127.0.0.1:{far}", str(tmp_path / "back"))
    assert told.returncode == 0 and (tmp_path / "back" / "one").read_bytes() == data(1), told.stderr
    want = {f"{far}/one": data(1), f"{far}/deep/zwei 文件": b"two", f"{far}/empty": b""}

    def both():
        found = [e for e in office.events() if e["object"] in want and "sha256" in e.get("detail", {})]
        return found if len(found) == 2 * len(want) else None
    for event in wait_for("the files", 10, both):
        assert event["detail"]["sha256"] == hashlib.sha256(want[event["object"]]).hexdigest()
        assert event.get("bytes_in" if event["action"] == "import" else "bytes_out", 0) == len(want[event["object"]])
    told = old_scp(office, str(tree / "one"), f"127.0.0.1:{far}/copy")
    assert told.returncode == 0, told.stderr
    wait_for("the one file", 10, lambda: [e for e in office.events() if e["object"] == f"{far}/copy"
                                          and e["detail"].get("name") == "one" and e["detail"].get("sha256")])


@pytest.mark.parametrize("record", [b"C0644 4 ../evil\nevil\0", b"C0644 4 a/b\nevil\0", b"D0755 0 ..\n", b"E\n", b"C0644 -1 x\n",
                                    b"X\n", b"C0644 4 \n", b"x" * 5000, b"C06444 4 name\n", b"C0644 99999999999999999999 n\n"])
def test_a_client_that_abuses_scp_is_cut_off(office, tmp_path, record):
    far = tmp_path / "far"
    far.mkdir()
    client = office.paramiko("ann")
    try:
        channel = client.get_transport().open_session()
        channel.exec_command(f"scp -r -t {far}")
        channel.settimeout(10)
        assert channel.recv(1) == b"\0"
        channel.sendall(record)
        said, more = b"", b"x"
        while more:
            more = channel.recv(4096)
            said += more
        assert b"scp: this is no scp" in said and channel.recv_exit_status() == 254
    finally:
        client.close()
    assert not list(far.iterdir()) and [p.name for p in tmp_path.iterdir()] == ["far"]


def test_a_machine_that_sends_what_nobody_asked_for_is_cut_off(office, tmp_path):
    fake = os.path.join(office.sshd.dir, "bashrc")
    with open(fake, "w", encoding="ascii") as file:
        file.write("/usr/bin/scp() { head -c1 >/dev/null; printf 'C0644 5 .bashrc\\nevil\\n\\0'; sleep 1; }\n")
    try:
        told = old_scp(office, f"127.0.0.1:{tmp_path}/wanted", str(tmp_path / "here"))
    finally:
        os.unlink(fake)
    assert told.returncode != 0 and "names a file elsewhere" in told.stderr
    assert not list(tmp_path.iterdir())


def test_rsync_and_git_are_opaque_and_said_to_be(office, tmp_path):
    (tmp_path / "near").mkdir()
    (tmp_path / "near" / "file").write_text("x")
    shell = " ".join(["ssh", *map(shlex.quote, office.options("ann")), "-o", "User=ann:host", "-p", str(office.port)])
    subprocess.run(["rsync", "-a", "-e", shell, f"{tmp_path}/near/", f"127.0.0.1:{tmp_path}/far/"], check=True, timeout=60)
    wait_for("the coverage", 10, lambda: [e for e in office.events(kind="close") if e["detail"].get("opaque") == 1
                                          and e["detail"].get("channels") == 1])
