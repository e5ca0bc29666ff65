# SPDX-License-Identifier: Apache-2.0
"""A real agent that speaks TLS only, and takes requests from clients with a certificate of its authority."""

import ssl
import urllib.request

from agent import Agent, consul_binary, consul_version
from ca import Authority


class TlsAgent(Agent):
    PORTS = ("https", "server", "serf_lan") + ("grpc_tls",) * (consul_version(consul_binary()) >= (1, 14))

    def __init__(self, folder, **config):
        folder.mkdir(parents=True, exist_ok=True)
        authority = Authority("agents.example", "Root of Agents")
        self.ca_file = folder / "root.pem"
        self.ca_file.write_text(authority.pem)
        _, certificate, _, key = authority.issue([], dns=["127.0.0.1", "agent.test"]).files(folder, "agent")
        _, self.certificate, _, self.key = authority.issue([], subject="client").files(folder, "client")
        context = ssl.create_default_context(cafile=self.ca_file)
        context.load_cert_chain(self.certificate, self.key)
        self.opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
        super().__init__(
            folder, ca_file=str(self.ca_file), cert_file=certificate, key_file=key, verify_incoming_https=True,
            addresses={}, **config)

    @property
    def url(self):
        return self.https_address

    def access(self):
        return ["-http-addr", self.url, "-ca-file", self.ca_file, "-client-cert", self.certificate,
                "-client-key", self.key, "-grpc-addr", f"https://127.0.0.1:{self.ports['grpc_tls']}",
                "-grpc-ca-file", self.ca_file]

    def settings(self):
        """Return the settings by which the provider reaches it."""
        return {"address": self.url, "ca_file": self.ca_file, "client_cert": self.certificate, "client_key": self.key}
