# SPDX-License-Identifier: Apache-2.0
"""consul-tls check: one seeded fault for each test, up to the handshake, and the words that name it."""

import datetime
import os
import subprocess

import pytest

import ca
import stand_ins
from agent import free_ports
from ca import TRADITIONAL, ec_key, self_signed
from consul_tls import Chain, check, run
from fake_agent import INTENTIONS, ROOTS, text, value
from processes import wait_until
from programs import AS_SHIPPED
from tls_agent import TlsAgent

WRONG_TOKEN = "deadbeef-0000-4000-8000-00000badc0de"
AS_ROOT = pytest.mark.skipif(os.getuid() != 0, reason="needs another user")
DAY = 86400  # seconds
HOUR = 1 / 24  # days


def test_all_is_well(programs, agent, service):
    chain = check(programs, programs.config(agent, service=service)).is_good()
    assert [name for name, (state, _) in chain.links.items() if state == "not tried"] == \
        ["stand-in", "listener", "process"]
    assert f"/svc/{service}, serial " in chain.links["leaf"][1]
    assert chain.links["handshake"][1] == f'without a certificate: refused; as "{service}": admitted'


def test_the_service_of_an_option(programs, agent, service):
    """A file for stand-ins names no service."""
    config = programs.config(agent)
    check(programs, config, "--service", service).is_good("leaf", "handshake")
    check(programs, config).breaks("token", "no service is named", cure="--service NAME")


def test_a_service_with_a_datacenter(programs, agent, service):
    """The stand-in of the handshake has all of it."""
    chain = check(programs, programs.config(agent), "--service", f"{service}?dc=dc1").is_good("handshake")
    assert f"/dc/dc1/svc/{service}," in chain.links["leaf"][1]


# -- the file --

def test_no_file(programs):
    chain = check(programs, programs.folder / "nothing.cnf")
    chain.breaks("file", "there is no file", "nothing.cnf", cure="consul-tls config SERVICE")
    assert chain.links["section"] == ("not tried", "for want of the link file")


@AS_ROOT
def test_an_unreadable_file(programs, agent, open_folders):
    config = open_folders("check") / "openssl.cnf"
    config.write_text(programs.config(agent, service="web").read_text())
    config.chmod(0o600)
    check(programs, config, "--user", "nobody").breaks(
        "file", "cannot be read by nobody", "Permission denied", cure="let the user of the program read the file")


def test_a_fifo(programs):
    """A reader of one would wait for its writer without end."""
    fifo = programs.path("openssl.cnf.fifo")
    os.mkfifo(fifo)
    check(programs, fifo).breaks(
        "file", "cannot be read by this user: it is no regular file", cure="let the user of the program read the file")


def test_a_line_that_is_no_line(programs):
    config = programs.write("openssl.cnf", "openssl_conf = openssl_init\n[openssl_init\n")
    check(programs, config).breaks("file", "OpenSSL cannot read line 2", cure="mend that line")


def test_a_file_that_is_not_included(programs, agent, service):
    """OpenSSL goes on without it."""
    config = programs.config(agent, service=service)
    absent = programs.folder / "absent.cnf"
    config.write_text(f"{config.read_text()}\n.include {absent}\n")
    check(programs, config).breaks("file", "OpenSSL passes over a file", str(absent), cure="take the .include out")


def test_a_file_for_all_to_change(programs, agent, service):
    config = programs.config(agent, service=service)
    config.chmod(0o666)
    check(programs, config).breaks("file", "every user of this host may change", cure="chmod o-w")


@AS_ROOT
def test_a_file_for_a_group_to_change(programs, agent, service):
    """Root would load the module that a user of the group writes there. For another user it is the user's own group."""
    config = programs.config(agent, service=service)
    config.chmod(0o664)
    check(programs, config).breaks("file", "or a user of an ACL, may change", "have root load any module", cure="chmod g-w")


# -- the section --

@pytest.mark.parametrize("old, new, words", [
    ("openssl_conf = ", "#", "no row openssl_conf above all sections"),
    ("openssl_conf = openssl_init", "openssl_conf = openssl_int", "no row openssl_conf above all sections"),
    ("providers = providers", "provider = providers", "[openssl_init] has no row providers"),
    ("consul = consul_provider", "", "[providers] has no row consul"),
    ("consul = consul_provider", "consul = consul_povider", "[providers] has no row consul"),
    ("consul.so\nactivate = 1", "consul.so", "the section [consul_provider] is not active"),
    ("consul.so\nactivate = 1", "consul.so\nactivate = 0", "the section [consul_provider] is not active"),
])
def test_no_active_section(programs, agent, service, old, new, words):
    config = programs.config(agent, service=service)
    broken = config.read_text().replace(old, new)
    assert broken != config.read_text()
    cure = "write activate = 1" if "activate" in old else "consul-tls config"
    check(programs, programs.write("openssl.cnf", broken)).breaks("section", words, cure=cure)


def test_a_section_for_another_application(programs, agent, service):
    """Node reads nodejs_conf."""
    config = programs.config(agent, service=service)
    check(programs, config, "--application", "nodejs_conf").breaks(
        "section", "no row nodejs_conf above all sections", cure="consul-tls config")
    other = programs.write("openssl.cnf", config.read_text().replace("openssl_conf", "nodejs_conf", 1))
    check(programs, other, "--application", "nodejs_conf").is_good("handshake")


def test_a_second_copy_in_the_file(programs, agent, service):
    copy = programs.folder / "consul.so"
    copy.write_bytes(programs.module.read_bytes())
    more = f"[second]\nmodule = {copy}\nactivate = 1\n"
    config = programs.config(agent, more=more, service=service)
    config.write_text(config.read_text().replace("null = ", "other = second\nnull = "))
    check(programs, config).breaks("section", "other loads a second copy", cure="leave one of the two rows")


def test_an_open_file_is_said_to_be(programs, agent, service):
    config = programs.config(agent, service=service)
    config.write_text(config.read_text().replace("null = ", "default = "))
    assert "the file is not closed" in check(programs, config).is_good().links["section"][1]


# -- the module --

def other_module(programs, agent, service, content):
    file = programs.path("consul.so")
    file.write_bytes(content)
    config = programs.config(agent, service=service)
    config.write_text(config.read_text().replace(str(programs.module), str(file)))
    return config


def test_no_module(programs, agent, service):
    config = programs.config(agent, service=service)
    config.write_text(config.read_text().replace(str(programs.module), "/nowhere/consul.so"))
    chain = check(programs, config).breaks("module", "there is no module /nowhere/consul.so", cure="install the package")
    assert chain.links["leaf"][0] == "ok" and chain.links["handshake"] == ("not tried", "for want of the link module")


def test_a_module_that_is_none(programs, agent, service):
    config = other_module(programs, agent, service, b"no module\n")
    check(programs, config).breaks("module", "is no shared library", cure="install the package again")


def test_a_module_of_another_architecture(programs, agent, service):
    module = programs.module.read_bytes()
    config = other_module(programs, agent, service, module[:18] + b"\x08\0" + module[20:])
    check(programs, config).breaks("module", "another architecture (ELF machine 8", cure="architecture of this host")


def renamed_library(programs, agent, service, library):
    """Return a file with a copy of the module, in which the name of a library is another one."""
    module = programs.module.read_bytes()
    assert library + b"\0" in module
    return other_module(programs, agent, service, module.replace(library + b"\0", library[:-1] + b"9\0"))


def test_a_module_for_another_openssl(programs, agent, service):
    config = renamed_library(programs, agent, service, b"libcrypto.so.3")
    check(programs, config).breaks("module", "is built for another OpenSSL than OpenSSL 3", "libcrypto.so.9",
                                   cure="build the module with it")


def test_a_module_without_a_library_that_it_is_linked_to(programs, agent, service):
    folder = programs.folder
    (folder / "empty.c").write_text("int OSSL_provider_init(void) { return 0; }\n")
    for argv in (["-o", "libmissing.so"], ["-o", "linked.so", "-Wl,--no-as-needed", "-L.", "-lmissing"]):
        subprocess.run(["gcc", "-shared", "-fPIC", "empty.c", *argv], cwd=folder, check=True)
    config = other_module(programs, agent, service, (folder / "linked.so").read_bytes())
    check(programs, config).breaks("module", "needs a library that is missing: libmissing.so", cure="install the library")


def test_a_module_without_a_library_that_it_loads(programs, agent, service):
    """The module loads, and refuses all TLS of a program."""
    config = renamed_library(programs, agent, service, b"libjansson.so.4")
    check(programs, config).breaks("handshake", "libjansson.so.9 cannot be loaded", cure="install the library")


@AS_ROOT
def test_a_module_without_permission(programs, agent, open_folders, service):
    folder = open_folders("check")
    (folder / "consul.so").write_bytes(programs.module.read_bytes())
    (folder / "consul.so").chmod(0o600)
    config = folder / "openssl.cnf"
    config.write_text(programs.config(agent, service=service).read_text().replace(
        str(programs.module), str(folder / "consul.so")))
    check(programs, config, "--user", "nobody").breaks("module", "cannot be read by nobody", cure="chmod 644")


@AS_ROOT
def test_a_module_on_noexec(programs, agent, service):
    """In a mount namespace of the command."""
    folder = programs.folder / "noexec"
    folder.mkdir()
    config = programs.config(agent, service=service)
    config.write_text(config.read_text().replace(str(programs.module), str(folder / "consul.so")))
    mount = f"mount -t tmpfs -o noexec none {folder} && cp {programs.module} {folder} && "
    command = programs.module.parents[1] / "cli" / "consul-tls"
    if subprocess.run(["unshare", "--mount", "sh", "-c", f"{mount} true"], capture_output=True).returncode:
        pytest.skip("no mount namespace can be had")
    result = programs.run(["unshare", "--mount", "sh", "-c", f"{mount} {command} check --config {config}"],
                          env={"OPENSSL_CONF": "/dev/null"})
    Chain(result).breaks("module", "is mounted noexec", cure="without noexec")


# -- the settings --

@pytest.mark.parametrize("line, words", [
    ("servise = web", "there is no such setting; the nearest is service"),
    ("connect_timeout = fast", "allowed are 1ms to 10m"),
    ("client_cert = /etc/x", "client_cert and client_key: one is set without the other"),
    ("upstreams = nowhere", "there is no section of that name"),
])
def test_a_wrong_setting(programs, agent, line, words):
    config = programs.config(agent, **AS_SHIPPED)
    config.write_text(config.read_text().rstrip("\n") + "\n" + line + "\n")
    check(programs, config).breaks("settings", words, cure="mend that setting")


def test_a_wrong_variable(programs, agent, service):
    chain = check(programs, programs.config(agent, service=service), env={"CONSUL_HTTP_SSL": "perhaps"})
    chain.breaks("settings", "environment variable CONSUL_HTTP_SSL", cure="mend that setting")


# -- the stand-in --

def test_a_stand_in(programs, agent, service):
    certificate, key = stand_ins.make(programs, f"consul:leaf/{service}")
    check(programs, programs.config(agent), "--cert", certificate, "--key", key).is_good("stand-in", "handshake")


def test_half_a_stand_in(programs, agent, service):
    """An ordinary file beside half a pair, either way, and a pair for another service."""
    certificate, key = stand_ins.make(programs, f"consul:leaf/{service}")
    _, ordinary, _, ordinary_key, *_ = self_signed().files(programs.folder, "web")
    config = programs.config(agent, service=service)
    for cert_file, key_file, words in [
        (ordinary, key, "the key is a stand-in's, and the certificate is an ordinary one"),
        (certificate, ordinary_key, "the certificate is a stand-in's, and the key is an ordinary one"),
        (ordinary, ordinary_key, "neither the certificate nor the key is a stand-in's"),
    ]:
        check(programs, config, "--cert", cert_file, "--key", key_file).breaks(
            "stand-in", words, cure="consul-tls stand-in SERVICE")
    check(programs, config, "--cert", certificate, "--key", key, "--service", "other").breaks(
        "stand-in", f'for the service "{service}", and not for "other"', cure="consul-tls stand-in")


# -- the agent --

def test_no_agent(programs):
    port, = free_ports(1)
    check(programs, programs.config(f"127.0.0.1:{port}", service="web")).breaks(
        "agent", "no program listens at this address", str(port), cure="start the agent")


def test_no_socket(programs):
    check(programs, programs.config("unix:///nowhere/consul.sock", service="web")).breaks(
        "agent", "no agent listens at this socket", cure="addresses.http")


def test_the_port_of_another_server(programs, fake):
    """A server of HTTP without Consul's API, a server of something else, and the agent's own RPC."""
    fake.answer(ROOTS, value({"hello": "world"}))
    config = programs.config(fake, service="web")
    check(programs, config).breaks("agent", "the answer is not Consul's", cure="the agent's port")
    fake.answer(ROOTS, text("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"))
    check(programs, config).breaks("agent", "a server without Consul's API answers", cure="the agent's port")
    fake.answer(ROOTS, text("SSH-2.0-OpenSSH_9.2\r\n"))
    check(programs, config).breaks("agent", "a program that is no HTTP server", cure="the agent's port")


def test_the_port_of_the_agents_rpc(programs, agent):
    check(programs, programs.config(f"127.0.0.1:{agent.ports['server']}", service="web")).breaks(
        "agent", "no agent answers here", cure="the agent's port")


@pytest.fixture(scope="module")
def tls_agent(tmp_path_factory):
    one = TlsAgent(tmp_path_factory.mktemp("tls-agent"))
    one.wait_for_roots()
    yield one
    one.stop()


def test_an_agent_with_tls(programs, tls_agent, service):
    check(programs, programs.config(service=service, **tls_agent.settings())).is_good("handshake")


@pytest.mark.parametrize("changes, words, cure", [
    ({"address": "http"}, "the agent speaks HTTPS at this port", "write https:// into address"),
    ({"ca_file": None}, "of an unknown CA", "ca_file"),
    ({"ca_file": "/nowhere.pem"}, "the file of CAs is missing", "ca_file"),
    ({"tls_server_name": "other.example"}, "the agent's certificate has another name", "tls_server_name"),
    ({"client_cert": None, "client_key": None}, "demands", "client_cert and client_key"),
    ({"client_cert": "/nowhere.pem"}, "the file of client_cert cannot be read", "client_cert"),
])
def test_a_fault_of_tls(programs, tls_agent, changes, words, cure):
    settings = {**tls_agent.settings(), **changes}
    if changes.get("address"):
        settings = {"address": settings.pop("address") and tls_agent.url.removeprefix("https://")}
    config = programs.config(service="web", **{name: one for name, one in settings.items() if one})
    check(programs, config).breaks("agent", words, cure=cure)


def test_an_agents_certificate_that_has_expired(programs, tls_agent):
    """By the clock of this host, which is a month ahead of it."""
    clock = programs.module.parents[1] / "tests" / "stepped_clock.so"
    preload = f"{programs.preload}:{clock}" if programs.preload else str(clock)
    env = {"LD_PRELOAD": preload, "STEPPED_CLOCK": str(programs.write("step", f"{40 * DAY}\n"))}
    check(programs, programs.config(service="web", **tls_agent.settings()), env=env).breaks(
        "agent", "the agent's certificate has expired", "and here it is 20", cure="give the agent a new certificate")


def test_https_on_a_port_of_http(programs, agent):
    check(programs, programs.config(f"https://{agent.address}", service="web")).breaks(
        "agent", "the agent speaks plain HTTP at this port", cure="write http:// into address")


def test_connect_is_off(programs, make_agent):
    off = make_agent(connect={"enabled": False})
    check(programs, programs.config(off, service="web")).breaks(
        "agent", "Connect is off in the agent", cure="connect { enabled = true }")


@pytest.mark.parametrize("path, link, words", [
    ("/v1/agent/connect/ca/roots", "agent", "the agent blocks this request"),
    ("/v1/agent/connect/ca/leaf", "token", "the agent blocks this request, whatever the token"),
])
def test_a_blocked_endpoint(programs, make_agent, path, link, words):
    """403 has nothing to do with a token then."""
    blocking = make_agent(http_config={"block_endpoints": [path]})
    if path != ROOTS:
        wait_until(lambda: blocking.get(ROOTS)["Roots"], "the roots of a new agent")
    check(programs, programs.config(blocking, service="web")).breaks(link, words, cure="http_config")


def test_a_silent_agent(programs, fake):
    fake.answer(ROOTS, lambda connection: connection.stopping.wait(5))
    check(programs, programs.config(fake, service="web", request_timeout="300ms")).breaks(
        "agent", "the agent does not answer in time", cure="request_timeout")


# -- the clock --

@pytest.mark.parametrize("step, words", [
    (-DAY, "behind the agent's"), (DAY, "ahead of the agent's"), (-600, "10 minutes behind"),
])
def test_a_wrong_clock(programs, agent, service, step, words):
    """The command's own clock is off, and the agent's is right."""
    file = programs.write("step", f"{step}\n")
    clock = programs.module.parents[1] / "tests" / "stepped_clock.so"
    preload = f"{programs.preload}:{clock}" if programs.preload else str(clock)
    env = {"LD_PRELOAD": preload, "STEPPED_CLOCK": str(file)}
    chain = check(programs, programs.config(agent, service=service), env=env)
    today = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d")
    chain.breaks("clock", words, today, cure="check this host's clock")


# -- the token --

@pytest.fixture
def token(guarded, service):
    return guarded.make_token(service, f'service "{service}" {{ policy = "write" }}')


def test_a_good_token(programs, guarded, service, token):
    guarded.allow("friend", service)
    chain = check(programs, programs.config(guarded, service=service, token=token), "--from", "friend").is_good()
    assert f'has service:write on "{service}"' in chain.links["token"][1]
    assert chain.links["handshake"][1].endswith("refused, as the intentions have it")
    assert token not in chain.result.stdout


def test_no_token(programs, guarded, service):
    check(programs, programs.config(guarded, service=service)).breaks(
        "token", "no token was sent, and the agent demands a token", "403", cure="token_file = FILE")


def test_an_empty_token_file(programs, guarded, service):
    file = programs.write("token", "\n")
    check(programs, programs.config(guarded, service=service, token_file=file)).breaks(
        "token", f"no token, as token_file {file} is empty was sent", cure="token_file = FILE")


def test_a_token_file_that_is_not_there(programs, guarded, service):
    chain = check(programs, programs.config(guarded, service=service, token_file="/nowhere/token"))
    assert chain.broken and 'token_file "/nowhere/token" cannot be opened: No such file' in "".join(chain.broken.values())


def test_a_token_file_that_is_a_fifo(programs, guarded, service):
    fifo = programs.path("token.fifo")
    os.mkfifo(fifo)
    chain = check(programs, programs.config(guarded, service=service, token_file=fifo))
    assert chain.broken and f'token_file "{fifo}" cannot be opened: it is no regular file' in "".join(chain.broken.values())


def test_an_invalid_token(programs, guarded, service):
    chain = check(programs, programs.config(guarded, service=service, token=WRONG_TOKEN))
    chain.breaks("token", "Consul does not know the token of the setting", "ACL not found", cure="a new token")
    assert WRONG_TOKEN not in chain.result.stdout


def test_a_token_of_another_service(programs, guarded, service, token):
    chain = check(programs, programs.config(guarded, service=f"not-{service}", token=token))
    chain.breaks("token", f'has no service:write on "not-{service}"', "(accessor ", "Permission denied",
                 cure=f'service "not-{service}" {{ policy = "write" }}')
    assert token not in chain.result.stdout


def test_a_token_that_reads_no_intentions(programs, guarded, service):
    token = guarded.make_token(service, f'service "{service}" {{ policy = "write" intentions = "deny" }}')
    check(programs, programs.config(guarded, service=service, token=token)).breaks(
        "token", f'the intentions of "{service}" cannot be read', cure="read the intentions")


# -- the leaf and the intentions --

def test_an_expired_leaf(programs, fake):
    """Two hours ago, by the clock of the agent too."""
    fake.answer(INTENTIONS, value({"web": []}))
    fake.leaves["web"] = fake.authority.service("web", key=ec_key(), form=TRADITIONAL, ends=-2 * HOUR)
    check(programs, programs.config(fake, service="web")).breaks(
        "leaf", 'the leaf of "web" has expired', cure="check this host's clock")


def test_a_leaf_of_another_mesh(programs, fake):
    fake.answer(INTENTIONS, value({"web": []}))
    stranger = ca.Authority("99999999-2222-3333-4444-555555555555.consul", "Other")
    fake.leaves["web"] = stranger.service("web", key=ec_key(), form=TRADITIONAL)
    check(programs, programs.config(fake, service="web")).breaks(
        "leaf", "is not in the trust domain", cure="see the log of the agent")


def test_an_intention_denies(programs, agent, service):
    agent.deny("enemy", service)
    config = programs.config(agent, service=service)
    check(programs, config, "--from", "friend").is_good("intentions")
    check(programs, config, "--from", "enemy").breaks(
        "intentions", f'may not connect to "{service}"', "DENY", cure=f"-allow enemy {service}")


def test_an_intention_denies_itself(programs, ours, service):
    """The handshake with its own leaf is refused then. No link is broken."""
    ours.deny(service, service)
    chain = check(programs, programs.config(ours, service=service)).is_good("handshake")
    assert "refused, as the intentions have it" in chain.links["handshake"][1]


def test_deny_is_the_default(programs, guarded, service, token):
    config = programs.config(guarded, service=service, token=token)
    check(programs, config).breaks(
        "intentions", f'no service may connect to "{service}": deny is the default', cure="-allow CLIENT SERVICE")
    guarded.allow("friend", service)
    check(programs, config).is_good("intentions")


def test_usage(programs, agent):
    assert "takes options only" in run(programs, "check", "web").stderr
