// Package config reads the agent's configuration files into plain values.
//
// It owns the vocabulary: which stanzas and keys there are, what they default
// to, and what is said about a wrong one. It opens no connection, resolves no
// user and reads no file but the configuration; the values it returns are
// turned into the configurations of the stages by package agent.
//
// A file goes through three steps. A parser (parse.go chooses between hcl2.go,
// json.go and, for what HCL2 refuses, hcl1.go) turns the text into a tree
// (tree.go) of keys, values and blocks that remember their line; strings come
// out as they were written, with nothing interpolated (literal.go). The decoder
// (decode.go) brings the tree into one form (arrange.go) and fills the structs
// from it, guided by their tags (vocabulary.go): those of file.go, auth.go,
// template.go, notify.go and listener.go, each with its checks. The checks of
// validate.go look at how the stanzas fit together. None of the steps stops at
// the first problem: an [*Error] lists every one of them as
//
//	agent.hcl:12: unknown key "desination" in template; did you mean "destination"?
//
// [Convert] goes the other way (encode.go, print.go): it prints what was loaded
// as HCL2. [Starter] is a first configuration.
//
// Start reading at [Load].
package config
