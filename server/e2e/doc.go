// Package e2e looks at the server from the outside: the built program with a
// file store on a disk, real databases, real time.
//
// crash_test.go kills the server at random instants and looks for credentials
// without a lease and leases without a credential. killed_rotation_test.go kills it
// while it rotates passwords, and looks for one that nobody knows. rates_test.go and
// size_test.go are the benchmarks; they print figures and assert nothing, so that a
// busy machine fails no test. `make bench` runs them:
//
//	go test ./e2e                              # the crash tests
//	go test ./e2e -run '^$' -bench Renewals    # one benchmark
//
// The program is built first, or is the one that SECUREVAULT_SERVER_BIN names.
package e2e
