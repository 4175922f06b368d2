# SPDX-License-Identifier: Apache-2.0
"""Place data for tests: writes a MaxMind DB of IPv4 networks, as an operator's own.

    write(path, {"127.10.0.0/16": (39.9, 116.4, "CN")})

OWNS nothing. PROCESS tests. TRUST none. SPEC maxmind.github.io/MaxMind-DB, version 2.0.
"""
import ipaddress
import struct

MAP, TEXT, DOUBLE, UINT16, UINT32 = 7, 2, 3, 5, 6
UINT64, ARRAY = 9, 11  # extended types


def _head(kind, size):
    assert size < 29
    return bytes([kind << 5 | size]) if kind < 8 else bytes([size, kind - 7])


def _number(kind, value):
    raw = value.to_bytes(8, "big").lstrip(b"\0")
    return _head(kind, len(raw)) + raw


def _text(value):
    raw = value.encode()
    return _head(TEXT, len(raw)) + raw


def _map(pairs):
    return _head(MAP, len(pairs)) + b"".join(_text(key) + value for key, value in pairs.items())


def _double(value):
    return _head(DOUBLE, 8) + struct.pack(">d", value)


def _place(latitude, longitude, country):
    return _map({"country": _map({"iso_code": _text(country)}),
                 "location": _map({"latitude": _double(latitude), "longitude": _double(longitude)})})


def write(path, places):
    nodes, data, at = [[None, None]], b"", {}
    for network, place in places.items():
        if place not in at:
            at[place] = len(data)
            data += _place(*place)
        net = ipaddress.ip_network(network)
        bits = f"{int(net.network_address):032b}"[:net.prefixlen]
        node = 0
        for bit in bits[:-1]:
            if nodes[node][int(bit)] is None:
                nodes.append([None, None])
                nodes[node][int(bit)] = ("node", len(nodes) - 1)
            node = nodes[node][int(bit)][1]
        nodes[node][int(bits[-1])] = ("data", at[place])

    def record(value):
        number = len(nodes) if value is None else value[1] if value[0] == "node" else len(nodes) + 16 + value[1]
        return number.to_bytes(3, "big")

    about = _map({"node_count": _number(UINT32, len(nodes)), "record_size": _number(UINT16, 24),
                  "ip_version": _number(UINT16, 4), "database_type": _text("Test-City"),
                  "languages": _head(ARRAY, 1) + _text("en"),
                  "binary_format_major_version": _number(UINT16, 2),
                  "binary_format_minor_version": _number(UINT16, 0),
                  "build_epoch": _number(UINT64, 1700000000),
                  "description": _map({"en": _text("places of a test")})})
    with open(path, "wb") as file:
        file.write(b"".join(record(left) + record(right) for left, right in nodes) + bytes(16) + data
                   + b"\xab\xcd\xefMaxMind.com" + about)
