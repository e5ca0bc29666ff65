# SPDX-License-Identifier: Apache-2.0
"""LuaSec, on Debian's Lua 5.4. `verifyext` is a line for its context, for programs that verify by themselves."""

from applications import documented
from applications.common import HTTP_REQUEST, program
from processes import Process

NAME = "LuaSec"
PORT = "8443"
S_CLIENT = []
REQUEST = HTTP_REQUEST
ANSWER = "hello from Lua"

MODE = 'mode = "server",'


def start(programs, config, certificate, key, verifyext=""):
    script = programs.write("server.lua", documented("luasec/server.lua", {
        '"*", 8443': '"127.0.0.1", 0',
        "/etc/consul-provider/web.pem": certificate,
        "/etc/consul-provider/web.key": key,
        MODE: MODE + verifyext,
    }))
    process = programs.start(Process, [program("lua5.4"), script], config, programs.leaks_allowed())
    process.port = int(process.wait_for(r"listening on port (\d+)").group(1))
    return process
