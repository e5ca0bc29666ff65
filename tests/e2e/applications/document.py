# SPDX-License-Identifier: Apache-2.0
"""Print doc/applications.md: python3 tests/e2e/applications/document.py > doc/applications.md

The page is made of the files in doc/applications, which the tests run, and of the modules beside this one. The
modules are read and not imported, so that no application needs to be installed.
"""

import ast
from dataclasses import dataclass
from pathlib import Path

MODULES = Path(__file__).resolve().parent
FOLDER = MODULES.parents[2] / "doc" / "applications"
NOTE = "note.md"
LANGUAGES = {".js": "js", ".lua": "lua", ".py": "python", ".sh": "sh"}

BEGINNING = """\
# Applications

<!-- Made by tests/e2e/applications/document.py from the files in doc/applications; edit those. -->

Unmodified programs on Consul Connect. Each configuration below is run by the end-to-end tests, with other ports and
paths. Two things belong to all of them:

* `OPENSSL_CONF` names an openssl.cnf like [openssl.cnf.example](../openssl.cnf.example). For a client it has
  `service =` and the service of the client. [Installation](install.md#the-environment) has the place of the variable.
* A server wants a certificate and a key in files, `/etc/consul-provider/web.pem` and `web.key` here. **Let them be a
  [stand-in](stand-ins.md)**, and the server does not start without the provider. `service = web` does with any files,
  but a server that does not read openssl.cnf then serves every client.

Clients with a check of the host name have it turned off, as Connect leaves prove no host name. For the name of a
service this is safe: the provider verifies the server by Consul's roots. The server has to be the very service of that
name. An impostor, another service and a server outside of the mesh are refused. By **any other name** a server outside
of the mesh is then not verified, unless `outbound = require` is set ([names](settings.md#names)).

An intention counts for connections that are made after it. Open connections stay open.
[The peer in the application](peers.md) has recipes for access logs and rules with the SPIFFE ID of the peer.
"""


@dataclass
class Module:
    """The facts about an application's module that need no run of it."""

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
        """Tell whether a string in the module ends with the name of this file."""
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
    """Return the anchor that GitHub makes of a title."""
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
