require "openssl"
require "socket"

context = OpenSSL::SSL::SSLContext.new
context.cert = OpenSSL::X509::Certificate.new(File.read("/etc/consul-provider/web.pem"))
context.key = OpenSSL::PKey.read(File.read("/etc/consul-provider/web.key"))
listener = TCPServer.new("0.0.0.0", 8443)
server = OpenSSL::SSL::SSLServer.new(listener, context)
server.start_immediately = false
context.setup
puts "listening on port #{listener.addr[1]}"
$stdout.flush
loop do
  Thread.new(server.accept) do |client|
    client.accept
    until [nil, "\r\n", "\n"].include?(client.gets) do end
    client.write("HTTP/1.0 200 OK\r\n\r\nhello from Ruby\n")
  rescue OpenSSL::SSL::SSLError, SystemCallError => error
    warn error.message
  ensure
    client.close
  end
end
