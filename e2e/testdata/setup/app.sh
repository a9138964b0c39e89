# Prepares the server for an app that reads from PostgreSQL:
#
#   sh -e app.sh TTL MAX_TTL [TOKEN_TTL]
#
# enables the engine, writes the role app-readonly with these TTLs, and leaves
# role-id and secret-id, with which the agent logs in as the AppRole "app" for
# TOKEN_TTL (1h).
# The server and PostgreSQL are those of VAULT_ADDR, VAULT_TOKEN, PGHOST, PGPORT.

securevault secrets enable database
securevault write database/config/postgres-prod \
  plugin_name=postgresql-database-plugin \
  connection_url="postgresql://{{username}}:{{password}}@$PGHOST:$PGPORT/mydb?sslmode=require" \
  allowed_roles="app-readonly,app-broken" \
  username="vault_admin" \
  password="initial-password"
securevault write database/roles/app-readonly \
  db_name=postgres-prod \
  creation_statements="CREATE ROLE \"{{name}}\" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'; \
      GRANT SELECT ON ALL TABLES IN SCHEMA public TO \"{{name}}\";" \
  default_ttl="$1" \
  max_ttl="$2"

securevault policy write app - <<POLICY
path "database/creds/app-*"  { capabilities = ["read"] }
path "sys/leases/renew"      { capabilities = ["update"] }
path "sys/leases/revoke"     { capabilities = ["update"] }
POLICY
securevault write auth/approle/role/app token_policies=app token_ttl="${3:-1h}" token_max_ttl="${3:-1h}"
securevault read -field=role_id auth/approle/role/app/role-id >role-id
securevault write -force -field=secret_id auth/approle/role/app/secret-id >secret-id
