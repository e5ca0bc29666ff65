// SPDX-License-Identifier: Apache-2.0
// Both ends of Consul Connect by Consul's own Go library, as its documentation has programs use it.
//
//	connect-peer AGENT SERVICE serve                              echoes what it gets
//	connect-peer AGENT SERVICE http TEXT                          answers each request with that text
//	connect-peer AGENT SERVICE fetch                              a request for each line of stdin: PORT URI
//	connect-peer AGENT SERVICE connect PORT URI THREADS SECONDS RATE
//	connect-peer AGENT SERVICE request PORT URI THREADS SECONDS RATE
//	connect-peer AGENT SERVICE hold PORT URI COUNT
//	connect-peer AGENT URI sign TOKEN NAME ...
//
// AGENT is the agent's address, and SERVICE the owner of the leaf. URI is the SPIFFE ID that the server at that port
// has to have. serve and http print their port, and fetch prints READY, once they have the agent's answers.
// All of them go on until the end of stdin. fetch prints SERVED or REFUSED, and the answer or the reason.
// connect, request and hold do and print the same as the verbs of tests/bench/peer.c. sign takes the agent's
// address for gRPC. It prints a leaf with that URI, these DNS names and addresses, and its key, signed by the servers.
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"

	spiffe "github.com/hashicorp/consul/agent/connect"
	"github.com/hashicorp/consul/api"
	"github.com/hashicorp/consul/connect"
)

const usage = "usage: see the head of main.go"

func main() {
	if len(os.Args) < 4 {
		die(usage)
	}
	verb, more := os.Args[3], os.Args[4:]
	switch {
	case verb == "serve" && len(more) == 0:
		serveEcho(ready(os.Args[1], os.Args[2]))
	case verb == "http" && len(more) == 1:
		serveHTTP(ready(os.Args[1], os.Args[2]), more[0])
	case verb == "fetch" && len(more) == 0:
		fetchAll(ready(os.Args[1], os.Args[2]))
	case (verb == "connect" || verb == "request") && len(more) == 5:
		t := target{ready(os.Args[1], os.Args[2]), resolver(more[0], more[1])}
		measure(t, verb == "request", int(number(more[2])), number(more[3]), number(more[4]))
	case verb == "hold" && len(more) == 3:
		hold(target{ready(os.Args[1], os.Args[2]), resolver(more[0], more[1])}, int(number(more[2])))
	case verb == "sign" && len(more) > 1:
		sign(os.Args[1], os.Args[2], more[0], more[1:])
	default:
		die(usage)
	}
}

// ready gives the service once it has a leaf and roots.
func ready(agent, name string) *connect.Service {
	config := api.DefaultConfig()
	config.Address = agent
	client, err := api.NewClient(config)
	check(err)
	service, err := connect.NewService(name, client)
	check(err)
	if wait := service.ReadyWait(); wait != nil {
		<-wait
	}
	return service
}

// target is a server, for one of its clients.
type target struct {
	service  *connect.Service
	resolver connect.Resolver
}

func (t target) dial() (net.Conn, error) {
	return t.service.Dial(context.Background(), t.resolver)
}

func resolver(port, uri string) *connect.StaticResolver {
	id, err := spiffe.ParseCertURIFromString(uri)
	check(err)
	return &connect.StaticResolver{Addr: net.JoinHostPort("127.0.0.1", port), CertURI: id}
}

func number(text string) float64 {
	value, err := strconv.ParseFloat(text, 64)
	check(err)
	return value
}

func untilEndOfInput() {
	io.Copy(io.Discard, os.Stdin)
}

func check(err error) {
	if err != nil {
		die(err)
	}
}

func die(why any) {
	fmt.Fprintln(os.Stderr, "connect-peer:", why)
	os.Exit(1)
}
