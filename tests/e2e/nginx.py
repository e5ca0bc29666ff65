# SPDX-License-Identifier: Apache-2.0
"""An unmodified nginx in the foreground: a master that reads the configuration, and a worker."""

import shutil

from agent import free_ports
from processes import Process, wait_until

CONFIG = """\
daemon off;
worker_processes 1;
user root;
pid {folder}/pid;
error_log stderr info;
events {{ }}
http {{
    access_log off;
    log_format behind '$remote_addr $remote_port $realip_remote_addr $realip_remote_port';
    log_format join '$remote_addr $remote_port $ssl_client_serial';
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    ssl_protocols TLSv1.2 TLSv1.3;
{servers}
}}
"""

SERVER = """\
    server {{
        listen 127.0.0.1:{port} {listen};
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        {options}
        location / {{ return 200 "{text}"; }}
    }}
"""

ATTEMPTS = 5


def binary():
    return shutil.which("nginx", path="/usr/sbin:/usr/bin:/sbin:/bin")


def write(folder, ports, identities, texts, options="", listen="ssl"):
    """Write a configuration with one TLS server for each port, identity (certificate, key) and text."""
    servers = "".join(
        SERVER.format(port=port, listen=listen, certificate=certificate, key=key, text=text, options=options)
        for port, (certificate, key), text in zip(ports, identities, texts))
    file = folder / "nginx.conf"
    file.write_text(CONFIG.format(folder=folder, servers=servers))
    return file


def start_each(programs, identities, texts, config=None, options="", listen="ssl"):
    """Start nginx with one TLS server for each identity and text. Return the process with its `ports`."""
    for attempt in range(ATTEMPTS):
        ports = free_ports(len(texts))
        folder = programs.path("nginx")
        folder.mkdir()
        file = write(folder, ports, identities, texts, options, listen)
        process = programs.start(
            Process, [binary(), "-p", folder, "-e", "stderr", "-c", file], config, programs.leaks_allowed())
        wait_until(lambda: "start worker process " in process.output() or process.ended(), "nginx")
        if not process.ended():
            process.ports = ports
            return process
        assert "Address already in use" in process.output(), process.output()
    raise AssertionError("no free port for nginx")


def start(programs, certificate, key, texts, config=None, options="", listen="ssl"):
    """Start nginx with one TLS server for each text, all with the same certificate."""
    return start_each(programs, len(texts) * [(certificate, key)], texts, config, options, listen)
