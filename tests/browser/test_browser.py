# SPDX-License-Identifier: Apache-2.0
"""The portal in a real Chromium, against a real office (portal.test.mjs)."""

import os
import shutil
import subprocess
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [os.path.join(ROOT, "tests", "system"), os.path.join(ROOT, "demo")]

from officelib import Office  # noqa: E402

CHROMIUM = "/usr/bin/chromium"


@pytest.fixture(scope="module")
def tools():
    """Chromium, Node and what package-lock.json names."""
    for tool in (CHROMIUM, shutil.which("node")):
        assert tool and os.path.exists(tool), "chromium and nodejs are needed: make deps"
    if not os.path.exists(os.path.join(ROOT, "console", "dist", "index.html")):
        subprocess.run([os.path.join(ROOT, "tools", "build-console")], check=True)
    stamp = os.path.join(HERE, "node_modules", ".installed")
    lock = os.path.join(HERE, "package-lock.json")
    if not os.path.exists(stamp) or os.path.getmtime(stamp) < os.path.getmtime(lock):
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"], cwd=HERE, check=True)
        with open(stamp, "w", encoding="ascii"):
            pass


@pytest.fixture(scope="module")
def office():
    one = Office()
    try:
        one.start()
        yield one
    finally:
        one.close()


@pytest.mark.timeout(180)
def test_portal(tools, office):
    environment = dict(os.environ, PORTAL=office.portal_url, DOMAIN=office.domain, SETUP_LINK=office.first_link(),
                       CHROMIUM=CHROMIUM)
    done = subprocess.run(["node", "--test", "--test-reporter=spec", "portal.test.mjs"], cwd=HERE, env=environment,
                          capture_output=True, text=True, timeout=170, check=False)
    print(done.stdout, done.stderr)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:] + office.log()[-2000:]
