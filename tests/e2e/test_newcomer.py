# SPDX-License-Identifier: Apache-2.0
"""The commands of README work as it says, as root, one after the other, on a copy of this host."""

import os

import pytest

import newcomer
from agent import consul_binary

pytestmark = pytest.mark.applications

HAS_ROOTS = "curl -s http://127.0.0.1:8500/v1/agent/connect/ca/roots | grep BEGIN"


@pytest.fixture
def host(tmp_path, module):
    """Give a host with Debian's packages, the sources and a module that is built."""
    if os.geteuid() != 0:
        pytest.skip("only root can change a host")
    one = newcomer.Host(tmp_path, consul_binary(), {
        "tools/setup ": ": tools/setup ",  # its packages are there
        "meson setup ": ": meson setup ",  # the module is built
        "meson install -C build/release": f"meson install --no-rebuild -C {module.parents[1]}",
        "ninja -C build/release": f"ninja -C {module.parents[1]}",
        "build/setup/consul": "/consul",
    })
    one.do("pg_createcluster $(ls /usr/lib/postgresql | tail -n 1) main")
    yield one
    one.close()


def run_to_the_client(host):
    """Run README up to a client that is served. Return the blocks of commands that are left."""
    build, agent, *servers, client, see, undo = newcomer.blocks("README.md")
    host.shown(build)
    host.shown(agent)
    host.until(HAS_ROOTS)
    before = "curl -k https://web.service.consul:8443/"
    assert host.run(before)[0] == before
    for block in servers:
        host.shown(block)
    output = host.shown(client)
    assert "hello from web" in output and "(1 row)" in output, output
    return see, undo


def test_readme_from_nothing_to_nginx_and_postgresql_and_back(host):
    see, undo = run_to_the_client(host)
    providers, stranger, deny, denied, log = see.splitlines()
    assert "Consul Connect provider" in host.shown(providers)
    assert "hello" not in host.refused(stranger)
    host.shown(deny)
    host.until(denied, good=False)
    output = host.shown(log)
    assert "peer presented no certificate: client refused" in output, output
    assert "/svc/api\" may not connect to \"web\"" in output, output
    host.shown("consul intention delete api web")
    host.until(denied)

    host.shown(undo)
    build, rest = newcomer.blocks("doc/install.md")
    host.shown(build)
    assert not host.unused, f"README has these words no more: {host.unused}"
    host.refused("getent hosts web.service.consul")
    host.refused("ls /etc/consul-provider")
    host.shown("nginx -t")
    assert "consul" not in host.shown("openssl list -providers")
    assert "(1 row)" in host.shown("su postgres -c 'psql -c \"SELECT 1\"'")
    host.shown(rest)
    host.until(HAS_ROOTS, good=False)


def test_a_stand_in_needs_the_environment(host):
    """Without it, `nginx -t`, `-s reload` and a reload of a running PostgreSQL fail, as doc/install.md says."""
    run_to_the_client(host)
    for command in ("nginx -t", "nginx -s reload", "nginx -s stop"):
        assert "unsupported" in host.refused(f"env -u OPENSSL_CONF {command}")
    for command in ("nginx -t", "nginx -s reload"):
        host.shown(f"OPENSSL_CONF=/etc/consul-provider/openssl.cnf {command}")

    host.shown("cd /etc/postgresql/*/main; sed -i /^OPENSSL_CONF/d environment; mv conf.d/consul.conf /tmp")
    host.shown("systemctl restart postgresql; mv /tmp/consul.conf conf.d")
    host.shown("su postgres -c 'psql -c \"SELECT pg_reload_conf()\"'")
    host.until("grep 'could not load private key file .*db.key' /var/log/postgresql/*.log")
    host.refused("systemctl restart postgresql")
    host.shown("echo \"OPENSSL_CONF = '/etc/consul-provider/openssl.cnf'\" >>environment; systemctl restart postgresql")


def test_each_command_of_the_pages_is_run_here():
    pages = [page.name for page in newcomer.ROOT.glob("doc/*.md") if newcomer.blocks(page)]
    assert sorted(pages) == ["applications.md", "install.md"]  # other tests run the parts of the former
