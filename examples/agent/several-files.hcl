# Renders one PostgreSQL account in several formats. Templates that ask for the
# same secret share one credential; their files change together, and only then is
# the app told, once.

vault {
  address = "https://securevault.example.com:8200"
}

auto_auth {
  method "approle" {
    config = {
      role_id_file_path   = "/etc/securevault/role-id"
      secret_id_file_path = "/etc/securevault/secret-id"
    }
  }

  # The token, for other programs on this machine.
  sink "file" {
    config = {
      path = "/run/securevault/token"
    }
  }
}

lease {
  renew_at = 0.5  # of the TTL
  overlap  = "1m" # for which the account before works on
}

# For the app.
template {
  destination          = "/run/app/database.env"
  error_on_missing_key = true

  contents = <<EOT
{{ with secret "database/creds/app-readonly" -}}
DB_USER={{ .Data.username }}
DB_PASSWORD={{ .Data.password }}
{{ end -}}
EOT
}

# For psql, which finds it through PGPASSFILE.
template {
  destination          = "/run/app/pgpass"
  error_on_missing_key = true

  contents = <<EOT
{{ with secret "database/creds/app-readonly" -}}
*:*:mydb:{{ .Data.username }}:{{ .Data.password }}
{{ end -}}
EOT
}

# Runs after any change of these files.
notify "command" {
  command = ["sh", "/etc/app/reload.sh"]
  timeout = "30s"
}
