# All that the agent is told. VAULT_ADDR names the server; paths are relative
# to the folder that the agent is started in.

auto_auth {
  method "approle" {
    config = {
      role_id_file_path   = "role-id"
      secret_id_file_path = "secret-id"
    }
  }
}

lease {
  renew_at = 0.5  # of the TTL, which is the default
  overlap  = "2s" # that a replaced credential lives on beside its successor
}

template {
  source      = "db.ctmpl"
  destination = "db.json"

  notify "signal" {
    signal  = "SIGHUP"
    pidfile = "app.pid"
  }
}
