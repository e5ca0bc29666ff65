openssl s_server -accept 8443 -cert /etc/consul-provider/web.pem -key /etc/consul-provider/web.key -www
