# Prepares the server, and the agent beside it, for an app that reads from a
# database by examples/agent/databases:
#
#   sh -e database.sh TEMPLATE TTL
#
# The engine is configured already, with the role app-role. Its leases get this
# TTL, also at most, so that the agent replaces each before it ends. The agent's
# configuration is agent.hcl; it renders root/run/app/database.
# Stand-ins speak no TLS.
# The system is at DB_ADDRESS, the server at VAULT_ADDR with VAULT_TOKEN.

securevault write database/roles/app-role default_ttl="$2" max_ttl="$2"
securevault policy write app - <<POLICY
path "database/creds/app-role" { capabilities = ["read"] }
path "sys/leases/*"            { capabilities = ["update"] }
POLICY
securevault write auth/approle/role/app token_policies=app token_ttl=1h
mkdir -p root/etc/securevault root/run/app
securevault read -field=role_id auth/approle/role/app/role-id >root/etc/securevault/role-id
securevault write -force -field=secret_id auth/approle/role/app/secret-id >root/etc/securevault/secret-id
sed "s|\"/|\"$WORK/root/|" examples/databases/agent.hcl >agent.hcl
sed -E "s|https://|http://|; s|encrypt=true|encrypt=disable|; s|[a-z]+\.example\.com:[0-9]+|$DB_ADDRESS|
  s|^host=.*|host=${DB_ADDRESS%:*}|; s|^port=.*|port=${DB_ADDRESS#*:}|" "examples/databases/$1" >root/etc/securevault/database.ctmpl
