package vaulttest

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// kvV1TTL is what a key-value engine of version 1 says about every secret,
// in seconds: a hint how often to look again, no lease.
const kvV1TTL = 2764800

// probe answers what a client asks to learn the version of a key-value mount.
func (s *Server) probe(r request) answer {
	name := strings.TrimPrefix(r.path, "sys/internal/ui/mounts/")
	for mount, version := range s.kv {
		if strings.HasPrefix(name+"/", mount) {
			about := describe("kv")
			about["path"], about["options"] = mount, map[string]any{"version": fmt.Sprint(version)}
			return found(about)
		}
	}
	if kind := s.mountType(name); kind != "" {
		mount, _, _ := strings.Cut(name, "/")
		about := describe(kind)
		about["path"] = mount + "/"
		return found(about)
	}
	return refuse(http.StatusForbidden, fmt.Sprintf(
		"preflight capability check returned 403, please ensure client's policies grant access to path %q", name+"/"))
}

func (s *Server) list(r request) answer {
	prefix := r.path + "/"
	if mount, rest, ok := s.versioned(r.path); ok {
		prefix = mount + "data/" + strings.TrimPrefix(strings.TrimPrefix(rest, "metadata")+"/", "/")
		if !strings.HasPrefix(rest, "metadata") {
			return invalidKVPath("list")
		}
	}
	keys := map[string]bool{}
	for path := range s.static {
		if rest, ok := strings.CutPrefix(path, prefix); ok {
			name, _, isFolder := strings.Cut(rest, "/")
			if isFolder {
				name += "/"
			}
			keys[name] = true
		}
	}
	if len(keys) == 0 {
		return refuse(http.StatusNotFound)
	}
	return found(map[string]any{"keys": slices.Sorted(maps.Keys(keys))})
}

// versioned splits a path on a key-value mount of version 2.
func (s *Server) versioned(path string) (mount, rest string, ok bool) {
	for mount, version := range s.kv {
		if rest, ok := strings.CutPrefix(path+"/", mount); ok && version == 2 {
			return mount, strings.TrimSuffix(rest, "/"), true
		}
	}
	return "", "", false
}

func (s *Server) readOrWrite(r request) answer {
	if role, ok := s.role(r.path); ok {
		l := s.issue(r.path, r.token, role)
		return answer{status: http.StatusOK, lease: l.ID, body: envelope(map[string]any{
			"lease_id": l.ID, "renewable": l.Renewable, "lease_duration": seconds(l.Expires.Sub(l.Issued)), "data": l.Data,
		})}
	}
	_, rest, versioned := s.versioned(r.path)
	if versioned && !strings.HasPrefix(rest, "data/") {
		return invalidKVPath("get")
	}
	if r.op == Write {
		data := r.body
		if versioned {
			data, _ = r.body["data"].(map[string]any)
		}
		s.store(r.path, data)
		if versioned {
			return found(s.metadata(r.path))
		}
		return answer{status: http.StatusNoContent}
	}
	data, ok := s.static[r.path]
	switch {
	case !ok:
		return refuse(http.StatusNotFound)
	case versioned:
		return found(map[string]any{"data": data, "metadata": s.metadata(r.path)})
	default:
		return answer{status: http.StatusOK, body: envelope(map[string]any{"lease_duration": kvV1TTL, "data": data})}
	}
}

func (s *Server) metadata(path string) map[string]any {
	return map[string]any{
		"version": s.versions[path], "created_time": "2026-01-01T00:00:00Z", "deletion_time": "",
		"destroyed": false, "custom_metadata": nil,
	}
}

// invalidKVPath is what a versioned mount says to a path without data/ or
// metadata/: a 404 with a warning and no errors.
func invalidKVPath(command string) answer {
	return answer{status: http.StatusNotFound, body: envelope(map[string]any{"warnings": []string{
		"Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate API endpoints to use. " +
			"If using the Vault CLI, use 'vault kv " + command + "' for this operation.",
	}})}
}
