"""The calls of hvac that an administrator and an app make, beside the guide's."""

import os

import hvac

client = hvac.Client(url=os.environ["VAULT_ADDR"], token=os.environ["VAULT_TOKEN"])


def check(what, ok):
    if not ok:
        raise SystemExit("wrong: " + what)


# Status, which needs no token.
check("is_initialized", client.sys.is_initialized())
check("is_sealed", not client.sys.is_sealed())
check("read_health_status", client.sys.read_health_status(method="GET")["sealed"] is False)
check("read_health_status by HEAD", client.sys.read_health_status().status_code == 200)
check("read_leader_status", "ha_enabled" in client.sys.read_leader_status())

# Tokens.
check("is_authenticated", client.is_authenticated())
check("a wrong token", not hvac.Client(url=client.url, token="wrong").is_authenticated())
check("no token", not hvac.Client(url=client.url, token="").is_authenticated())
created = client.create_token(policies=["default"], lease="1h")["auth"]
check("create_token", "default" in created["policies"] and created["lease_duration"] == 3600)
check("lookup_token", client.lookup_token(created["client_token"])["data"]["ttl"] > 3500)
check("renew_token", client.renew_token(created["client_token"])["auth"]["client_token"] == created["client_token"])
client.revoke_token(created["client_token"])
check("revoke_token", not hvac.Client(url=client.url, token=created["client_token"]).is_authenticated())

# Mounts.
client.sys.enable_secrets_engine(backend_type="database", path="other")
check("list_mounted_secrets_engines", "other/" in client.sys.list_mounted_secrets_engines()["data"])
client.sys.tune_mount_configuration(path="other", default_lease_ttl="30m", max_lease_ttl="2h")
check("read_mount_configuration", client.sys.read_mount_configuration("other")["data"]["default_lease_ttl"] == 1800)
client.sys.disable_secrets_engine("other")
check("disable_secrets_engine", "other/" not in client.sys.list_mounted_secrets_engines()["data"])
check("list_auth_methods", "approle/" in client.sys.list_auth_methods()["data"])

# Policies.
client.sys.create_or_update_policy(name="reader", policy='path "database/creds/*" { capabilities = ["read"] }')
check("list_policies", "reader" in client.sys.list_policies()["data"]["policies"])
check("read_policy", "database/creds" in client.sys.read_policy("reader")["data"]["rules"])
check("get_capabilities", client.sys.get_capabilities(paths=["database/creds/app-readonly"])["data"]["capabilities"])

# The database engine.
config = client.secrets.database.read_connection("postgres-prod")["data"]
check("read_connection", config["plugin_name"] == "postgresql-database-plugin" and "initial-password" not in str(config))
check("list_connections", "postgres-prod" in client.secrets.database.list_connections()["data"]["keys"])
client.secrets.database.create_role(
    name="app-hvac",
    db_name="postgres-prod",
    creation_statements=["CREATE ROLE \"{{name}}\" WITH LOGIN PASSWORD '{{password}}'"],
    default_ttl="1m",
    max_ttl="2m",
)
check("list_roles", "app-hvac" in client.secrets.database.list_roles()["data"]["keys"])
check("read_role", client.secrets.database.read_role("app-hvac")["data"]["default_ttl"] == 60)
client.secrets.database.delete_role("app-hvac")

# AppRole: an app logs in and gets a credential, which ends with its token.
client.auth.approle.create_or_update_approle("hvac", token_policies=["reader"], token_ttl="5m")
role_id = client.auth.approle.read_role_id("hvac")["data"]["role_id"]
secret_id = client.auth.approle.generate_secret_id("hvac")["data"]["secret_id"]
app = hvac.Client(url=client.url)
check("approle login", app.auth.approle.login(role_id, secret_id)["auth"]["lease_duration"] == 300)
check("is_authenticated by approle", app.is_authenticated())
creds = app.secrets.database.generate_credentials("app-readonly")
try:
    app.secrets.database.list_roles()
except hvac.exceptions.Forbidden as error:
    check("the message of a refusal", "permission denied" in str(error))
else:
    check("a refusal", False)

# Leases.
lease = client.sys.read_lease(creds["lease_id"])["data"]
check("read_lease", lease["id"] == creds["lease_id"] and lease["renewable"] and lease["ttl"] > 0)
keys = client.sys.list_leases("database/creds/app-readonly")["data"]["keys"]
check("list_leases", creds["lease_id"].endswith(keys[0]))
check("renew_lease", client.sys.renew_lease(creds["lease_id"], increment=2)["lease_duration"] > 0)
client.sys.revoke_prefix("database/creds/app-readonly")
for call in (client.sys.read_lease, client.sys.renew_lease):
    try:
        call(creds["lease_id"])
    except hvac.exceptions.InvalidRequest:
        continue
    check("a lease that is gone", False)
app.logout(revoke_token=True)
print("all calls answered")
