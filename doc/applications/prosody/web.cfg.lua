VirtualHost "web.service.consul"
    c2s_require_encryption = true
    s2s_require_encryption = true
    s2s_secure_auth = false
    ssl = {
        certificate = "/etc/consul-provider/web.pem";
        key = "/etc/consul-provider/web.key";
    }
