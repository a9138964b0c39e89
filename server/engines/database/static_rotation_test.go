package database

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/engines/database/fault"
	"github.com/novatech/securevault/server/engines/enginetest"
	"github.com/novatech/securevault/server/engines/enginetest/postgrestest"
)

// wantSettled expects the engine to tell the password that the database has.
func wantSettled(t *testing.T, mount *enginetest.Mount) {
	t.Helper()
	told := staticPassword(t, mount, "report")
	if stored := storedStatic(t, mount, "report"); stored.Pending != "" || stored.Password != told {
		t.Error("the rotation is not settled")
	}
	if !staticLogsIn(t, told) {
		t.Error("the password that is told does not log in")
	}
}

func TestACrashDuringARotationLosesNoPassword(t *testing.T) {
	cases := map[string]struct{ writes int }{
		"before anything is stored":            {0},
		"after the database, before the store": {1},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			mount, _ := mountStatic(t)
			mount.MustWrite(t, "static-roles/report", reportingRole())
			before := staticPassword(t, mount, "report")
			whole := mount.Storage
			mount.Storage = &brokenStorage{Storage: whole, writes: test.writes}
			if _, err := mount.Write(t.Context(), "rotate-role/report", nil); err == nil {
				t.Fatal("the rotation succeeded without storage")
			}
			mount.Storage = whole
			if changed := !staticLogsIn(t, before); changed != (test.writes > 0) {
				t.Fatalf("the database was changed: %t, the test proves nothing", changed)
			}
			mount.Restart(t, Factory)
			wantSettled(t, mount)
		})
	}
}

func TestACrashBeforeTheDatabaseHeardOfAPasswordIsMadeUpFor(t *testing.T) {
	mount, _ := mountStatic(t)
	mount.MustWrite(t, "static-roles/report", reportingRole())
	interrupted := storedStatic(t, mount, "report")
	interrupted.Pending = "stored-but-never-set"
	if err := store(t.Context(), mount.Storage, "static-roles/report", interrupted); err != nil {
		t.Fatal(err)
	}
	mount.Restart(t, Factory)
	wantSettled(t, mount)
}

// What went wrong without: a server that died in a rotation on request, after one
// that had failed, left the next to tell the old password until the time at which the
// failed one was to be tried again, up to an hour later.
func TestACrashDuringARotationOnRequestIsMadeUpForAtOnce(t *testing.T) {
	for name, class := range map[string]fault.Class{
		"after one that may have been done": fault.Later,
		"after one that was refused":        fault.Refused,
	} {
		t.Run(name, func(t *testing.T) {
			mount, fake := mountFake(t, "reporting")
			mount.MustWrite(t, "static-roles/report", map[string]any{"db_name": "shop", "username": "reporting", "rotation_period": "24h"})
			fake.failWith(func(context.Context, string) error { return fault.New(class, "not now") })
			_, err := mount.Write(t.Context(), "rotate-role/report", nil)
			wantError(t, err, "not now")
			before := fake.password("reporting")
			whole := mount.Storage
			broken := &brokenStorage{Storage: whole, writes: 2}
			mount.Storage = broken
			fake.failWith(func(context.Context, string) error {
				broken.writes = 0 // the server dies once the database has heard of it
				return nil
			})
			if _, err := mount.Write(t.Context(), "rotate-role/report", nil); err == nil || fake.password("reporting") == before {
				t.Fatalf("the test proves nothing: %v", err)
			}
			mount.Storage = whole
			mount.Restart(t, fake.factory)
			if told := staticPassword(t, mount, "report"); told != fake.password("reporting") {
				t.Error("the password that is told is not the one that was set")
			}
		})
	}
}

func TestACrashWhileAUserIsTakenOverIsMadeUpFor(t *testing.T) {
	mount, _ := mountStatic(t)
	whole := mount.Storage
	mount.Storage = &brokenStorage{Storage: whole, writes: 1}
	if _, err := mount.Write(t.Context(), "static-roles/report", reportingRole()); err == nil {
		t.Fatal("the role was made without storage")
	}
	mount.Storage = whole
	if staticLogsIn(t, firstOfStatic) {
		t.Fatal("the database was not changed, the test proves nothing")
	}
	mount.Restart(t, Factory)
	wantSettled(t, mount)
}

// What went wrong without: the statements of a list are one transaction here, but
// one of them may end it; then the database has the new password although it
// refused the rotation.
func TestARotationThatIsRefusedHalfWayTellsThePasswordThatWasSet(t *testing.T) {
	mount, _ := mountStatic(t)
	mount.MustWrite(t, "static-roles/report", reportingRole())
	before := staticPassword(t, mount, "report")
	mount.MustWrite(t, "static-roles/report", map[string]any{
		"rotation_statements": `BEGIN; ALTER ROLE "{{name}}" PASSWORD '{{password}}'; COMMIT; SELECT missing()`,
	})
	_, _ = mount.Write(t.Context(), "rotate-role/report", nil) // what it answers is not the point
	if staticLogsIn(t, before) {
		t.Fatal("the database was not changed, the test proves nothing")
	}
	wantSettled(t, mount)
}

func TestARotationThatIsRefusedKeepsTheOldPasswordAndSaysWhy(t *testing.T) {
	for name, statements := range map[string]string{
		"by its own statements": `ALTER ROLE "{{name}}" PASSWORD '{{password}}'; SELECT missing('{{password}}')`,
		"by the default":        "",
	} {
		t.Run(name, func(t *testing.T) {
			mount, database := mountStatic(t)
			mount.MustWrite(t, "static-roles/report", reportingRole())
			before := staticPassword(t, mount, "report")
			mount.MustWrite(t, "static-roles/report", map[string]any{"rotation_statements": statements})
			if statements == "" { // the admin loses its privileges
				server.Exec(t, database, "CREATE ROLE weak LOGIN PASSWORD 'weak-password'")
				t.Cleanup(func() { dropRole(t, "weak") })
				mount.MustWrite(t, "config/shop", map[string]any{"username": "weak", "password": "weak-password"})
			}
			response, err := mount.Handle(t.Context(), &logical.Request{Operation: logical.UpdateOperation, Path: "rotate-role/report"})
			wantError(t, err, "", before)
			if got := statusOf(t, response, err); got != 400 {
				t.Errorf("status is %d, want 400", got)
			}
			if staticPassword(t, mount, "report") != before || !staticLogsIn(t, before) {
				t.Error("the old password is not told, or does not log in")
			}
			answer, err := mount.Handle(t.Context(), &logical.Request{Operation: logical.ReadOperation, Path: "static-creds/report"})
			if err != nil || len(answer.Warnings) != 1 {
				t.Errorf("the failure is not told: %v, %v", answer, err)
			}
		})
	}
}

func TestARotationDueWhileTheDatabaseIsAwayIsDoneWhenItIsBack(t *testing.T) {
	mount, database := mountStatic(t)
	proxy := enginetest.NewProxy(t, fmt.Sprintf("127.0.0.1:%d", server.Port))
	mount.MustWrite(t, "config/shop", with(superuserConfig(database), map[string]any{
		"connection_url": "postgresql://{{username}}:{{password}}@" + proxy.Address() + "/" + database + "?sslmode=disable",
	}))
	mount.MustWrite(t, "static-roles/report", reportingRole())
	before := staticPassword(t, mount, "report")
	proxy.Cut()
	response, err := mount.Handle(t.Context(), &logical.Request{Operation: logical.UpdateOperation, Path: "rotate-role/report"})
	wantError(t, err, "", before)
	if got := statusOf(t, response, err); got != 502 {
		t.Errorf("status is %d, want 502", got)
	}
	if staticPassword(t, mount, "report") != before || !staticLogsIn(t, before) {
		t.Error("while the database is away, the old password is not told")
	}
	proxy.Restore()
	deadline := time.Now().Add(30 * time.Second)
	for staticLogsIn(t, before) && time.Now().Before(deadline) {
		time.Sleep(20 * time.Millisecond)
	}
	wantSettled(t, mount)
	if staticPassword(t, mount, "report") == before {
		t.Error("the rotation was not made up for")
	}
}

func TestARotationIsDoneByItself(t *testing.T) {
	mount, _ := mountStatic(t)
	mount.MustWrite(t, "static-roles/report", reportingRole())
	before := staticPassword(t, mount, "report")
	old := storedStatic(t, mount, "report")
	old.Rotated = time.Now().Add(-25 * time.Hour)
	if err := store(t.Context(), mount.Storage, "static-roles/report", old); err != nil {
		t.Fatal(err)
	}
	mount.Restart(t, Factory)
	deadline := time.Now().Add(30 * time.Second)
	for staticLogsIn(t, before) && time.Now().Before(deadline) {
		time.Sleep(20 * time.Millisecond)
	}
	if staticLogsIn(t, before) {
		t.Fatal("a password that is overdue is not rotated")
	}
	wantSettled(t, mount)
}

func TestReadersAreNeverToldAPasswordThatIsOver(t *testing.T) {
	mount, _ := mountStatic(t)
	mount.MustWrite(t, "static-roles/report", reportingRole())
	rotated := make(chan error, 1)
	go func() {
		var err error
		for i := 0; i < 30 && err == nil; i++ {
			_, err = mount.Write(t.Context(), "rotate-role/report", nil)
		}
		rotated <- err
	}()
	for ended := false; !ended; {
		select {
		case err := <-rotated:
			if err != nil {
				t.Fatal(err)
			}
			ended = true
		default:
		}
		told := staticPassword(t, mount, "report")
		if !staticLogsIn(t, told) && staticPassword(t, mount, "report") == told {
			t.Fatal("a password that no longer logs in is told again")
		}
	}
	if !postgrestest.Scalar[bool](t, server, postgrestest.Database, "SELECT rolcanlogin FROM pg_roles WHERE rolname = $1", staticUser) {
		t.Error("the user lost its login")
	}
}
