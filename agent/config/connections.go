package config

import (
	"fmt"
	"slices"
	"strings"
)

// The parts of the agent that talk to the server, by the names that
// disable_idle_connections and disable_keep_alives have for them.
const (
	PartAutoAuth   = "auto-auth"
	PartCaching    = "caching" // the same as proxying: one serves the other
	PartProxying   = "proxying"
	PartTemplating = "templating"
)

func parts() []string { return []string{PartAutoAuth, PartCaching, PartProxying, PartTemplating} }

// ParseParts reads names of parts with commas between, as environment
// variables hold them. None stand for no part.
func ParseParts(list string) ([]string, error) {
	var out []string
	for name := range strings.SplitSeq(list, ",") {
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		if !slices.Contains(parts(), name) {
			return nil, fmt.Errorf("unknown value %q; %s", name, suggest(name, parts()))
		}
		out = append(out, name)
	}
	return out, nil
}

func (f *File) checkConnections(r *report) {
	for _, name := range f.DisableIdleConnections {
		checkWord(r, f.Origin, "disable_idle_connections", name, parts()...)
	}
	for _, name := range f.DisableKeepAlives {
		checkWord(r, f.Origin, "disable_keep_alives", name, parts()...)
	}
}
