# SPDX-License-Identifier: Apache-2.0
"""Unmodified applications on Connect, one module each; the tests find them here by themselves.

The tests run the documented configuration. It stands in doc/applications, one file for each application. A test
replaces only the values of the example (paths, ports) by its own.
doc/applications/<application>/note.md has the notes about an application.

A module of a *server* has

    NAME       as people call it
    PORT       the port in its example, as text
    S_CLIENT   options by which s_client gets to its TLS: [] or ["-starttls", ...]
    REQUEST    bytes to send once the handshake is done; after it the server hangs up
    ANSWER     a regular expression for what only a client that is served gets to see
    start(programs, config, certificate, key)
               starts it with that openssl.cnf (None: without the provider) and these PEM files;
               returns its Process with `port`, once it accepts connections

and a module of a *client* has

    NAME       as above
    SERVER     the module of the server that it talks to
    fetch(programs, config, server)
               makes one request to that running server; returns the Result
    fetch(programs, config, server, host="localhost")
               the same where the client can be told to ask for a host name (in TLS: SNI); it
               connects to 127.0.0.1 and the server's port whatever the name is
    fetch(..., ca=None)
               where it can check by itself whether its server is that host (or 127.0.0.1, where it can
               not be told): then it does, by the CAs in that file
    SERVED     a regular expression for its output where it was served

One module may be both. Further, where it differs from the usual:

    KEEPS        True: a server that does not hang up after REQUEST, but waits for another one
    CORE         True: in the short run on another OpenSSL
    RELEASED     True: its packages are installed on a released Debian, and not on sid
    RELOAD       the signal by which a server reads its configuration again, and what it then says
    RESUMES      False: a server that resumes no sessions even without the provider;
                 True: a client that offers them
    LATE         True: is given its certificate in the handshake, and resumes nothing beside the provider
    OWN_TESTS    True: it has a file of tests, and is no row of the common ones
    is_there()   False: not on this host, or not on the system's OpenSSL
    ROOT         True: has another root directory at its first SSL_CTX, so that it wants the setting `service`
    SHUT         True: a server that starts without the provider, with a stand-in, and then serves nobody
    SANITIZABLE  False: does not start where the address sanitizer is preloaded

`programs.folder` can be entered by other users, for servers that do not run as root.
"""

import importlib
import os
import pkgutil
from pathlib import Path

from programs import openssl_version

FOLDER = Path(__file__).resolve().parents[3] / "doc" / "applications"
RELEASES = (3, 0), (3, 5)  # of Debian 12 and 13


def documented(name, values):
    """Return a file of the documentation, with the values of its example replaced by these."""
    text = (FOLDER / name).read_text()
    for example, value in values.items():
        assert example in text, f"{name} does not have {example!r}"
        text = text.replace(example, str(value))
    return text


def modules():
    """Return every module of an application, in the order of their names."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    found = [importlib.import_module(f"{__name__}.{name}") for name in names]
    return [module for module in found if hasattr(module, "NAME")]


def servers():
    return [module for module in modules() if hasattr(module, "start") and not hasattr(module, "OWN_TESTS")]


def clients():
    return [module for module in modules() if hasattr(module, "fetch") and not hasattr(module, "OWN_TESTS")]


def short_name(module):
    return module.__name__.rpartition(".")[2]


def can_run(module):
    if getattr(module, "RELEASED", False) and openssl_version() not in RELEASES:
        return False
    is_there = getattr(module, "is_there", lambda: True)
    return is_there() and (getattr(module, "SANITIZABLE", True) or not os.environ.get("CONSUL_PROVIDER_PRELOAD"))
