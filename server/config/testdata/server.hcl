ui           = true
api_addr     = "https://vault.example.com:8200"
cluster_addr = "https://vault.example.com:8201"
log_level    = "debug"

storage "postgresql" {
  connection_url = "postgres://vault:s3cret@127.0.0.1/vault"
  ha_enabled     = "true"
}

listener "tcp" {
  address       = "0.0.0.0:8200"
  tls_cert_file = "/etc/securevault/tls.crt"
  tls_key_file  = "/etc/securevault/tls.key"
  max_request_size = 1048576
  telemetry {
    unauthenticated_metrics_access = true
  }
}

listener "unix" {
  address     = "/run/securevault/api.sock"
  socket_mode = "0660"
}

seal "transit" {
  address  = "https://other.example.com:8200"
  key_name = "unseal"
}

telemetry {
  statsd_address = "127.0.0.1:8125"
}

default_lease_ttl = "1h"
max_lease_ttl     = "7d"
disable_mlock     = true

lease_limits "database" {
  max_leases_per_role = 10
}

alert "sealed" {
  condition = "core.unsealed > 0"
  for       = "1m"
  notify    = ["https://hooks.example.com/x"]
}
