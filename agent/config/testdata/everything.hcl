# Every stanza, and every key but those of the other methods.
exit_after_auth          = true
pid_file                 = "agent.pid"
log_level                = "debug"
log_format               = "json"
log_file                 = "agent.log"
log_rotate_bytes         = 1048576
log_rotate_duration      = "12h"
log_rotate_max_files     = 3
disable_idle_connections = ["auto-auth", "caching"]
disable_keep_alives      = ["proxying", "templating"]
revoke_on_exit           = true

vault {
  address         = "https://vault.example:8200" # the balancer
  ca_cert         = "ca.pem"
  ca_path         = "ca"
  client_cert     = "cert.pem"
  client_key      = "key.pem"
  tls_skip_verify = false
  tls_server_name = "vault"
  namespace       = "team/a"
  retry {
    num_retries = 5
  }
  # none after this
}

auto_auth {
  enable_reauth_on_new_credentials = true
  method "approle" {
    mount_path  = "auth/app"
    namespace   = "team/b"
    wrap_ttl    = "0s"
    min_backoff = "2s"
    max_backoff = "1m"
    exit_on_err = true
    config {
      role_id_file_path                   = "role-id"
      secret_id_file_path                 = "secret-id"
      remove_secret_id_file_after_reading = false
      secret_id_response_wrapping_path    = "auth/app/role/app/secret-id"
    }
  }
  sink "file" {
    wrap_ttl    = "5m"
    dh_type     = "curve25519"
    dh_path     = "reader.json"
    derive_key  = true
    aad         = "app"
    config {
      path     = "/run/token"
      mode     = "0640"
      owner    = "app"
      group    = "app"
      in_place = true
    }
  }
  sink "file" {
    dh_path     = "other.json"
    aad_env_var = "AAD"
    config {
      path = "/run/token.other"
    }
  }
}

template_config {
  exit_on_retry_failure         = true
  static_secret_render_interval = "1m"
  max_connections_per_host      = 5
  lease_renewal_threshold       = 0.75
}

template {
  source               = "db.ctmpl"
  destination          = "/run/db.env"
  create_dest_dirs     = false
  error_on_missing_key = true
  error_fatal          = false
  perms                = "0600"
  owner                = "app"
  group                = "app"
  backup               = true
  left_delimiter       = "[["
  right_delimiter      = "]]"
  function_denylist    = ["plugin", "env"]
  sandbox_path         = "/etc/templates"
  wait                 = "2s:10s"
  renew_at             = 0.3
  overlap              = "1m30s"
  max_stale            = "1h"
  rotation_window      = ["Mon,Tue,Wed,Thu,Fri 02:00-04:30", "23:00-01:00 UTC"]
  refresh_interval     = "never"
  check                = ["psql", "-c", "select 1"]
  check_timeout        = "5s"
  command              = "systemctl reload app"
  command_timeout      = "1m"
  notify "signal" {
    signal = "SIGUSR1"
    cgroup = "app.service"
    splay  = "30s"
    budget = "3/1h"
  }
}

# Written out without a template.
template {
  secret           = "kv/data/app"
  format           = "yaml"
  fields           = ["user", "password"]
  prefix           = "app_"
  destination      = "/run/app.yaml"
  refresh_interval = "1m"
  exec {
    command = ["reload"]
    timeout = "10s"
  }
}

template {
  contents    = "one line"
  destination = "/run/mounted"
  in_place    = true
}

group "db" {
  directory       = "/run/db"
  keep            = 2
  perms           = "0750"
  owner           = "app"
  group           = "app"
  check           = ["verify"]
  check_timeout   = "5s"
  command         = ["reload"]
  command_timeout = "5s"
  notify "systemd" {
    unit    = "app.service"
    restart = true
    timeout = "1m"
    retries = 2
  }
  template {
    contents    = <<EOT
{{ with secret "pki/issue/app" "ttl=${TTL}" }}{{ .Data.certificate }}{{ end }}
EOT
    destination = "cert.pem"
  }
  template {
    contents    = "{{ key }}"
    destination = "tls/key.pem"
  }
}

env_file {
  destination      = "/run/app.env"
  create_dest_dirs = false
  perms            = "0600"
  owner            = "app"
  group            = "app"
  backup           = true
  check            = ["verify"]
  check_timeout    = "5s"
  command          = ["reload"]
  command_timeout  = "5s"
  env_template "PASSWORD" {
    contents = "{{ x }}"
  }
  notify "webhook" {
    url     = "https://app/reload"
    method  = "PUT"
    socket  = "/run/app.sock"
    ca_cert = "ca.pem"
    timeout = "5s"
    retries = 0
    headers {
      X-Reload = "yes"
    }
  }
}

env_file {
  destination = "/run/mounted.env"
  in_place    = true
  env_template "PASSWORD" {
    contents = "{{ x }}"
  }
}

env_template "USER" {
  contents             = "[[ x ]]"
  error_on_missing_key = true
  error_fatal          = false
  left_delimiter       = "[["
  right_delimiter      = "]]"
  function_denylist    = ["plugin"]
  sandbox_path         = "/etc/templates"
}

env_template "HOST" {
  source = "host.ctmpl"
}

env_template "ALL" {
  secret = "kv/data/app"
  format = "json"
  fields = ["user"]
  prefix = "app_"
}

exec {
  command                   = ["app", "serve now"]
  restart_on_secret_changes = "never"
  restart_stop_signal       = "SIGINT"
  kill_timeout              = "10s"
  child_process_stdout      = "app.out"
  child_process_stderr      = "app.err"
  splay                     = "10s"
  budget                    = "5/30m"
}

credentials {
  socket = "/run/credentials.sock"
  perms  = "0600"
  owner  = "root"
  group  = "root"
  credential "db-password" {
    contents             = "[[ x ]]"
    unit                 = "app.service"
    error_on_missing_key = true
    error_fatal          = false
    left_delimiter       = "[["
    right_delimiter      = "]]"
    function_denylist    = ["plugin"]
    sandbox_path         = "/etc/templates"
  }
  credential "db-host" {
    source = "host.ctmpl"
  }
  credential "all" {
    secret = "kv/data/app"
    format = "json"
    fields = ["user"]
    prefix = "app_"
  }
}

lease {
  renew_at        = 0.6
  overlap         = "30s"
  jitter          = 0
  max_stale       = "2h"
  rotation_window = ["Sun 24:00-03:00"]
}

state {
  path     = "/var/lib/agent/state"
  key_file = "/etc/agent/key"
}

notify "child" {
  restart = true
  signal  = "SIGTERM"
}

notify "command" {
  command = ["/bin/reload", "a b"]
  timeout = "5s"
  retries = 1
}

notify "signal" {
  pid = 12
}

notify "signal" {
  pidfile = "/run/app.pid"
}

notify "signal" {
  process = "app"
}

listener "tcp" {
  address                            = "127.0.0.1:8100"
  tls_disable                        = false
  tls_cert_file                      = "cert.pem"
  tls_key_file                       = "key.pem"
  tls_min_version                    = "tls12"
  tls_max_version                    = "tls13"
  tls_cipher_suites                  = "TLS_AES_128_GCM_SHA256"
  tls_client_ca_file                 = "ca.pem"
  tls_require_and_verify_client_cert = true
  role                               = "metrics_only"
  require_request_header             = false
  agent_api {
    enable_quit = true
  }
}

listener "unix" {
  address      = "/run/agent.sock"
  socket_mode  = "0660"
  socket_user  = "app"
  socket_group = "app"
}

cache {
  use_auto_auth_token = true
  persist "kubernetes" {
    path                       = "/cache"
    keep_after_import          = true
    exit_on_err                = true
    service_account_token_file = "token"
  }
}

api_proxy {
  use_auto_auth_token = "force"
}

telemetry {
  prometheus_retention_time = "30s"
  statsd_address            = "127.0.0.1:8125"
  statsite_address          = "127.0.0.1:8126"
  dogstatsd_addr            = "127.0.0.1:8127"
  dogstatsd_tags            = ["env:prod"]
  metrics_prefix            = "agent"
  disable_hostname          = true
  enable_hostname_label     = true
  filter_default            = false
  prefix_filter             = ["+agent.token"]
}
