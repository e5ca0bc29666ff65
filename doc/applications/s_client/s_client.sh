openssl s_client -connect web.service.consul:8443 -quiet
