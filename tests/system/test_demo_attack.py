# SPDX-License-Identifier: Apache-2.0
"""`make demo-attack` against a demo office of its own: everything is caught and no row is lost (demo/attack.c)."""

import os
import shutil
import signal
import subprocess
import tempfile

import pytest
from officelib import BUILD, ROOT, free_port, wait_for

pytestmark = pytest.mark.slow


@pytest.mark.timeout(300)
def test_the_attack_is_caught():
    place = tempfile.mkdtemp(prefix="sp-attack-", dir="/tmp")
    os.chmod(place, 0o755)
    env = {**os.environ, "BUILD": BUILD, "DEMO_BUILT": "1", "DEMO_PORT": str(free_port()),
           "DEMO_PORTS": " ".join(str(free_port()) for _ in range(9)), "DEMO_DIR": os.path.join(place, "run")}
    said = os.path.join(place, "said")
    with open(said, "w", encoding="utf-8") as out:
        demo = subprocess.Popen([os.path.join(ROOT, "demo", "run")], env=env, stdin=subprocess.DEVNULL, stdout=out,
                                stderr=subprocess.STDOUT)
    try:
        def is_open():
            with open(said, encoding="utf-8") as text:
                return demo.poll() is None and "Ctrl-C stops all of it" in text.read()
        wait_for("the demo", 150, is_open, step=0.3)
        done = subprocess.run([os.path.join(ROOT, "demo", "attack"), "--fast"], env=env, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=140, check=False)
        print(done.stdout, done.stderr)
        assert done.returncode == 0 and ", 0 missed." in done.stdout, done.stdout[-6000:] + done.stderr[-1000:]
        for caught in ("password-spraying", "keys-nobody-needs", "session-on-many-networks", "budget-exceeded",
                       "refused-then-elsewhere", "as before: no row lost"):
            assert caught in done.stdout, caught
        assert "MISSED" not in done.stdout
    finally:
        demo.send_signal(signal.SIGINT)
        demo.wait(90)
        shutil.rmtree(place, ignore_errors=True)
