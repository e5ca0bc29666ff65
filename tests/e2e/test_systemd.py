# SPDX-License-Identifier: Apache-2.0
"""The units in examples/ on a host that systemd has booted: the provider lacks nothing in their sandboxes."""

import pytest

import booted
from agent import consul_binary

pytestmark = pytest.mark.applications

UNIT = "/etc/systemd/system"
AGENT = """\
useradd --system consul
useradd --system web
cat >{unit}/consul.service <<'END'
[Service]
User=consul
StateDirectory=consul
ExecStart=/consul agent -dev -log-level=warn -data-dir=/var/lib/consul -hcl 'acl {{ enabled = true default_policy = "deny" }}'
END
systemctl daemon-reload
systemctl start consul
""".format(unit=UNIT)
TOKENS = """\
export CONSUL_HTTP_TOKEN=$(sed -n 's/^SecretID: *//p' /root/manager)
install -d /etc/consul-provider
/consul acl token create -service-identity web | sed -n 's/^SecretID: *//p' >/etc/consul-provider/web.token
/consul intention create api web
consul-tls config api token=$CONSUL_HTTP_TOKEN >/root/api.cnf
"""
NGINX = """\
chgrp www-data /etc/consul-provider/web.token; chmod 640 /etc/consul-provider/web.token
consul-tls config token_file=/etc/consul-provider/web.token agent_user=consul >/etc/consul-provider/openssl.cnf
consul-tls stand-in web /etc/consul-provider
cat >/etc/nginx/conf.d/web.conf <<'END'
server {
    listen 8443 ssl;
    ssl_certificate     /etc/consul-provider/web.pem;
    ssl_certificate_key /etc/consul-provider/web.key;
    location / { return 200 "hello from web\\n"; }
}
END
rm -f /etc/nginx/sites-enabled/*
install -D -m 644 examples/systemd-drop-in.conf %(unit)s/nginx.service.d/consul-provider.conf
install -D -m 644 examples/systemd-hardening.conf %(unit)s/nginx.service.d/hardening.conf
systemctl daemon-reload
systemctl restart nginx
""" % {"unit": UNIT}
FETCH = "OPENSSL_CONF=/root/api.cnf curl --silent --insecure --connect-to ::127.0.0.1:8443 https://web.service.consul:8443/"


@pytest.fixture(scope="module")
def host(tmp_path_factory, module):
    """Give a booted host with an agent, the provider, and tokens of a manager and of the service web."""
    reason = booted.missing()
    if reason:
        pytest.skip(reason)
    one = booted.Host(tmp_path_factory.mktemp("booted"), consul_binary())
    try:
        one.do(f"meson install --no-rebuild -C {module.parents[1]}")
        one.do(AGENT)
        one.until("/consul acl bootstrap >/root/manager")
        one.do(TOKENS)
        yield one
    finally:
        one.close()


def change(host, name, old, new):
    """Change a line of a unit, and start its service again."""
    host.do(f"grep -q '^{old}$' {UNIT}/{name} && sed -i 's#^{old}$#{new}#' {UNIT}/{name}; systemctl daemon-reload")
    return host.run(f"systemctl restart {name.split('.')[0]}")


def test_nginx_in_a_sandbox(host):
    """The sandbox is one. The agent and its user, the log, the watch, the board and a reload work in it."""
    host.do(NGINX)
    for _ in range(3):
        assert "hello from web" in host.until(FETCH)
    assert host.run(f"{FETCH.replace('/root/api.cnf', '/dev/null')}").returncode != 0
    host.until("journalctl -t nginx -g 'consul: governing as \"web\"'")
    host.until("journalctl -t nginx -g 'peer presented no certificate'")
    host.do("systemctl reload nginx")
    # The second handshake of a worker begins its watch.
    host.until(f"{FETCH} | grep 'hello from web' && consul-tls status | grep 'roots at index'")
    assert "admitted" in host.do("consul-tls status $(cat /run/nginx.pid)")
    inside = "nsenter --target $(cat /run/nginx.pid) --mount --root --wd "
    assert "Read-only file system" in host.run(f"{inside} touch /etc/file").stdout
    assert host.run(f"{inside} ls /proc/sys").returncode != 0
    assert "Seccomp:\t2" in host.do("cat /proc/$(cat /run/nginx.pid)/status")
    host.do("systemctl start consul; systemctl stop nginx")


def test_what_the_sandbox_must_leave(host):
    """Without netlink no agent_user, and no file of `log` outside of ReadWritePaths. Both say so."""
    host.do(NGINX)
    change(host, "nginx.service.d/hardening.conf", "RestrictAddressFamilies=.*", "RestrictAddressFamilies=AF_INET AF_UNIX")
    assert host.run(FETCH).returncode != 0
    host.until("journalctl -t nginx -g 'the kernel does not know the user'")
    host.do("echo 'log = /var/lib/refusals' >>/etc/consul-provider/openssl.cnf")
    assert host.run("systemctl restart nginx").returncode != 0
    host.until("journalctl -t nginx -g 'log = ./var/lib/refusals.*Read-only file system'")


def test_a_token_that_systemd_loads(host):
    """It is a copy for this program alone, which has a user that systemd makes."""
    host.do("chmod 600 /etc/consul-provider/web.token; chown root:root /etc/consul-provider/web.token; systemctl stop nginx")
    host.do("consul-tls config web token_file=/run/credentials/web.service/consul-token >/etc/consul-provider/web.cnf")
    host.do(f"cp examples/systemd-service.service {UNIT}/web.service")
    change(host, "web.service", "ExecStart=.*", "ExecStart=openssl s_server -accept 8443 -www -nocert")
    assert "Ciphers supported" in host.until(FETCH)
    assert host.run("cat /run/credentials/web.service/consul-token").returncode == 0
    host.do("systemctl stop web")


def test_systemd_knows_each_line(host):
    """It would leave out a directive that it does not know, with a line in the journal."""
    host.do(NGINX)
    host.do(f"cp examples/*.service {UNIT}; systemctl daemon-reload; systemctl cat nginx consul-tls-metrics systemd-service consul-registration")
    known = host.run("journalctl _PID=1 --grep 'Unknown (key|lvalue|section)|Failed to parse|ignoring'")
    assert known.returncode != 0, known.stdout
    host.do(f"printf '[Service]\\nProtectNonsense=yes\\n' >{UNIT}/nginx.service.d/nonsense.conf; systemctl daemon-reload")
    host.until("journalctl _PID=1 --grep 'Unknown (key|lvalue)'")
    host.do(f"rm {UNIT}/nginx.service.d/nonsense.conf; systemctl daemon-reload")


def test_the_registration_unit(host):
    """The catalog has the service while nginx runs, whatever the agent said at its start."""
    host.do(NGINX)
    host.do(f"""cat >/etc/consul-provider/web.json <<'END'
{{"service": {{"name": "web", "port": 8443,
    "check": {{"tcp": "127.0.0.1:8443", "interval": "1s", "deregister_critical_service_after": "10m"}}}}}}
END
cp examples/consul-registration.service {UNIT}/web-registration.service; systemctl daemon-reload
systemctl enable --now web-registration""")
    catalog = "curl --silent -H \"X-Consul-Token: $(sed -n 's/^SecretID: *//p' /root/manager)\" " \
        "http://127.0.0.1:8500/v1/health/connect/web"
    there = f"systemctl is-active web-registration && {catalog}?passing | grep '\"Native\": *true'"
    gone = f"{catalog} | tr -d '\\n ' | grep -x '\\[\\]'"
    host.until(there)
    generation = host.do(f"{catalog} | grep '\"CreateIndex\"'")
    host.do("systemctl reload nginx")
    assert host.do(f"{catalog} | grep '\"CreateIndex\"'") == generation
    host.do("systemctl kill --kill-whom=all -s KILL nginx")
    host.until(gone)
    host.until("systemctl is-failed nginx")
    host.do("systemctl start nginx")
    host.until(there)
    host.do("systemctl stop nginx")
    host.until(gone)

    # An agent that hangs, and one that knows no token of ours: nginx starts, and the registration is tried again.
    host.do("systemctl kill -s STOP consul; systemctl start --no-block nginx")
    host.until("systemctl is-active nginx && journalctl -u web-registration -g 'does not answer|timed out|no answer'")
    host.do("systemctl kill -s CONT consul")
    host.until(there)
    host.do("systemctl stop nginx")
    host.until(gone)
    host.do("mv /etc/consul-provider/web.token /root; systemctl start --no-block nginx")
    host.until("systemctl is-active nginx && journalctl -u web-registration -g web.token")
    host.do("mv /root/web.token /etc/consul-provider")
    host.until(there)
    host.do("systemctl disable web-registration; systemctl stop web-registration nginx")
    host.until(gone)


def test_the_metrics_unit(host):
    host.do(NGINX)
    host.do(f"cp examples/consul-tls-metrics.service {UNIT}; systemctl daemon-reload; systemctl start consul-tls-metrics")
    page = host.until("curl --silent http://127.0.0.1:9473/metrics | grep -E '^consul_provider_(processes|unread)'")
    assert 'program="nginx"' in page and "consul_provider_unreadable_processes 0" in page

