// Package e2e tests SecureVault from the outside: the built binaries, a real
// PostgreSQL, real clients, real time. Nothing is imported from the programs.
//
// The journeys under testdata are scripts that a user could follow by hand, one
// file each, in the language of testscript (see `go doc
// github.com/rogpeppe/go-internal/testscript`) and the few commands of
// commands_test.go. clients_test.go runs the programs of examples/clients,
// crash_test.go kills the agent at random moments, and rotations_test.go looks at
// the apps while that happens. page_test.go opens the agent's status page in a
// browser. reference_test.go sees to it that every row of the agent's reference
// has a test that names it, examples_test.go that every file of examples is run,
// documents_test.go that the documents type what there is.
//
//	go test ./e2e                                        # all
//	go test ./e2e -run TestJourneys/guide_postgresql -v  # one journey
//
// The binaries are built first, or taken from the folder that
// SECUREVAULT_BIN_DIR names.
package e2e
