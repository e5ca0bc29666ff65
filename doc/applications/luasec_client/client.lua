local socket = require "socket"
local ssl = require "ssl"

local connection = assert(socket.connect("web.service.consul", 8443))
connection:settimeout(10)
connection = assert(ssl.wrap(connection, {
    mode = "client",
    protocol = "any",
    verify = "none",
}))
connection:sni("web.service.consul")
assert(connection:dohandshake())
assert(connection:send("GET / HTTP/1.0\r\nHost: web.service.consul\r\n\r\n"))
print(assert(connection:receive("*a")))
connection:close()
