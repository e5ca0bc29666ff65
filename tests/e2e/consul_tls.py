# SPDX-License-Identifier: Apache-2.0
"""The command consul-tls of the build under test."""

import re


def run(programs, *arguments, config=None, env=None):
    """Run the command; `config` is an openssl.cnf for its option --config."""
    command = programs.module.parents[1] / "cli" / "consul-tls"
    more = ["--config", config] if config else []
    plain = {"OPENSSL_CONF": "/dev/null", **(env or {})}
    return programs.run([command, *arguments, *more], env=plain)


def good(programs, *arguments, **options):
    """Run the command and return its output. It must succeed."""
    result = run(programs, *arguments, **options)
    assert result.code == 0 and result.stderr == "", result
    return result.stdout


def bad(programs, *arguments, **options):
    """Run the command and return its error text. It must fail, and print nothing else."""
    result = run(programs, *arguments, **options)
    assert result.code != 0 and result.stdout == "", result
    assert "Sanitizer" not in result.stderr
    return result.stderr


class Chain:
    """The output of consul-tls check: `links` and `cures` by the name of a link."""

    def __init__(self, result):
        self.result = result
        self.links, self.cures = {}, {}
        assert result.code in (0, 1) and result.stderr == "", result
        for line in result.stdout.splitlines():
            cure = re.fullmatch(r"cure of ([\w-]+): (.+)", line)
            link = re.fullmatch(r"(ok|broken|not tried) +([\w-]+) +(.*)", line)
            assert cure or link, line
            if cure:
                self.cures[cure[1]] = cure[2]
            else:
                self.links[link[2]] = (link[1], link[3])

    @property
    def broken(self):
        return {name: text for name, (state, text) in self.links.items() if state == "broken"}

    def breaks(self, link, *words, cure):
        """This link alone is broken, the words say why, and the cure has those words."""
        assert list(self.broken) == list(self.cures) == [link], self.result.stdout
        assert self.result.code == 1
        for word in words:
            assert word in self.broken[link], self.result.stdout
        assert cure in self.cures[link], self.result.stdout
        return self

    def is_good(self, *links):
        """No link is broken, and the named links were tried."""
        assert self.result.code == 0 and not self.broken and not self.cures, self.result.stdout
        for link in links:
            assert self.links[link][0] == "ok", self.result.stdout
        return self


def check(programs, config, *options, env=None):
    """Run consul-tls check."""
    return Chain(run(programs, "check", *options, config=config, env=env))
