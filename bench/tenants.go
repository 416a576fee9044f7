//go:build linux

package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const (
	perFile = 100 // tenants in one included file
	perRoot = 10  // tenants below one root
)

// writeTenants writes n tenants in included files, each with a key, a cap and a
// budget, and the credentials of one tenant of each file for the load.
func (b *bench) writeTenants(r *running, n int) error {
	if n == 0 {
		return nil
	}
	if err := os.Mkdir(filepath.Join(r.dir, "tenants.d"), 0o700); err != nil {
		return err
	}
	var bearers strings.Builder
	for file := range n / perFile {
		if err := os.WriteFile(r.tenantFile(file), []byte(b.tenantsOf(file)), 0o600); err != nil {
			return err
		}
		c, err := b.secrets.Credentials(b.keyID(file*perFile + 1))
		if err != nil {
			return err
		}
		bearers.WriteString(c.Bearer + "\n")
	}
	r.keys = filepath.Join(r.dir, "bearers")
	return os.WriteFile(r.keys, []byte(bearers.String()), 0o600)
}

func (r *running) tenantFile(n int) string {
	return filepath.Join(r.dir, "tenants.d", fmt.Sprintf("%04d.yaml", n))
}

func (b *bench) tenantsOf(file int) string {
	var y strings.Builder
	y.WriteString("tenants:\n")
	for i := range perFile {
		n := file*perFile + i
		fmt.Fprintf(&y, "  - id: org%d/team%d\n    keys: [%s]\n    output_tokens: {default: 500, max: 1000}\n"+
			"    budgets: [{period: month, usd: 9000}]\n", n/perRoot, n%perRoot, b.keyID(n+1))
	}
	return y.String()
}

// keyID is the n-th key id of the benchmark's root secret.
func (b *bench) keyID(n int) string {
	var random [10]byte
	binary.BigEndian.PutUint64(random[2:], uint64(n))
	id, err := b.secrets.NewKeyID(bytes.NewReader(random[:]))
	if err != nil {
		panic("BUG: ten bytes were given: " + err.Error())
	}
	return id
}
