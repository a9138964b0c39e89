# Uses a token that something else got and keeps in a file, such as an agent of
# the platform. A new token in the file is taken up before the old one ends. The
# agent does not revoke what is not its own.

vault {
  address = "https://securevault.example.com:8200"
}

auto_auth {
  method "token_file" {
    config = {
      token_file_path = "/run/securevault/token"
    }
  }
}

template {
  destination          = "/run/app/pgpass"
  error_on_missing_key = true

  contents = <<EOT
{{ with secret "database/creds/app-readonly" -}}
*:*:mydb:{{ .Data.username }}:{{ .Data.password }}
{{ end -}}
EOT
}
