# SPDX-License-Identifier: Apache-2.0
"""The manual pages in docs/man and what every command says of itself name the same words and options."""

import os
import re
import subprocess

import pytest
from officelib import BUILD, ROOT

PAGES = os.path.join(ROOT, "docs", "man")
EVERYWHERE = {"--help", "-h", "--json", "--local"}  # told once, in sallyport(1)
OF_NO_PAGE = {"help", "version", "completion"}


def help_of(*words):
    done = subprocess.run([os.path.join(BUILD, "cli", "sallyport"), *words, "--help"], capture_output=True, text=True,
                          check=False, timeout=20)
    assert "usage:" in done.stdout + done.stderr, words
    return done.stdout + done.stderr


def options(text):
    return set(re.findall(r"(?<![\w-])(--?[a-z][a-z-]*)", text)) - EVERYWHERE


@pytest.fixture(scope="module")
def pages():
    """What a page says, with its options as one types them; by the commands that it names."""
    found = {}
    for name in sorted(os.listdir(PAGES)):
        with open(os.path.join(PAGES, name), encoding="utf-8") as file:
            text = re.sub(r"\bFl (-?[a-z][a-z-]*)", r"-\1", file.read().replace("\\-", "-"))
        for command in re.findall(r"^\.Nm sallyport[- ]([a-z-]+)", text, re.MULTILINE) + ([""] if name == "sallyport.1" else []):
            found[command] = found.get(command, "") + text
    return found


@pytest.fixture(scope="module")
def commands():
    """Every command and what it says of itself; of a group, its commands too."""
    found = {}
    for command in re.findall(r"^  ([a-z-]+) ", help_of(), re.MULTILINE):
        found[command] = help_of(command)
        if "COMMAND" in found[command].splitlines()[0]:
            for word in re.findall(r"^  ([a-z][a-z-]*)  ", found[command], re.MULTILINE):
                found[f"{command} {word}"] = help_of(command, word)
    assert len(found) > 100
    return found


def test_every_command_and_option_is_in_a_page(pages, commands):
    missing = []
    for words, text in commands.items():
        command = words.split()[0]
        if command in OF_NO_PAGE:
            continue
        page = pages.get(command, "")
        if not re.search(rf"\b{re.escape(words.split()[-1])}\b", page):
            missing.append(words)
        missing += [f"{words} {option}" for option in sorted(options(text)) if option not in page]
    assert not missing


def test_pages_name_no_command_that_is_not_there(pages, commands):
    assert set(pages) - {"", "role", "verify"} <= set(commands)


def test_roles_are_those_that_the_program_has(pages):
    said = subprocess.run([os.path.join(BUILD, "cli", "sallyport"), "role"], capture_output=True, text=True, check=False)
    roles = re.search(r"role ([a-z|]+) -c FILE", said.stderr).group(1).split("|")
    named = re.search(r"^\.Nm sallyport role\n\.Cm (.*)$", pages["role"], re.MULTILINE).group(1).split(" | ")
    assert sorted(named) == sorted(roles)

