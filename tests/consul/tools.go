// SPDX-License-Identifier: Apache-2.0
//go:build tools

// Package consul keeps the pinned Consul in go.mod; nothing here is built but Consul itself.
package consul

import _ "github.com/hashicorp/consul"
