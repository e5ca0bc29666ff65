// SPDX-License-Identifier: Apache-2.0
package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/hashicorp/consul/connect"
)

const patience = 30 * time.Second

func fetchAll(service *connect.Service) {
	fmt.Println("READY")
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		port, uri, _ := strings.Cut(lines.Text(), " ")
		if text, err := fetch(target{service, resolver(port, uri)}); err != nil {
			fmt.Println("REFUSED", err)
		} else {
			fmt.Printf("SERVED %q\n", text)
		}
	}
}

// fetch makes one request on a connection of its own.
func fetch(t target) (string, error) {
	client := http.Client{Timeout: patience, Transport: &http.Transport{
		DisableKeepAlives: true,
		ForceAttemptHTTP2: true, // HTTP/2 is all that the library offers in the handshake
		DialTLSContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return t.service.Dial(ctx, t.resolver)
		},
	}}
	response, err := client.Get("https://" + t.resolver.(*connect.StaticResolver).Addr + "/")
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return string(text), err
}
