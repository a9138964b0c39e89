package main

import (
	"fmt"
	"strings"
	"time"
)

// The short life that the demo gives its credentials, so that all of it fits
// into half a minute. The agent renews after about 4 and 8 s, and replaces at 10:
// with 16 s at most, every other play would see a third renewal, so late that the
// old credential ends by itself before its overlap is over.
const (
	defaultTTL = 8 * time.Second
	maxTTL     = 14 * time.Second
)

// step is a command to type, as the shell takes it, and a remark before it.
type step struct{ remark, command string }

// guide returns the PostgreSQL chapter of the guide, for a server at host:port.
func guide(address string) []step {
	const hostInGuide = "postgres.prod.internal:5432"
	steps := []step{
		{"", `securevault secrets enable database`},
		{
			"The guide's " + hostInGuide + " is " + address + " here; all else is as written.",
			`securevault write database/config/postgres-prod \
  plugin_name=postgresql-database-plugin \
  connection_url="postgresql://{{username}}:{{password}}@postgres.prod.internal:5432/mydb?sslmode=require" \
  allowed_roles="app-readonly,app-readwrite" \
  username="vault_admin" \
  password="initial-password"`,
		},
		{
			"The password policy that the guide takes for granted:",
			`securevault write sys/policies/password/db-password-policy \
    policy=@db-password-policy.hcl`,
		},
		{"", `securevault write database/config/postgres-prod \
    password_policy="db-password-policy"`},
		{
			"From now on nobody but the server knows the password of vault_admin.",
			`securevault write -force database/rotate-root/postgres-prod`,
		},
		{
			"A role as in the guide, with the semicolon that its print lost.",
			`securevault write database/roles/app-readonly \
    db_name=postgres-prod \
    creation_statements="CREATE ROLE \"{{name}}\" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL 'infinity'; \
        GRANT SELECT ON ALL TABLES IN SCHEMA public TO \"{{name}}\";" \
    revocation_statements="DROP ROLE IF EXISTS \"{{name}}\";" \
    default_ttl="1h" \
    max_ttl="24h"`,
		},
		{"", `securevault write database/roles/app-readwrite \
    db_name=postgres-prod \
    creation_statements="CREATE ROLE \"{{name}}\" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL 'infinity'; \
        GRANT ALL PRIVILEGES ON ALL TABLES IN SCHEMA public TO \"{{name}}\";" \
    revocation_statements="DROP ROLE IF EXISTS \"{{name}}\";" \
    default_ttl="1h" \
    max_ttl="8h"`},
	}
	for i := range steps {
		steps[i].command = strings.ReplaceAll(steps[i].command, hostInGuide, address)
	}
	return steps
}

// byHand returns what the guide does with a lease.
func byHand(leaseID string) []step {
	return []step{
		{"", "securevault lease renew -increment=2h " + leaseID},
		{"", "securevault lease revoke " + leaseID},
	}
}

// forTheAgent returns what is to be set up before an agent can start.
func forTheAgent() []step {
	return []step{
		{
			"An hour is long to watch: this role's credentials now live for seconds. " +
				"What is not named here stays as it is.",
			fmt.Sprintf(`securevault write database/roles/app-readonly \
    default_ttl=%s max_ttl=%s`, defaultTTL, maxTTL),
		},
		{"", `securevault policy write demo-app demo-app.hcl`},
		{"", `securevault write auth/approle/role/demo-app \
    token_policies=demo-app token_ttl=10m`},
		{"", `securevault read -field=role_id \
    auth/approle/role/demo-app/role-id > role-id`},
		{"", `securevault write -force -field=secret_id \
    auth/approle/role/demo-app/secret-id > secret-id`},
		{"", `cat agent.hcl`},
		{"", `cat db.ctmpl`},
	}
}
