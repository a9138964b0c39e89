package config

import (
	"bytes"
	"path/filepath"
	"strings"
)

// parse turns the text of one file into a tree: JSON if it starts with a brace
// or the name says so, HCL2 otherwise, and legacy HCL where that refuses it.
// It reports false when the text has no usable syntax.
func parse(name string, source []byte, r *report) (tree body, ok bool) {
	source = bytes.TrimPrefix(source, []byte("\ufeff"))
	if isJSON(name, source) {
		return parseJSON(name, source, r)
	}
	strict := &report{}
	if tree, ok = parseHCL2(name, source, strict); !ok {
		if tree, ok = parseHCL1(name, source); ok {
			first := strict.problems[0]
			r.warning(first.At, "securevault agent convert rewrites it", "the file is legacy HCL: %s", first.Message)
			return tree, true
		}
	}
	r.problems = append(r.problems, strict.problems...)
	return tree, ok
}

func isJSON(name string, source []byte) bool {
	return bytes.HasPrefix(bytes.TrimSpace(source), []byte("{")) || strings.EqualFold(filepath.Ext(name), ".json")
}
