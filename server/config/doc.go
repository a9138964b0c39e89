// Package config reads the server's configuration files into plain values.
//
// It owns the vocabulary: which stanzas and keys there are, what they default
// to, and what is said about a wrong one. It opens no store and no socket; the
// values it returns are turned into the parts of a server by the command.
//
// A file goes through three steps. A parser (yaml.go for YAML and JSON, hcl.go
// for HCL) turns the text into a tree (tree.go) whose keys and values remember
// their line. The decoder (decode.go) fills the structs from it, guided by
// their tags (vocabulary.go): those of file.go, listener.go, backend.go,
// telemetry.go and alert.go, each with its checks. None of the steps stops at
// the first problem: an [*Error] lists every one of them as
//
//	securevault-config.yaml:4: unknown key "max_tll" in lease_limits; did you mean "max_ttl"?
//
// Start reading at [Load].
package config
