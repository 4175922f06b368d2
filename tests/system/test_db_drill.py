# SPDX-License-Identifier: Apache-2.0
"""`make demo-drill`: one operator with every right tries to destroy the orders database, alone and then with two
colleagues who agree; what is checked is checked at the server itself (demo/drill.c)."""

import os
import re
import subprocess

import pytest
from officelib import BUILD, ROOT, free_port

pytestmark = pytest.mark.slow


@pytest.mark.timeout(420)
def test_the_drill():
    env = {**os.environ, "BUILD": BUILD, "DEMO_BUILT": "1", "DEMO_PORT": str(free_port()),
           "DEMO_PORTS": " ".join(str(free_port()) for _ in range(9))}
    done = subprocess.run([os.path.join(ROOT, "demo", "drill")], env=env, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=400, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 0 and "The drill passed" in said, said[-6000:]
    assert "BAD " not in said and said.count("\n  ok  ") >= 205
    assert re.search("ok   before he tries anything else: the alarm about him, and sam's page, [0-9.]+ s after", said)
    seen = re.findall("ok   the security people see each: ([0-9]+) attempts, ([0-9]+) entries", said)
    assert len(seen) == 2 and all(told == found and int(told) >= 75 for told, found in seen), seen
    assert said.count("ok   the ledger has it in this order") == 3 and said.count("of it were kept") == 3
    for text in ("DELETE FROM order_items", "TRUNCATE refunds", "DROP TABLE refunds"):
        assert f'"{text}" waits: not a row has gone' in said
        assert re.search(f'  ok   "{text}" is undone after [0-9.]+ s, it is all there again: [0-9]+ rows, checksum', said)
    assert "closed; nothing is left running." in said
