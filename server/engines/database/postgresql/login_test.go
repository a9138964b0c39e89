package postgresql_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/novatech/securevault/server/engines/database"
	"github.com/novatech/securevault/server/engines/enginetest"
	"github.com/novatech/securevault/server/engines/enginetest/postgrestest"
)

// The identity at Amazon of the server under test.
const (
	accessKey = "AKIDEXAMPLE"
	secretKey = "wJalrXUtnFEMI-K7MDENG+bPxRfiCYEXAMPLEKEY"
	region    = "eu-central-1"
)

// cloudAdmin makes the superuser that a token of a cloud belongs to.
func cloudAdmin(t *testing.T, name, group string) {
	t.Helper()
	quoted := pgx.Identifier{name}.Sanitize()
	server.Exec(t, postgrestest.Database, "CREATE ROLE "+quoted+" LOGIN SUPERUSER IN ROLE "+group)
	t.Cleanup(func() { mustExec(t, "DROP ROLE "+quoted) })
}

// mustExec is for clean-ups, when the test's context is over.
func mustExec(t *testing.T, statement string) {
	t.Helper()
	if _, err := admin.Exec(context.Background(), statement); err != nil {
		t.Errorf("running %q: %v", statement, err)
	}
}

// awsConfig is of an admin who logs in to the address with tokens.
func awsConfig(address, shop string, changes map[string]any) map[string]any {
	return with(map[string]any{
		"plugin_name": "postgresql-database-plugin", "allowed_roles": "*", "auth_type": "aws_iam",
		"connection_url": "postgresql://{{username}}@" + address + "/" + shop + "?sslmode=verify-full", "username": "aws_admin",
		"aws_region": region, "aws_access_key_id": accessKey, "aws_secret_access_key": secretKey, "tls_ca": string(authority.PEM()),
	}, changes)
}

func awsAt(address string) rds {
	return rds{endpoint: address, region: region, accessKey: accessKey, secret: secretKey}
}

func TestTokensOfAWSConform(t *testing.T) {
	shop, rdsFront := newShop(t), newFront(t)
	cloudAdmin(t, "aws_admin", "rds_iam")
	outage := enginetest.NewProxy(t, rdsFront.address())
	rdsFront.serve(awsAt(outage.Address()).check)
	roles := map[string]map[string]any{
		"rds_iam": {"db_name": "shop", "credential_type": "rds_iam", "creation_statements": `CREATE ROLE "{{name}}" LOGIN;
			GRANT rds_iam TO "{{name}}"; GRANT SELECT ON ALL TABLES IN SCHEMA public TO "{{name}}";`},
		"password": role(readonly),
	}
	for kind, given := range roles {
		t.Run(kind, func(t *testing.T) {
			enginetest.Suite{
				Factory: database.Factory,
				Setup:   []enginetest.Write{{Path: "config/shop", Data: awsConfig(outage.Address(), shop, nil)}, {Path: "roles/app", Data: given}},
				Creds:   "creds/app",
				Proxy:   outage,
				Users:   users,
				Login: func(ctx context.Context, data map[string]any) (enginetest.Session, error) {
					username, password := data["username"].(string), data["password"].(string)
					if kind == "password" {
						return login(ctx, server.URL(username, password, shop))
					}
					return loginTLS(ctx, outage.Address(), shop, username, password)
				},
			}.Run(t)
		})
	}
}

func TestARoleOfRDSIAMNeedsNoStatementsAndGetsATokenIfTheServerCanMakeOne(t *testing.T) {
	shop := newShop(t)
	cases := map[string]struct {
		config map[string]any
		token  bool
	}{
		"an identity at AWS": {map[string]any{"aws_region": region, "aws_access_key_id": accessKey, "aws_secret_access_key": secretKey}, true},
		"none":               {nil, false},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			mount := enginetest.NewMount(t, database.Factory)
			mount.MustWrite(t, "config/shop", with(config(server.Template(shop)), test.config))
			mount.MustWrite(t, "roles/app", map[string]any{"db_name": "shop", "credential_type": "rds_iam"})
			lease := mount.MustIssue(t, "creds/app")
			username := lease.Data["username"].(string)
			if !postgrestest.Scalar[bool](t, server, shop, "SELECT pg_has_role($1, 'rds_iam', 'MEMBER') AND rolpassword IS NULL FROM pg_authid WHERE rolname = $1", username) {
				t.Error("the role is no member of rds_iam, or has a password")
			}
			token, told := lease.Data["password"].(string)
			until, dated := lease.Data["password_expiration"].(int64)
			if told != test.token || dated != test.token {
				t.Fatalf("the answer has the fields %v", lease.Data)
			}
			if !test.token {
				return
			}
			if left := time.Until(time.Unix(until, 0)); left < 14*time.Minute || left > 15*time.Minute {
				t.Errorf("the token is good for %s, want 15 minutes", left)
			}
			if err := awsAt(address()).check(username, token); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAWSsDefaultChainIsUsedWhenTheConfigNamesNoKeys(t *testing.T) {
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": accessKey, "AWS_SECRET_ACCESS_KEY": secretKey, "AWS_SESSION_TOKEN": "temporary/+=", "AWS_REGION": "us-east-1",
		"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
	} {
		t.Setenv(name, value)
	}
	shop, rdsFront := newShop(t), newFront(t)
	cloudAdmin(t, "aws_admin", "rds_iam")
	check := awsAt(rdsFront.address())
	check.sessionToken, check.region = "temporary/+=", "us-east-1"
	rdsFront.serve(check.check)
	mount := enginetest.NewMount(t, database.Factory)
	mount.MustWrite(t, "config/shop", awsConfig(rdsFront.address(), shop, map[string]any{
		"aws_access_key_id": nil, "aws_secret_access_key": nil, "aws_region": nil,
	}))
}

func TestAWrongIdentityAtAWSIsRefusedWithAHint(t *testing.T) {
	shop, rdsFront := newShop(t), newFront(t)
	cloudAdmin(t, "aws_admin", "rds_iam")
	rdsFront.serve(awsAt(rdsFront.address()).check)
	for name, changes := range map[string]map[string]any{
		"another secret":           {"aws_secret_access_key": "not-the-secret-of-the-key"},
		"another region":           {"aws_region": "us-east-1"},
		"a role that is no member": {"username": postgrestest.Superuser},
	} {
		t.Run(name, func(t *testing.T) {
			mount := enginetest.NewMount(t, database.Factory)
			_, err := mount.Write(t.Context(), "config/shop", awsConfig(rdsFront.address(), shop, changes))
			wantError(t, err, "check that the role of this name was granted rds_iam", secretKey, "not-the-secret-of-the-key", "X-Amz-Signature")
		})
	}
}

func gcpConfig(address, shop string, changes map[string]any) map[string]any {
	return with(map[string]any{
		"plugin_name": "postgresql-database-plugin", "allowed_roles": "*", "auth_type": "gcp_iam",
		"connection_url": "host=" + strings.Replace(address, ":", " port=", 1) + " dbname=" + shop + " user={{username}} sslmode=verify-ca",
		"username":       accountUser, "tls_ca": string(authority.PEM()),
	}, changes)
}

func TestTokensOfGoogleConform(t *testing.T) {
	shop, sqlFront, cloud := newShop(t), newFront(t), newGoogle(t)
	cloudAdmin(t, accountUser, "cloudsqliamserviceaccount")
	sqlFront.serve(cloud.check)
	outage := enginetest.NewProxy(t, sqlFront.address())
	enginetest.Suite{
		Factory: database.Factory,
		Setup: []enginetest.Write{
			{Path: "config/shop", Data: gcpConfig(outage.Address(), shop, map[string]any{"service_account_json": cloud.account(t)})},
			{Path: "roles/app", Data: role(readonly)},
		},
		Creds: "creds/app",
		Proxy: outage,
		Users: users,
		Login: func(ctx context.Context, data map[string]any) (enginetest.Session, error) {
			return login(ctx, server.URL(data["username"].(string), data["password"].(string), shop))
		},
	}.Run(t)
}

func TestGooglesDefaultCredentialsAreUsedAndATokenThatEndsIsReplaced(t *testing.T) {
	shop, sqlFront, cloud := newShop(t), newFront(t), newGoogle(t)
	cloudAdmin(t, accountUser, "cloudsqliamserviceaccount")
	sqlFront.serve(cloud.check)
	cloud.life = 1
	file := filepath.Join(t.TempDir(), "key.json")
	if err := os.WriteFile(file, []byte(cloud.account(t)), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", file)
	mount := enginetest.NewMount(t, database.Factory)
	mount.MustWrite(t, "config/shop", gcpConfig(sqlFront.address(), shop, nil))
	mount.MustWrite(t, "config/shop", map[string]any{"max_open_connections": 1})
	if passed := sqlFront.passed(); len(passed) < 2 || slices.Equal(passed[:1], passed[1:2]) {
		t.Errorf("the connections logged in with the tokens %q, want another each time", passed)
	}
}

func TestGooglesRefusalReachesTheOperatorWithoutTheKey(t *testing.T) {
	shop, sqlFront, cloud := newShop(t), newFront(t), newGoogle(t)
	sqlFront.serve(cloud.check)
	stranger := newGoogle(t)
	stranger.server.Close()
	stranger.server = cloud.server
	mount := enginetest.NewMount(t, database.Factory)
	_, err := mount.Write(t.Context(), "config/shop", gcpConfig(sqlFront.address(), shop, map[string]any{"service_account_json": stranger.account(t)}))
	wantError(t, err, "asking Google for a token", "PRIVATE KEY", "assertion")
}

func TestIdentitiesThatDoNotFitAreRefused(t *testing.T) {
	for name, value := range map[string]string{"AWS_REGION": "", "AWS_DEFAULT_REGION": "", "AWS_CONFIG_FILE": "/dev/null"} {
		t.Setenv(name, value)
	}
	url := func(rest string) map[string]any {
		return map[string]any{"connection_url": "postgresql://{{username}}" + rest}
	}
	cases := map[string]struct {
		changes map[string]any
		says    string
	}{
		"an unknown type":        {map[string]any{"auth_type": "azure"}, `auth_type "azure" is unknown: use aws_iam, gcp_iam or none`},
		"a password as well":     {map[string]any{"password": "Wrong-Secret"}, `write password=""`},
		"a password in the URL":  {url(":Wrong-Secret@db.example/x"), "take the one in connection_url out"},
		"no TLS":                 {url("@db.example/x?sslmode=disable"), "write sslmode=verify-full"},
		"TLS if need be":         {url("@db.example/x?sslmode=allow"), "write sslmode=verify-full"},
		"several hosts":          {url("@a.example,b.example/x?sslmode=require"), "write one host and port"},
		"no region":              {map[string]any{"aws_region": nil}, "aws_region is missing"},
		"a key without a secret": {map[string]any{"aws_secret_access_key": nil}, "belong together"},
		"a key of another cloud": {map[string]any{"service_account_json": "{}"}, "write auth_type=gcp_iam or leave it out"},
		"settings of another":    {map[string]any{"auth_type": "gcp_iam"}, "aws_region and its like are not for auth_type gcp_iam"},
		"no service account":     {map[string]any{"auth_type": "gcp_iam", "aws_region": nil, "aws_access_key_id": nil, "aws_secret_access_key": nil, "service_account_json": `{"type":"external_account","secret":"Wrong-Secret"}`}, "is no key of a service account"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			mount := enginetest.NewMount(t, database.Factory)
			_, err := mount.Write(t.Context(), "config/shop", awsConfig("db.example:5432", "x", test.changes))
			wantError(t, err, test.says, "Wrong-Secret", secretKey)
		})
	}
}
