// SPDX-License-Identifier: Apache-2.0
package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/hashicorp/consul/connect"
)

func listen() net.Listener {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	return listener
}

func serveEcho(service *connect.Service) {
	listener := listen()
	go acceptAll(tls.NewListener(listener, service.ServerTLSConfig()))
	fmt.Println(port(listener))
	untilEndOfInput()
}

func acceptAll(listener net.Listener) {
	for {
		connection, err := listener.Accept()
		check(err)
		go func() {
			defer connection.Close()
			io.Copy(connection, connection) // its first read is the handshake
		}()
	}
}

func serveHTTP(service *connect.Service, text string) {
	listener := listen()
	server := &http.Server{
		TLSConfig: service.ServerTLSConfig(),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintln(w, text)
		}),
	}
	go func() { check(server.ServeTLS(listener, "", "")) }()
	fmt.Println(port(listener))
	untilEndOfInput()
}

func port(listener net.Listener) int {
	return listener.Addr().(*net.TCPAddr).Port
}
