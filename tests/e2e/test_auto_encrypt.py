# SPDX-License-Identifier: Apache-2.0
"""An agent whose HTTPS certificate is of Connect's CA: a client of Consul, by auto_encrypt."""

import json

import pytest

from agent import Agent
from ca import Authority
from processes import wait_until

pytestmark = pytest.mark.consul


class Client(Agent):
    """A client of a server. It has its certificate from the server, and no file of its own."""

    MODE = ()

    def __init__(self, folder, server, ca_file):
        self.server = server
        super().__init__(
            folder, data_dir=str(folder), node_name="client", retry_join=[f"127.0.0.1:{server.ports['serf_lan']}"],
            ca_file=ca_file, cert_file="", verify_outgoing=True, auto_encrypt={"tls": True})

    def launch(self):
        """A client takes its own port for RPC for that of its servers, too."""
        config = json.loads(self.file.read_text())
        config["ports"]["server"] = self.server.ports["server"]
        self.file.write_text(json.dumps(config))
        super().launch()


@pytest.fixture
def client(make_agent, tmp_path):
    authority = Authority("agents.example", "Root of Agents")
    (tmp_path / "root.pem").write_text(authority.pem)
    _, certificate, _, key = authority.issue([], dns=["server.dc1.consul"]).files(tmp_path, "server")
    server = make_agent(
        ca_file=str(tmp_path / "root.pem"), cert_file=certificate, key_file=key, auto_encrypt={"allow_tls": True})
    server.wait_for_roots()
    one = Client(tmp_path / "client", server, str(tmp_path / "root.pem"))
    wait_until(one.has_roots, "the roots of its server")
    yield one
    one.stop()


def test_an_agent_by_auto_encrypt(programs, client):
    """Services have leaves of the same CA, and are refused (test_agent_tls). The agent's own certificate is not."""
    ca_file = programs.write("connect.pem", "".join(client.root_pems))
    settings = {"address": client.https_address, "ca_file": ca_file}
    result = programs.storeutl("consul:roots", "-noout", config=programs.config(**settings))
    assert result.code == 0, result
    assert "Total found: 1" in result.stdout
    result = programs.storeutl("consul:roots", "-noout", config=programs.config(
        **{**settings, "ca_file": programs.write("other.pem", Authority("agents.example", "Root").pem)}))
    assert result.code != 0
    assert "unreachable" in result.stderr
