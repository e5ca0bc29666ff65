# SPDX-License-Identifier: Apache-2.0
"""Faults of any answer of the agent: each has an answer, and the words of its error."""

from fake_agent import (
    cut, declared, drip, flood, hang_up, header_flood, raw, reset, silent, slow_headers, text,
)

TIME = "time"
INVALID = "invalid answer"

# name: (answer, regular expression that the error matches)
FAULTS = {
    "201": (raw(201, "{}"), "HTTP status 201"),
    "204": (raw(204), "HTTP status 204"),
    "301": (raw(301, "moved", Location="/elsewhere"), "HTTP status 301"),
    "304": (raw(304), "HTTP status 304"),
    "400": (raw(400, "Bad request: odd"), "HTTP status 400: Bad request: odd"),
    "403": (raw(403, "Permission denied"), "HTTP status 403: Permission denied"),
    "404": (raw(404, "404 page not found"), "HTTP status 404: 404 page not found"),
    "429": (raw(429), "HTTP status 429"),
    "500": (raw(500, "No cluster leader"), "HTTP status 500: No cluster leader"),
    "503": (raw(503, "rate limit"), "HTTP status 503: rate limit"),
    "599": (raw(599, b"\x1b[31m\xff\n2nd line"), r"HTTP status 599: [ -~]+$"),
    "no body": (raw(200), INVALID),
    "blank body": (raw(200, "\n"), INVALID),
    "text": (raw(200, "fine"), INVALID),
    "HTML": (raw(200, "<html><body>200 OK</body></html>"), INVALID),
    "null": (raw(200, "null"), INVALID),
    "true": (raw(200, "true"), INVALID),
    "array": (raw(200, "[]"), INVALID),
    "empty object": (raw(200, "{}"), INVALID),
    "half": (raw(200, '{"Authorized": true, "Roots": ['), INVALID),
    "invalid UTF-8": (raw(200, b'{"Reason": "\xff\xfe"}'), INVALID),
    "zero byte": (raw(200, b'{"Authorized": true}\0'), INVALID),
    "deep": (raw(200, 100000 * "["), INVALID),
    "cut short": (cut('{"Authorized": true}', 5000), "unreachable"),
    "endless": (flood, "larger than"),
    "too large": (declared(8 << 20), "larger than"),
    "endless headers": (header_flood, "unreachable"),
    "silence": (silent, TIME),
    "slow headers": (slow_headers, TIME),
    "slow body": (drip, TIME),
    "closed": (hang_up, "unreachable"),
    "reset": (reset, "unreachable"),
    "another protocol": (text("SSH-2.0-OpenSSH_9.2\r\n"), "unreachable"),
    "HTTP/2": (text("\0\0\x12\4\0\0\0\0\0"), "unreachable"),
}
