# SPDX-License-Identifier: Apache-2.0
"""Mosquitto, a broker of MQTT: one thread, and a protocol without lines.

A client that is served connects, subscribes to a topic and publishes there, and so hears its own words.
"""

import signal

from applications import documented
from applications.common import TEXT, launch, program

NAME = "Mosquitto"
PORT = "8883"
S_CLIENT = []
TOPIC = b"\x00\x01t"  # an MQTT string has its length before it: MQTT 3.1.1, section 1.5.3
REQUEST = (b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a"  # CONNECT, with a clean session
           b"\x82\x06\x00\x01" + TOPIC + b"\x00"  # SUBSCRIBE
           b"\x30" + bytes([len(TOPIC) + len(TEXT)]) + TOPIC + TEXT.encode())  # PUBLISH
ANSWER = TEXT
RELEASED = True
KEEPS = True
RELOAD = (signal.SIGHUP, r"Reloading config")


def start(programs, config, certificate, key):
    def make(folder, port):
        file = folder / "mosquitto.conf"
        file.write_text("log_dest stderr\nuser root\n" + documented("mosquitto/web.conf", {
            "listener 8883": f"listener {port} 127.0.0.1",
            "/etc/consul-provider/web.pem": certificate,
            "/etc/consul-provider/web.key": key,
        }))
        return [program("mosquitto"), "-c", file]

    return launch(programs, config, make, r"mosquitto version \S+ running")
