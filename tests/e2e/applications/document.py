"""Prints doc/applications.md: python3 tests/e2e/applications/document.py > doc/applications.md

It is made of what the tests run: the files in doc/applications, and the modules beside this one, which
are read and not imported, so that nothing needs to be installed.
"""

import ast
from dataclasses import dataclass
from pathlib import Path

MODULES = Path(__file__).resolve().parent
FOLDER = MODULES.parents[2] / "doc" / "applications"
NOTE = "note.md"
LANGUAGES = {".py": "python", ".sh": "sh"}

BEGINNING = """\
# Applications

<!-- Made by tests/e2e/applications/document.py from the files in doc/applications; edit those. -->

Unmodified programs on Consul Connect. Each configuration below is what the end-to-end tests run, with other
ports and paths. Two things belong to all of them:

* `OPENSSL_CONF` names an openssl.cnf like [openssl.cnf.example](../openssl.cnf.example): for a client with
  `service =` the service that the client is. That file is closed: where the provider does not load, there is
  no TLS.
* A server wants a certificate and a key in files, `/etc/consul-provider/web.pem` and `web.key` here. **Let them
  be a stand-in**, which [README](../README.md#any-application) makes. It needs no `service`, and without the
  provider the server does not start. With `service = web` any files will do, as they are never presented; but
  then a server that does not read openssl.cnf serves everybody by them. A service manager that cleans the
  environment, file capabilities (`setcap`) and a bundled OpenSSL are such cases.

A server with a stand-in that says `unsupported`, or that no start line was found, has not loaded the provider.
`OPENSSL_CONF` has to be in its own environment, and `openssl list -providers` shows `consul` with that file. A
server with `service =` is checked by a client without a certificate, and a client by a server outside of the
mesh under the name of a service: both have to be refused.

Clients that look for a host name in the certificate have that turned off, as Connect's leaves prove none.
That is safe where the client asks for the name of a service: the connection is still fully verified, by the
provider, against Consul's roots, and the server has to be the very service that the name asks for. It is not
left to the client's options: an impostor, another service and a server outside of the mesh are refused. What
a client asks for by other names is verified by the provider where the server says to be of the mesh, and is
refused if its leaf has names of hosts; it is otherwise the client's own business, and `outbound = require`
refuses it.

An intention counts for connections that are made after it; those that are open stay open.
"""


@dataclass
class Module:
    """What there is to know of an application's module without running it."""

    path: Path
    tree: ast.Module

    @property
    def name(self):
        """Its NAME; None for modules that are no application's."""
        for node in self.tree.body:
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "NAME":
                return ast.literal_eval(node.value)
        return None

    @property
    def roles(self):
        functions = [node.name for node in self.tree.body if isinstance(node, ast.FunctionDef)]
        roles = (("server", "start"), ("client", "fetch"))
        return [role for role, function in roles if function in functions]

    @property
    def folder(self):
        return FOLDER / self.path.stem

    @property
    def files(self):
        return sorted(file for file in self.folder.iterdir() if file.name != NOTE)

    def mentions(self, file):
        """Is there a string in the module that ends with this file's name?"""
        return any(
            isinstance(node, ast.Constant) and str(node.value).endswith(file.name)
            for node in ast.walk(self.tree))


def modules():
    found = [Module(path, ast.parse(path.read_text())) for path in sorted(MODULES.glob("*.py"))]
    return [module for module in found if module.name]


def sort_name(name):
    return name.replace("`", "").lower()


def table(known):
    names = sorted({module.name for module in known}, key=sort_name)
    lines = ["| | as a server | as a client |", "|---|---|---|"]
    for name in names:
        cells = [links([module for module in known if module.name == name and role in module.roles])
                 for role in ("server", "client")]
        lines.append(f"| {name} | {cells[0]} | {cells[1]} |")
    return "\n".join(lines) + "\n"


def links(some):
    return ", ".join(
        f"[{file.name}](#{anchor(module)})" for module in some for file in module.files)


def title(module):
    return f"{module.name} as a {' and a '.join(module.roles)}"


def anchor(module):
    """As GitHub makes it of a title."""
    kept = [letter for letter in title(module).lower() if letter.isalnum() or letter in " -_"]
    return "".join(kept).replace(" ", "-")


def section(module):
    parts = [f"## {title(module)}\n"]
    for file in module.files:
        language = LANGUAGES.get(file.suffix, "")
        parts.append(f"`{file.name}`:\n\n```{language}\n{file.read_text().rstrip()}\n```\n")
    parts.append((module.folder / NOTE).read_text())
    return "\n".join(parts)


def document():
    known = sorted(modules(), key=lambda module: (sort_name(module.name), "server" not in module.roles))
    return "\n".join([BEGINNING, table(known), *(section(module) for module in known)])


if __name__ == "__main__":
    print(document(), end="")
