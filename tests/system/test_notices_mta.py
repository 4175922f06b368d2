# SPDX-License-Identifier: Apache-2.0
"""Notices through a real mail server: exim, with a certificate of its own, by STARTTLS where it refuses every other
mailbox, and by TLS from the first byte with a log-in (PLAIN, LOGIN).

OWNS a folder and one process. PROCESS tests. TRUST none. SPEC courier/README.md, docs/NOTICES.md.
"""
import glob
import os
import pwd
import re
import shutil
import socket
import subprocess
import tempfile

import pytest

from noticelib import Local, add_people
from officelib import Office, free_port, wait_for

STAFF = [f"staff{i:03}" for i in range(30)]
PASSWORD = "correct-mail-battery"

CONFIG = """\
primary_hostname = mx.office.example
spool_directory = {dir}/spool
log_file_path = {dir}/log/%slog
pid_file_path = {dir}/pid
tls_advertise_hosts = *
tls_certificate = {dir}/mx.pem
tls_privatekey = {dir}/mx.key
tls_on_connect_ports = {plain} : {login}
acl_smtp_mail = in_tls
acl_smtp_rcpt = half
keep_environment =
queue_only
smtp_accept_max = 200
split_spool_directory = false
begin acl
in_tls:
  deny !encrypted = *
       message = TLS first
  deny condition = ${{if !eq{{$received_port}}{{{port}}}}}
       !authenticated = *
       message = log in first
  accept
half:
  deny condition = ${{if match{{$local_part}}{{[13579]\\$}}}}
       message = nobody of this name
  accept
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_advertise_condition = ${{if eq{{$received_port}}{{{plain}}}}}
  server_prompts = :
  server_condition = ${{if and{{{{eq{{$auth2}}{{gate}}}}{{eq{{$auth3}}{{{password}}}}}}}}}
  server_set_id = plain/$auth2
login:
  driver = plaintext
  public_name = LOGIN
  server_advertise_condition = ${{if eq{{$received_port}}{{{login}}}}}
  server_prompts = Username:: : Password::
  server_condition = ${{if and{{{{eq{{$auth1}}{{gate}}}}{{eq{{$auth2}}{{{password}}}}}}}}}
  server_set_id = login/$auth1
"""

DOCUMENTS = """\
kind: Channel
name: mail
via: email
address: localhost:{port}
ca: {ca}
from: Gate <gate@office.example>
retry: 1s
---
kind: Channel
name: strict
via: email
address: localhost:{port}
from: Gate <gate@office.example>
attempts: 1
---
kind: Audience
name: staff
who: {{ any: true }}
---
kind: Notice
name: over-strict
title: {{ en: T, zh: T }}
body: {{ en: x, zh: x }}
audience: staff
channels: [strict]
---
kind: Audience
name: one
who: {{ people: [staff000] }}
"""

LOG_IN = """\
---
kind: Channel
name: {name}
via: email
address: localhost:{port}
ca: {ca}
tls: implicit
user: gate
from: Gate <gate@office.example>
attempts: 1
---
kind: Notice
name: over-{name}
title: {{ en: By {name}, zh: T }}
body: {{ en: x, zh: x }}
audience: one
channels: [{name}]
"""


@pytest.fixture(scope="module")
def server():
    folder = tempfile.mkdtemp(prefix="sp-exim-", dir="/tmp")
    ports, user = {name: free_port() for name in ("port", "plain", "login")}, pwd.getpwnam("Debian-exim")
    for name in ("spool", "log"):
        os.mkdir(os.path.join(folder, name))
        os.chown(os.path.join(folder, name), user.pw_uid, user.pw_gid)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", f"{folder}/mx.key",
                    "-out", f"{folder}/mx.pem"], check=True, capture_output=True)
    os.chown(f"{folder}/mx.key", user.pw_uid, user.pw_gid)
    config = os.path.join(folder, "exim.conf")
    with open(config, "w", encoding="ascii") as file:
        file.write(CONFIG.format(dir=folder, password=PASSWORD, **ports))
    os.chmod(config, 0o644)
    os.chmod(folder, 0o755)
    with open(f"{folder}/out", "wb") as out:
        process = subprocess.Popen(["/usr/sbin/exim4", "-bdf", "-C", config, "-oX",
                                    " : ".join(f"127.0.0.1.{port}" for port in ports.values())], stdout=out, stderr=out)

    def listens():
        assert process.poll() is None, open(f"{folder}/out", encoding="utf-8").read()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", ports["login"])) == 0

    wait_for("exim", 20, listens)
    yield folder, ports
    process.terminate()
    process.wait(20)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def office(server):
    folder, ports = server
    one = Office(documents={"office.yaml": ""})
    ca = os.path.join(one.run_dir, "mx.pem")
    ways = {"secure": ports["plain"], "older": ports["login"], "wrong": ports["plain"]}
    with open(os.path.join(one.documents, "office.yaml"), "w", encoding="utf-8") as file:
        file.write(DOCUMENTS.format(port=ports["port"], ca=ca))
        file.writelines(LOG_IN.format(name=name, port=port, ca=ca) for name, port in ways.items())
    try:
        one.start()
        shutil.copy(f"{folder}/mx.pem", ca)
        os.chmod(ca, 0o644)
        add_people(one, STAFF)
        yield one
    finally:
        one.close()


def queued(folder):
    """Heads of the mails in its queue."""
    return [open(path, encoding="utf-8", errors="replace").read() for path in glob.glob(f"{folder}/spool/input/*-H")]


@pytest.mark.skipif(os.geteuid() != 0, reason="exim wants to be started by root")
def test_half_are_refused_by_a_real_server_and_an_unknown_certificate_is_not_trusted(server, office):
    folder, _ = server
    local = Local(office.run_dir)
    number = local.send("phishing-warning", "staff", values={"what": "a", "signs": "b", "contact": "c"})
    # the channel "mail" comes first; those it refuses are tried by "strict", which trusts nobody
    local.finished(number, 60)
    odd = [name for name in STAFF if int(name[-1]) % 2]
    unreached = local.people(number, "not_reached")
    assert [one["person"] for one in unreached] == odd
    heads = queued(folder)
    boxes = [re.search(r"^1\n(\S+)@staff.example$", head, re.MULTILINE).group(1) for head in heads]
    assert sorted(boxes) == sorted(set(STAFF) - set(odd))  # one in its queue for each, and no more
    assert all("Subject: =?UTF-8?B?" in head and "Auto-Submitted: auto-generated" in head for head in heads)
    number = local.send("over-strict")
    local.finished(number, 60)
    why = {one["why"] for one in local.people(number, "not_reached")}
    assert len(local.people(number, "not_reached")) == len(STAFF) and any("certificate" in text.lower() for text in why), why


@pytest.mark.skipif(os.geteuid() != 0, reason="exim wants to be started by root")
def test_tls_from_the_first_byte_and_a_log_in_with_the_password_of_the_vault(server, office):
    folder, _ = server
    local = Local(office.run_dir)
    for name, password in (("secure", PASSWORD), ("older", PASSWORD), ("wrong", "stale")):
        local.put(f"/admin/channels/{name}/secrets/secret", {"value": password})
    before = set(queued(folder))
    numbers = {name: local.send(f"over-{name}") for name in ("secure", "older", "wrong")}
    for number in numbers.values():
        local.finished(number, 30)
    new = sorted(set(queued(folder)) - before, key=lambda head: "older" in head)
    ids = [re.search(r"^-{1,2}auth_id (\S+)$", head, re.MULTILINE).group(1) for head in new]
    assert sorted(ids) == ["login/gate", "plain/gate"]  # both by log-in, none with the wrong password
    assert all("received_protocol esmtpsa" in head for head in new), "over TLS"
    unreached = local.people(numbers["wrong"], "not_reached")
    assert len(unreached) == 1 and "535" in unreached[0]["why"], unreached
    assert PASSWORD not in office.log() and "stale" not in office.log()
