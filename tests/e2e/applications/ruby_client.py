# SPDX-License-Identifier: Apache-2.0
"""Ruby's Net::HTTP, which compares the name after the handshake."""

from applications import documented, ruby

NAME = "Ruby"
SERVER = ruby
SERVED = ruby.ANSWER
RELEASED = True


def fetch(programs, config, server, host="localhost", ca=None):
    script = programs.write("client.rb", documented("ruby_client/client.rb", {
        "web.service.consul": host,
        ruby.PORT: server.port,
        "http.use_ssl": 'http.ipaddr = "127.0.0.1"\nhttp.use_ssl',
        "http.verify_mode = OpenSSL::SSL::VERIFY_NONE":
            f'http.ca_file = "{ca}"' if ca else "http.verify_mode = OpenSSL::SSL::VERIFY_NONE",
    }))
    return programs.run(["/usr/bin/ruby", script], config, programs.leaks_allowed())
