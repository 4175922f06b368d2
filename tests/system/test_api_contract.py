# SPDX-License-Identifier: Apache-2.0
"""docs/api/openapi.yaml and core's tables of routes name the same requests."""

import glob
import os
import re

import yaml
from officelib import ROOT

METHODS = ("get", "put", "post", "patch", "delete")
ROUTE = re.compile(r'\{\s*"(GET|PUT|POST|PATCH|DELETE)",\s*((?:[A-Z_]+|"[^"]*")(?:\s*(?:[A-Z_]+|"[^"]*"))*),\s*[A-Z_(]')
DEFINE = re.compile(r'^#define\s+([A-Z_]+)\s+((?:[A-Z_]+|"[^"]*")(?:[ \t]*(?:[A-Z_]+|"[^"]*"))*)\s*$', re.MULTILINE)


def text_of(words, defines):
    """A C string of literals and names of literals, as one."""
    return "".join(word[1:-1] if word[0] == '"' else text_of(defines[word], defines)
                   for word in re.findall(r'"[^"]*"|[A-Z_]+', words))


def routes():
    found = set()
    for path in glob.glob(os.path.join(ROOT, "core", "**", "*.c"), recursive=True):
        with open(path, encoding="utf-8") as file:
            source = file.read()
        defines = dict(DEFINE.findall(source))
        tables = re.findall(r"static const sp_route routes\[\] = \{(.*?)\n\s*\};", source, re.DOTALL)
        rows = [row for table in tables for row in ROUTE.findall(table)]
        assert sum(table.count('{"') for table in tables) == len(rows), f"{path}: a route that this test cannot read"
        found |= {(method, text_of(words, defines)) for method, words in rows}
    return found


def shape(method, path):
    return method.upper(), re.sub(r"\{[^}]*\}", "{}", path)


def test_every_route_is_described_and_every_description_has_a_route():
    with open(os.path.join(ROOT, "docs", "api", "openapi.yaml"), encoding="utf-8") as file:
        api = yaml.safe_load(file)
    base = api["servers"][0]["url"]
    described = {shape(method, base + path) for path, item in api["paths"].items() for method in item if method in METHODS}
    served = {shape(method, path) for method, path in routes() if path.startswith(base + "/")}
    assert len(served) > 100
    assert served - described == set(), "routes that docs/api/openapi.yaml lacks"
    assert described - served == set(), "described, but core has no such route"


def test_references_lead_somewhere_and_names_of_operations_are_unique():
    with open(os.path.join(ROOT, "docs", "api", "openapi.yaml"), encoding="utf-8") as file:
        api = yaml.safe_load(file)
    operations = [item[method]["operationId"] for item in api["paths"].values() for method in item if method in METHODS]
    assert len(operations) == len(set(operations))

    def walk(node):
        if isinstance(node, dict):
            target = node.get("$ref")
            if isinstance(target, str):
                at = api
                for name in target.removeprefix("#/").split("/"):
                    assert name in at, f"{target} leads nowhere"
                    at = at[name]
            for one in node.values():
                walk(one)
        elif isinstance(node, list):
            for one in node:
                walk(one)

    walk(api)
