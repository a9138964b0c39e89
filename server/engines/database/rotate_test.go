package database

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/jackc/pgx/v5"

	"github.com/novatech/securevault/server/engines/database/fault"
	"github.com/novatech/securevault/server/engines/enginetest"
	"github.com/novatech/securevault/server/engines/enginetest/postgrestest"
)

const firstPassword = "first-admin-password"

// mountOwned mounts the engine with an admin whose password may change.
func mountOwned(t *testing.T) (*enginetest.Mount, string) {
	t.Helper()
	database := newShop(t)
	server.Exec(t, database, "CREATE ROLE vault_admin LOGIN SUPERUSER PASSWORD '"+firstPassword+"'")
	t.Cleanup(func() { dropRole(t, "vault_admin") })
	mount := enginetest.NewMount(t, Factory)
	mount.MustWrite(t, "config/shop", with(superuserConfig(database), map[string]any{"username": "vault_admin", "password": firstPassword}))
	mount.MustWrite(t, "roles/app", readonlyRole())
	return mount, database
}

func adminLogsIn(t *testing.T, password string) bool {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), server.URL("vault_admin", password, postgrestest.Database))
	if err == nil {
		_ = conn.Close(context.Background())
	}
	return err == nil
}

func storedConfig(t *testing.T, mount *enginetest.Mount) *config {
	t.Helper()
	stored, err := loadConfig(t.Context(), mount.Storage, "shop")
	if err != nil || stored == nil {
		t.Fatalf("loading the config: %v, %v", stored, err)
	}
	return stored
}

func TestRotatingTheRootPasswordLocksTheOldOneOut(t *testing.T) {
	mount, _ := mountOwned(t)
	mount.MustIssue(t, "creds/app")
	mount.MustWrite(t, "rotate-root/shop", nil)
	if adminLogsIn(t, firstPassword) {
		t.Error("the old password still logs in")
	}
	stored := storedConfig(t, mount)
	if !adminLogsIn(t, stored.password()) || stored.PendingPassword != "" {
		t.Error("the stored password does not log in, or one is still pending")
	}
	mount.MustIssue(t, "creds/app")
	mount.Restart(t, Factory)
	mount.MustIssue(t, "creds/app")
	mount.MustWrite(t, "config/shop", map[string]any{"password_policy": ""})
	if !adminLogsIn(t, storedConfig(t, mount).password()) {
		t.Error("a partial write forgot the rotated password")
	}
}

func TestCredentialsAreIssuedWhileTheRootPasswordRotates(t *testing.T) {
	mount, _ := mountOwned(t)
	var group sync.WaitGroup
	for range 3 {
		group.Go(func() {
			for range 10 {
				// A connection dialled between the database's change and ours is
				// refused; that is the one failure a rotation may cause.
				if _, err := mount.Issue(t.Context(), "creds/app"); err != nil && !strings.Contains(err.Error(), "28P01") {
					t.Error(err)
				}
			}
		})
	}
	for range 5 {
		mount.MustWrite(t, "rotate-root/shop", nil)
	}
	group.Wait()
	mount.MustIssue(t, "creds/app")
}

// brokenStorage fails every write after the first few, as a crash would.
type brokenStorage struct {
	logical.Storage
	writes int
}

func (s *brokenStorage) Put(ctx context.Context, entry *logical.StorageEntry) error {
	if s.writes--; s.writes < 0 {
		return errors.New("storage is gone")
	}
	return s.Storage.Put(ctx, entry)
}

func TestACrashBetweenDatabaseAndStorageLocksNobodyOut(t *testing.T) {
	mount, _ := mountOwned(t)
	whole := mount.Storage
	mount.Storage = &brokenStorage{Storage: whole, writes: 1}
	if _, err := mount.Write(t.Context(), "rotate-root/shop", nil); err == nil {
		t.Fatal("the rotation succeeded without storage")
	}
	mount.Storage = whole
	if adminLogsIn(t, firstPassword) {
		t.Fatal("the database still has the old password, the test proves nothing")
	}
	mount.Restart(t, Factory)
	mount.MustIssue(t, "creds/app")
	if stored := storedConfig(t, mount); stored.PendingPassword != "" || !adminLogsIn(t, stored.password()) {
		t.Error("the new password was not settled on")
	}
}

func TestACrashBeforeTheDatabaseChangedKeepsTheOldPassword(t *testing.T) {
	mount, _ := mountOwned(t)
	pending := storedConfig(t, mount)
	pending.PendingPassword = "never-reached-the-database"
	if err := store(t.Context(), mount.Storage, "config/shop", pending); err != nil {
		t.Fatal(err)
	}
	mount.Restart(t, Factory)
	mount.MustIssue(t, "creds/app")
	if stored := storedConfig(t, mount); stored.password() != firstPassword {
		t.Error("the old password was not settled on")
	}
	mount.MustWrite(t, "rotate-root/shop", nil)
	if stored := storedConfig(t, mount); stored.PendingPassword != "" || !adminLogsIn(t, stored.password()) {
		t.Error("the next rotation did not settle it")
	}
}

// A database carries out what it was sent also when it was too slow for whoever
// sent it, or that one has died.
func TestAPasswordThatTheDatabaseTakesLateIsNotForgotten(t *testing.T) {
	mount, fake := mountFake(t)
	mount.MustWrite(t, "roles/app", map[string]any{"db_name": "shop"})
	fake.failWith(func(context.Context, string) error { return fault.New(fault.Later, "no answer in time") })
	_, err := mount.Write(t.Context(), "rotate-root/shop", nil)
	wantError(t, err, "no answer in time", "admins")
	late := storedConfig(t, mount).PendingPassword
	mount.MustIssue(t, "creds/app")

	fake.failWith(nil)
	mount.MustWrite(t, "config/shop", map[string]any{"verify_connection": false})
	fake.set("admin", late)
	mount.MustIssue(t, "creds/app")
	if stored := storedConfig(t, mount); stored.password() != late || stored.PendingPassword != "" {
		t.Error("the password that the database took late was not settled on")
	}
}

// What went wrong without: the connection was kept that had been opened with the old
// password, and nothing but a reset or another start let the engine in again.
func TestAPasswordThatTheDatabaseTakesLateIsFoundByWhoeverNeedsIt(t *testing.T) {
	const late = "set-by-a-server-that-died"
	uses := map[string]func(*enginetest.Mount, *enginetest.Lease) error{
		"issue": func(mount *enginetest.Mount, _ *enginetest.Lease) error {
			_, err := mount.Issue(t.Context(), "creds/app")
			return err
		},
		"renewal": func(mount *enginetest.Mount, lease *enginetest.Lease) error {
			_, err := mount.Renew(t.Context(), lease, time.Hour)
			return err
		},
		"revocation": func(mount *enginetest.Mount, lease *enginetest.Lease) error { return mount.Revoke(t.Context(), lease) },
		"rotation of a static role": func(mount *enginetest.Mount, _ *enginetest.Lease) error {
			_, err := mount.Write(t.Context(), "rotate-role/report", nil)
			return err
		},
	}
	for name, use := range uses {
		t.Run(name, func(t *testing.T) {
			mount, database := mountOwned(t)
			server.Exec(t, database, "CREATE ROLE reporting LOGIN")
			t.Cleanup(func() { dropRole(t, "reporting") })
			mount.MustWrite(t, "static-roles/report", map[string]any{"db_name": "shop", "username": "reporting", "rotation_period": "24h"})
			interrupted := storedConfig(t, mount)
			interrupted.PendingPassword = late
			if err := store(t.Context(), mount.Storage, "config/shop", interrupted); err != nil {
				t.Fatal(err)
			}
			mount.Restart(t, Factory)
			lease := mount.MustIssue(t, "creds/app")
			server.Exec(t, database, "ALTER ROLE vault_admin PASSWORD '"+late+"'")
			server.Exec(t, database, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'vault_admin'")

			wantError(t, use(mount, lease), "", late, firstPassword) // may be a connection that is gone
			if err := use(mount, lease); err != nil {
				t.Errorf("the password is not found: %v", err)
			}
			if stored := storedConfig(t, mount); stored.password() != late || stored.PendingPassword != "" {
				t.Error("the password that the database took late was not settled on")
			}
		})
	}
}

func TestARotationOfWhichNobodyKnowsIsDoneAgainWithTheSamePassword(t *testing.T) {
	mount, fake := mountFake(t)
	fake.failWith(func(context.Context, string) error { return fault.New(fault.Later, "no answer in time") })
	_, err := mount.Write(t.Context(), "rotate-root/shop", nil)
	wantError(t, err, "no answer in time")
	pending := storedConfig(t, mount).PendingPassword
	fake.failWith(nil)
	mount.MustWrite(t, "rotate-root/shop", nil)
	if stored := storedConfig(t, mount); pending == "" || stored.password() != pending || stored.PendingPassword != "" {
		t.Error("another password was made up while the database may still take the first")
	}
}

// The first try may still be on its way when the second is refused.
func TestARefusalDoesNotForgetThePasswordOfAnEarlierTry(t *testing.T) {
	mount, fake := mountFake(t)
	mount.MustWrite(t, "roles/app", map[string]any{"db_name": "shop"})
	fake.failWith(func(context.Context, string) error { return fault.New(fault.Later, "no answer in time") })
	_, err := mount.Write(t.Context(), "rotate-root/shop", nil)
	wantError(t, err, "no answer in time")
	late := storedConfig(t, mount).PendingPassword
	fake.failWith(func(context.Context, string) error { return fault.New(fault.Refused, "not allowed") })
	_, err = mount.Write(t.Context(), "rotate-root/shop", nil)
	wantError(t, err, "not allowed", "admins")

	mount.MustWrite(t, "reset/shop", nil)
	fake.set("admin", late)
	mount.MustIssue(t, "creds/app")
	if stored := storedConfig(t, mount); stored.password() != late || stored.PendingPassword != "" {
		t.Error("the password that the database took late was not settled on")
	}
}

func TestStatementsThatFailAfterTheyChangedThePasswordLockNobodyOut(t *testing.T) {
	mount, fake := mountFake(t)
	mount.MustWrite(t, "config/shop", map[string]any{"root_rotation_statements": "ALTER USER; SELECT missing()", "verify_connection": false})
	fake.failWith(func(_ context.Context, username string) error {
		fake.set(username, storedConfig(t, mount).PendingPassword)
		return fault.New(fault.Refused, "missing() does not exist")
	})
	mount.MustWrite(t, "rotate-root/shop", nil)
	if stored := storedConfig(t, mount); stored.password() != fake.password("admin") || stored.PendingPassword != "" {
		t.Error("the password that the statements set was not settled on")
	}
}

func TestARotationThatTheDatabaseRefusesChangesNothing(t *testing.T) {
	cases := map[string]struct {
		changes map[string]any
		want    string
	}{
		"failing statement":       {map[string]any{"root_rotation_statements": `SELECT missing('{{password}}')`}, "does not exist"},
		"statement without sense": {map[string]any{"root_rotation_statements": `SELECT '{{password}}'`}, "still takes the old password"},
		"unknown placeholder":     {map[string]any{"root_rotation_statements": `{{secret}}`}, "unknown placeholder {{secret}}"},
		"policy unknown":          {map[string]any{"password_policy": "absent"}, "write sys/policies/password/absent first"},
	}
	mount, _ := mountOwned(t)
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			mount.MustWrite(t, "config/shop", map[string]any{"password_policy": "", "root_rotation_statements": ""})
			mount.MustWrite(t, "config/shop", test.changes)
			_, err := mount.Write(t.Context(), "rotate-root/shop", nil)
			wantError(t, err, test.want, firstPassword)
			if stored := storedConfig(t, mount); stored.PendingPassword != "" || stored.password() != firstPassword {
				t.Error("the stored password changed")
			}
			if !adminLogsIn(t, firstPassword) {
				t.Error("the old password no longer logs in")
			}
		})
	}
}

func TestALiteralPasswordCannotBeRotated(t *testing.T) {
	mount, database := mountShop(t)
	mount.MustWrite(t, "config/shop", map[string]any{"connection_url": server.URL(postgrestest.Superuser, postgrestest.Password, database)})
	_, err := mount.Write(t.Context(), "rotate-root/shop", nil)
	wantError(t, err, "does not use {{password}}")
	_, err = mount.Write(t.Context(), "rotate-root/unheard", nil)
	wantError(t, err, `unknown config "unheard"`)
}

func TestAConfigWithoutAPasswordHasNothingToRotate(t *testing.T) {
	cases := map[string]struct {
		login map[string]any
		want  string
	}{
		"tokens":        {map[string]any{"auth_type": "aws_iam"}, "it logs in with auth_type: write both to config/shop"},
		"a certificate": {map[string]any{"tls_certificate_key": "PEM"}, "it logs in with tls_certificate_key: write both"},
		"nothing":       {nil, `config "shop" has no username and password to rotate: write both`},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			mount, _ := mountFake(t)
			mount.MustWrite(t, "config/shop", map[string]any{"password": "", "verify_connection": false})
			mount.MustWrite(t, "config/shop", test.login)
			response, err := mount.Handle(t.Context(), &logical.Request{Operation: logical.UpdateOperation, Path: "rotate-root/shop"})
			wantError(t, err, test.want)
			if got := statusOf(t, response, err); got != 400 {
				t.Errorf("status is %d, want 400", got)
			}
		})
	}
}

func TestTheRootPasswordIsRotatedOnRequestOnly(t *testing.T) {
	mount, _ := mountFake(t)
	for field, value := range map[string]any{"rotation_period": "24h", "rotation_schedule": "@daily", "rotation_window": 3600} {
		_, err := mount.Write(t.Context(), "config/shop", map[string]any{field: value})
		wantError(t, err, field+": the admin's password is rotated on request only")
	}
	mount.MustWrite(t, "config/shop", map[string]any{
		"rotation_period": 0, "rotation_schedule": "", "rotation_window": nil, "disable_automated_rotation": false,
	})
}

func TestResetAndReloadOpenTheConnectionAnew(t *testing.T) {
	mount, database := mountShop(t)
	for _, path := range []string{"reset/shop", "reload/postgresql-database-plugin"} {
		mount.MustIssue(t, "creds/app")
		if ourSessions(t, database) == 0 {
			t.Fatal("no session to close")
		}
		mount.MustWrite(t, path, nil)
		if got := ourSessions(t, database); got != 0 {
			t.Errorf("%s left %d sessions", path, got)
		}
		mount.MustIssue(t, "creds/app")
	}
	_, err := mount.Write(t.Context(), "reset/unheard", nil)
	wantError(t, err, `unknown config "unheard"`)
	_, err = mount.Write(t.Context(), "reload/unheard", nil)
	wantError(t, err, `unknown plugin_name "unheard"`)
}
