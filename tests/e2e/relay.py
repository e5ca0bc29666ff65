# SPDX-License-Identifier: Apache-2.0
"""A relay between a process and its real agent, which answers some requests itself, or late."""

import dataclasses
import urllib.error
import urllib.parse
import urllib.request

from agent import LOCAL
from fake_agent import GENEROUS, FakeAgent, raw

PASSED_ON = ("x-consul-token", "content-type")


class Relay(FakeAgent):
    def __init__(self, agent):
        self.agent = agent
        self.delays = {}  # seconds, by the kind of the request
        super().__init__()

    def delay(self, seconds, *kinds):
        self.delays = {kind: seconds for kind in kinds}

    def answer_all(self, answer, *kinds):
        for kind in kinds:
            self.answer(kind, answer)

    def newest(self, kind, request):
        query = {name: text for name, text in request.query.items() if name not in ("index", "wait")}
        plain = dataclasses.replace(request, target=f"{request.path}?{urllib.parse.urlencode(query)}")
        return int(self.ask(plain)[2])

    def usual(self, kind, request):
        def answer(connection):
            status, body, index = self.ask(request)
            connection.stopping.wait(self.delays.get(kind, 0))
            raw(status, body, **({"X_Consul_Index": index} if index else {}))(connection)
        return answer

    def ask(self, request):
        headers = {name: value for name, value in request.headers.items() if name in PASSED_ON}
        asked = urllib.request.Request(
            f"http://{self.agent.address}{request.target}", request.body or None, headers, method=request.method)
        try:
            with LOCAL.open(asked, timeout=GENEROUS) as answer:
                return answer.status, answer.read(), answer.headers["X-Consul-Index"]
        except urllib.error.HTTPError as error:
            return error.code, error.read(), None
