// Package harness runs the built gateway as its users do: a process with a
// configuration file, real sockets, real Redis. The end-to-end tests use it.
package harness
