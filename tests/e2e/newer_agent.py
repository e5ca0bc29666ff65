# SPDX-License-Identifier: Apache-2.0
"""A scripted agent with the behaviour of Consul 1.16 and later, as far as its published sources show it.

* It keeps leaves in a cache of its own, by service, without the datacenter. The cache is empty after a restart.
* Without a leaf in the cache the agent panics at a request with an index and a tiny wait. It sends not a byte then.
* At a plain request the kept leaf is checked against the active root. The agent signs anew where the root has changed.
* A request with an index notices a rotation only after up to 30 seconds: here never.
* A query that waits longer than the agent's write timeout gets no answer.
* authorize answers 400 to a partition that is not its own.
"""

import threading
import urllib.parse

from ca import TRADITIONAL, ec_key, service_uri
from fake_agent import AUTHORIZE, LEAF, FakeAgent, hang_up, raw, seconds, value

SIGNING = 0.005  # seconds that a signature takes
RATE_LIMITED = "rate limit exceeded, try again later or against a different server"
RESTRICTED = "Access is restricted"


class NewerAgent(FakeAgent):
    def __init__(self, *arguments, **options):
        self.write_timeout = 15 * 60
        self.cache = {}  # service: (issuer, body)
        self.caching = threading.Lock()
        super().__init__(*arguments, **options)
        self.watchable = True

    def start(self):
        self.cache = {}
        super().start()

    # -- for tests --

    def limit(self, kind, status):
        """Let limits.request_limits refuse requests of a kind, with 429 or, of a leader, 503."""
        self.answer(kind, raw(status, RATE_LIMITED))

    def restrict(self):
        """Forbid writes of this host: http_config.allow_write_http_from."""
        self.answer(AUTHORIZE, raw(403, RESTRICTED))

    def rotate(self, authority):
        """Make another CA the only one."""
        self.authority = authority
        self.leaves = {}

    # -- the answers --

    def headers(self, kind, request):
        if "index" in request.query and seconds(request.query.get("wait", "600s")) > self.write_timeout:
            request.stopping.wait(self.write_timeout)
            raise OSError("the write timeout")  # the connection ends without a byte
        return super().headers(kind, request)

    def sign(self, service, datacenter):
        self.stopping.wait(SIGNING)
        if service not in self.leaves:
            uri = service_uri(self.trust_domain, service, datacenter)
            self.leaves[service] = self.authority.issue([uri], key=ec_key(), form=TRADITIONAL)
        self.cache[service] = (self.authority, self.leaf(service))

    def usual(self, kind, request):
        if kind == AUTHORIZE and request.json.get("Partition", "default") != "default":
            return raw(400, "request targets partition that does not match agent partition")
        if kind != LEAF:
            return super().usual(kind, request)
        service = urllib.parse.unquote(request.path.partition(LEAF)[2])
        datacenter = request.query.get("dc", "dc1")
        is_plain = "index" not in request.query
        with self.caching:
            issuer, _ = self.cache.get(service, (None, None))
            if issuer is None and not is_plain and seconds(request.query.get("wait", "600s")) < SIGNING:
                return hang_up
            if issuer is None or (is_plain and issuer is not self.authority):
                self.sign(service, datacenter)
            leaf = self.cache[service][1]
        return value(leaf, **self.headers(kind, request))
