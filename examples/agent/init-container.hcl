# Gets a PostgreSQL account once and ends: for an init container, or a unit that
# runs before a job. The account lives until its own TTL, so give the role one
# that is as long as the job.
#
# The exit code says what went wrong, see securevault agent -help; with
# -timeout=1m it waits for the server no longer than that.

exit_after_auth = true

vault {
  address = "https://securevault.example.com:8200"
}

auto_auth {
  method "approle" {
    config = {
      role_id_file_path   = "/etc/securevault/role-id"
      secret_id_file_path = "/etc/securevault/secret-id"

      # A secret that is mounted into a container can only be read.
      remove_secret_id_file_after_reading = false
    }
  }
}

template {
  destination          = "/run/app/database.json"
  perms                = "0440" # for the app's container, which shares the group
  error_on_missing_key = true

  contents = <<EOT
{{ with secret "database/creds/app-readonly" -}}
{{ .Data | toJSON }}
{{ end -}}
EOT
}
