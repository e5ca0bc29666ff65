// SPDX-License-Identifier: Apache-2.0
package main

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"time"

	spiffe "github.com/hashicorp/consul/agent/connect"
	"github.com/hashicorp/consul/proto-public/pbconnectca"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
)

// verbatim is a URI as it stands.
type verbatim struct{ uri *url.URL }

func (v verbatim) URI() *url.URL { return v.uri }

// sign has the servers of an agent sign a leaf with that URI, with host names and addresses.
func sign(address, id, token string, names []string) {
	signer, key, err := spiffe.GeneratePrivateKey()
	check(err)
	uri, err := url.Parse(id)
	check(err)
	hosts, addresses := split(names)
	csr, err := spiffe.CreateCSR(verbatim{uri}, signer, hosts, addresses)
	check(err)
	connection, err := grpc.Dial(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	check(err)
	defer connection.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	ctx = metadata.AppendToOutgoingContext(ctx, "x-consul-token", token)
	answer, err := pbconnectca.NewConnectCAServiceClient(connection).Sign(ctx, &pbconnectca.SignRequest{Csr: csr})
	check(err)
	fmt.Print(answer.CertPem, key)
}

func split(names []string) (hosts []string, addresses []net.IP) {
	for _, name := range names {
		if address := net.ParseIP(name); address != nil {
			addresses = append(addresses, address)
		} else {
			hosts = append(hosts, name)
		}
	}
	return hosts, addresses
}
