#!/usr/bin/env python3
"""Verifies a Sealpost audit export with nothing but Python: python3 verify_audit.py EXPORT [--head FILE]

Written from docs/reference/audit-format.md alone. Exit code 0: proved; 1: broken; 2: wrong usage.
"""
import base64
import hashlib
import json
import sys

MAX_LINE = 4 * 1024 * 1024
ROW = {"node", "seq", "leaf", "hash"}
TEXTS = {"time", "actor", "event"}
HEAD = {"node", "seq", "hash", "time", "signature", "key"}

# Ed25519 (RFC 8032 section 5.1), verification only: slow and short.
P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P


def decompress(data):
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if y >= P or (x * x - square) % P or (x == 0 and sign):
        raise ValueError("not a point of the curve")
    return (P - x if x & 1 != sign else x), y


def add(a, b):
    (x1, y1), (x2, y2) = a, b
    k = D * x1 * x2 * y1 * y2 % P
    return (x1 * y2 + x2 * y1) * pow(1 + k, -1, P) % P, (y1 * y2 + x1 * x2) * pow(1 - k, -1, P) % P


def times(n, point):
    result = (0, 1)
    while n:
        if n & 1:
            result = add(result, point)
        point, n = add(point, point), n >> 1
    return result


BASE = decompress((4 * pow(5, -1, P) % P).to_bytes(32, "little"))


def signed_by(key, text, signature):
    try:
        key, signature = base64.b64decode(key, validate=True), base64.b64decode(signature, validate=True)
        a, r, s = decompress(key), decompress(signature[:32]), int.from_bytes(signature[32:], "little")
    except ValueError:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + key + text).digest(), "little") % L
    return len(key) == 32 and len(signature) == 64 and s < L and times(s, BASE) == add(r, times(k, a))


class Broken(Exception):
    pass


def demand(condition, number, why):
    if not condition:
        raise Broken(f"line {number}: {why}")


def digest(*texts):
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


def once(pairs):
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a field stands there twice")
    return dict(pairs)


def read(number, line):
    demand(len(line) <= MAX_LINE, number, "is longer than any line of an export")
    try:
        value = json.loads(line, object_pairs_hook=once)
    except ValueError as error:
        raise Broken(f"line {number}: is cut, or not JSON ({error})")
    whole = isinstance(value, dict) and all(type(v) is (int if k == "seq" else str) for k, v in value.items())
    demand(whole, number, "is not an object of texts with a whole number as seq")
    return value


def head_holds(head):
    text = "\n".join(["sealpost-head-1", head["node"], str(head["seq"]), head["hash"], head["time"]])
    return "\n" not in head["node"] + head["time"] and signed_by(head["key"], text.encode(), head["signature"])


def verify(lines, kept):
    node = key = head = None
    rows, last, number = 0, "0" * 64, 0
    for number, line in enumerate(lines, 1):
        value = read(number, line)
        if number == 1:
            demand(value.keys() == {"format", "node", "key"}, 1, "is not the first line of an export")
            demand(value["format"] == "sealpost-audit-1", 1, "is of another format")
            node, key = value["node"], value["key"]
        demand(head is None, number, "stands behind the signed head")
        demand(value.get("node") == node, number, "is of another node")
        if value.keys() == HEAD:
            head = value
            demand(head["seq"] == rows, number, f"the head is of row {head['seq']}, and the rows end at {rows}")
            demand(head["hash"] == last, number, f"the head has another hash than row {rows}")
            demand(head["key"] == key and head_holds(head), number, "the head is not signed by the key in line 1")
        elif number > 1:
            demand(value.keys() in (ROW, ROW | TEXTS), number, "is neither a row nor a signed head")
            demand(value["seq"] == rows + 1, number, f"row {rows + 1} was expected, and row {value['seq']} found")
            if "event" in value:
                texts = [node, str(value["seq"]), value["time"], value["actor"], value["event"]]
                clean = not any("\n" in text for text in texts)
                leaf = digest("sealpost-event-1", *texts)
                demand(clean and leaf == value["leaf"], number, f"row {rows + 1} was altered")
            rows, last = rows + 1, digest("sealpost-link-1", last, value["leaf"])
            demand(last == value["hash"], number, f"row {rows} does not follow from the row before it")
        if kept and kept["seq"] == rows:
            demand(kept["hash"] == last, number, f"row {rows} has another hash than the head kept elsewhere")
    demand(head, number, f"the export ends after row {rows} without a signed head")
    if kept:
        demand(kept["node"] == node and kept["key"] == key, number, "the head kept elsewhere is of another chain")
        demand(head_holds(kept), number, "the head kept elsewhere is not signed")
        demand(kept["seq"] <= rows, number, f"rows were cut: the head kept elsewhere is of row {kept['seq']}")
    return f"proved up to row {rows} of node {node}, {head['time']}"


def main(arguments):
    if len(arguments) not in (1, 3) or arguments[1:2] not in ([], ["--head"]):
        print(__doc__, file=sys.stderr)
        return 2
    try:
        kept = None
        if len(arguments) == 3:
            kept = read(1, open(arguments[2], "rb").read())
            demand(kept.keys() == HEAD, 1, "of the head kept elsewhere is not a signed head")
        with open(arguments[0], "rb") as export:
            print(verify(iter(lambda: export.readline(MAX_LINE + 2), b""), kept))
        return 0
    except (Broken, UnicodeEncodeError) as broken:
        print(f"broken: {broken}")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
