// Package auth gets the agent its token and keeps it alive.
//
// A [Method] knows one way to log in, one file each. [Keeper] owns the
// token's life: it logs in, renews, logs in again before the token ends (so
// that the leases of the old token can be replaced while it lives), and after
// the server stopped knowing the token. What to do next, and when, is decided
// by package schedule, as for a lease.
//
// Start reading at [Keeper.Run].
package auth
