# SPDX-License-Identifier: Apache-2.0
"""A device of somebody: a key, its requests and its certificates. The agent here is openssl.

OWNS files in the folder that it is given. PROCESS tests. TRUST none. SPEC docs/api/openapi.yaml "/device".
"""
import os
import subprocess

PLATFORM = {"os": "linux", "hostname": "thinkpad"}


class Device:
    def __init__(self, person, folder, name="thinkpad"):
        self.person, self.tmp, self.name = person, folder, name
        self.key = os.path.join(folder, f"{name}-key.pem")
        self.cert = os.path.join(folder, f"{name}-cert.pem")
        subprocess.run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", self.key],
                       check=True)
        self.ticket = self.id = None

    def csr(self, key=None):
        return subprocess.run(["openssl", "req", "-new", "-key", key or self.key, "-subj", "/CN=anything"],
                              capture_output=True, check=True, text=True).stdout

    def plain(self):
        return self.person.again()

    def mutual(self, cert=None):
        return self.person.again(cert=(cert or self.cert, self.key))

    def enrol(self, **changes):
        code = self.person.post("/me/devices/enrol-code")
        assert "agent enroll" in code["command"] and len(code["ca_sha256"]) == 64
        body = {"code": code["code"], "csr": self.csr(), "name": self.name, "platform": PLATFORM,
                "key_storage": "file", **changes}
        got = self.plain().post("/device/enrol", body)
        self.ticket, self.id = got["ticket"], got["device"]["id"]
        return got["device"]

    def fetch(self):
        got = self.plain().post("/device/certificate", {"ticket": self.ticket})
        self.ticket = got.get("ticket", self.ticket)
        return got

    def keep(self, answer, where=None):
        with open(where or self.cert, "w", encoding="ascii") as file:
            file.write(answer["certificate"] + answer["chain"])

    def renew(self, cert=None, csr=None):
        return self.mutual(cert).post("/device/renew", {"csr": csr or self.csr()})

    def approved(self, by, owner="company"):
        """Enrolled, approved, with its certificate."""
        self.enrol()
        by.post(f"/admin/devices/{self.id}/approve", {"owner": owner})
        self.keep(self.fetch())
        return self
