# The same kind of server in the words of Vault's configuration, unsealed by a
# key file, with metrics sent to DogStatsD.

ui            = true
api_addr      = "https://securevault.example.com:8200"
log_level     = "info"
log_format    = "json"
log_file      = "/var/log/securevault/server.log"
disable_mlock = true

default_lease_ttl = "1h"
max_lease_ttl     = "24h"

storage "file" {
  path = "/var/lib/securevault/data.db"
}

# 32 random bytes: openssl rand -out /etc/securevault/unseal.key 32
seal "static" {
  current_key_id   = "2026-01"
  current_key_file = "/etc/securevault/unseal.key"
}

listener "tcp" {
  address                            = "127.0.0.1:8200"
  tls_cert_file                      = "/etc/securevault/tls.crt"
  tls_key_file                       = "/etc/securevault/tls.key"
  tls_min_version                    = "tls13"
  max_request_size                   = 1048576
  max_request_duration               = "60s"
  x_forwarded_for_authorized_addrs   = ["127.0.0.0/8"]
  x_forwarded_for_reject_not_present = false
}

telemetry {
  dogstatsd_addr   = "127.0.0.1:8125"
  dogstatsd_tags   = ["env:prod"]
  disable_hostname = true
}

lease_limits "database" {
  max_leases_per_role = 100
}
