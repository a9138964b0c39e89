// Package vault is all the agent knows of the wire: a thin layer over the
// official client of the Vault HTTP API.
//
// It owns five things. [Want] names a request so that equal wishes can share
// one lease. [Secret] is an answer, and prints as redacted under every verb;
// [LifeOf] says when and how it ends. [Client] sends requests, each with the token it is told to use, within one
// budget of concurrent connections and never an answer larger than
// [MaxAnswer]. [Classify] sorts every failure into the few classes that the
// schedulers of the agent know; nothing above this package looks at an HTTP
// status.
//
// Start reading at [Client.Fetch].
package vault
