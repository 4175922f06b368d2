# SPDX-License-Identifier: Apache-2.0
"""Figures of a room, part by part: each part with the date, the machine and the commit that it was measured by, so that one
can be measured again by itself.

    keep(path, "plain", {"plain.simple": {...}})   # the other parts stay as they are

OWNS the file. PROCESS benches. TRUST none.
"""

import json
import os
import platform
import subprocess
import time


def processor():
    """Its name, as the kernel has it."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    return names[0] if names else platform.machine()


def commit():
    """In short; with a + behind it where the tree is another one. None outside of a repository."""
    told = subprocess.run(["git", "describe", "--always", "--abbrev=7", "--exclude=*", "--dirty=+"], capture_output=True, text=True,
                          cwd=os.path.dirname(os.path.abspath(__file__)), check=False)
    return told.stdout.strip() or None


def read(path):
    """{} where there are none yet."""
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError:
        return {}


def keep(path, part, figures, at=None):
    """at: seconds since 1970; None = now."""
    kept = read(path)
    kept[part] = {"when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at)), "machine": processor(), "cores": os.cpu_count(),
                  "commit": commit(), **figures}
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump(kept, file, indent=1)
        file.write("\n")
    os.replace(path + ".new", path)
