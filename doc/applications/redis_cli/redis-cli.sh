redis-cli --tls --insecure -h web.service.consul -p 6379 --sni web.service.consul ping
