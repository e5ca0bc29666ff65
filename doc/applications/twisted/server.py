from twisted.internet import endpoints, reactor
from twisted.web import resource, server


class Hello(resource.Resource):
    isLeaf = True

    def render_GET(self, request):
        return b"hello from Twisted\n"


def end(failure):
    print(failure.getErrorMessage(), flush=True)
    reactor.callWhenRunning(reactor.stop)


endpoint = endpoints.serverFromString(
    reactor, "ssl:8443:certKey=/etc/consul-provider/web.pem:privateKey=/etc/consul-provider/web.key")
endpoint.listen(server.Site(Hello())).addCallbacks(
    lambda port: print("listening on port", port.getHost().port, flush=True), end)
reactor.run()
