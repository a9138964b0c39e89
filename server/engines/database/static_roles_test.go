package database

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/jackc/pgx/v5"

	"github.com/novatech/securevault/server/engines/enginetest"
	"github.com/novatech/securevault/server/engines/enginetest/postgrestest"
)

const (
	staticUser    = "reporting"
	firstOfStatic = "first-static-password"
)

// mountStatic mounts the shop with a user for static roles.
func mountStatic(t *testing.T) (*enginetest.Mount, string) {
	t.Helper()
	mount, database := mountShop(t)
	server.Exec(t, database, fmt.Sprintf(`CREATE ROLE %q LOGIN PASSWORD '%s'`, staticUser, firstOfStatic))
	t.Cleanup(func() { dropRole(t, staticUser) })
	return mount, database
}

func reportingRole() map[string]any {
	return map[string]any{"db_name": "shop", "username": staticUser, "rotation_period": "24h"}
}

func staticLogsIn(t *testing.T, password string) bool {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), server.URL(staticUser, password, postgrestest.Database))
	if err == nil {
		_ = conn.Close(t.Context())
	}
	return err == nil
}

func storedStatic(t *testing.T, mount *enginetest.Mount, name string) *staticRole {
	t.Helper()
	stored, err := loadStatic(t.Context(), mount.Storage, name)
	if err != nil || stored == nil {
		t.Fatalf("loading the static role: %v, %v", stored, err)
	}
	return stored
}

func TestAStaticRoleTakesItsUserOver(t *testing.T) {
	mount, _ := mountStatic(t)
	mount.MustWrite(t, "static-roles/report", reportingRole())
	if staticLogsIn(t, firstOfStatic) {
		t.Error("the old password still logs in")
	}
	creds, err := mount.Read(t.Context(), "static-creds/report")
	if err != nil {
		t.Fatal(err)
	}
	if creds["username"] != staticUser || !staticLogsIn(t, creds["password"].(string)) {
		t.Error("the credentials that are told do not log in")
	}
	if ttl := creds["ttl"].(int64); ttl > 86400 || ttl < 86390 || creds["rotation_period"] != int64(86400) {
		t.Errorf("ttl is %v, rotation_period %v", ttl, creds["rotation_period"])
	}
	if set := creds["last_vault_rotation"].(time.Time); time.Since(set) > time.Minute {
		t.Errorf("last_vault_rotation is %s", set)
	}
	role, err := mount.Read(t.Context(), "static-roles/report")
	if err != nil {
		t.Fatal(err)
	}
	if role["db_name"] != "shop" || role["username"] != staticUser || role["rotation_period"] != int64(86400) || role["credential_type"] != "password" {
		t.Errorf("the role is read as %v", role)
	}
	if text := asJSON(t, role); strings.Contains(text, creds["password"].(string)) {
		t.Error("the role shows its password")
	}
	listed, err := mount.Handle(t.Context(), &logical.Request{Operation: logical.ListOperation, Path: "static-roles/"})
	if err != nil || !slices.Equal(listed.Data["keys"].([]string), []string{"report"}) {
		t.Errorf("listed %v, %v", listed, err)
	}
}

func TestRotatingAStaticRoleLocksTheOldPasswordOut(t *testing.T) {
	mount, _ := mountStatic(t)
	mount.System.SetPasswordPolicy("short", func() (string, error) { return "by-policy-" + time.Now().Format("150405.000000000"), nil })
	mount.MustWrite(t, "static-roles/report", with(reportingRole(), map[string]any{
		"rotation_statements": []string{`ALTER ROLE "{{name}}" PASSWORD '{{password}}'`, `COMMENT ON ROLE "{{username}}" IS 'rotated'`},
		"credential_config":   map[string]any{"password_policy": "short"},
	}))
	before := staticPassword(t, mount, "report")
	mount.MustWrite(t, "rotate-role/report", nil)
	after := staticPassword(t, mount, "report")
	if staticLogsIn(t, before) || !staticLogsIn(t, after) || !strings.HasPrefix(after, "by-policy-") {
		t.Error("the password was not rotated, or not by its policy")
	}
	mount.Restart(t, Factory)
	if staticPassword(t, mount, "report") != after {
		t.Error("the password was forgotten by a restart")
	}
}

func TestDeletingAStaticRoleLeavesItsUser(t *testing.T) {
	mount, _ := mountStatic(t)
	mount.MustWrite(t, "static-roles/report", reportingRole())
	password := staticPassword(t, mount, "report")
	_, err := mount.Handle(t.Context(), &logical.Request{Operation: logical.DeleteOperation, Path: "config/shop"})
	wantError(t, err, `used by the static roles report`)
	if _, err := mount.Handle(t.Context(), &logical.Request{Operation: logical.DeleteOperation, Path: "static-roles/report"}); err != nil {
		t.Fatal(err)
	}
	if !staticLogsIn(t, password) {
		t.Error("the user was touched")
	}
	_, err = mount.Read(t.Context(), "static-creds/report")
	wantError(t, err, `unknown static role "report": write static-roles/report first`)
	if _, err := mount.Handle(t.Context(), &logical.Request{Operation: logical.DeleteOperation, Path: "config/shop"}); err != nil {
		t.Errorf("a config without static roles: %v", err)
	}
}

func TestAWrongStaticRoleIsRefusedAndNotStored(t *testing.T) {
	cases := map[string]struct {
		changes map[string]any
		want    string
	}{
		"no config":          {map[string]any{"db_name": nil}, "db_name is missing"},
		"unknown config":     {map[string]any{"db_name": "other"}, `unknown config "other": write config/other first`},
		"no user":            {map[string]any{"username": nil}, "username is missing"},
		"unknown user":       {map[string]any{"username": "nobody-there"}, `"nobody-there" no longer exists`},
		"the admin":          {map[string]any{"username": strings.ToUpper(postgrestest.Superuser)}, "rotate its password with rotate-root/shop"},
		"another's user":     {map[string]any{"username": "taken"}, `static role "first" rotates user "taken"`},
		"injection":          {map[string]any{"username": `x" SUPERUSER PASSWORD 'y'; --`}, "could end the quotes"},
		"placeholder":        {map[string]any{"rotation_statements": `ALTER ROLE "{{user}}"`}, "unknown placeholder {{user}}"},
		"no period":          {map[string]any{"rotation_period": nil}, "rotation_period is missing"},
		"short period":       {map[string]any{"rotation_period": "4s"}, "too short: write 5s or more"},
		"both":               {map[string]any{"rotation_schedule": "@daily"}, "exclude each other"},
		"window alone":       {map[string]any{"rotation_window": "1h"}, "rotation_window belongs to rotation_schedule"},
		"bad schedule":       {map[string]any{"rotation_period": nil, "rotation_schedule": "soon"}, "rotation_schedule cannot be read"},
		"time zone":          {map[string]any{"rotation_period": 0, "rotation_schedule": "TZ=Europe/Paris 0 4 * * *"}, "it is in UTC"},
		"no such day":        {map[string]any{"rotation_period": 0, "rotation_schedule": "0 0 30 2 *"}, "names no day that exists"},
		"short window":       {map[string]any{"rotation_period": 0, "rotation_schedule": "@daily", "rotation_window": 5}, "write 1m0s or more"},
		"certificate":        {map[string]any{"credential_type": "client_certificate"}, "static roles rotate passwords"},
		"own password":       {map[string]any{"password": "mine-and-yours"}, "password is not taken"},
		"policy not written": {map[string]any{"credential_config": map[string]any{"password_policy": "absent"}}, "write sys/policies/password/absent first"},
	}
	mount, database := mountStatic(t)
	server.Exec(t, database, "CREATE ROLE taken LOGIN")
	t.Cleanup(func() { dropRole(t, "taken") })
	mount.MustWrite(t, "static-roles/first", with(reportingRole(), map[string]any{"username": "taken"}))
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			response, err := mount.Handle(t.Context(), &logical.Request{
				Operation: logical.UpdateOperation, Path: "static-roles/report", Data: with(reportingRole(), test.changes),
			})
			wantError(t, err, test.want, firstOfStatic, "mine-and-yours")
			if got := statusOf(t, response, err); got != 400 {
				t.Errorf("status is %d, want 400", got)
			}
			if stored, err := loadStatic(t.Context(), mount.Storage, "report"); stored != nil || err != nil {
				t.Errorf("the role is stored: %v, %v", stored, err)
			}
		})
	}
	if !staticLogsIn(t, firstOfStatic) {
		t.Error("the password of the user was changed all the same")
	}
}

// What went wrong without: the role was forgotten, and with it a password that
// the first of its statements may have set.
func TestATakeoverThatIsRefusedByItsStatementsCanBeMended(t *testing.T) {
	mount, _ := mountStatic(t)
	response, err := mount.Handle(t.Context(), &logical.Request{
		Operation: logical.UpdateOperation, Path: "static-roles/report",
		Data: with(reportingRole(), map[string]any{"rotation_statements": `ALTER ROLE "{{name}}" PASSWORD '{{password}}'; SELECT missing('{{password}}')`}),
	})
	wantError(t, err, `static role "report" is stored, but`)
	if got := statusOf(t, response, err); got != 400 {
		t.Errorf("status is %d, want 400", got)
	}
	_, err = mount.Read(t.Context(), "static-creds/report")
	wantError(t, err, "has no password yet")
	mount.MustWrite(t, "static-roles/report", map[string]any{"rotation_statements": ""})
	if !staticLogsIn(t, staticPassword(t, mount, "report")) {
		t.Error("the password that is told does not log in")
	}
}

func TestAStaticRoleKeepsItsUserAndItsConfigTheirAdmin(t *testing.T) {
	mount, _ := mountStatic(t)
	mount.MustWrite(t, "static-roles/report", reportingRole())
	_, err := mount.Write(t.Context(), "static-roles/report", map[string]any{"username": "another"})
	wantError(t, err, "cannot change")
	_, err = mount.Write(t.Context(), "config/shop", map[string]any{"username": staticUser})
	wantError(t, err, `rotated by static role "report"`)
	mount.MustWrite(t, "static-roles/report", map[string]any{"rotation_schedule": "0 4 * * *", "rotation_window": "2h"})
	creds, err := mount.Read(t.Context(), "static-creds/report")
	if err != nil || creds["rotation_schedule"] != "0 4 * * *" || creds["rotation_window"] != int64(7200) || creds["rotation_period"] != nil {
		t.Errorf("read %v, %v", creds, err)
	}
	mount.MustWrite(t, "config/shop", map[string]any{"allowed_roles": "app"})
	_, err = mount.Read(t.Context(), "static-creds/report")
	wantError(t, err, "add it to allowed_roles of config/shop")
}

func TestTheAdminIsKnownHoweverItsNameIsWritten(t *testing.T) {
	for details, want := range map[string]bool{
		`{"username": "Admin"}`: true,
		`{"connection_url": "mongodb://admin:p%40ss@db:27017/shop"}`:                         true,
		`{"connection_url": "mongodb://%61dmin@db:27017/shop"}`:                              true,
		`{"connection_url": "admin:p/ss@tcp(db:3306)/"}`:                                     true,
		`{"connection_url": "admin/pass@//db:1521/SHOP"}`:                                    true,
		`{"connection_url": "sqlserver://admin:pass@db:1433"}`:                               true,
		`{"connection_url": "host=db user=admin password=x"}`:                                true,
		`{"connection_url": "postgresql://db/shop?user=admin&sslmode=disable"}`:              true,
		`{"connection_url": "{{username}}:{{password}}@tcp(admin:3306)/", "username": ""}`:   false,
		`{"connection_url": "postgresql://{{username}}:{{password}}@db/admin?x=admin"}`:      false,
		`{"connection_url": "postgresql://other:pass@db/shop", "username": "administrator"}`: false,
	} {
		var c config
		if err := json.Unmarshal([]byte(details), &c.Details); err != nil {
			t.Fatal(err)
		}
		if got := c.isAdmin("admin"); got != want {
			t.Errorf("%s: got %t", details, got)
		}
	}
}

func TestAnImportThatIsSkippedWaitsForItsTime(t *testing.T) {
	mount, _ := mountStatic(t)
	mount.MustWrite(t, "static-roles/report", with(reportingRole(), map[string]any{"skip_import_rotation": true}))
	if !staticLogsIn(t, firstOfStatic) {
		t.Error("the password was changed")
	}
	_, err := mount.Read(t.Context(), "static-creds/report")
	wantError(t, err, "has no password yet: write rotate-role/report, or wait until")
	mount.MustWrite(t, "rotate-role/report", nil)
	if staticLogsIn(t, firstOfStatic) || !staticLogsIn(t, staticPassword(t, mount, "report")) {
		t.Error("the first rotation did not take the user over")
	}
}
