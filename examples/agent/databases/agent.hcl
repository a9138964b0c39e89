# Keeps an account of a database in a file in the form that its clients read. The
# template beside this file chooses the system; take the one that fits.

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
  source               = "/etc/securevault/database.ctmpl"
  destination          = "/run/app/database"
  error_on_missing_key = true
}
