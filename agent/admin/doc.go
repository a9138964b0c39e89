// Package admin is the agent's window: what operators, probes, metrics
// collectors and apps on the same machine may see of the agent, and ask of it.
//
// A [Server] answers on any number of listeners, each a TCP address or a unix
// socket, with or without TLS:
//
//	/startup /live /ready                probes, in plain text
//	/metrics /agent/v1/metrics           figures in the Prometheus text format
//	/status                              all there is to know, as JSON
//	/                                    the same as a page that keeps itself fresh
//	/agent/v1/quit                       POST: stop the agent, where the listener allows it
//	/agent/v1/cache-clear                POST: forget answers that the proxy keeps
//	/v1/…                                the API of the server, through the agent
//
// A listener for metrics only serves the probes and the figures.
//
// The package knows no other stage. It asks its [Source] for a [Status], which
// holds no secret value by construction, and for the token that the proxy may
// use. What it promises its callers and the app beside it:
//
//   - No request makes it talk to any host but the server: of a proxied request
//     only method, path, query, body and the headers of the API go along.
//   - The proxy and cache-clear want the header X-Vault-Request, which no web
//     page can be tricked into sending to another site; a listener on loopback
//     wants itself called by an address or as localhost; and what changes
//     something is refused when it comes from another site's page.
//   - Every request, answer and connection is bounded in size, time and number.
//   - The token of the agent is lent, never handed out, and a caller that was
//     lent it cannot end it.
//
// Start reading at [Server.Run], then routes.go.
package admin
