# SPDX-License-Identifier: Apache-2.0
"""What tests of notices share: root's line to core, a mail server, and endpoints that answer as the vendors do.

OWNS its servers. PROCESS tests, bench. TRUST none. SPEC docs/NOTICES.md, docs/api/openapi.yaml.
"""
import base64
import email
import email.policy
import hashlib
import hmac
import http.client
import http.server
import json
import os
import socket
import sqlite3
import threading
import time
import urllib.parse

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult


class Local:
    """Root's command line, without the command line."""

    def __init__(self, run_dir):
        self.path = os.path.join(run_dir, "local.sock")

    def call(self, method, path, body=None):
        """(status, answer)"""
        line = http.client.HTTPConnection("localhost", timeout=30)
        line.sock = socket.socket(socket.AF_UNIX)
        line.sock.settimeout(30)
        line.sock.connect(self.path)
        head = {"X-Sallyport-Request": "1", "Content-Type": "application/json"}
        line.request(method, "/api/v1" + path, None if body is None else json.dumps(body), head)
        answer = line.getresponse()
        said = answer.read()
        line.close()
        return answer.status, json.loads(said) if said else None

    def get(self, path):
        status, said = self.call("GET", path)
        assert status == 200, (path, status, said)
        return said

    def post(self, path, body=None, want=(200, 201, 202, 204)):
        status, said = self.call("POST", path, {} if body is None else body)
        assert status in want, (path, status, said)
        return said

    def put(self, path, body):
        status, said = self.call("PUT", path, body)
        assert status in (200, 204), (path, status, said)
        return said

    def send(self, notice, audience=None, **more):
        return self.post("/admin/notices", {"notice": notice, **({"audience": audience} if audience else {}), **more})["id"]

    def notice(self, number):
        return self.get(f"/admin/notices/{number}")

    def people(self, number, state=""):
        items, cursor = [], ""
        while cursor is not None:
            page = self.get(f"/admin/notices/{number}/people?limit=200&state={state}&cursor={cursor}")
            items += page["items"]
            cursor = page["next"]
        return items

    def finished(self, number, seconds=30, step=0.05):
        """Waits until nothing of the notice is under way any more."""
        end = time.monotonic() + seconds
        while True:
            one = self.notice(number)
            if one["state"] == "finished":
                return one
            assert time.monotonic() < end, (one, self.people(number)[:3], self.get("/admin/channels"))
            time.sleep(step)


def add_people(office, names, mail="{}@staff.example", locale=""):
    """Accounts straight into the store, as they would be after years."""
    store = sqlite3.connect(os.path.join(office.state, "core", "core.db"), timeout=20)
    with store:
        first = store.execute("SELECT COALESCE(MAX(id), 0) + 1 FROM person").fetchone()[0]
        store.executemany("INSERT INTO person (id, name, display, mail, locale, state, created) VALUES (?,?,?,?,?,1,1)",
                          [(first + i, name, name.capitalize(), mail.format(name), locale) for i, name in enumerate(names)])
    store.close()


# ---- mail

class Mail:
    def __init__(self, box, data, peer):
        self.to = box
        self.peer = peer
        self.message = email.message_from_bytes(data, policy=email.policy.default)
        self.id = self.message["Message-ID"]

    @property
    def subject(self):
        return self.message["Subject"]

    def part(self, kind):
        return self.message.get_body((kind,)).get_content()


class _Handler:
    def __init__(self, server):
        self.server = server

    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        answer = self.server.refuse(address)
        if answer:
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        for box in envelope.rcpt_tos:
            self.server.mails.append(Mail(box, envelope.content, session.peer))
        return "250 taken"


class MailServer:
    """refuse(address) -> an SMTP answer or None. context: a server's TLS; password: log-in is needed."""

    def __init__(self, refuse=lambda address: None, context=None, implicit=False, password=None, port=0):
        self.refuse, self.mails = refuse, []
        if port == 0:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
        more = {}
        if context is not None and not implicit:
            more = {"tls_context": context, "require_starttls": True}
        if password is not None:
            more.update(auth_required=True, authenticator=lambda *args: self._check(args[-1], password))
        self.controller = Controller(_Handler(self), hostname="127.0.0.1", port=port, data_size_limit=1 << 20,
                                     ssl_context=context if implicit else None, **more)
        self.controller.start()
        self.port = port

    @staticmethod
    def _check(data, password):
        return AuthResult(success=getattr(data, "password", b"") == password.encode())

    def close(self):
        self.controller.stop()


# ---- webhooks

class Hook(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        hooks = self.server.hooks
        path, _, query = self.path.partition("?")
        kind = path.strip("/").split("/")[0]
        post = {"kind": kind, "path": path, "query": dict(urllib.parse.parse_qsl(query)), "raw": body,
                "json": json.loads(body), "headers": dict(self.headers), "at": time.monotonic()}
        hooks.posts.append(post)
        said = hooks.scripted[kind].pop(0) if hooks.scripted.get(kind) else hooks.judge(kind, post)
        if said == "hang":
            hooks.hanging.wait(60)
            return
        status, head, text = said
        self.send_response(status)
        for name, value in head.items():
            self.send_header(name, value)
        data = text if isinstance(text, bytes) else text.encode()
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        try:
            self.wfile.write(data)
        except OSError:
            pass  # it had enough

    def log_message(self, *args):
        pass


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True


class Hooks:
    """Endpoints /wecom, /dingtalk, /feishu, /slack, /teams, /webhook that check as the vendors do."""

    SECRETS = {"dingtalk": "SEC-dingtalk", "feishu": "feishu-secret", "webhook": "hook-secret"}
    TOKENS = {"wecom": "wecom-key", "dingtalk": "ding-token", "feishu": "feishu-hook", "slack": "T0/B0/xyz", "teams": "teams-sig"}

    def __init__(self):
        self.posts, self.scripted, self.hanging = [], {}, threading.Event()
        self.server = _Server(("127.0.0.1", 0), Hook)
        self.server.hooks = self
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.hanging.set()
        self.server.shutdown()
        self.server.server_close()

    def of(self, kind):
        return [post for post in self.posts if post["kind"] == kind]

    def judge(self, kind, post):
        return getattr(self, "_" + kind)(post)

    @staticmethod
    def _fresh(seconds):
        return abs(time.time() - seconds) < 60

    def _wecom(self, post):
        good = post["query"].get("key") == self.TOKENS["wecom"] and post["json"]["msgtype"] == "markdown" \
            and 0 < len(post["json"]["markdown"]["content"].encode()) <= 4096
        return 200, {}, json.dumps({"errcode": 0 if good else 93000, "errmsg": "ok" if good else "invalid webhook url"})

    def _dingtalk(self, post):
        query, secret = post["query"], self.SECRETS["dingtalk"]
        text = f"{query.get('timestamp')}\n{secret}".encode()
        sign = base64.b64encode(hmac.new(secret.encode(), text, hashlib.sha256).digest()).decode()
        good = query.get("access_token") == self.TOKENS["dingtalk"] and query.get("sign") == sign \
            and self._fresh(int(query["timestamp"]) / 1000) and post["json"]["markdown"]["title"]
        return 200, {}, json.dumps({"errcode": 0 if good else 310000, "errmsg": "ok" if good else "sign not match"})

    def _feishu(self, post):
        said = post["json"]
        key = f"{said.get('timestamp')}\n{self.SECRETS['feishu']}".encode()
        sign = base64.b64encode(hmac.new(key, b"", hashlib.sha256).digest()).decode()
        good = post["path"].endswith("/" + self.TOKENS["feishu"]) and said.get("sign") == sign \
            and self._fresh(int(said["timestamp"])) and said["msg_type"] == "text" and said["content"]["text"]
        return 200, {}, json.dumps({"code": 0, "msg": "success"} if good else {"code": 19021, "msg": "sign match fail"})

    def _slack(self, post):
        if not post["path"].endswith("/services/" + self.TOKENS["slack"]):
            return 404, {}, "no_service"
        block = post["json"]["blocks"][0]["text"]
        good = block["type"] == "mrkdwn" and block["verbatim"] is True and len(block["text"]) <= 3000
        return (200, {}, "ok") if good else (400, {}, "invalid_blocks")

    def _teams(self, post):
        card = post["json"]["attachments"][0]["content"]
        good = post["query"].get("sig") == self.TOKENS["teams"] and card["type"] == "AdaptiveCard" and card["version"] == "1.4"
        return (202, {}, "") if good else (401, {}, "")

    def _webhook(self, post):
        head = dict(part.split("=", 1) for part in post["headers"].get("X-Sallyport-Signature", "t=0,v1=").split(","))
        text = head["t"].encode() + b"." + post["raw"]
        good = head["v1"] == hmac.new(self.SECRETS["webhook"].encode(), text, hashlib.sha256).hexdigest() \
            and self._fresh(int(head["t"]))
        return (204, {}, "") if good else (401, {}, "")

    def documents(self, names=("wecom", "dingtalk", "feishu", "slack", "teams", "webhook"), more="retry: 1s\nattempts: 3\n"):
        """Channel documents that lead here; a channel's name is its kind's."""
        base = f"http://127.0.0.1:{self.port}"
        address = {"wecom": "/wecom/send?key={token}", "dingtalk": "/dingtalk/send?access_token={token}",
                   "feishu": "/feishu/hook/{token}", "slack": "/slack/services/{token}", "teams": "/teams/flow?sig={token}",
                   "webhook": "/webhook/in"}
        return "---\n".join(f"kind: Channel\nname: {name}\nvia: {name}\naddress: \"{base}{address[name]}\"\n{more}"
                            for name in names)

    def give_secrets(self, local, names=("wecom", "dingtalk", "feishu", "slack", "teams", "webhook")):
        for part, values in (("token", self.TOKENS), ("secret", self.SECRETS)):
            for name in names:
                if name in values:
                    local.put(f"/admin/channels/{name}/secrets/{part}", {"value": values[name]})
