# SPDX-License-Identifier: Apache-2.0
"""A client that connects all the time, to some services in turn, and writes down the outcome of each connection.

Arguments: certificate, key, the file to write to, and service:port for each service. A line of the record has begin
and end of the connection (monotonic clock), the service, and 1 if served.
"""

import itertools
import ssl
import sys

from fleet import visit

certificate, key, file, *services = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
context.load_cert_chain(certificate, key)
with open(file, "w", buffering=1) as record:
    for name, _, port in itertools.cycle([service.partition(":") for service in services]):
        one = visit(int(port), context, name)
        record.write(f"{one.began:.6f}\t{one.ended:.6f}\t{name}\t{one.served:d}\n")
