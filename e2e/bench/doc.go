// Package bench measures the agent's binary as a user would see it, side by
// side with consul-template on the same machine and the same fake server.
// `make bench` runs it; it asserts nothing, so that a busy machine fails no
// test. The binaries are named by SECUREVAULT_BIN and CONSUL_TEMPLATE_BIN.
package bench
