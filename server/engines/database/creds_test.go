package database

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/jackc/pgx/v5"

	"github.com/novatech/securevault/server/core/password"
	"github.com/novatech/securevault/server/engines/enginetest"
	"github.com/novatech/securevault/server/engines/enginetest/postgrestest"
)

func TestTheGuidesRolesDoWhatTheirNamesSay(t *testing.T) {
	cases := map[string]struct {
		creation           string
		allowed, forbidden string
	}{
		"app-readonly":  {guideReadonly, "SELECT * FROM orders", "INSERT INTO orders VALUES (2)"},
		"app-readwrite": {guideReadwrite, "INSERT INTO orders VALUES (2)", "DROP TABLE orders"},
	}
	mount, database := mountShop(t)
	for role, test := range cases {
		t.Run(role, func(t *testing.T) {
			mount.MustWrite(t, "roles/"+role, with(readonlyRole(), map[string]any{"creation_statements": test.creation}))
			lease := mount.MustIssue(t, "creds/"+role)
			conn := server.Connect(t, usernameOf(lease), passwordOf(lease), database)
			if err := run(t.Context(), conn, test.allowed); err != nil {
				t.Errorf("%s: %v", test.allowed, err)
			}
			if err := run(t.Context(), conn, test.forbidden); err == nil {
				t.Errorf("%s was let through", test.forbidden)
			}
			if err := mount.Revoke(t.Context(), lease); err != nil {
				t.Fatal(err)
			}
			if roleExists(t, usernameOf(lease)) {
				t.Error("the role outlived its lease")
			}
		})
	}
}

func TestTheLeaseFollowsTheRole(t *testing.T) {
	mount, _ := mountShop(t)
	mount.MustWrite(t, "roles/app", map[string]any{"default_ttl": "10m", "max_ttl": 7200})
	lease := mount.MustIssue(t, "creds/app")
	if lease.Secret.TTL != 10*time.Minute || lease.Secret.MaxTTL != 2*time.Hour || !lease.Secret.Renewable {
		t.Errorf("the lease has ttl %s, max ttl %s, renewable %t", lease.Secret.TTL, lease.Secret.MaxTTL, lease.Secret.Renewable)
	}
	if _, told := lease.Data["role"]; told || len(lease.Data) != 2 {
		t.Errorf("the answer has the fields %v, want username and password", lease.Data)
	}
}

func TestARenewalMovesTheExpirationButNotPastMaxTTL(t *testing.T) {
	mount, _ := mountShop(t)
	mount.MustWrite(t, "roles/app", map[string]any{
		"creation_statements": `CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'`,
		"default_ttl":         "1h", "max_ttl": "3h",
	})
	lease := mount.MustIssue(t, "creds/app")
	checkExpiration(t, lease, time.Hour)
	if _, err := mount.Renew(t.Context(), lease, 2*time.Hour); err != nil {
		t.Fatal(err)
	}
	checkExpiration(t, lease, 2*time.Hour+longestStep)
	renewed, err := mount.Renew(t.Context(), lease, 9*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	checkExpiration(t, lease, 3*time.Hour)
	if renewed.MaxTTL != 3*time.Hour {
		t.Errorf("the renewal answers with max ttl %s, want the role's", renewed.MaxTTL)
	}
}

func TestRenewalsReachTheDatabaseWhenTheyNeed(t *testing.T) {
	mount, database := mountShop(t)
	lease := mount.MustIssue(t, "creds/app")
	renew := func(increment time.Duration) time.Time {
		t.Helper()
		secret, err := mount.Renew(t.Context(), lease, increment)
		if err != nil {
			t.Fatal(err)
		}
		lease.Secret = secret
		return postgrestest.Scalar[time.Time](t, server, database, "SELECT rolvaliduntil FROM pg_roles WHERE rolname = $1", usernameOf(lease))
	}
	first := renew(2 * time.Hour)
	if again := renew(2 * time.Hour); !again.Equal(first) {
		t.Errorf("renewed at once, the deadline moves from %s to %s", first, again)
	}
	if longer := renew(3 * time.Hour); longer.Before(first.Add(59 * time.Minute)) {
		t.Errorf("renewed by an hour more, the deadline moves from %s to %s", first, longer)
	}
	if shorter := renew(time.Hour); shorter.After(first) {
		t.Errorf("renewed by less, the deadline stays at %s", shorter)
	}
	mount.MustWrite(t, "roles/app", map[string]any{"renew_statements": `ALTER ROLE "{{name}}" CONNECTION LIMIT 7`})
	renew(time.Hour)
	if postgrestest.Scalar[int](t, server, database, "SELECT rolconnlimit FROM pg_roles WHERE rolname = $1", usernameOf(lease)) != 7 {
		t.Error("the statements of the role are not run at each renewal")
	}
}

func checkExpiration(t *testing.T, lease *enginetest.Lease, want time.Duration) {
	t.Helper()
	until := postgrestest.Scalar[time.Time](t, server, postgrestest.Database, "SELECT rolvaliduntil FROM pg_roles WHERE rolname = $1", usernameOf(lease))
	if off := time.Until(until) - want; off < -10*time.Second || off > 10*time.Second {
		t.Errorf("the role expires in %s, want %s", time.Until(until), want)
	}
}

func TestRenewingADroppedRoleIsRefusedForGood(t *testing.T) {
	mount, database := mountShop(t)
	lease := mount.MustIssue(t, "creds/app")
	server.Exec(t, database, fmt.Sprintf(`DROP OWNED BY %q; DROP ROLE %q`, usernameOf(lease), usernameOf(lease)))
	response, err := mount.Handle(t.Context(), logical.RenewRequest("", lease.Secret, nil))
	wantError(t, err, "no longer exists on the server: create it again, or request new credentials")
	if got := statusOf(t, response, err); got != 400 {
		t.Errorf("status is %d, want 400", got)
	}
}

func TestRenewingWithoutTheRoleDefinitionIsRefused(t *testing.T) {
	mount, _ := mountShop(t)
	lease := mount.MustIssue(t, "creds/app")
	if _, err := mount.Handle(t.Context(), &logical.Request{Operation: logical.DeleteOperation, Path: "roles/app"}); err != nil {
		t.Fatal(err)
	}
	_, err := mount.Renew(t.Context(), lease, 0)
	wantError(t, err, `role "app" no longer exists`)
	if err := mount.Revoke(t.Context(), lease); err != nil {
		t.Errorf("revoking by what the lease remembers: %v", err)
	}
	if roleExists(t, usernameOf(lease)) {
		t.Error("the role outlived its lease")
	}
}

func TestRequestsThatCannotSucceedSayWhatToDo(t *testing.T) {
	mount, _ := mountShop(t)
	roles := map[string]struct {
		changes map[string]any
		want    string
	}{
		"typo":     {map[string]any{"creation_statements": `CREATE ROLE "{{nmae}}"`}, "unknown placeholder {{nmae}}: use {{expiration}}, {{name}}, {{password}}, {{username}}"},
		"empty":    {map[string]any{"creation_statements": ""}, "creation_statements is empty"},
		"open":     {map[string]any{"creation_statements": "BEGIN;" + guideReadonly}, "leave a transaction open"},
		"nowhere":  {map[string]any{"db_name": "missing"}, `unknown config "missing": write config/missing first`},
		"syntax":   {map[string]any{"creation_statements": `CREATE ROLE "{{name}}" PASSWORD {{password}}`}, "correct the SQL"},
		"nopolicy": {map[string]any{"credential_config": map[string]any{"password_policy": "absent"}}, "write sys/policies/password/absent first"},
	}
	before := countRoles(t)
	for name, test := range roles {
		t.Run(name, func(t *testing.T) {
			mount.MustWrite(t, "roles/"+name, with(readonlyRole(), test.changes))
			response, err := mount.Handle(t.Context(), &logical.Request{Operation: logical.ReadOperation, Path: "creds/" + name})
			wantError(t, err, test.want)
			if got := statusOf(t, response, err); got != 400 {
				t.Errorf("status is %d, want 400", got)
			}
		})
	}
	_, err := mount.Issue(t.Context(), "creds/unheard")
	wantError(t, err, `unknown role "unheard": write roles/unheard first`)
	if got := countRoles(t); got != before {
		t.Errorf("%d roles were left behind", got-before)
	}
}

func countRoles(t *testing.T) int {
	t.Helper()
	return postgrestest.Scalar[int](t, server, postgrestest.Database, "SELECT count(*) FROM pg_roles")
}

func TestACreationThatFailsHalfWayLeavesNothingBehind(t *testing.T) {
	mount, _ := mountShop(t)
	statements := map[string]any{
		"one text": guideReadonly + `GRANT SELECT ON missing TO "{{name}}"`,
		"a list":   []string{guideReadonly + " -- all tables", `GRANT SELECT ON missing TO "{{name}}"`},
		"a JSON list in one text": `["CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}'",
			"GRANT SELECT ON missing TO \"{{name}}\""]`,
		"a commit in the middle": `BEGIN; CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}'; COMMIT; GRANT SELECT ON missing TO "{{name}}"`,
	}
	before := countRoles(t)
	for name, text := range statements {
		t.Run(name, func(t *testing.T) {
			mount.MustWrite(t, "roles/app", map[string]any{"creation_statements": text})
			_, err := mount.Issue(t.Context(), "creds/app")
			wantError(t, err, `relation "missing" does not exist`)
			if got := countRoles(t); got != before {
				t.Errorf("%d roles were left behind", got-before)
			}
		})
	}
}

func TestARequestThatEndsWhileItsUserIsMadeLeavesNothingBehind(t *testing.T) {
	mount, database := mountShop(t)
	mount.MustWrite(t, "roles/app", map[string]any{"creation_statements": guideReadonly + "SELECT pg_sleep(3)"})
	before := countRoles(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	issued := make(chan error, 1)
	go func() {
		_, err := mount.Issue(ctx, "creds/app")
		issued <- err
	}()
	const makers = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND state = 'active' AND query LIKE '%pg_sleep(3)%' AND pid <> pg_backend_pid()"
	underWay := func() bool { return postgrestest.Scalar[int](t, server, database, makers, database) > 0 }
	for !underWay() {
		time.Sleep(10 * time.Millisecond)
	}
	cancel()
	wantError(t, <-issued, "running creation_statements")
	for underWay() { // it would commit at its end
		time.Sleep(10 * time.Millisecond)
	}
	if got := countRoles(t); got != before {
		t.Errorf("%d roles were left behind", got-before)
	}
}

func TestBodiesWithSemicolonsAndCommentsAreOneStatement(t *testing.T) {
	mount, database := mountShop(t)
	mount.MustWrite(t, "roles/app", map[string]any{"creation_statements": `
		-- the role; it's "quoted
		DO $make$ BEGIN
			EXECUTE 'CREATE ROLE "{{name}}" LOGIN PASSWORD ''{{password}}''';
			EXECUTE 'COMMENT ON ROLE "{{name}}" IS ''a;b''';
		END $make$ /* ; ' */`})
	lease := mount.MustIssue(t, "creds/app")
	server.Connect(t, usernameOf(lease), passwordOf(lease), database)
	comment := postgrestest.Scalar[string](t, server, postgrestest.Database,
		"SELECT shobj_description(oid, 'pg_authid') FROM pg_roles WHERE rolname = $1", usernameOf(lease))
	if comment != "a;b" {
		t.Errorf("the comment is %q", comment)
	}
}

func TestADefaultUsernameFitsAndNamesItsOrigin(t *testing.T) {
	mount, _ := mountShop(t)
	lease, err := mount.IssueAs(t.Context(), "creds/app", "approle-of-a-rather-long-name")
	if err != nil {
		t.Fatal(err)
	}
	if name := usernameOf(lease); !strings.HasPrefix(name, "v-approle-app-") || len(name) > 63 {
		t.Errorf("the username is %q", name)
	}
}

func TestPasswordsFollowTheNearestPolicy(t *testing.T) {
	mount, database := mountShop(t)
	for name, charset := range map[string]string{"letters": "abcdef", "digits": "0123456789", "quotes": "'"} {
		policy := password.Policy{Length: 30, Rules: []password.Rule{{Charset: charset}}}
		mount.System.SetPasswordPolicy(name, func() (string, error) { return policy.Generate(t.Context(), nil) })
	}
	lease := mount.MustIssue(t, "creds/app")
	if secret := passwordOf(lease); len(secret) != 20 || !strings.Contains(secret, "-") {
		t.Error("the default password has not 20 characters with a dash")
	}
	mount.MustWrite(t, "config/shop", map[string]any{"password_policy": "letters"})
	lease = mount.MustIssue(t, "creds/app")
	if secret := passwordOf(lease); len(secret) != 30 || strings.Trim(secret, "abcdef") != "" {
		t.Error("the config's policy was not used")
	}
	mount.MustWrite(t, "roles/app", map[string]any{"credential_config": "password_policy=digits"})
	lease = mount.MustIssue(t, "creds/app")
	if secret := passwordOf(lease); len(secret) != 30 || strings.Trim(secret, "0123456789") != "" {
		t.Error("the role's policy was not used")
	}
	server.Connect(t, usernameOf(lease), passwordOf(lease), database)
	mount.MustWrite(t, "roles/app", map[string]any{"credential_config": map[string]any{"password_policy": "quotes"}})
	_, err := mount.Issue(t.Context(), "creds/app")
	wantError(t, err, "{{password}} holds the character '\\''")
}

func TestAllowedRolesAreEnforced(t *testing.T) {
	cases := map[string]struct {
		allowed any
		issued  bool
	}{
		"everything": {"*", true}, "by name": {"other,app", true}, "by glob": {[]string{"a*"}, true},
		"nothing": {"", false}, "others": {"app-readonly,ap", false},
	}
	mount, _ := mountShop(t)
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			mount.MustWrite(t, "config/shop", map[string]any{"allowed_roles": test.allowed})
			_, err := mount.Issue(t.Context(), "creds/app")
			if test.issued && err != nil {
				t.Error(err)
			}
			if !test.issued {
				wantError(t, err, `role "app" may not use config "shop": add it to allowed_roles of config/shop`)
			}
		})
	}
}

func TestAHostThatDoesNotAnswerFailsWithinTenSeconds(t *testing.T) {
	mount, database := mountShop(t)
	lease := mount.MustIssue(t, "creds/app")
	silent := silentHost(t)
	mount.MustWrite(t, "config/shop", map[string]any{
		"connection_url":    "postgresql://{{username}}:{{password}}@" + silent + "/" + database,
		"verify_connection": false,
	})
	begun := time.Now()
	response, err := mount.Handle(t.Context(), &logical.Request{Operation: logical.ReadOperation, Path: "creds/app"})
	wantError(t, err, "did not answer in time")
	if got := statusOf(t, response, err); got != 502 {
		t.Errorf("status is %d, want 502", got)
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
	wantError(t, mount.Revoke(t.Context(), lease), "revoking user")
	mount.MustWrite(t, "config/shop", superuserConfig(database))
	if err := mount.Revoke(t.Context(), lease); err != nil {
		t.Errorf("revoking once the host is back: %v", err)
	}
}

// silentHost accepts connections and never says a word.
func silentHost(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = conn.Close() })
		}
	}()
	t.Cleanup(func() { _ = listener.Close() })
	return listener.Addr().String()
}

func TestASlowDatabaseDelaysOnlyItsOwnUsers(t *testing.T) {
	mount, database := mountShop(t)
	mount.MustWrite(t, "config/slow", with(superuserConfig(database), map[string]any{
		"connection_url":    "postgresql://{{username}}:{{password}}@" + silentHost(t) + "/x",
		"verify_connection": false,
	}))
	mount.MustWrite(t, "roles/slow", with(readonlyRole(), map[string]any{"db_name": "slow"}))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := mount.Issue(ctx, "creds/slow")
		done <- err
	}()
	begun := time.Now()
	mount.MustIssue(t, "creds/app")
	if took := time.Since(begun); took > 3*time.Second {
		t.Errorf("the other database's user took %s", took)
	}
	cancel()
	if err := <-done; err == nil {
		t.Error("the silent host issued a credential")
	}
}

func TestAUserMadeByHandWithATakenNameIsLeftAlone(t *testing.T) {
	mount, _ := mountShop(t)
	server.Exec(t, postgrestest.Database, "CREATE ROLE taken LOGIN")
	t.Cleanup(func() {
		conn, err := pgx.Connect(context.Background(), server.URL(postgrestest.Superuser, postgrestest.Password, postgrestest.Database))
		if err == nil {
			_, err = conn.Exec(context.Background(), "DROP ROLE taken")
			err = errors.Join(err, conn.Close(context.Background()))
		}
		if err != nil {
			t.Error(err)
		}
	})
	mount.MustWrite(t, "roles/app", map[string]any{"creation_statements": `CREATE ROLE taken; CREATE ROLE "{{name}}"`})
	_, err := mount.Issue(t.Context(), "creds/app")
	wantError(t, err, `role "taken" already exists`)
	if !roleExists(t, "taken") {
		t.Error("somebody else's role was dropped")
	}
}

func TestWarningsOfTheDatabaseReachTheClient(t *testing.T) {
	mount, database := mountShop(t)
	admin := "weak_" + database
	server.Exec(t, database, fmt.Sprintf(`CREATE ROLE %[1]s LOGIN CREATEROLE PASSWORD 'weak'; GRANT SELECT ON orders TO %[1]s`, admin))
	mount.MustWrite(t, "config/shop", map[string]any{"username": admin, "password": "weak"})
	mount.MustWrite(t, "roles/app", map[string]any{
		"creation_statements": `CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}'; GRANT SELECT ON orders TO "{{name}}"`,
	})
	response, err := mount.Handle(t.Context(), &logical.Request{Operation: logical.ReadOperation, Path: "creds/app"})
	if err != nil || response.IsError() {
		t.Fatal(err, response)
	}
	if len(response.Warnings) != 1 || !strings.Contains(response.Warnings[0], `no privileges were granted for "orders"`) {
		t.Errorf("the warnings are %q", response.Warnings)
	}
	if err := mount.Revoke(t.Context(), &enginetest.Lease{Secret: response.Secret}); err != nil {
		t.Error(err)
	}
}

func TestPasswordsCanBeKeptFromTheServer(t *testing.T) {
	mount, database := mountShop(t)
	mount.MustWrite(t, "config/shop", map[string]any{"password_authentication": "scram-sha-256"})
	mount.MustWrite(t, "roles/app", map[string]any{
		"creation_statements": `DO $make$ BEGIN CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}'; END $make$;
			COMMENT ON ROLE "{{name}}" IS '{{password}}'`,
	})
	lease := mount.MustIssue(t, "creds/app")
	server.Connect(t, usernameOf(lease), passwordOf(lease), database)
	seen := postgrestest.Scalar[string](t, server, database, "SELECT shobj_description(oid, 'pg_authid') FROM pg_roles WHERE rolname = $1", usernameOf(lease))
	if !strings.HasPrefix(seen, "SCRAM-SHA-256$4096:") {
		t.Errorf("the server has seen %q", seen)
	}
	_, err := mount.Write(t.Context(), "config/shop", map[string]any{"password_authentication": "md5"})
	wantError(t, err, "password_authentication \"md5\" is unknown")
}
