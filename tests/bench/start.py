# SPDX-License-Identifier: Apache-2.0
"""The start and end of a program that does no TLS: openssl x509 -help."""

import re
import resource
import subprocess

ARGUMENTS = ("x509", "-help")
WITHOUT, OPENSSLS, LOADED, SERVICE = "without", "legacy", "loaded", "a service"
SETTINGS = {LOADED: {}, SERVICE: {"service": "web"}}
LEGACY = """\
openssl_conf = openssl_init
[openssl_init]
providers = providers
[providers]
default = always
legacy = always
[always]
activate = 1
"""  # OpenSSL's own second provider, a module in a file of its own, too
IN_A_ROUND = 50


def cpu(argv, environment, count):
    """Return the mean CPU time of a run, in seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for _ in range(count):
        subprocess.run(argv, env=environment, stderr=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / count


def instructions(argv, environment):
    valgrind = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *argv]
    done = subprocess.run(valgrind, env=environment, capture_output=True, text=True, check=True)
    return int(re.search(r"Collected : (\d+)", done.stderr).group(1))


def measure(runtime, agent, rounds):
    """Return {way: its instructions, and its CPU time in each round}. The ways take turns."""
    argv = runtime.command([runtime.openssl, *ARGUMENTS])
    configs = {WITHOUT: None, OPENSSLS: runtime.programs.write("legacy.cnf", LEGACY),
               **{name: runtime.programs.config(agent, **settings) for name, settings in SETTINGS.items()}}
    environments = {name: runtime.programs.environment(config) for name, config in configs.items()}
    found = {name: {"instructions": instructions(argv, of), "cpu": []} for name, of in environments.items()}
    for _ in range(rounds):
        for name, environment in environments.items():
            found[name]["cpu"].append(cpu(argv, environment, IN_A_ROUND))
    return found
