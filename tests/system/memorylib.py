# SPDX-License-Identifier: Apache-2.0
"""What a process holds: its memory, arguments, environment and open files, as root reads them in /proc.

    for where, data in memory(pid): ...
    keys_within(data, {public_key_bytes}, of_ed25519)      # private keys whose public halves are these

OWNS nothing. PROCESS tests. TRUST none. SPEC proc(5).
"""
import os

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

PAGE = 4096
KEY = 32
DISTINCT = 20  # of 32 random bytes more are different, but for one key in a million


def memory(pid):
    """(name of the mapping, bytes) of all that can be written, without pages of zeros."""
    with open(f"/proc/{int(pid)}/maps", encoding="ascii", errors="replace") as file:
        lines = [line.split(maxsplit=5) for line in file]
    with open(f"/proc/{int(pid)}/mem", "rb", buffering=0) as file:
        for words in lines:
            if words[1].startswith("rw"):
                begin, end = (int(part, 16) for part in words[0].split("-"))
                yield (words[5].strip() if len(words) > 5 else "anonymous"), _read(file, begin, end)


def _read(file, begin, end):
    parts = []
    while begin < end:
        try:
            got = os.pread(file.fileno(), min(end - begin, 1 << 20), begin)
        except OSError:
            got = b""
        parts.append(got)
        begin += len(got) or PAGE
    return b"".join(part if part.count(0) < len(part) else b"" for part in parts)


def anonymous_bytes(pid):
    """Of its memory, what is of no file."""
    with open(f"/proc/{int(pid)}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("RssAnon")) * 1024


def of_p256(secret):
    """The public point of a private number, 64 bytes; None: it is none."""
    try:
        key = ec.derive_private_key(int.from_bytes(secret, "big"), ec.SECP256R1())
    except ValueError:
        return None
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)[1:]


def of_ed25519(secret):
    key = ed25519.Ed25519PrivateKey.from_private_bytes(secret).public_key()
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def candidates(data):
    """What may be a key of 32 bytes: where an allocator puts one, and too mixed to be anything else."""
    seen = set()
    for page in range(0, len(data), PAGE):
        part = data[page:page + PAGE + KEY]
        if part.count(0) == len(part):
            continue
        for at in range(0, min(PAGE, len(part) - KEY + 1), 8):
            one = part[at:at + KEY]
            if one not in seen and len(set(one)) >= DISTINCT:
                seen.add(one)
    return seen


def keys_within(data, publics, public_of, backwards=False):
    """Those of these public keys whose private halves are in there. backwards: as OpenSSL keeps numbers, too."""
    found = set()
    for one in candidates(data):
        for secret in (one, one[::-1]) if backwards else (one,):
            public = public_of(secret)
            if public in publics:
                found.add(public)
    return found


def open_files(pid):
    """Where its descriptors lead."""
    where = f"/proc/{int(pid)}/fd"
    found = []
    for name in os.listdir(where):
        try:
            found.append(os.readlink(os.path.join(where, name)))
        except OSError:
            pass
    return found


def told_at_start(pid):
    """Arguments and environment."""
    text = b""
    for name in ("cmdline", "environ"):
        with open(f"/proc/{int(pid)}/{name}", "rb") as file:
            text += file.read()
    return text


def assert_caged(pid, uid):
    """No way out of its cage and no right of root's. uid: as whom it runs; None = as ourselves. What the cage keeps from
    it is proved by tests/unit/gate/test_worker_cage.c."""
    with open(f"/proc/{int(pid)}/status", encoding="ascii", errors="replace") as file:
        facts = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    assert (facts["Seccomp"], facts["NoNewPrivs"]) == ("2", "1"), facts
    assert {facts[name] for name in ("CapEff", "CapPrm", "CapInh", "CapAmb")} == {"0" * 16}, facts
    if uid is not None:
        assert facts["Uid"].split() == facts["Gid"].split() == [str(uid)] * 4, facts
