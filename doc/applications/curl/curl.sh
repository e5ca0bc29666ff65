curl --insecure https://web.service.consul:8443/
