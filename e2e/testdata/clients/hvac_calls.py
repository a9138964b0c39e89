"""Every call of hvac that is about a part the server has, once or more.

The clients are watched: what they offer and this program does not call is an
error, so that none is forgotten.
"""

import base64
import os
import tempfile

import hvac
from hvac import exceptions

# What hvac offers for parts that the server has not, raft being a storage of
# Vault's own, and a helper that sends nothing.
ELSEWHERE = {
    "get_private_attr_name",
    "join_raft_cluster",
    "read_raft_config",
    "remove_raft_node",
    "take_raft_snapshot",
    "restore_raft_snapshot",
    "force_restore_raft_snapshot",
}
STATEMENT = "CREATE ROLE \"{{name}}\" WITH LOGIN PASSWORD '{{password}}'"
ROTATION = "ALTER ROLE \"{{name}}\" WITH PASSWORD '{{password}}'"
SHARE = os.environ["UNSEAL_KEY"]


def check(what, ok):
    if not ok:
        raise SystemExit("wrong: " + what)


def refused(error, call, *args, **kwargs):
    """Calls what must be refused, and returns what the server said."""
    try:
        call(*args, **kwargs)
    except error as refusal:
        return str(refusal)
    raise SystemExit("not refused: " + call.__name__)


class Watched:
    """A part of hvac's API that notes which of its methods are called."""

    def __init__(self, api):
        self._api = api
        self._called = set()

    def __getattr__(self, name):
        self._called.add(name)
        return getattr(self._api, name)

    def called_elsewhere(self, name):
        """Notes a method that another client calls."""
        self._called.add(name)

    def missed(self):
        kind = type(self._api)
        offered = {name for name in dir(kind) if not name.startswith("_") and callable(getattr(kind, name))}
        return offered - self._called - ELSEWHERE


client = hvac.Client(url=os.environ["VAULT_ADDR"], token=os.environ["VAULT_TOKEN"])
system = Watched(client.sys)
tokens = Watched(client.auth.token)
approle = Watched(client.auth.approle)
userpass = Watched(client.auth.userpass)
database = Watched(client.secrets.database)


def alive(token):
    return hvac.Client(url=client.url, token=token).is_authenticated()


def status():
    check("is_initialized", system.is_initialized())
    check("read_init_status", system.read_init_status() == {"initialized": True})
    check("is_sealed", not system.is_sealed())
    seal = system.read_seal_status()
    check("read_seal_status", (seal["type"], seal["t"], seal["n"], seal["progress"]) == ("shamir", 1, 1, 0))
    check("read_health_status", system.read_health_status(method="GET")["sealed"] is False)
    check("read_health_status by HEAD", system.read_health_status().status_code == 200)
    check("read_leader_status", "ha_enabled" in system.read_leader_status())
    check("ha_status", "leader_address" in client.ha_status)
    check("initialize", "initialized already" in refused(exceptions.InvalidRequest, system.initialize))
    check("step_down", "nobody could take over" in refused(exceptions.InvalidRequest, system.step_down))


def keys():
    before = system.get_encryption_key_status()["data"]["term"]
    system.rotate_encryption_key()
    check("rotate_encryption_key", system.get_encryption_key_status()["data"]["term"] == before + 1)

    begun = system.start_root_token_generation()
    check("start_root_token_generation", begun["started"] and begun["required"] == 1 and begun["otp"])
    check("read_root_generation_progress", system.read_root_generation_progress()["nonce"] == begun["nonce"])
    system.cancel_root_generation()
    check("cancel_root_generation", not system.read_root_generation_progress()["started"])
    begun = system.start_root_token_generation()
    done = system.generate_root(SHARE, begun["nonce"])
    sealed, pad = base64.b64decode(done["encoded_token"] + "=="), begun["otp"].encode()
    root = bytes(a ^ b for a, b in zip(sealed, pad)).decode()
    check("generate_root", done["complete"] and alive(root))
    client.revoke_token(root)


def rekeying():
    """Replaces the share twice, and returns the last."""
    begun = system.start_rekey(secret_shares=1, secret_threshold=1)
    check("read_rekey_progress", system.read_rekey_progress()["nonce"] == begun["nonce"])
    system.cancel_rekey()
    check("cancel_rekey", not system.read_rekey_progress()["started"])
    begun = system.start_rekey(secret_shares=1, secret_threshold=1)
    refused(exceptions.InvalidRequest, system.rekey, SHARE, nonce="another")
    share = system.rekey(SHARE, nonce=begun["nonce"])["keys"][0]
    begun = system.start_rekey(secret_shares=1, secret_threshold=1)
    done = system.rekey_multi([share], nonce=begun["nonce"])
    check("rekey_multi", done["complete"] and len(done["keys_base64"]) == 1)
    begun = system.start_rekey(secret_shares=1, secret_threshold=1, require_verification=True)
    done = system.rekey(done["keys"][0], nonce=begun["nonce"])
    progress = system.read_rekey_verify_progress()
    check("read_rekey_verify_progress", progress["nonce"] == done["verification_nonce"] and progress["progress"] == 0)
    system.cancel_rekey_verify()
    nonce = system.read_rekey_verify_progress()["nonce"]
    check("cancel_rekey_verify", nonce != done["verification_nonce"])
    check("rekey_verify_multi", system.rekey_verify_multi(done["keys"], nonce=nonce)["complete"])
    share = done["keys"][0]
    # What was never asked for is not there.
    for call in (system.read_backup_keys, system.read_rekey_verify_progress, system.cancel_rekey_verify):
        refused(exceptions.VaultError, call)
    refused(exceptions.VaultError, system.rekey_verify, share, nonce="none")
    refused(exceptions.VaultError, system.rekey_verify_multi, [share], nonce="none")
    return share


def sealing(share):
    system.seal()
    check("seal", system.is_sealed())
    refused(exceptions.VaultDown, client.lookup_token)
    refused(exceptions.VaultError, system.submit_unseal_key, SHARE)
    check("submit_unseal_key", not system.submit_unseal_key(share)["sealed"])
    check("submit_unseal_keys", not system.submit_unseal_keys([share])["sealed"])
    check("unsealed", client.is_authenticated())


def mounts():
    system.enable_secrets_engine(backend_type="database", path="other", options={"a": "b"})
    listed = system.list_mounted_secrets_engines()["data"]
    check("list_mounted_secrets_engines", listed["other/"]["type"] == "database")
    check("retrieve_mount_option", system.retrieve_mount_option("other", "a") == "b")
    system.tune_mount_configuration(
        path="other", default_lease_ttl="30m", max_lease_ttl="2h", description="tuned", listing_visibility="hidden",
        audit_non_hmac_request_keys=["name"], audit_non_hmac_response_keys=["name"],
        passthrough_request_headers=["X-A"],
    )
    tuned = system.read_mount_configuration("other")["data"]
    check("read_mount_configuration", (tuned["default_lease_ttl"], tuned["description"]) == (1800, "tuned"))
    system.move_backend("other", "another")
    listed = system.list_mounted_secrets_engines()["data"]
    check("move_backend", "other/" not in listed and listed["another/"]["description"] == "tuned")
    system.disable_secrets_engine("another")
    check("disable_secrets_engine", "another/" not in system.list_mounted_secrets_engines()["data"])

    system.enable_auth_method("userpass", description="people", config={"default_lease_ttl": "10m"})
    check("list_auth_methods", system.list_auth_methods()["data"]["userpass/"]["description"] == "people")
    system.tune_auth_method("userpass", max_lease_ttl="2h", description="staff", listing_visibility="unauth")
    tuned = system.read_auth_method_tuning("userpass")["data"]
    check("read_auth_method_tuning", (tuned["max_lease_ttl"], tuned["default_lease_ttl"]) == (7200, 600))

    for call, args in (
        (system.create_namespace, ["team"]),
        (system.list_namespaces, []),
        (system.delete_namespace, ["team"]),
    ):
        check("a namespace", "namespaces are not supported" in refused(exceptions.InvalidRequest, call, *args))


def audit():
    with tempfile.TemporaryDirectory() as folder:
        record = os.path.join(folder, "audit.log")
        system.enable_audit_device("file", description="a record", options={"file_path": record}, path="record")
        device = system.list_enabled_audit_devices()["data"]["record/"]
        check("list_enabled_audit_devices", device["type"] == "file" and device["options"]["file_path"] == record)
        hashed = system.calculate_hash("record", client.token)["data"]["hash"]
        with open(record) as lines:
            check("calculate_hash", hashed.startswith("hmac-sha256:") and hashed in lines.read())
        system.disable_audit_device("record")
        check("disable_audit_device", "record/" not in system.list_enabled_audit_devices()["data"])


def policies():
    system.create_or_update_policy(
        name="reader",
        policy='''
            path "database/creds/*"  { capabilities = ["read"] }
            path "auth/token/create" { capabilities = ["update"] }
        ''',
    )
    system.create_or_update_policy(name="object", policy={"path": {"sys/health": {"capabilities": ["read"]}}})
    check("list_policies", {"reader", "object"} <= set(system.list_policies()["data"]["policies"]))
    check("read_policy", "database/creds" in system.read_policy("reader")["data"]["rules"])
    system.delete_policy("object")
    refused(exceptions.InvalidPath, system.read_policy, "object")

    held = tokens.create(policies=["reader"])["auth"]
    path = "database/creds/app-readonly"
    for of in ({"token": held["client_token"]}, {"accessor": held["accessor"]}):
        check("get_capabilities", system.get_capabilities(paths=[path], **of)["data"][path] == ["read"])
    check("get_capabilities of oneself", system.get_capabilities(paths=[path])["data"]["capabilities"] == ["root"])
    tokens.revoke_accessor(held["accessor"])
    check("revoke_accessor", not alive(held["client_token"]))


def token_lives():
    check("is_authenticated", client.is_authenticated())
    check("a wrong token", not alive("wrong"))
    check("no token", not hvac.Client(url=client.url, token="").is_authenticated())
    made = tokens.create(
        policies=["reader"], meta={"team": "a"}, ttl="1h", explicit_max_ttl="2h",
        display_name="mine", num_uses=0, renewable=True,
    )["auth"]
    check("create", made["lease_duration"] == 3600 and made["metadata"] == {"team": "a"} and made["renewable"])
    looked = tokens.lookup(made["client_token"])["data"]
    check("lookup", (looked["display_name"], looked["explicit_max_ttl"]) == ("token-mine", 7200))
    check("lookup_accessor", tokens.lookup_accessor(made["accessor"])["data"]["accessor"] == made["accessor"])
    check("list_accessors", made["accessor"] in tokens.list_accessors()["data"]["keys"])
    check("lookup_self", tokens.lookup_self()["data"]["policies"] == ["root"])
    check("renew", tokens.renew(made["client_token"], increment="30m")["auth"]["client_token"] == made["client_token"])
    check("renew_accessor", tokens.renew_accessor(made["accessor"])["auth"]["renewable"])
    refused(exceptions.InvalidRequest, tokens.renew_self)  # root has no TTL
    check("a wrapped renewal", tokens.renew(made["client_token"], wrap_ttl="60s")["wrap_info"]["token"])

    own = hvac.Client(url=client.url, token=made["client_token"])
    child = own.auth.token.create(policies=["reader"])["auth"]["client_token"]
    own.auth.token.renew_self(increment="10m")
    tokens.revoke_and_orphan_children(made["client_token"])
    check("revoke_and_orphan_children", not alive(made["client_token"]) and alive(child))
    tokens.revoke(child)
    check("revoke", not alive(child))
    batch = tokens.create(policies=["reader"], type="batch", ttl="5m")["auth"]
    check("a batch token", batch["token_type"] == "batch" and alive(batch["client_token"]))
    periodic = tokens.create(policies=["reader"], period="10m", no_parent=True)["auth"]
    check("a periodic orphan", periodic["orphan"] and periodic["lease_duration"] == 600)
    tokens.called_elsewhere("revoke_self")
    hvac.Client(url=client.url, token=periodic["client_token"]).auth.token.revoke_self()
    check("revoke_self", not alive(periodic["client_token"]))
    tokens.tidy()


def token_roles():
    tokens.create_or_update_role("ci", allowed_policies=["reader"], orphan=True, renewable=False, path_suffix="ci")
    check("list_roles", "ci" in tokens.list_roles()["data"]["keys"])
    role = tokens.read_role("ci")["data"]
    check("read_role", role["orphan"] and not role["renewable"] and role["allowed_policies"] == ["reader"])
    made = tokens.create(role_name="ci", policies=["reader"])["auth"]
    check("create by role", made["orphan"] and not made["renewable"])
    tokens.revoke(made["client_token"])
    tokens.delete_role("ci")
    refused(exceptions.InvalidPath, tokens.read_role, "ci")


def older_names():
    """What hvac keeps for programs that were written years ago."""
    made = client.create_token(policies=["default"], lease="1h")["auth"]
    check("create_token", made["lease_duration"] == 3600)
    check("lookup_token", client.lookup_token(made["client_token"])["data"]["ttl"] > 3500)
    check("lookup_token by accessor", client.lookup_token(made["accessor"], accessor=True)["data"]["id"] == "")
    check("renew_token", client.renew_token(made["client_token"])["auth"]["client_token"] == made["client_token"])
    client.revoke_token(made["accessor"], accessor=True)
    check("revoke_token", not alive(made["client_token"]))
    client.create_token_role("old", allowed_policies="default", period="1h")
    check("token_role", client.token_role("old")["data"]["period"] == 3600)
    check("list_token_roles", client.list_token_roles()["data"]["keys"] == ["old"])
    client.delete_token_role("old")
    check("seal_status", client.seal_status["sealed"] is False and client.key_status["term"] > 0)
    check("rekey_status", not client.rekey_status["started"] and not client.generate_root_status["started"])


def wrapping():
    wrapped = client.read("sys/policies/acl/reader", wrap_ttl="60s")["wrap_info"]
    check("wrap_info", wrapped["ttl"] == 60 and wrapped["creation_path"] == "sys/policies/acl/reader")
    about = client.write("sys/wrapping/lookup", token=wrapped["token"])["data"]
    check("wrapping/lookup", about["creation_ttl"] == 60)
    wrapped = client.write("sys/wrapping/rewrap", token=wrapped["token"])["wrap_info"]
    check("unwrap", system.unwrap(wrapped["token"])["data"]["name"] == "reader")
    refused(exceptions.InvalidRequest, system.unwrap, wrapped["token"])
    wrapped = client.write("sys/wrapping/wrap", wrap_ttl="60s", a="b")["wrap_info"]
    check("wrap", hvac.Client(url=client.url, token=wrapped["token"]).sys.unwrap()["data"] == {"a": "b"})


def app_role():
    approle.create_or_update_approle(
        "hvac", bind_secret_id=True, token_policies=["reader"], token_ttl="5m", token_max_ttl="1h", secret_id_num_uses=0
    )
    check("list_roles", "hvac" in approle.list_roles()["data"]["keys"])
    check("read_role", approle.read_role("hvac")["data"]["token_policies"] == ["reader"])
    approle.update_role_id("hvac", "known")
    check("read_role_id", approle.read_role_id("hvac")["data"]["role_id"] == "known")
    made = approle.generate_secret_id("hvac", metadata={"host": "a"}, cidr_list=["127.0.0.0/8"])["data"]
    listed = approle.list_secret_id_accessors("hvac")["data"]["keys"]
    check("list_secret_id_accessors", listed == [made["secret_id_accessor"]])
    check("read_secret_id", approle.read_secret_id("hvac", made["secret_id"])["data"]["metadata"] == {"host": "a"})
    shown = approle.read_secret_id_accessor("hvac", made["secret_id_accessor"])["data"]
    check("read_secret_id_accessor", shown["cidr_list"] == ["127.0.0.0/8"])
    approle.create_custom_secret_id("hvac", "of-my-own", cidr_list=["127.0.0.0/8"])
    app = hvac.Client(url=client.url)
    check("login", app.auth.approle.login("known", made["secret_id"])["auth"]["lease_duration"] == 300)
    check("is_authenticated by approle", app.is_authenticated())
    approle.destroy_secret_id_accessor("hvac", made["secret_id_accessor"])
    refused(exceptions.InvalidRequest, approle.login, "known", made["secret_id"], use_token=False)
    custom = approle.login("known", "of-my-own", use_token=False)["auth"]
    check("login by a secret of one's own", custom["metadata"]["role_name"] == "hvac")
    approle.destroy_secret_id("hvac", "of-my-own")
    refused(exceptions.InvalidRequest, approle.login, "known", "of-my-own", use_token=False)
    return app


def user_pass():
    userpass.create_or_update_user("ann", password="first", policies="reader")
    check("list_user", userpass.list_user()["data"]["keys"] == ["ann"])
    check("read_user", userpass.read_user("ann")["data"]["token_policies"] == ["reader"])
    check("login", userpass.login("ann", "first", use_token=False)["auth"]["metadata"]["username"] == "ann")
    userpass.update_password_on_user("ann", "second")
    refused(exceptions.InvalidRequest, userpass.login, "ann", "first", use_token=False)
    check("login again", userpass.login("ann", "second", use_token=False)["auth"]["client_token"])
    userpass.delete_user("ann")
    refused(exceptions.InvalidPath, userpass.read_user, "ann")
    system.disable_auth_method("userpass")
    check("disable_auth_method", "userpass/" not in system.list_auth_methods()["data"])


def other_methods():
    """Roles of methods whose logins need a system of their own."""
    for kind in ("kubernetes", "ldap", "aws"):
        system.enable_auth_method(kind)
    kubernetes, ldap, aws = client.auth.kubernetes, client.auth.ldap, client.auth.aws

    # Its configure lacks what says that this is no pod.
    client.write("auth/kubernetes/config", kubernetes_host="https://127.0.0.1:6443", disable_local_ca_jwt=True)
    check("kubernetes config", kubernetes.read_config()["kubernetes_host"] == "https://127.0.0.1:6443")
    kubernetes.create_role("pod", ["app"], ["prod"], ttl="1h", policies=["reader"])
    check("kubernetes role", kubernetes.read_role("pod")["bound_service_account_namespaces"] == ["prod"])
    check("kubernetes roles", kubernetes.list_roles()["keys"] == ["pod"])
    kubernetes.delete_role("pod")
    refused(exceptions.InvalidPath, kubernetes.read_role, "pod")

    ldap.configure(url="ldaps://127.0.0.1", user_dn="dc=example", user_attr="uid", group_dn="dc=example", group_attr="cn")
    check("ldap config", ldap.read_configuration()["data"]["userdn"] == "dc=example")
    ldap.create_or_update_group("dev", policies=["reader"])
    check("ldap group", ldap.read_group("dev")["data"]["policies"] == ["reader"])
    ldap.create_or_update_user("ann", policies=["reader"], groups=["dev"])
    check("ldap user", ldap.read_user("ann")["data"]["policies"] == ["reader"])
    check("ldap lists", (ldap.list_groups()["data"]["keys"], ldap.list_users()["data"]["keys"]) == (["dev"], ["ann"]))
    ldap.delete_group("dev")
    ldap.delete_user("ann")
    refused(exceptions.InvalidPath, ldap.list_users)

    principal = "arn:aws:iam::123456789012:user/ann"
    aws.create_role(
        "ann", auth_type="iam", bound_iam_principal_arn=[principal], policies=["reader"], resolve_aws_unique_ids=False
    )
    check("aws role", aws.read_role("ann")["bound_iam_principal_arn"] == [principal])
    check("aws roles", aws.list_roles()["keys"] == ["ann"])
    aws.delete_role("ann")
    refused(exceptions.InvalidPath, aws.read_role, "ann")
    for kind in ("kubernetes", "ldap", "aws"):
        system.disable_auth_method(kind)


def databases():
    config = database.read_connection("postgres-prod")["data"]
    check("read_connection", config["plugin_name"] == "postgresql-database-plugin")
    check("a password that is kept to itself", "initial-password" not in str(config))
    database.configure(
        "second", plugin_name=config["plugin_name"], verify_connection=False, allowed_roles=["*"],
        connection_url=config["connection_details"]["connection_url"], username="nobody", password="x",
    )
    check("list_connections", {"postgres-prod", "second"} <= set(database.list_connections()["data"]["keys"]))
    database.delete_connection("second")
    refused(exceptions.InvalidPath, database.read_connection, "second")
    database.reset_connection("postgres-prod")
    database.rotate_root_credentials("postgres-prod")
    client.write("database/config/postgres-prod", allowed_roles="*")
    database.create_role(
        name="app-hvac", db_name="postgres-prod", creation_statements=[STATEMENT], default_ttl="1m", max_ttl="2m"
    )
    check("list_roles", "app-hvac" in database.list_roles()["data"]["keys"])
    check("read_role", database.read_role("app-hvac")["data"]["default_ttl"] == 60)
    creds = database.generate_credentials("app-hvac")
    check("generate_credentials", creds["renewable"] and creds["lease_duration"] == 60 and creds["data"]["password"])
    static_roles(creds["data"]["username"])
    system.revoke_lease(creds["lease_id"])
    refused(exceptions.InvalidRequest, system.read_lease, creds["lease_id"])
    database.delete_role("app-hvac")
    refused(exceptions.InvalidPath, database.read_role, "app-hvac")


def static_roles(user):
    database.create_static_role("hvac", "postgres-prod", user, [ROTATION], rotation_period=3600)
    check("list_static_roles", database.list_static_roles()["data"]["keys"] == ["hvac"])
    check("a static role", client.read("database/static-roles/hvac")["data"]["username"] == user)
    first = database.get_static_credentials("hvac")["data"]
    check("get_static_credentials", first["username"] == user and 3590 < first["ttl"] <= 3600)
    client.write("database/rotate-role/hvac")
    check("a rotation", database.get_static_credentials("hvac")["data"]["password"] != first["password"])
    refused(exceptions.InvalidRequest, database.create_static_role, "twice", "postgres-prod", user, [])
    database.delete_static_role("hvac")
    refused(exceptions.InvalidRequest, database.get_static_credentials, "hvac")


def leases(app):
    creds = app.secrets.database.generate_credentials("app-readonly")
    refusal = refused(exceptions.Forbidden, app.secrets.database.list_roles)
    check("the message of a refusal", "permission denied" in refusal)
    lease = system.read_lease(creds["lease_id"])["data"]
    check("read_lease", lease["id"] == creds["lease_id"] and lease["renewable"] and lease["ttl"] > 0)
    listed = system.list_leases("database/creds/app-readonly")["data"]["keys"]
    check("list_leases", creds["lease_id"].endswith(listed[0]))
    check("renew_lease", system.renew_lease(creds["lease_id"], increment=2)["lease_duration"] > 0)
    check("counted", client.read("sys/leases/count")["data"]["lease_count"] > 0)
    system.revoke_prefix("database/creds/app-readonly")
    for call in (system.read_lease, system.renew_lease):
        refused(exceptions.InvalidRequest, call, creds["lease_id"])
    system.revoke_force("database/creds/app-readonly")
    app.logout(revoke_token=True)
    approle.delete_role("hvac")


def without_a_method_of_its_own():
    """What hvac reaches by path alone."""
    check("plugins", "database" in str(client.read("sys/plugins/catalog")["data"]))
    client.write("sys/quotas/rate-limit/all", rate=10000)
    check("a quota", client.read("sys/quotas/rate-limit/all")["data"]["rate"] == 10000)
    check("quotas", client.list("sys/quotas/rate-limit")["data"]["keys"] == ["all"])
    client.write("sys/quotas/config", rate_limit_exempt_paths=["sys/leases/*"])
    check("exempt paths", client.read("sys/quotas/config")["data"]["rate_limit_exempt_paths"] == ["sys/leases/*"])
    client.delete("sys/quotas/rate-limit/all")
    check("no quota", client.read("sys/quotas/rate-limit/all") is None)
    check("mounts to see", "database/" in client.read("sys/internal/ui/mounts")["data"]["secret"])
    check("openapi", "openapi" in client.read("sys/internal/specs/openapi"))


status()
keys()
sealing(rekeying())
mounts()
audit()
policies()
token_lives()
token_roles()
older_names()
wrapping()
user_pass()
other_methods()
databases()
leases(app_role())
without_a_method_of_its_own()
for api in (system, tokens, approle, userpass, database):
    check("these were not called: %s" % sorted(api.missed()), not api.missed())
print("all calls answered")
