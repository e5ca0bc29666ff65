# SPDX-License-Identifier: Apache-2.0
"""A real Vault server (tests/consul/vault), which keeps all in memory, as the certificate authority of real agents."""

import json
import os
import secrets
import urllib.request

from agent import LOCAL
from processes import Process

WANTED = "VAULT_SERVER"  # in the environment; tools/check sets it when it has such a program compiled


def binary():
    path = os.environ.get(WANTED, "")
    assert os.access(path, os.X_OK), f"{WANTED} must name the program that tools/setup --consul=current makes"
    return path


class Vault:
    def __init__(self, folder):
        self.token = secrets.token_urlsafe()
        self.process = Process([binary()], {"VAULT_DEV_ROOT_TOKEN_ID": self.token}, folder / "vault.log", cwd=folder)
        port = self.process.wait_for(r"(?m)^(\d+)\n").group(1)
        self.address = f"http://127.0.0.1:{port}"
        self.mounts = 0

    def stop(self):
        self.process.kill()

    def put(self, path, body):
        request = urllib.request.Request(
            f"{self.address}/v1/{path}", json.dumps(body).encode(), {"X-Vault-Token": self.token}, method="PUT")
        with LOCAL.open(request, timeout=20) as response:
            return json.loads(response.read() or "{}")

    def config(self, **more):
        """Return Consul's settings with PKI mounts of its own. Consul makes mounts that are missing."""
        self.mounts += 1
        return {"Address": self.address, "Token": self.token, "RootPKIPath": f"root-{self.mounts}",
                "IntermediatePKIPath": f"intermediate-{self.mounts}", **more}
