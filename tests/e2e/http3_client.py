# SPDX-License-Identifier: Apache-2.0
"""A client of HTTP/3 on aioquic, which has a TLS of its own. It makes one request, and verifies no server.

Arguments: port, and then any of `cert=FILE`, `key=FILE`, `session=FILE` and `early`. The session in the file is offered
if there is one, and the last one is kept there. With `early` the request goes out as 0-RTT data. Prints one line of JSON
at the end of the request, of the connection or of its own input.
"""

import asyncio
import json
import pickle
import ssl
import sys
from pathlib import Path

from aioquic.asyncio import QuicConnectionProtocol, connect
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, HandshakeCompleted
from cryptography.hazmat.primitives.serialization import Encoding

PATIENCE = 60
MAX_EARLY_DATA = 0xffffffff  # the only size that QUIC knows

result = {"answer": "", "resumed": False, "early": False, "closed": None, "certificate": ""}


class Request(QuicConnectionProtocol):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.http = H3Connection(self._quic)
        self.over = asyncio.get_running_loop().create_future()

    def send(self):
        self.http.send_headers(
            self._quic.get_next_available_stream_id(),
            [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"localhost"), (b":path", b"/")],
            end_stream=True)
        self.transmit()

    def finish(self):
        if not self.over.done():
            self.over.set_result(None)

    def quic_event_received(self, event):
        if isinstance(event, HandshakeCompleted):
            result["resumed"], result["early"] = event.session_resumed, event.early_data_accepted
            if peer := self._quic.tls._peer_certificate:
                result["certificate"] = peer.public_bytes(Encoding.PEM).decode()
        if isinstance(event, ConnectionTerminated):
            result["closed"] = event.error_code
            self.finish()
        for one in self.http.handle_event(event):
            if isinstance(one, DataReceived):
                result["answer"] += one.data.decode()
            if isinstance(one, (DataReceived, HeadersReceived)) and one.stream_ended:
                self.finish()


async def main(port, *arguments):
    options = dict(argument.partition("=")[::2] for argument in arguments)
    configuration = QuicConfiguration(
        is_client=True, alpn_protocols=H3_ALPN, verify_mode=ssl.CERT_NONE, server_name="localhost")
    if "cert" in options:
        configuration.load_cert_chain(options["cert"], options["key"])
    session = Path(options["session"]) if "session" in options else None
    if session and session.exists():
        configuration.session_ticket = pickle.loads(session.read_bytes())
        if "early" in options:
            configuration.session_ticket.max_early_data_size = MAX_EARLY_DATA

    def keep(ticket):
        if session:
            session.write_bytes(pickle.dumps(ticket))

    try:
        async with connect("127.0.0.1", int(port), configuration=configuration, create_protocol=Request,
                           session_ticket_handler=keep, wait_connected="early" not in options) as request:
            request.send()
            await request.over
    except ConnectionError:
        pass  # refused, as result tells


async def until_told(*arguments):
    task = asyncio.ensure_future(main(*arguments))
    asyncio.get_running_loop().add_reader(0, task.cancel)
    await asyncio.wait([task], timeout=PATIENCE)


asyncio.run(until_told(*sys.argv[1:]))
sys.stdout.write(json.dumps(result) + "\n")
