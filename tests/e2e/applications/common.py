# SPDX-License-Identifier: Apache-2.0
"""Pieces for several applications: a free port, a plain backend, a client that stays."""

import http.server
import pwd
import shutil
import socket
import threading
import time
import urllib.error
import urllib.request

from agent import LOCAL, free_ports
from processes import Process, wait_until
from programs import Result

ATTEMPTS = 5
TEXT = "served to an allowed client"
HTTP_REQUEST = b"GET / HTTP/1.0\r\n\r\n"
# All servers of a kind have one key, as several hosts may share it: any of them could resume.
TICKET_KEY = bytes(range(80))


def program(name):
    """Return its path, even if the user's PATH does not lead to servers."""
    path = shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin")
    assert path, f"{name} is not installed: run tools/setup"
    return path


def user(name):
    """Return the user that Debian made for a server, or `nobody`."""
    try:
        return pwd.getpwnam(name).pw_name
    except KeyError:
        return "nobody"


def accepts(process, port):
    """Return true where the port takes a connection."""
    assert not process.ended(), f"{process.argv} ended:\n{process.output()}"
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def launch(programs, config, command, ready, early=False):
    """Start a server on a free port, and again on another port if the first is taken meanwhile.

    `command(folder, port)` writes the files of the server and returns its arguments; it is up once its output
    matches `ready`. A server that says so too `early` is up once its port takes a connection.
    """
    for _ in range(ATTEMPTS):
        port, = free_ports(1)
        folder = programs.path("server")
        folder.mkdir()
        process = programs.start(Process, command(folder, port), config, programs.leaks_allowed())
        try:
            process.wait_for(ready)
            if early:
                wait_until(lambda: accepts(process, port), f"the port of {process.argv}")
        except AssertionError:
            if "ddress already in use" not in process.output():
                raise
            continue
        process.port = port
        return process
    raise AssertionError(f"no free port in {ATTEMPTS} attempts")


def kept(programs, key, start):
    """Return what start() gives, from the first call for a key on. For clients that run on, like proxies."""
    running = programs.__dict__.setdefault("kept", {})
    if key not in running:
        running[key] = start()
    return running[key]


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(TEXT)))
        self.end_headers()
        self.wfile.write(TEXT.encode())

    def log_message(self, *_):
        pass


class Backend(http.server.ThreadingHTTPServer):
    """The plain server behind servers that only end TLS. It is ended like a program."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.port = self.server_address[1]
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def kill(self):
        self.shutdown()
        self.server_close()


def backend(programs):
    def start():
        one = Backend()
        programs.started.append(one)
        return one

    return kept(programs, "backend", start)


def document_root(folder):
    """Make a folder with the page for the requests."""
    root = folder / "html"
    root.mkdir()
    (root / "index.html").write_text(TEXT)
    return root


def get(port, host="localhost"):
    """Make one request to a proxy on this host. The client under test is the proxy's."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/", headers={"Host": host})
    began = time.monotonic()
    try:
        with LOCAL.open(request, timeout=30) as response:
            code, text = 0, response.read().decode()
    except urllib.error.HTTPError as error:
        code, text = error.code, error.read().decode("utf-8", "replace")
    except OSError as error:  # hung up on
        code, text = 1, str(error)
    return Result(code, text, "", time.monotonic() - began)
