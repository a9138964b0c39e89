package vaulttest

import (
	"maps"
	"net/http"
	"strings"
	"time"
)

// status answers what needs no token: is the server up, is it unsealed.
func (s *Server) status(r request) (out answer, ok bool) {
	server := map[string]any{
		"initialized": true, "sealed": false, "version": "1.0.0", "cluster_name": "vaulttest", "cluster_id": "vaulttest",
	}
	switch r.path {
	case "sys/health":
		maps.Copy(server, map[string]any{
			"standby": false, "performance_standby": false, "replication_performance_mode": "disabled",
			"replication_dr_mode": "disabled", "server_time_utc": time.Now().Unix(),
		})
	case "sys/seal-status":
		maps.Copy(server, map[string]any{
			"type": "shamir", "t": 1, "n": 1, "progress": 0, "nonce": "", "build_date": "", "migration": false,
			"recovery_seal": false, "storage_type": "inmem",
		})
	default:
		return answer{}, false
	}
	return answer{status: http.StatusOK, body: server}, true
}

// system answers what operators ask: engines and policies.
func (s *Server) system(r request) answer {
	area, name, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(r.path, "sys/"), "policies/"), "/")
	text, _ := r.body["policy"].(string)
	kind, _ := r.body["type"].(string)
	switch {
	case area == "mounts" && name == "" && r.method == http.MethodGet:
		return s.listMounts()
	case area == "mounts" && kind != "":
		s.engines[name+"/"] = kind
	case area == "capabilities-self":
		return s.capabilities(r)
	case area == "acl" && text != "":
		s.policies[name] = text
	case area == "acl" && r.method == http.MethodGet && s.policies[name] != "":
		return found(map[string]any{"name": name, "policy": s.policies[name]})
	default:
		return refuse(http.StatusNotFound, "the fake server does not know "+r.path)
	}
	return answer{status: http.StatusNoContent}
}

// listMounts returns the engines in the envelope and, for older clients,
// beside it.
func (s *Server) listMounts() answer {
	mounts := map[string]any{}
	for path := range s.roles {
		mount, _, _ := strings.Cut(path, "/")
		mounts[mount+"/"] = describe(mount)
	}
	for mount := range s.kv {
		mounts[mount] = describe("kv")
	}
	for mount, kind := range s.engines {
		mounts[mount] = describe(kind)
	}
	out := found(mounts)
	maps.Copy(out.body.(map[string]any), mounts)
	return out
}

// mountType returns the type of the engine behind a path, "" for none. A role
// mounts an engine of the name that its path begins with.
func (s *Server) mountType(path string) string {
	mount, rest, _ := strings.Cut(path, "/")
	switch mount {
	case "sys":
		return "system"
	case "auth":
		method, _, _ := strings.Cut(rest, "/")
		return method
	}
	for known := range s.kv {
		if strings.HasPrefix(path+"/", known) {
			return "kv"
		}
	}
	for known, kind := range s.engines {
		if strings.HasPrefix(path+"/", known) {
			return kind
		}
	}
	for known := range s.roles {
		if strings.HasPrefix(known, mount+"/") {
			return mount
		}
	}
	for known := range s.static {
		if strings.HasPrefix(known, mount+"/") {
			return mount
		}
	}
	return ""
}

// describe returns what the server tells of an engine.
func describe(kind string) map[string]any {
	return map[string]any{
		"type": kind, "description": "", "accessor": kind + "_1", "uuid": "00000000-0000-0000-0000-000000000000",
		"config":  map[string]any{"default_lease_ttl": 3600, "max_lease_ttl": 0, "force_no_cache": false},
		"options": map[string]any{}, "local": false, "seal_wrap": false, "external_entropy_access": false,
	}
}
