<?php
$context = stream_context_create(["ssl" => [
    "verify_peer" => false,
    "verify_peer_name" => false,
]]);
echo file_get_contents("https://web.service.consul:8443/", false, $context);
