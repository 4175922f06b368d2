# SPDX-License-Identifier: Apache-2.0
"""The demo's applications: real programs of Debian's archive on loopback, each as a user of its own.

    lab     Jupyter notebook (WebSocket, uploads, downloads, terminals)
    code    Mercurial's hgweb (archives to download)
    hr      a static site (nginx)
    files   team files over WebDAV (nginx)
"""

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import time

PORTS = {"lab": 18401, "code": 18402, "hr": 18403, "files": 18404}
UIDS = {"lab": 60110, "code": 60111, "hr": 60112, "files": 60112}
HERE = os.path.dirname(os.path.abspath(__file__))
PR_SET_PDEATHSIG = 1


def _die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def port_is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Apps:
    def __init__(self, base, ports, domain, public_port):
        self.base = base
        self.ports = ports
        self.domain = domain
        self.public_port = public_port
        self.processes = {}
        self.as_root = os.geteuid() == 0

    # ---- first start

    def _dir(self, name):
        path = os.path.join(self.base, name)
        os.makedirs(path, exist_ok=True)
        return path

    def _give(self, path, uid):
        if not self.as_root:
            return
        for where, dirs, files in os.walk(path):
            for one in [where] + [os.path.join(where, name) for name in dirs + files]:
                os.chown(one, uid, uid, follow_symlinks=False)

    def _run_as(self, name, command, cwd, home):
        subprocess.run(command, cwd=cwd, check=True, capture_output=True, env=self._env(home),
                       **self._user(name))

    def _user(self, name):
        if not self.as_root:
            return {}
        return {"user": UIDS[name], "group": UIDS[name], "extra_groups": []}

    @staticmethod
    def _env(home):
        return {"PATH": "/usr/bin:/bin", "HOME": home, "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1",
                "JUPYTER_RUNTIME_DIR": os.path.join(home, "runtime")}

    def prepare(self):
        """Content, copied once."""
        os.makedirs(self.base, exist_ok=True)
        os.chmod(self.base, 0o755)
        for name in ("lab", "hr", "files"):
            work = os.path.join(self._dir(name), "work")
            if not os.path.isdir(work):
                shutil.copytree(os.path.join(HERE, "content", name), work)
            self._give(self._dir(name), UIDS[name])
        self._prepare_code()
        self._prepare_nginx()

    def _prepare_code(self):
        base = self._dir("code")
        work = os.path.join(base, "orders")
        if not os.path.isdir(work):
            shutil.copytree(os.path.join(HERE, "content", "code"), work)
            self._give(base, UIDS["code"])
            self._run_as("code", ["hg", "init"], work, base)
            self._run_as("code", ["hg", "addremove", "-q"], work, base)
            self._run_as("code", ["hg", "commit", "-q", "-u", "leo", "-m", "Order handling"], work, base)
        with open(os.path.join(base, "hgweb.conf"), "w", encoding="ascii") as file:
            file.write(f"[paths]\norders = {work}\n[web]\nallow-archive = zip gz\nstyle = paper\n"
                       "contact = Lantern Trading\n")
        os.chmod(os.path.join(base, "hgweb.conf"), 0o644)

    def _prepare_nginx(self):
        base = self._dir("nginx")
        conf = f"""\
daemon off;
worker_processes 1;
pid {base}/pid;
error_log {base}/error.log warn;
events {{ worker_connections 256; }}
http {{
    include /etc/nginx/mime.types;
    default_type application/octet-stream;
    access_log off;
    sendfile on;
    client_body_temp_path {base}/body;
    proxy_temp_path {base}/proxy;
    fastcgi_temp_path {base}/fastcgi;
    uwsgi_temp_path {base}/uwsgi;
    scgi_temp_path {base}/scgi;
    client_max_body_size 1g;
    absolute_redirect off;
    server {{
        listen 127.0.0.1:{self.ports["hr"]};
        root {self.base}/hr/work;
        index index.html;
        location / {{ autoindex on; }}
        location ~ \\.(csv|pdf|xlsx)$ {{ add_header Content-Disposition attachment; }}
    }}
    server {{
        listen 127.0.0.1:{self.ports["files"]};
        root {self.base}/files/work;
        location / {{
            autoindex on;
            dav_methods PUT DELETE MKCOL COPY MOVE;
            create_full_put_path on;
            dav_access user:rw group:r all:r;
        }}
        location ~ \\.(csv|pdf|xlsx|zip|tar|gz)$ {{
            add_header Content-Disposition attachment;
            dav_methods PUT DELETE MKCOL COPY MOVE;
        }}
    }}
}}
"""
        with open(os.path.join(base, "nginx.conf"), "w", encoding="ascii") as file:
            file.write(conf)
        self._give(base, UIDS["hr"])

    # ---- running

    def commands(self):
        origin = f"https://lab.{self.domain}" + ("" if self.public_port == 443 else f":{self.public_port}")
        lab, code, nginx = (os.path.join(self.base, name) for name in ("lab", "code", "nginx"))
        return {
            "lab": (["/usr/bin/jupyter-notebook", "--no-browser", "--ip=127.0.0.1",
                     f"--port={self.ports['lab']}", "--port-retries=0", "--log-level=WARN",
                     "--NotebookApp.token=", "--NotebookApp.password=",
                     f"--NotebookApp.allow_origin={origin}", "--NotebookApp.allow_remote_access=True",
                     f"--notebook-dir={lab}/work"], f"{lab}/work", lab),
            "code": (["/usr/bin/hg", "serve", "-a", "127.0.0.1", "-p", str(self.ports["code"]),
                      "--web-conf", f"{code}/hgweb.conf"], code, code),
            "hr": (["/usr/sbin/nginx", "-e", f"{nginx}/error.log", "-c", f"{nginx}/nginx.conf"], nginx, nginx),
        }

    def start(self, log_dir):
        for name, (command, cwd, home) in self.commands().items():
            with open(os.path.join(log_dir, f"{name}.log"), "ab") as log:
                self.processes[name] = subprocess.Popen(
                    command, cwd=cwd, env=self._env(home), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                    start_new_session=True, preexec_fn=_die_with_parent, umask=0o022, **self._user(name))

    def wait(self, seconds=60):
        """Until every port answers; the names of those that do not."""
        end = time.monotonic() + seconds
        missing = dict(self.ports)
        while missing and time.monotonic() < end:
            for name, port in list(missing.items()):
                with socket.socket() as probe:
                    probe.settimeout(1)
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        del missing[name]
            time.sleep(0.1)
        return sorted(missing)

    def ended(self):
        return [name for name, process in self.processes.items() if process.poll() is not None]

    def stop(self):
        for process in self.processes.values():
            self._signal(process, signal.SIGTERM)
        end = time.monotonic() + 8
        for process in self.processes.values():
            try:
                process.wait(max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                pass
            self._signal(process, signal.SIGKILL)  # the group: kernels and terminals too
            process.wait()

    @staticmethod
    def _signal(process, number):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            pass
