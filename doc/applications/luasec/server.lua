local socket = require "socket"
local ssl = require "ssl"

local context = assert(ssl.newcontext {
    mode = "server",
    protocol = "any",
    certificate = "/etc/consul-provider/web.pem",
    key = "/etc/consul-provider/web.key",
})
local listener = assert(socket.bind("*", 8443))

local function serve(client)
    client:settimeout(10)
    local connection = assert(ssl.wrap(client, context))
    if connection:dohandshake() and connection:receive() then
        connection:send("HTTP/1.0 200 OK\r\n\r\nhello from Lua\n")
    end
    connection:close()
end

io.stdout:write("listening on port " .. select(2, listener:getsockname()) .. "\n"):flush()
while true do
    serve(assert(listener:accept()))
end
