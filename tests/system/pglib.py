# SPDX-License-Identifier: Apache-2.0
"""A real PostgreSQL for tests, the newest that is installed (VERSION): a cluster of its own in a temporary folder, on loopback TCP with TLS by a CA of
its own, never as root.

    server = Postgres()          # started; server.port, server.ca_path
    server.sql("CREATE ...")     # as its superuser, directly
    server.close()
"""

import datetime
import fcntl
import glob
import hashlib
import ipaddress
import os
import pwd
import shutil
import signal
import subprocess

from officelib import BUILD, free_port, scratch, wait_started

BINS = {int(path.split("/")[4]): path for path in glob.glob("/usr/lib/postgresql/[0-9]*/bin")
        if os.access(os.path.join(path, "initdb"), os.X_OK)}
VERSION = int(os.environ.get("SP_POSTGRES") or max(BINS))  # the server's; its major number
BIN = BINS[VERSION]
SUPERUSER = "keeper_of_all"
PASSWORD = "only for tests, of the superuser"
HBA = """
hostssl all {superuser} 127.0.0.1/32 scram-sha-256
host    all {superuser} 127.0.0.1/32 trust
host    all old_md5     127.0.0.1/32 md5
host    all old_clear   127.0.0.1/32 password
host    all trusted     127.0.0.1/32 trust
host    all all         127.0.0.1/32 {method}
"""


def make_certificates(folder, host="127.0.0.1"):
    """ca.pem, server.pem and server.key for a server at that address."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    def name(text):
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    now = datetime.datetime.utcnow()

    def build(subject, key, issuer, issuer_key, extensions):
        builder = (x509.CertificateBuilder().subject_name(name(subject)).issuer_name(name(issuer))
                   .public_key(key.public_key()).serial_number(x509.random_serial_number())
                   .not_valid_before(now - datetime.timedelta(days=1))
                   .not_valid_after(now + datetime.timedelta(days=30)))
        for extension in extensions:
            builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        return builder.sign(issuer_key, hashes.SHA256())

    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca = build("test ca", ca_key, "test ca", ca_key, [x509.BasicConstraints(True, None)])
    key = ec.generate_private_key(ec.SECP256R1())
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host)), x509.DNSName("localhost")])
    leaf = build("server", key, "test ca", ca_key, [x509.BasicConstraints(False, None), names])
    pem = serialization.Encoding.PEM
    for file, data in (("ca.pem", ca.public_bytes(pem)), ("server.pem", leaf.public_bytes(pem)),
                       ("server.key", key.private_bytes(pem, serialization.PrivateFormat.PKCS8,
                                                        serialization.NoEncryption()))):
        with open(os.path.join(folder, file), "wb") as out:
            out.write(data)


class Postgres:
    def __init__(self, settings=None, method="scram-sha-256", start=True):
        self.dir = scratch("sp-pg-")
        self.data = os.path.join(self.dir, "data")
        self.port = free_port()
        self.user = pwd.getpwnam("postgres") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
        self.ca_path = os.path.join(self.dir, "ca.pem")
        self.process = None
        make_certificates(self.dir)
        password_file = os.path.join(self.dir, "password")
        with open(password_file, "w", encoding="ascii") as file:
            file.write(PASSWORD + "\n")
        for where, _, files in os.walk(self.dir):
            os.chown(where, self.user.pw_uid, self.user.pw_gid)
            for one in files:
                os.chown(os.path.join(where, one), self.user.pw_uid, self.user.pw_gid)
                os.chmod(os.path.join(where, one), 0o600)
        os.chmod(self.dir, 0o755)
        os.chmod(self.ca_path, 0o644)
        self._make_data(password_file)
        with open(os.path.join(self.data, "pg_hba.conf"), "w", encoding="ascii") as file:
            file.write(HBA.format(superuser=SUPERUSER, method=method))
        conf = {"listen_addresses": "'127.0.0.1'", "port": self.port, "unix_socket_directories": "''", "ssl": "on",
                "ssl_cert_file": f"'{self.dir}/server.pem'", "ssl_key_file": f"'{self.dir}/server.key'",
                "fsync": "off", "max_connections": 200, "shared_buffers": "64MB", "log_min_messages": "fatal",
                "synchronous_commit": "off", "log_error_verbosity": "terse"}
        conf.update(settings or {})
        with open(os.path.join(self.data, "postgresql.conf"), "a", encoding="ascii") as file:
            file.writelines(f"{name} = {value}\n" for name, value in conf.items())
        if start:
            self.start()

    INITDB = ["-U", SUPERUSER, "-A", "scram-sha-256", "-E", "UTF8", "--no-locale", "--no-sync"]

    def _init_data(self, password_file):
        self._run("initdb", "-D", self.data, "--pwfile", password_file, *self.INITDB)

    def _make_data(self, password_file):
        """A new cluster: a copy of the one that initdb made for the first of these tests, below the build directory."""
        known = " ".join([os.path.realpath(BIN), *self.INITDB, PASSWORD, str(self.user.pw_uid)])
        template = os.path.join(BUILD, "test-postgres-" + hashlib.sha256(known.encode()).hexdigest()[:12])
        with open(template + ".lock", "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not os.path.isdir(template):
                self._init_data(password_file)
                shutil.rmtree(template + ".new", ignore_errors=True)  # of a run that was ended
                subprocess.run(["cp", "-a", self.data, template + ".new"], check=True)
                os.rename(template + ".new", template)
                return
        subprocess.run(["cp", "-a", template, self.data], check=True)

    def _as_user(self):
        if os.geteuid() != 0:
            return {}
        return {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []}

    def _run(self, program, *words):
        done = subprocess.run([os.path.join(BIN, program), *words], capture_output=True, text=True, cwd="/",
                              env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"}, check=False, **self._as_user())
        if done.returncode != 0:
            raise AssertionError(f"{program}: {done.stdout}{done.stderr}")

    def start(self):
        log = open(os.path.join(self.dir, "log"), "ab")
        self.process = subprocess.Popen([os.path.join(BIN, "postgres"), "-D", self.data], stdin=subprocess.DEVNULL,
                                        stdout=log, stderr=log, cwd="/", env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
                                        **self._as_user())
        log.close()
        wait_started("postgres", self.process, lambda: subprocess.run(
            [os.path.join(BIN, "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)], check=False).returncode == 0, self.log)

    def stop(self, number=signal.SIGINT):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(30)
        self.process = None

    def close(self):
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)

    def log(self):
        with open(os.path.join(self.dir, "log"), encoding="utf-8", errors="replace") as file:
            return file.read()

    def dsn(self, database="postgres", user=SUPERUSER, password=PASSWORD, sslmode="disable"):
        return {"host": "127.0.0.1", "port": self.port, "dbname": database, "user": user, "password": password,
                "sslmode": sslmode, "connect_timeout": 10}

    def connect(self, **kwargs):
        import psycopg2
        connection = psycopg2.connect(**self.dsn(**kwargs))
        connection.autocommit = True
        return connection

    def sql(self, *statements, database="postgres"):
        """Rows of the last one."""
        connection = self.connect(database=database)
        try:
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()
