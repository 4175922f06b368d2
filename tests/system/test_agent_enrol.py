# SPDX-License-Identifier: Apache-2.0
"""`sallyport agent` against a real office: enrolment, approval, renewal, clones, errors, browsers.

OWNS nothing. PROCESS tests. TRUST none. SPEC docs/man/sallyport-agent.1.
"""
import json
import pathlib
import shutil
import stat
import subprocess

import pytest
from cryptography import x509

from officelib import PROGRAM, SANITIZED, wait_for
from portal import Refused


class Agent:
    """The agent of one computer: a home directory of its own."""

    def __init__(self, folder):
        self.home = pathlib.Path(folder)
        self.dir = self.home / "state"
        self.env = {"PATH": "/usr/bin:/bin", "HOME": str(self.home),
                    "SALLYPORT_AGENT_DIR": str(self.dir)}

    def start(self, *words, prefix=()):
        return subprocess.Popen([*prefix, PROGRAM, "agent", *words], env=self.env,
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True)

    def run(self, *words, code=None, prefix=()):
        """(exit status, all that it said)"""
        process = self.start(*words, prefix=prefix)
        said, _ = process.communicate(code, timeout=90)
        return process.returncode, said

    def status(self):
        code, said = self.run("status", "--json")
        assert code == 0, said
        return json.loads(said)

    def certificate(self):
        return x509.load_pem_x509_certificate((self.dir / "device.pem").read_bytes())

    def copy(self, folder):
        shutil.copytree(self.dir, pathlib.Path(folder) / "state")
        return Agent(folder)


@pytest.fixture
def agent(tmp_path):
    return Agent(tmp_path)


@pytest.fixture(scope="module")
def people(office):
    mia = office.employee("mia", ["staff"])
    return mia, office.people["sam"]


def decide(admin, name, what, body):
    """An administrator's word on a device; proves himself again only when he is asked to (each one-time
    code serves once)."""
    path = f"/admin/devices/{device_of(admin, name)['id']}/{what}"
    try:
        return admin.post(path, body)
    except Refused as refused:
        assert "step_up" in str(refused)
        admin.step_up()
        return admin.post(path, body)


def new_code(person):
    return person.post("/me/devices/enrol-code")


def device_of(admin, name):
    return next((d for d in admin.items("/admin/devices") if d["name"] == name), None)


def enrol(agent, office, people, name, owner="company"):
    mia, sam = people
    code = new_code(mia)
    status, said = agent.run("enroll", office.portal_url, "--ca-sha256", code["ca_sha256"],
                             "--name", name, "--no-wait", "--code-file", "-", code=code["code"] + "\n")
    assert status == 0, said
    decide(sam, name, "approve", {"owner": owner})
    status, again = agent.run("enroll")
    assert status == 0, again
    return said + again


def test_enrols_waits_and_is_approved(agent, office, people):
    mia, sam = people
    code = new_code(mia)
    process = agent.start("enroll", office.portal_url, "--ca-sha256", code["ca_sha256"], "--name", "laptop-1")
    process.stdin.write(code["code"] + "\n")
    process.stdin.flush()
    found = wait_for("the device", 20, lambda: device_of(sam, "laptop-1"))
    assert found["state"] == "pending"
    decide(sam, "laptop-1", "approve", {"owner": "company"})
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said
    # the two fingerprints that people compare
    digits = found["key_fingerprint"][:16].upper()
    assert "-".join(digits[i:i + 4] for i in range(0, 16, 4)) in said
    assert code["code"] not in said.replace("One-time code", "")
    status = agent.status()
    assert status["state"] == "enrolled" and status["key_storage"] == "software"
    assert status["office_says"]["state"] == "active"
    assert status["office_says"]["owner"] == "company"
    for file in agent.dir.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0, file


def test_browser_with_the_certificate_is_a_known_device(agent, office, people, tmp_path):
    mia, _ = people
    enrol(agent, office, people, "laptop-2")
    key = tmp_path / "key.pem"
    subprocess.run(["openssl", "pkey", "-inform", "DER", "-in", agent.dir / "device.key", "-out", key],
                   check=True)
    known = mia.again(cert=(str(agent.dir / "device.pem"), str(key)))
    known.sign_in()
    assert known.get("/me")["device"]["name"] == "laptop-2"
    assert mia.get("/me")["device"] is None  # the same person without a certificate


def test_a_code_serves_once(agent, office, people, tmp_path):
    code = new_code(people[0])
    words = ("enroll", office.portal_url, "--ca-sha256", code["ca_sha256"], "--no-wait", "--code-file", "-")
    assert agent.run(*words, "--name", "once", code=code["code"])[0] == 0
    second = Agent(tmp_path / "second")
    second.home.mkdir()
    status, said = second.run(*words, "--name", "twice", code=code["code"])
    assert status == 3 and "code_invalid" in said
    assert not (second.dir / "device.pem").exists()


def test_refuses_an_office_with_another_ca(agent, office, people):
    code = new_code(people[0])
    wrong = code["ca_sha256"][:-2] + ("00" if code["ca_sha256"][-2:] != "00" else "11")
    status, said = agent.run("enroll", office.portal_url, "--ca-sha256", wrong, "--code-file", "-",
                             code=code["code"])
    assert status == 5 and "does not show the CA with this fingerprint" in said
    # and nothing of the code went out: it is still good
    status, said = agent.run("enroll", office.portal_url, "--ca-sha256", code["ca_sha256"], "--name", "retry",
                             "--no-wait", "--code-file", "-", code=code["code"])
    assert status == 0, said


def test_refuses_an_office_that_nobody_vouches_for(agent, office, people):
    code = new_code(people[0])
    status, said = agent.run("enroll", office.portal_url, "--code-file", "-", code=code["code"])
    assert status == 5 and "does not come from the CA" in said


def test_renews_and_the_old_certificate_ends(agent, office, people):
    enrol(agent, office, people, "laptop-3")
    before = agent.certificate()
    status, said = agent.run("renew")
    assert status == 0 and "Not due yet" in said
    status, said = agent.run("renew", "--force")
    assert status == 0, said
    after = agent.certificate()
    assert after.serial_number != before.serial_number
    assert not (agent.dir / "renew.csr").exists()
    assert agent.status()["office_says"]["state"] == "active"


def test_a_copied_key_is_noticed(agent, office, people, tmp_path):
    _, sam = people
    enrol(agent, office, people, "laptop-4")
    (tmp_path / "thief").mkdir()
    thief = agent.copy(tmp_path / "thief")
    ticket = json.loads((thief.dir / "state.json").read_text(encoding="utf-8"))["ticket"]
    with pytest.raises(Refused) as told:  # without a renewal there is nothing to be had either
        people[0].again().post("/device/certificate", {"ticket": ticket})
    assert told.value.code == "certificate_good"
    assert thief.run("renew", "--force")[0] == 0
    status, said = agent.run("renew", "--force")
    assert status == 3 and "cloned" in said or "quarantined" in said
    found = device_of(sam, "laptop-4")
    assert found["state"] == "quarantined" and found["cloned"]
    status, said = thief.run("renew", "--force")  # neither of the two goes on
    assert status == 3


def test_a_lost_answer_does_not_make_a_clone(agent, office, people):
    enrol(agent, office, people, "laptop-5")
    # The request is written before it is sent: make one, send it, and throw the answer away.
    key = str(agent.dir / "device-key.pem")
    subprocess.run(["openssl", "pkey", "-inform", "DER", "-in", str(agent.dir / "device.key"), "-out", key], check=True)
    request = subprocess.run(["openssl", "req", "-new", "-key", key, "-subj", "/CN=laptop-5"],
                             capture_output=True, check=True, text=True).stdout
    (agent.dir / "renew.csr").write_text(request, encoding="ascii")
    (agent.dir / "renew.csr").chmod(0o600)
    before = agent.certificate()
    people[0].again(cert=(str(agent.dir / "device.pem"), key)).post("/device/renew", {"csr": request})
    status, said = agent.run("renew", "--force")
    assert status == 0, said
    assert agent.certificate().serial_number != before.serial_number
    assert agent.status()["office_says"]["state"] == "active"


def test_quarantine_reaches_the_agent(agent, office, people):
    _, sam = people
    enrol(agent, office, people, "laptop-6")
    decide(sam, "laptop-6", "quarantine", {"why": "lost in a train"})
    status, said = agent.run("renew", "--force")
    assert status == 3 and "quarantined" in said


def test_reports_posture(agent, office, people):
    _, sam = people
    enrol(agent, office, people, "laptop-7")
    status, said = agent.run("run", "--once")
    assert status == 0, said
    found = device_of(sam, "laptop-7")
    checks = {check["name"]: check for check in found["checks"]}
    assert set(checks) == {"updates", "automatic_updates", "disk_encryption", "screen_lock", "secure_boot"}
    assert all(check["result"] in ("pass", "fail", "unknown") and check["detail"]
               for check in checks.values())


def test_wrong_clock_is_named(agent, office, people, tmp_path):
    if SANITIZED:
        pytest.skip("faketime's library cannot stand before the sanitizer's")
    if shutil.which("faketime") is None:
        pytest.skip("faketime is not installed")
    enrol(agent, office, people, "laptop-8")
    status, said = agent.run("renew", "--force", prefix=("faketime", "+400 days"))
    assert status in (3, 5) and "clock" in said


def test_imports_into_browsers_and_replaces(agent, office, people):
    enrol(agent, office, people, "laptop-9")
    profile = agent.home / ".mozilla/firefox/abcd.default"
    profile.mkdir(parents=True)
    subprocess.run(["certutil", "-N", "--empty-password", "-d", f"sql:{profile}"], check=True)
    status, said = agent.run("browser-import")
    assert status == 0, said
    assert "AutoSelectCertificateForUrls" in said and "[*.]office.localhost" in said

    def serials(db):
        out = subprocess.run(["certutil", "-L", "-d", f"sql:{db}", "-n", "Sallyport laptop-9", "-a"],
                             capture_output=True, text=True, check=True).stdout
        return [x509.load_pem_x509_certificate((p + "-----END CERTIFICATE-----").encode()).serial_number
                for p in out.split("-----END CERTIFICATE-----") if "BEGIN" in p]
    databases = (agent.home / ".pki/nssdb", profile)
    for db in databases:
        assert serials(db) == [agent.certificate().serial_number]
        keys = subprocess.run(["certutil", "-K", "-d", f"sql:{db}"], capture_output=True, text=True,
                              check=True).stdout
        assert keys.count("Sallyport laptop-9") == 1
        trust = subprocess.run(["certutil", "-L", "-d", f"sql:{db}"], capture_output=True, text=True,
                               check=True).stdout
        assert [line.split()[-1] for line in trust.splitlines() if "Sallyport CA" in line] == ["C,,"]
    status, said = agent.run("renew", "--force")  # renewal puts the new one in the old one's place
    assert status == 0, said
    for db in databases:
        assert serials(db) == [agent.certificate().serial_number]
    assert agent.run("unenroll")[0] == 0
    for db in databases:
        left = subprocess.run(["certutil", "-L", "-d", f"sql:{db}"], capture_output=True, text=True,
                              check=True).stdout
        assert "Sallyport" not in left
    assert not (agent.dir / "device.key").exists()


def test_exports_a_bundle(agent, office, people, tmp_path):
    enrol(agent, office, people, "laptop-10")
    file = tmp_path / "device.p12"
    status, said = agent.run("export", str(file))
    assert status == 0 and stat.S_IMODE(file.stat().st_mode) == 0o600
    word = said.split("shown once:")[1].split()[0]
    (tmp_path / "word").write_text(word)
    subprocess.run(["openssl", "pkcs12", "-in", file, "-nodes", "-passin", f"file:{tmp_path}/word"],
                   check=True, capture_output=True)


@pytest.mark.parametrize("words,says", [
    ((), "usage"),
    (("fly",), "no command"),
    (("enroll",), "wants the portal's address"),
    (("enroll", "http://portal.example"), "wants the portal's address"),
    (("enroll", "https://portal.example/x"), "wants the portal's address"),
    (("enroll", "https://portal.example", "--ca-sha256", "12"), "64 hexadecimal"),
    (("enroll", "https://portal.example", "--fast"), "does not know"),
    (("renew",), "not enrolled"),
    (("browser-import",), "not enrolled"),
    (("export",), "file name"),
])
def test_says_what_is_wrong_with_a_command_line(agent, words, says):
    status, said = agent.run(*words)
    assert status == 2 and says in said


def test_keeps_away_from_open_directories(agent):
    agent.dir.mkdir()
    agent.dir.chmod(0o755)
    status, said = agent.run("status")
    assert status == 1 and "0700" in said


def test_an_office_that_is_not_there(agent):
    status, said = agent.run("enroll", "https://portal.office.localhost:9", "--ca-sha256", "0" * 64)
    assert status == 5 and "cannot be reached" in said
