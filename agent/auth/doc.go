// Package auth gets the agent its token and keeps it alive.
//
// A [Method] knows one way to log in, one file each: AppRole, a token that is
// given, Kubernetes, JWT, a TLS certificate, user name and password, AWS,
// Azure and GCP. What the clouds ask for is written here upon net/http and
// crypto: no SDK of theirs enters the agent.
//
// [Keeper] owns the token's life: it logs in, renews, logs in again before
// the token ends (so that the leases of the old token can be replaced while
// it lives), after the server stopped knowing the token, and when a method's
// files hold new credentials ([Watcher]). A token that was replaced is revoked
// when nothing depends on it any more ([Keeper.Release]). What to do next, and
// when, is decided by package schedule, as for a lease.
//
// Start reading at [Keeper.Run].
package auth
