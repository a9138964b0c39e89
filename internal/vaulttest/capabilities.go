package vaulttest

import "strings"

// capabilities tells what the token of a request may do at the paths that it
// asks about, as far as [Server.Allow] decides it.
func (s *Server) capabilities(r request) answer {
	paths, _ := r.body["paths"].([]any)
	data := map[string]any{}
	for _, p := range paths {
		if path, ok := p.(string); ok {
			data[path] = s.capabilitiesAt(r.token, strings.TrimSuffix(path, "/"))
		}
	}
	return found(data)
}

func (s *Server) capabilitiesAt(token, path string) []string {
	if token == RootToken {
		return []string{"root"}
	}
	var names []string
	for _, known := range []struct {
		op   Op
		name string
	}{{Delete, "delete"}, {List, "list"}, {Read, "read"}, {Write, "update"}} {
		if s.allow == nil || s.allow(token, known.op, path) {
			names = append(names, known.name)
		}
	}
	if names == nil {
		return []string{"deny"}
	}
	return names
}
