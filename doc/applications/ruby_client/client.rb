require "net/http"
require "openssl"

http = Net::HTTP.new("web.service.consul", 8443)
http.use_ssl = true
http.verify_mode = OpenSSL::SSL::VERIFY_NONE
puts http.get("/").body
