// Package vaulttest is a server of the Vault HTTP API that lives inside a test:
// enough of leases, tokens, AppRole, mounts and policies to bring a client up,
// faults to bring it down, and counters to judge how it took them.
//
// A [Server] uses no socket and no goroutine of its own, and asks [time.Now]
// for the time, so that it works inside a testing/synctest bubble: requests
// run on the goroutine that sends them. [Server.Listen] puts the same server
// on a real loopback address for whoever needs one.
//
// Start reading at [New]: server.go is what a test sets up and asks, fault.go
// how it breaks the server, handle.go, kv.go and system.go what
// a client sees. The exchanges of e2e/testdata/wire hold it to what the real
// server answers.
package vaulttest
