openssl s_time -connect web.service.consul:8443 -www / -new -time 10
