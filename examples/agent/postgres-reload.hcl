# Keeps a PostgreSQL account in a file, and sends SIGHUP to the app whenever there
# is a new one. The app reads the file when it starts and on SIGHUP. The account
# before works on for a while, so that no query fails meanwhile.

vault {
  address = "https://securevault.example.com:8200"
}

auto_auth {
  method "approle" {
    config = {
      role_id_file_path   = "/etc/securevault/role-id"
      secret_id_file_path = "/etc/securevault/secret-id" # removed once it was read
    }
  }
}

template {
  destination          = "/run/app/database.env"
  error_on_missing_key = true

  contents = <<EOT
{{ with secret "database/creds/app-readonly" -}}
DB_USER={{ .Data.username }}
DB_PASSWORD={{ .Data.password }}
{{ end -}}
EOT

  notify "signal" {
    signal  = "SIGHUP"
    pidfile = "/run/app/app.pid"
  }
}
