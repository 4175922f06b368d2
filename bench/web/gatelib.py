# SPDX-License-Identifier: Apache-2.0
"""Starts the web gate for benches and tests: a real nginx with the real module and the real generated
configuration, on a policy and sessions published by web_harness (bench/web/web_harness.c).

    with Gate(upstream_port=9001, sessions=10) as gate:
        gate.cookie(0, "wiki")           the cookie of session 0 for wiki.office.localhost
        gate.say("end 0")                the session ends; the steady clock in microseconds when it did
        gate.events()                    what the ledger's end of the ring got, a list of lists of words
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("SALLYPORT_BUILD", os.path.join(ROOT, "build"))
MODULE = os.path.join(BUILD, "gates", "web", "ngx_http_sallyport_module.so")
HARNESS = os.path.join(BUILD, "bench", "web", "web_harness")
DOCUMENTS = os.path.join(ROOT, "bench", "web", "documents")
DOMAIN = "office.localhost"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def openssl(*words, stdin=None):
    subprocess.run(["openssl", *words], check=True, input=stdin, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def make_certificates(folder, devices=2):
    """A server certificate, a device authority and certificates of devices: files in folder."""
    def at(name):
        return os.path.join(folder, name)

    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-subj", "/CN=" + DOMAIN, "-addext", f"subjectAltName=DNS:{DOMAIN},DNS:*.{DOMAIN}",
            "-keyout", at("tls.key"), "-out", at("tls.pem"))
    for authority in ("device-ca", "other-ca"):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                "-subj", "/CN=" + authority, "-keyout", at(authority + ".key"), "-out", at(authority + ".pem"))
    for name, authority in [(f"device{i}", "device-ca") for i in range(devices)] + [("stranger", "other-ca")]:
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=" + name,
                "-keyout", at(name + ".key"), "-out", at(name + ".csr"))
        openssl("x509", "-req", "-in", at(name + ".csr"), "-CA", at(authority + ".pem"),
                "-CAkey", at(authority + ".key"), "-CAcreateserial", "-days", "2", "-out", at(name + ".pem"))


def fingerprint(pem_file):
    der = subprocess.run(["openssl", "x509", "-in", pem_file, "-outform", "DER"], check=True, capture_output=True).stdout
    import hashlib
    return hashlib.sha256(der).hexdigest()


class Gate:
    def __init__(self, upstream_port, sessions=16, workers=2, documents=DOCUMENTS, ledger=None, device_ca=True,
                 folder=None, upstream_port2=None):
        self.folder = folder or tempfile.mkdtemp(prefix="sp-web-")
        os.chmod(self.folder, 0o755)  # as root, nginx runs its workers as nobody
        self.port = free_port()
        self.errors = os.path.join(self.folder, "nginx.log")
        os.makedirs(os.path.join(self.folder, "tmp"), exist_ok=True)
        if not os.path.exists(os.path.join(self.folder, "tls.pem")):
            make_certificates(self.folder)
        self.documents = os.path.join(self.folder, "documents")
        self.upstream_port = upstream_port
        self.write_documents(documents)
        words = [HARNESS, self.folder, self.documents, f"127.0.0.1:{self.port}", str(self.port), MODULE,
                 str(sessions), str(workers), os.path.join(self.folder, "device-ca.pem") if device_ca else "-"]
        self.harness = subprocess.Popen(words + ([ledger] if ledger else []), stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, bufsize=1)
        line = self.harness.stdout.readline()
        if line != "ready\n":
            raise RuntimeError("web_harness did not start")
        self.cookies = {}
        with open(os.path.join(self.folder, "cookies")) as cookies:
            for line in cookies:
                slot, host, value = line.split()
                self.cookies[int(slot), host.split(".")[0]] = value
        self.start_nginx()

    def write_documents(self, source, replace=()):
        os.makedirs(self.documents, exist_ok=True)
        for name in os.listdir(source):
            with open(os.path.join(source, name)) as document:
                text = document.read().replace("UPSTREAM_PORT", str(self.upstream_port))
            for old, new in replace:
                assert old in text, old
                text = text.replace(old, new)
            with open(os.path.join(self.documents, name), "w") as out:
                out.write(text)

    def start_nginx(self):
        environment = dict(os.environ)
        if "libasan" in subprocess.run(["ldd", MODULE], capture_output=True, text=True, check=True).stdout:
            # a sanitized module loads into Debian's nginx when the sanitizers are loaded first
            environment["LD_PRELOAD"] = " ".join(
                subprocess.run(["gcc", "-print-file-name=" + name], capture_output=True, text=True, check=True).stdout.strip()
                for name in ("libasan.so", "libubsan.so"))
            environment["ASAN_OPTIONS"] = "detect_leaks=0:abort_on_error=1"
        with open(self.errors, "ab") as log:
            self.nginx = subprocess.Popen(
                ["/usr/sbin/nginx", "-e", "stderr", "-p", self.folder, "-c", os.path.join(self.folder, "nginx.conf")],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
        deadline = time.time() + 15
        while time.time() < deadline:
            if self.nginx.poll() is not None:
                raise RuntimeError("nginx ended:\n" + self.log())
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise RuntimeError("nginx does not listen:\n" + self.log())

    def log(self):
        with open(self.errors, errors="replace") as log:
            return log.read()

    def cookie(self, slot=0, app="wiki"):
        return "__Host-sallyport=" + self.cookies[slot, app]

    def say(self, command):
        self.harness.stdin.write(command + "\n")
        answer = self.harness.stdout.readline().split()
        if not answer or answer[0] != "ok":
            raise RuntimeError("web_harness refused: " + command)
        return int(answer[1])

    def events(self):
        """All events so far, each a dictionary."""
        time.sleep(0.05)
        found = []
        with open(os.path.join(self.folder, "events")) as events:
            for line in events:
                words = line.rstrip("\n").split(" ")
                keys = ["kind", "verdict", "reason", "action", "reference", "status", "resource", "method"]
                one = dict(zip(keys, words))
                rest = " ".join(words[len(keys):])
                one["object"] = rest[:rest.index(" in=")]
                one["rest"] = rest[rest.index(" in=") + 1:]
                found.append(one)
        return found

    def close(self, keep=False):
        if self.nginx.poll() is None:
            self.nginx.send_signal(signal.SIGTERM)
            self.nginx.wait(15)
        self.harness.stdin.close()
        self.harness.wait(15)
        log = self.log()
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)
        for word in ("AddressSanitizer", "runtime error:", "exited on signal", "LeakSanitizer"):
            if word in log:
                raise AssertionError("nginx's log:\n" + log)

    def __enter__(self):
        return self

    def __exit__(self, *ignored):
        self.close()
