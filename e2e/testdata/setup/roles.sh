# Prepares the server that app.sh has prepared for several apps at once:
#
#   sh -e roles.sh COUNT TTL MAX_TTL
#
# writes as many roles, app-1 and so on, with these TTLs.

securevault write database/config/postgres-prod \
  plugin_name=postgresql-database-plugin \
  connection_url="postgresql://{{username}}:{{password}}@$PGHOST:$PGPORT/mydb?sslmode=require" \
  allowed_roles="app-*" \
  username="vault_admin" \
  password="initial-password"
for number in $(seq "$1"); do
  securevault write "database/roles/app-$number" \
    db_name=postgres-prod \
    creation_statements="CREATE ROLE \"{{name}}\" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'; \
        GRANT SELECT ON ALL TABLES IN SCHEMA public TO \"{{name}}\";" \
    default_ttl="$2" \
    max_ttl="$3"
done
