# SPDX-License-Identifier: Apache-2.0
"""Perl's IO::Socket::SSL, which compares the name within OpenSSL's callback for verifications."""

from applications import documented, perl

NAME = "Perl"
SERVER = perl
SERVED = perl.ANSWER
RELEASED = True


def fetch(programs, config, server, host="localhost", ca=None):
    script = programs.write("client.pl", documented("perl_client/client.pl", {
        'PeerAddr        => "web.service.consul"': 'PeerAddr        => "127.0.0.1"',
        "web.service.consul": host,
        perl.PORT: server.port,
        "SSL_VERIFY_NONE": f'SSL_VERIFY_PEER, SSL_ca_file => "{ca}", SSL_verifycn_scheme => "http",'
                           f' SSL_verifycn_name => "{host}"' if ca else "SSL_VERIFY_NONE",
    }))
    return programs.run(["/usr/bin/perl", script], config, programs.leaks_allowed())
