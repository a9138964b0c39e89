package config

import (
	"maps"
	"slices"
)

// Storage says where the server keeps its state.
type Storage struct {
	Origin
	Type     string   `conf:"type,label"`
	Settings Settings `conf:",settings"`
}

// Seal says what wraps the key of the storage.
type Seal struct {
	Origin
	Type     string   `conf:"type,label"`
	Settings Settings `conf:",settings"`
}

// storages are the types there are: type → its keys.
func storages() map[string][]string {
	return map[string][]string{
		"inmem":      {},
		"file":       {"path"},
		"postgresql": {"connection_url", "table", "ha_enabled", "ha_table", "max_parallel", "max_idle_connections", "skip_create_table"},
		"etcd": {
			"address", "path", "username", "password", "ha_enabled", "lock_timeout", "request_timeout", "etcd_api", "sync",
			"discovery_srv", "discovery_srv_name", "tls_ca_file", "tls_cert_file", "tls_key_file",
		},
	}
}

// seals are the types there are: type → its keys.
func seals() map[string][]string {
	return map[string][]string{
		"shamir": {},
		"static": {"current_key_id", "current_key", "current_key_file", "previous_key_id", "previous_key", "previous_key_file"},
		"transit": {
			"address", "token", "token_file", "key_name", "mount_path", "namespace", "disable_renewal", "key_id_prefix",
			"tls_ca_cert", "tls_client_cert", "tls_client_key", "tls_server_name", "tls_skip_verify",
		},
		"awskms":        {"region", "access_key", "secret_key", "session_token", "kms_key_id", "endpoint", "shared_creds_filename", "shared_creds_profile"},
		"gcpckms":       {"credentials", "project", "region", "key_ring", "crypto_key"},
		"azurekeyvault": {"tenant_id", "client_id", "client_secret", "environment", "vault_name", "key_name", "resource"},
	}
}

func (Storage) vocabulary(name string) ([]string, string, bool) {
	if name == "raft" {
		return nil, `use "file" for one node, "postgresql" or "etcd" for several`, false
	}
	return lookUp(storages(), name)
}

func (Seal) vocabulary(name string) ([]string, string, bool) { return lookUp(seals(), name) }

func lookUp(all map[string][]string, name string) (keys []string, hint string, ok bool) {
	if keys, ok = all[name]; ok {
		return keys, "", true
	}
	return nil, suggest(name, slices.Sorted(maps.Keys(all))), false
}
