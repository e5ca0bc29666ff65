from OpenSSL import SSL
from twisted.internet import reactor, ssl
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.web.client import Agent, readBody
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import implementer


@implementer(IOpenSSLClientConnectionCreator)
class Named:
    """Names the host in TLS, and leaves the verification to the provider."""

    def __init__(self, host):
        self.host = host
        self.context = ssl.CertificateOptions(verify=False).getContext()

    def clientConnectionForTLS(self, protocol):
        connection = SSL.Connection(self.context, None)
        connection.set_tlsext_host_name(self.host)
        return connection


@implementer(IPolicyForHTTPS)
class Policy:
    def creatorForNetloc(self, host, port):
        return Named(host)


request = Agent(reactor, Policy()).request(b"GET", b"https://web.service.consul:8443/")
request.addCallback(readBody)
request.addCallbacks(lambda body: print(body.decode()), lambda failure: print(failure.getErrorMessage()))
request.addBoth(lambda _: reactor.stop())
reactor.run()
