# SPDX-License-Identifier: Apache-2.0
"""Open the holes that were closed, one at a time, and see that the space of handshakes finds each. tools/attack --holes.

A run keeps its table in tests/attack/holes.md. With --check the lint suite sees that the table has each hole.

Each hole is an edit that takes its mending out, and values that the rows have in common. The same rows pass with the mending.
The program of the first failure repeats it.
"""

import argparse
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

sys.dont_write_bytecode = True
import program  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "build" / "holes"
PAGE = ROOT / "tests/attack/holes.md"
ROWS = 6000  # at most, for one hole
CALM_ROWS = 1000  # without the hole


@dataclass(frozen=True)
class Hole:
    name: str
    values: str  # the values that all rows of the hunt have in common
    edits: tuple  # of the path, the text, and the text that takes its place


def hole(name, values, *edits):
    return Hole(name, values, edits)


HOOKS, GOVERN, SECURITY = "provider/tls/hooks.c", "provider/tls/govern.c", "provider/tls/security.c"
CERTIFICATES = "provider/endpoint/certificates.c"
VERIFY, NAMES, RULE = "provider/tls/verify.c", "provider/tls/peer_names.c", "provider/endpoint/rule.c"

TICKET = (HOOKS, "    return prov_tls_stop_unverified(ssl) ? -1 : 0;", "    return 0;")
LAST_STOP = (TICKET, (GOVERN, "    if (!endpoint_may_finish(e, ssl))\n", "    if (false)\n"),
             ("provider/tls/guard.c", "op == SSL_SECOP_SIGALG_CHECK && prov_tls_stop_unverified(ssl)", "false"),
             (SECURITY, "        refused = prov_tls_stop_unverified(ssl);\n", ""))

# No question about a leaf that a client is about to show.
LATE_LEAF = ("provider/tls/guard.c", "    if (op == SSL_SECOP_EE_KEY && prov_tls_shows_leaf_too_early(e, ssl, other))\n        return 0;\n", "")
SPOILT_KEYS = (GOVERN, "    SSL_SESSION_set1_master_key(SSL_get_session(ssl), secret, sizeof(secret));\n",
               "    (void)secret;\n")

SPOILT_CERTIFICATE = (VERIFY, "        spoil_peer_key(cert, X509_STORE_CTX_get0_untrusted(theirs));\n", "        (void)spoil_peer_key;\n")

HOLES = (
    # Settings that were without effect.
    hole("an empty service is no service", "governed=empty-service",
         ("store/base/settings.c", "    if (*value == '\\0' && !option->may_be_empty)\n", "    if (false)\n")),
    hole("a demand without a service is without effect", "governed=demand-alone",
         ("store/base/contradiction.c", "    if (said->demand != NULL && settings->service == NULL)\n", "    if (false)\n")),
    hole("a row of upstreams that no host meets", "governed=dead-upstream",
         ("provider/config/upstream.c", "    if (is_row(name))\n", "    if (is_row(name) || true)\n")),
    hole("two sections, of which the laxer is first", "governed=two-services",
         ("provider/instance/instances.c", "!has_service(active[i]) || prov_agreement_check(prov, active[i], &prov->unusable)", "1")),
    hole("an unloaded service governs no more", "governed=unloaded",
         (RULE, "    return lacks_service(e) && prov_was_required(inbound);", "    return false;")),
    # A member of the mesh as any web site, or as any user.
    hole("a server of the mesh is any web site", "role=client peer=named",
         (NAMES, "    if (!is_server && names > CONSUL_NAMES_NONE && endpoint_wanted(check->end) == NULL)", "    if (false)")),
    hole("a client of the mesh is any user", "peer=subject",
         (NAMES, "    if (is_server && names > CONSUL_NAMES_HOSTS)", "    if (false)")),
    hole("a leaf that the mesh has issued, without an ID of it", "role=client peer=odd-id governed=service",
         (VERIFY, "            return true;\n    }\n    return check->cert != NULL && leads_to_our_roots(check);\n",
          "            return false;\n    }\n    return false && leads_to_our_roots(check);\n")),
    hole("the same, where a verify callback replaces the chain", "role=client peer=odd-id governed=service take=chain place=verify",
         (VERIFY, "    return check->cert != NULL && leads_to_our_roots(check);\n", "    return false && leads_to_our_roots(check);\n")),
    hole("the same, verified in a context of the application's own", "role=client peer=odd-id governed=service check=roots",
         ("provider/endpoint/stop.c", "!consul_cert_may_be_of_a_mesh(cert)", "!consul_cert_claims_trust_domain(cert, NULL)")),
    # An SSL that is used again.
    hole("an SSL that is used again is judged once", "life=cleared",
         (RULE, "is_another_handshake(e, ssl) || is_new;", "!e->begun;")),
    hole("the same of an SSL that becomes a Connect one", "life=cleared-site",
         (RULE, "is_another_handshake(e, ssl) || is_new;", "!e->begun;")),
    # Things that an application takes back, and its looks.
    hole("the verify mode is taken back in a callback", "take=mode", *LAST_STOP),
    hole("a client of the mesh that a server does not ask", "peer=none take=mode message=context", *LAST_STOP),
    hole("an early write goes out", "drive=early protocol=TLSv1.3",
         (GOVERN, "    endpoint_hold_back(e, ssl);\n}", "}")),
    hole("a write that makes the handshake goes on", "drive=data protocol=TLSv1.3 security=inside check=inside place=message",
         (GOVERN, "    if (endpoint_is_stopped(e))\n        endpoint_cut_off(e, ssl);\n    else if", "    if"), SPOILT_CERTIFICATE, TICKET),
    hole("an info callback unsets ours, inside a call by ours", "role=client given=client-cert-cb place=info info=inside call=eighth-on message=context",
         (GOVERN, "    if (!endpoint_is_telling_info(e)) /* also where it is left alone: its leaf may come later */\n", "    if (false)\n"),
         SPOILT_CERTIFICATE),
    hole("an info callback that calls ours has no end", "info=wrapped",
         ("provider/endpoint/info.c", "    else if (e->telling == 1 && e->next_info != NULL)\n        next = of_ctx;\n",
          "    else\n        next = e->next_info != NULL ? e->next_info : of_ctx;\n")),
    hole("new verify parameters end what is known", "role=server governed=leaf take=site place=servername",
         ("provider/endpoint/endpoint.c", "        X509_VERIFY_PARAM_set_inh_flags(param,", "        (void)(0,")),
    hole("a context that outlives its SSL", "look=outlives",
         (HOOKS, "ssl == NULL || !endpoint_is_alive(ssl) || ", "ssl == NULL || ")),
    hole("a second look at a peer shuts the connection down", "look=after",
         (HOOKS, " || !SSL_in_init(ssl) || SSL_in_before(ssl))", ")"),
         (HOOKS, "        && endpoint_peer(e) == ENDPOINT_PEER_UNVERIFIED)\n", "        )\n"),
         (VERIFY, "(prov_tls_is_governed(e) && !endpoint_look_at_peer(e))", "false")),
    hole("a switch to a Connect certificate is not expected", "given=switch life=cache protocol=TLSv1.2",
         (SECURITY, "\n            || atomic_load_explicit(&may_switch, memory_order_relaxed)))", "))")),
    hole("a session is resumed after a switch", "given=switch life=cache security=inside message=removed place=client-hello",
         (HOOKS, "|| !SSL_session_reused(ssl))\n", "|| true)\n")),
    hole("a certificate that comes in the handshake is seen at its end", "given=late-switch security=context message=context session=ssl life=resumed",
         (GOVERN, "? endpoint_has_another_certificate(e, ssl)\n", "? false\n")),
    hole("a client shows its leaf to any server", "role=client given=cert-cb place=info info=inside call=eighth-on message=context check=ssl",
         (SECURITY, "        if (ssl != NULL && !refused)\n", "        if (false)\n")),
    hole("a client takes its leaf back before the end", "role=client given=client-cert-cb security=ssl message=removed take=certificate place=new-session life=async",
         (GOVERN, "(where & SSL_CB_LOOP) == 0)\n        return e;", "where != SSL_CB_ACCEPT_LOOP)\n        return e;"), LATE_LEAF),
    hole("a client takes a server without a certificate", "role=client security=ssl message=removed info=inside place=new-session mode=accept ciphers=all life=async peer=none",
         ("provider/tls/guard.c", "op == SSL_SECOP_CIPHER_CHECK && e != NULL", "false && e != NULL"), SPOILT_KEYS),
    # The leaves of two services.
    hole("a server is asked about a leaf that it has not shown", "take=other-leaf peer=other-only",
         (CERTIFICATES, "    const X509 *current = e->shown != NULL ? e->shown : SSL_get_certificate(ssl);\n",
          "    const X509 *current = SSL_get_certificate(ssl);\n")),
    hole("a leaf is replaced while it is shown", "take=other-beside place=own-chain peer=other-only",
         ("provider/tls/guard.c", "endpoint_note_shown(e, cert) || endpoint_rule(e) != ENDPOINT_GOVERNED)", "endpoint_note_shown(e, cert) || true)")),
    hole("nothing is asked about a leaf that is shown", "security=inside take=other-beside place=own-chain peer=other-only",
         (CERTIFICATES, "    if (e->expects_shown && e->shown == NULL) {\n", "    if (false) {\n")),
    hole("a leaf beside is replaced after an ordinary certificate is shown", "given=beside prefers=rsa take=other-leaf peer=other-only",
         (CERTIFICATES, "        cert = e->leaf; /* an ordinary", "        (void)0; /* an ordinary")),
    hole("the same, before it is shown", "given=beside prefers=rsa message=removed take=other-leaf peer=web-only",
         ("provider/tls/guard.c", "    endpoint_judge(e, ssl); /* an ordinary", "    (void)0; /* an ordinary")),
    # Connections that go on after their failure.
    hole("a connection before TLS 1.2 goes on after its end", "role=client look=revives protocol=TLSv1.1 peer=odd-id", SPOILT_KEYS),
    hole("a server of TLS 1.1 that is given its leaf in its hello goes on",
         "given=client-hello security=ssl message=ssl session=context check=openssl look=revives protocol=TLSv1.1", SPOILT_CERTIFICATE),
    hole("a client with an RSA key exchange goes on after its end", "look=revives role=client ciphers=rsa-first peer=site-rsa", SPOILT_KEYS,
         SPOILT_CERTIFICATE),
    hole("a client without a certificate goes on", "protocol=TLSv1.3 take=mode place=message peer=none", TICKET),
    hole("a client resumes, and goes on", "look=revives role=client protocol=TLSv1.3 security=context message=context life=ticket-keys name=service",
         ("provider/tls/guard.c", "(SSL_session_reused(s) && prov_tls_stop_unverified(ssl))", "false")),
    hole("a client is given its leaf on request, and goes on", "look=revives role=client given=client-cert-cb protocol=TLSv1.3 security=context",
         LATE_LEAF),
    hole("a client sends early data to a stranger", "role=client protocol=TLSv1.3 security=context message=removed info=inside place=info drive=early life=ticket-keys",
         (GOVERN, "        forbid_early_data(ssl);\n", "        (void)forbid_early_data;\n")),
    hole("a server takes back that it may not write early", "drive=early protocol=TLSv1.3 take=shutdown place=between",
         ("provider/endpoint/stop.c", "SSL_SENT_SHUTDOWN);\n    endpoint_swallow(e, ssl);\n", "SSL_SENT_SHUTDOWN);\n"),
         (GOVERN, "    if (is_written)\n        endpoint_swallow(e, ssl);\n", "    if (is_written)\n        return;\n")),
    hole("a leaf of a client hello callback is not expected",
         "given=client-hello security=context session=context take=certificate place=extension-added",
         (HOOKS, "    if (write_p == 0 && message[0] == SSL3_MT_CLIENT_HELLO)\n", "    if (false)\n")),
    hole("an application that verifies an ordinary server", "role=client governed=service peer=self-signed check=context",
         ("provider/endpoint/stop.c", "           && (endpoint_peer(e) == ENDPOINT_PEER_LEFT_ALONE || cert == NULL\n"
          "               || !consul_cert_may_be_of_a_mesh(cert));", "           && endpoint_peer(e) == ENDPOINT_PEER_LEFT_ALONE;")),
    hole("a list of ciphers before the handshake", "role=client governed=service peer=self-signed look=ciphers",
         (SECURITY, "    return SSL_in_before(ssl)\n", "    return false && SSL_in_before(ssl)\n")),
)


def misplaced():
    """Return the edits whose text does not stand at exactly one place."""
    return [(one, edit) for one in HOLES for edit in one.edits if (ROOT / edit[0]).read_text().count(edit[1]) != 1]


def begins(one):
    """Return the beginning of the line of a hole in the table."""
    paths = ", ".join(dict.fromkeys(path for path, _, _ in one.edits))
    return f"| {one.name} | {paths} | `{one.values}` | "


def untold():
    """Return the names of holes without their line in the table, and lines without a hole."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")][1:]
    holes = [one for one in HOLES if not any(line.startswith(begins(one) + "row ") for line in lines)]
    return [one.name for one in holes] + [line for line in lines if not any(line.startswith(begins(one)) for one in HOLES)]


def keep(found):
    """Put lines of holes in the place of those of the table."""
    text = PAGE.read_text()
    head = text[:text.index("|---")] + "|---|---|---|---|\n"
    before = text.splitlines()
    lines = [found.get(one.name) or next((line for line in before if line.startswith(begins(one))), "") for one in HOLES]
    PAGE.write_text(head + "".join(f"{line}\n" for line in lines if line))


def run(*argv):
    return subprocess.run([str(one) for one in argv], cwd=FOLDER / "tree", capture_output=True, text=True)


def build():
    done = run("ninja", "-C", FOLDER / "build", "provider/consul.so", "tests/attack/attack")
    if done.returncode != 0:
        sys.exit(f"holes: it does not build: {done.stdout[-3000:]}")


def make_copy():
    """Copy the sources, and build what a hunt needs."""
    tree = FOLDER / "tree"
    shutil.rmtree(FOLDER, ignore_errors=True)
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in filter(None, files.decode().split("\0")):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, tree / name, follow_symlinks=False)
    run("meson", "setup", "--buildtype=debugoptimized", "-Dtests=enabled", FOLDER / "build").check_returncode()
    build()


def hunt(values, rows):
    """Return the number of rows that passed before a failure, the kind of the failure, and its row."""
    done = run("env", f"CONSUL_TEST_MODULE={FOLDER}/build/provider/consul.so", "OPENSSL_CONF=/dev/null",
               FOLDER / "build/tests/attack/attack", "hunt", "1", rows, values)
    last = re.search(r"^(\d+) passed, (\d+) failed$", done.stdout, re.M)
    if last is None:
        sys.exit(f"holes: the hunt has failed: {done.stdout[-1000:]} {done.stderr[-1000:]}")
    shown = re.search(r"^1 times (.*?): (.*)$", done.stdout, re.M)
    return int(last[1]), (shown[1], shown[2]) if int(last[2]) else None


def reproduces(row):
    """Return true where the program of a row, compiled by itself, has data with the module of this build."""
    source = FOLDER / "program.c"
    source.write_text(program.make(row))
    run("cc", "-D_GNU_SOURCE", "-o", FOLDER / "program", source, "-lssl", "-lcrypto", "-ljansson", "-lpthread").check_returncode()
    done = run("env", f"CONSUL_TEST_MODULE={FOLDER}/build/provider/consul.so", "OPENSSL_CONF=/dev/null", FOLDER / "program")
    return done.returncode < 0 or ": has data" in done.stdout


def open_one(one):
    """Open a hole, hunt for it, and close it. Return the line of the table, and whether it was found."""
    right = {}
    for path, old, new in one.edits:
        file = FOLDER / "tree" / path
        right.setdefault(file, file.read_text())
        file.write_text(file.read_text().replace(old, new))
    build()
    passed, found = hunt(one.values, ROWS)
    again = found and (found[0] not in ("let in", "crashed") or reproduces(found[1]))
    for file, text in right.items():
        file.write_text(text)
    what = f"row {passed + 1}: {found[0]}: `{found[1]}`" if found else f"NOT FOUND in {passed} rows"
    if found and not again:
        what += ", which its program does NOT repeat"
    return f"{begins(one)}{what} |", bool(again)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only see that each text stands at one place")
    parser.add_argument("--only", default="", help="a pattern of names")
    options = parser.parse_args()
    for one, edit in misplaced():
        print(f"{edit[0]}: not at one place: {one.name}: {edit[1]!r}")
    if options.check:
        for one in untold():
            print(f"{PAGE}: run tools/attack --holes: {one}")
        sys.exit(1 if misplaced() or untold() else 0)
    if misplaced():
        sys.exit(1)
    began = time.monotonic()
    chosen = [one for one in HOLES if re.search(options.only, one.name)]
    make_copy()
    bad, lines = 0, {}
    for one in chosen:
        passed, found = hunt(one.values, CALM_ROWS)
        if found:
            print(f"fails without a hole, {one.values}: {found[0]}: {found[1]}", flush=True)
            bad += 1
    print("| hole | without the mending in | rows have | found |\n|---|---|---|---|")
    for one in chosen:
        line, found = open_one(one)
        print(line, flush=True)
        if found:
            lines[one.name] = line
        bad += not found
    keep(lines)
    print(f"holes: {len(chosen)} opened, {bad} not found or found without; {time.monotonic() - began:.0f} s")
    sys.exit(1 if bad else 0)


main()
