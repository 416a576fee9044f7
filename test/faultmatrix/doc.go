// Package faultmatrix kills gateways and ledgers and proves the books against
// the upstream's own record.
//
// Everything is real: gateway processes, Redis servers, sockets, disks. The
// stand-in's synced log of what it billed is the truth. After every case the
// truth, the journals, the ledger and the report must be equal per tenant, model
// and token class; the attempts of which nobody knows what they used are listed
// by id, are no more than were in flight at a fault, and disappear when the
// invocation log is read. docs/faults.md lists the rows.
//
// `go test` runs a short seeded part, `make test-faults SEEDS=n` the whole.
package faultmatrix
