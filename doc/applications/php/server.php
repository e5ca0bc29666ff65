<?php
$context = stream_context_create(["ssl" => [
    "local_cert" => "/etc/consul-provider/web.pem",
    "local_pk" => "/etc/consul-provider/web.key",
    "verify_peer" => false,
]]);
$server = stream_socket_server("tls://0.0.0.0:8443", $code, $why,
    STREAM_SERVER_BIND | STREAM_SERVER_LISTEN, $context);
if (!$server) {
    exit("no server: $why\n");
}
echo "listening on port ", explode(":", stream_socket_get_name($server, false))[1], "\n";
while (true) {
    if (!($client = @stream_socket_accept($server, -1))) {
        continue;
    }
    while (($line = fgets($client)) !== false && trim($line) !== "") {
    }
    fwrite($client, "HTTP/1.0 200 OK\r\n\r\nhello from PHP\n");
    fclose($client);
}
