package postgresql

import (
	"context"
	"time"

	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"

	"github.com/novatech/securevault/server/engines/database/fault"
)

// rdsIAM is the credential_type of roles that log in with tokens of AWS.
const rdsIAM = "rds_iam"

const defaultRDSCreation = `CREATE ROLE "{{name}}" LOGIN; GRANT rds_iam TO "{{name}}"`

// tokenLife is how long a token of AWS lets its owner log in. Sessions that are
// open by then go on.
const tokenLife = 15 * time.Minute

// Issues returns the one credential type whose secret is not a password of ours.
func (d *Database) Issues() []string { return []string{rdsIAM} }

// Issue creates a role that logs in with tokens. Its owner makes them with an
// identity of its own at AWS; if the config has one, the first comes with the
// answer: password, and password_expiration in seconds since 1970.
func (d *Database) Issue(ctx context.Context, kind, name string, req dbplugin.NewUserRequest) (data map[string]any, warnings []string, err error) {
	if kind != rdsIAM {
		return nil, nil, fault.New(fault.Refused, "credential_type %q is unknown to PostgreSQL: use password, client_certificate or %s", kind, rdsIAM)
	}
	data = map[string]any{}
	if d.aws != nil { // before the role exists: nothing is left if it fails
		token, err := limited(ctx, d.aws, endpoint(d.pool.Config().ConnConfig), name)
		if err != nil {
			return nil, nil, err
		}
		data["password"], data["password_expiration"] = token, time.Now().Add(tokenLife).Unix()
	}
	warnings, err = d.newRole(ctx, name, req, defaultRDSCreation, nil)
	return data, warnings, err
}
