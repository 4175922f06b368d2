# SPDX-License-Identifier: Apache-2.0
"""A small client of the portal's API (docs/api/openapi.yaml), standard library only.

For the system tests: a person with a cookie jar, who can be set up from a one-time link, sign in with
password and TOTP, and call any path. Host names are not looked up: every
connection goes to one address, with the right name in TLS and Host.
"""

import base64
import hashlib
import hmac
import http.client
import json
import socket
import ssl
import struct
import time


class Refused(Exception):
    """The portal answered with a problem."""

    def __init__(self, method, path, status, problem):
        self.status = status
        self.problem = problem if isinstance(problem, dict) else {"detail": str(problem)}
        self.code = self.problem.get("code", "")
        super().__init__(f"{method} {path}: {status} {self.code} {self.problem.get('detail', '')}")


class Answer:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers  # list of (name, value)
        self.body = body

    def header(self, name, default=None):
        for key, value in self.headers:
            if key.lower() == name.lower():
                return value
        return default

    def json(self):
        return json.loads(self.body)


class _Connection(http.client.HTTPSConnection):
    """HTTPS to a fixed address under any name."""

    def __init__(self, host, port, address, context, timeout, source=None):
        super().__init__(host, port, context=context, timeout=timeout)
        self._address = address
        self._source = source
        self._tls = context

    def connect(self):
        plain = socket.create_connection((self._address, self.port), self.timeout,
                                         source_address=self._source and (self._source, 0))
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # head and body are two writes
        self.sock = self._tls.wrap_socket(plain, server_hostname=self.host)


def believing():
    """TLS that takes any certificate, and so need not read the system's authorities, which takes long."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Browser:
    """A cookie jar and a TLS set-up; knows nothing of accounts."""

    def __init__(self, domain, port, address="127.0.0.1", ca=None, cert=None, timeout=30):
        self.domain = domain
        self.port = port
        self.address = address
        self.timeout = timeout
        self.source = None  # the address that we come from; None: whatever the system takes
        self.cookies = {}  # host -> {name: value}
        self.tls = ssl.create_default_context(cafile=ca) if ca is not None else believing()
        if cert is not None:
            self.tls.load_cert_chain(*cert)

    def request(self, method, host, path, body=None, headers=None):
        """One request, no redirects followed. host is a label under the domain."""
        name = f"{host}.{self.domain}"
        sent = dict(headers or {})
        jar = self.cookies.setdefault(name, {})
        if jar:
            sent.setdefault("Cookie", "; ".join(f"{k}={v}" for k, v in jar.items()))
        sent.setdefault("Host", name if self.port == 443 else f"{name}:{self.port}")
        connection = _Connection(name, self.port, self.address, self.tls, self.timeout, self.source)
        try:
            connection.request(method, path, body=body, headers=sent)
            got = connection.getresponse()
            answer = Answer(got.status, got.getheaders(), got.read())
        finally:
            connection.close()
        for key, value in answer.headers:
            if key.lower() == "set-cookie":
                self._keep(jar, value)
        return answer

    @staticmethod
    def _keep(jar, line):
        pair, *attributes = [part.strip() for part in line.split(";")]
        name, _, value = pair.partition("=")
        gone = any(a.lower() in ("max-age=0",) for a in attributes)
        if gone or not value:
            jar.pop(name, None)
        else:
            jar[name] = value

    def follow(self, host, path, limit=10, **kwargs):
        """GET as a browser navigates, with redirects between hosts of the domain; the last answer."""
        kwargs["headers"] = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8",
                             "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document",
                             **(kwargs.get("headers") or {})}
        for _ in range(limit):
            answer = self.request("GET", host, path, **kwargs)
            where = answer.header("Location")
            if answer.status not in (301, 302, 303, 307, 308) or where is None:
                return answer
            if where.startswith("https://"):
                name, _, rest = where[len("https://"):].partition("/")
                host = name.split(":")[0].removesuffix("." + self.domain)
                path = "/" + rest
            else:
                path = where
        raise RuntimeError("too many redirects")


class Portal(Browser):
    """Calls of /api/v1 as one person."""

    host = "portal"

    def call(self, method, path, body=None, headers=None):
        sent = {"Accept": "application/json", **(headers or {})}
        data = None
        if method != "GET":
            sent["X-Sallyport-Request"] = "1"
        if body is not None or method in ("POST", "PUT", "PATCH"):
            sent["Content-Type"] = "application/json"
            data = json.dumps(body if body is not None else {}).encode()
        answer = self.request(method, self.host, "/api/v1" + path, data, sent)
        try:
            parsed = answer.json() if answer.body else None
        except ValueError:
            parsed = answer.body.decode(errors="replace")
        if answer.status >= 400:
            raise Refused(method, path, answer.status, parsed)
        return parsed

    def get(self, path):
        return self.call("GET", path)

    def post(self, path, body=None):
        return self.call("POST", path, body)

    def put(self, path, body=None):
        return self.call("PUT", path, body)

    def items(self, path):
        """All pages of a list."""
        found, cursor = [], None
        while True:
            mark = "&" if "?" in path else "?"
            page = self.get(path + (f"{mark}cursor={cursor}" if cursor else ""))
            found += page["items"]
            cursor = page.get("next")
            if not cursor:
                return found


class Totp:
    """RFC 6238. Each code is given out once: the portal takes a time step only once."""

    def __init__(self, secret, last=0):
        self.secret = secret
        self.last = last

    def code(self):
        # the portal also takes the step before, so three codes are there at once; not near its end
        step = max(int(time.time() - 25) // 30, self.last + 1)
        while step > int(time.time()) // 30 + 1:  # the portal looks one step ahead
            time.sleep(0.5)
        self.last = step
        key = base64.b32decode(self.secret + "=" * (-len(self.secret) % 8))
        digest = hmac.new(key, struct.pack(">Q", step), hashlib.sha1).digest()
        at = digest[-1] & 15
        return f"{(struct.unpack('>I', digest[at:at + 4])[0] & 0x7FFFFFFF) % 1000000:06d}"


class Person(Portal):
    """Somebody with an account: name, password, TOTP."""

    name = None
    password = None
    totp = None
    recovery_codes = ()
    fresh_until = 0  # of this session, by our clock that only goes forward

    def set_up(self, link, password, name=None, display_name=None, roles=None):
        """From a one-time link to a signed-in session."""
        token = link.rsplit("#", 1)[-1]
        state = self.post("/setup/start", {"token": token})
        flow = state["flow"]
        if state["kind"] == "first_admin":
            body = {"flow": flow, "name": name, "display_name": display_name or name}
            if roles:
                body["roles"] = roles
            state = self.post("/setup/person", body)
        self.name = state["person"]["name"]
        self.post("/setup/password", {"flow": flow, "password": password})
        self.password = password
        secret = self.post("/setup/totp/start", {"flow": flow})
        self.totp = Totp(secret["secret"])
        self.post("/setup/totp/confirm", {"flow": flow, "code": self.totp.code()})
        done = self.post("/setup/finish", {"flow": flow})
        self.recovery_codes = done["recovery_codes"]
        return done["session"]

    def sign_in(self):
        flow = self.post("/sign-in/start", {"name": self.name})["flow"]
        self.fresh_until = 0
        self.post("/sign-in/password", {"flow": flow, "password": self.password})
        return self.post("/sign-in/totp", {"flow": flow, "code": self.totp.code()})

    def step_up(self):
        done = self.post("/step-up/password", {"password": self.password, "code": self.totp.code()})
        self.fresh_until = time.monotonic() + 480
        return done

    def fresh(self):
        """Steps up if the last time is long ago: each takes a code, of which there is one in 30 s."""
        if time.monotonic() > self.fresh_until:
            self.step_up()

    def sign_out(self):
        self.post("/sign-out", {})

    def again(self, cert=None, ca=None):
        """The same person in another browser, signed out."""
        other = type(self)(self.domain, self.port, self.address, ca=ca, cert=cert, timeout=self.timeout)
        other.name, other.password, other.totp = self.name, self.password, self.totp
        return other
