import http.server
import ssl


class Hello(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello from Python\n")


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/etc/consul-provider/web.pem", "/etc/consul-provider/web.key")
server = http.server.ThreadingHTTPServer(("", 8443), Hello)
# The handshake is the business of each connection's thread, not of the one that accepts.
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
print("listening on port", server.server_port, flush=True)
server.serve_forever()
