# SPDX-License-Identifier: Apache-2.0
"""LuaSec as a client, which checks no host name."""

from applications import documented, nginx
from applications.common import program

NAME = "LuaSec"
SERVER = nginx
SERVED = nginx.ANSWER

MODE = 'mode = "client",'


def fetch(programs, config, server, host="localhost", verifyext=""):
    script = programs.write("client.lua", documented("luasec_client/client.lua", {
        'connect("web.service.consul", 8443': f'connect("127.0.0.1", {server.port}',
        "web.service.consul": host,
        MODE: MODE + verifyext,
    }))
    return programs.run([program("lua5.4"), script], config, programs.leaks_allowed())
