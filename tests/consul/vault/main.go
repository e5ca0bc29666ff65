// SPDX-License-Identifier: Apache-2.0
// A Vault server for tests, like `vault server -dev`: Vault's own core, unsealed, with all in memory. It has Vault's
// PKI secrets engine (pki), which Consul mounts at its own paths.
//
// It listens on a free port of 127.0.0.1, without TLS, and prints that port. Its root token comes from
// VAULT_DEV_ROOT_TOKEN_ID. It goes on until the end of stdin.
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/builtin/logical/pki"
	"github.com/hashicorp/vault/helper/logging"
	"github.com/hashicorp/vault/helper/namespace"
	vaulthttp "github.com/hashicorp/vault/http"
	"github.com/hashicorp/vault/logical"
	"github.com/hashicorp/vault/physical/inmem"
	"github.com/hashicorp/vault/vault"
)

func main() {
	token := os.Getenv("VAULT_DEV_ROOT_TOKEN_ID")
	if token == "" {
		die("no VAULT_DEV_ROOT_TOKEN_ID")
	}
	core := sealed()
	unseal(core, token)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	handler := vaulthttp.Handler(&vault.HandlerProperties{Core: core})
	go func() { check(http.Serve(listener, handler)) }()
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	io.Copy(io.Discard, os.Stdin)
}

func sealed() *vault.Core {
	logger := logging.NewVaultLogger(hclog.Warn)
	storage, err := inmem.NewInmem(nil, logger)
	check(err)
	core, err := vault.NewCore(&vault.CoreConfig{
		Physical:        storage,
		Logger:          logger,
		DisableMlock:    true,
		LogicalBackends: map[string]logical.Factory{"pki": pki.Factory},
	})
	check(err)
	return core
}

// unseal makes the token its root token, in place of the one that it makes itself.
func unseal(core *vault.Core, token string) {
	ctx := namespace.RootContext(context.Background())
	one := &vault.SealConfig{SecretShares: 1, SecretThreshold: 1}
	first, err := core.Initialize(ctx, &vault.InitParams{BarrierConfig: one})
	check(err)
	_, err = core.Unseal(first.SecretShares[0])
	check(err)
	request := &logical.Request{
		Operation:   logical.UpdateOperation,
		ClientToken: first.RootToken,
		Path:        "auth/token/create",
		Data:        map[string]any{"id": token, "policies": []string{"root"}, "no_parent": true},
	}
	_, err = core.HandleRequest(ctx, request)
	check(err)
	request.Path, request.Data = "auth/token/revoke-self", nil
	_, err = core.HandleRequest(ctx, request)
	check(err)
}

func check(err error) {
	if err != nil {
		die(err)
	}
}

func die(why any) {
	fmt.Fprintln(os.Stderr, "vault:", why)
	os.Exit(1)
}
