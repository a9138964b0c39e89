package database

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/novatech/securevault/server/engines/database/fault"
	"github.com/novatech/securevault/server/engines/enginetest"
)

// late is how far behind its time a rotation may be.
const late = 2 * time.Second

// gaps returns the times between one change of a user's password and the next.
func gaps(fake *fakeServer, username string) []time.Duration {
	var between []time.Duration
	changes := fake.changes(username)
	for i := 1; i < len(changes); i++ {
		between = append(between, changes[i].Sub(changes[i-1]))
	}
	return between
}

func staticPassword(t *testing.T, mount *enginetest.Mount, role string) string {
	t.Helper()
	creds, err := mount.Read(t.Context(), "static-creds/"+role)
	if err != nil {
		t.Fatal(err)
	}
	return creds["password"].(string)
}

func TestAPasswordIsRotatedWithinSecondsOfItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mount, fake := mountFake(t, "app", "report")
		mount.MustWrite(t, "static-roles/app", map[string]any{"db_name": "shop", "username": "app", "rotation_period": "10m"})
		mount.MustWrite(t, "static-roles/report", map[string]any{"db_name": "shop", "username": "report", "rotation_schedule": "30 4 * * *"})
		time.Sleep(49 * time.Hour)
		synctest.Wait()
		if got := gaps(fake, "app"); len(got) < 48*6 {
			t.Errorf("the password of app changed %d times in two days", len(got))
		} else {
			for _, gap := range got {
				if gap < 10*time.Minute || gap > 10*time.Minute+late {
					t.Fatalf("a password of app lived %s", gap)
				}
			}
		}
		changes := fake.changes("report")[1:] // the first is its import
		if len(changes) != 2 {
			t.Errorf("the password of report changed %d times in two days, want one each", len(changes))
		}
		for _, at := range changes {
			if at := at.UTC(); at.Hour() != 4 || at.Minute() != 30 || at.Second() > int(late.Seconds()) {
				t.Errorf("the password of report changed at %s", at)
			}
		}
		if staticPassword(t, mount, "app") != fake.password("app") {
			t.Error("the password that is told is not the user's")
		}
	})
}

func TestAFailedRotationIsTriedAgainEverMoreSeldom(t *testing.T) {
	cases := map[string]struct {
		class       fault.Class
		least, most int64
	}{
		"a database that is away":   {fault.Later, 15, 30},
		"a database that says no":   {fault.Refused, 5, 8},
		"a user who does not exist": {fault.NoUser, 5, 8},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mount, fake := mountFake(t, "app")
				mount.MustWrite(t, "static-roles/app", map[string]any{"db_name": "shop", "username": "app", "rotation_period": "1m"})
				before := fake.password("app")
				var tries atomic.Int64
				fake.failWith(func(context.Context, string) error {
					tries.Add(1)
					return fault.New(test.class, "it does not work")
				})
				time.Sleep(time.Minute + time.Hour)
				synctest.Wait()
				if got := tries.Load(); got < test.least || got > test.most {
					t.Errorf("%d tries in an hour, want %d to %d", got, test.least, test.most)
				}
				fake.failWith(nil)
				if staticPassword(t, mount, "app") != before {
					t.Error("the old password, which is the real one, is not told any more")
				}
				time.Sleep(longestRefusal + late)
				synctest.Wait()
				if now := fake.password("app"); now == before || staticPassword(t, mount, "app") != now {
					t.Error("the rotation does not recover")
				}
			})
		})
	}
}

func TestADatabaseThatHangsDelaysItsOwnRolesOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mount, fake := mountFake(t, "stuck", "app")
		mount.MustWrite(t, "config/other", map[string]any{
			"plugin_name": fakePlugin, "username": "admin", "password": "admins", "allowed_roles": "*",
		})
		mount.MustWrite(t, "static-roles/stuck", map[string]any{"db_name": "shop", "username": "stuck", "rotation_period": "1m"})
		mount.MustWrite(t, "static-roles/app", map[string]any{"db_name": "other", "username": "app", "rotation_period": "1m"})
		fake.failWith(func(ctx context.Context, username string) error {
			if username != "stuck" {
				return nil
			}
			<-ctx.Done()
			return fault.New(fault.Later, "no answer: %s", context.Cause(ctx))
		})
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		for _, gap := range gaps(fake, "app") {
			if gap > time.Minute+late {
				t.Errorf("a password of the other database lived %s", gap)
			}
		}
		stopped := time.Now()
		mount.Backend.Cleanup(t.Context())
		if took := time.Since(stopped); took > time.Second {
			t.Errorf("the engine takes %s to stop", took)
		}
	})
}

func TestTheTimetableSurvivesARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mount, fake := mountFake(t, "app", "asleep")
		for _, name := range []string{"app", "asleep"} {
			mount.MustWrite(t, "static-roles/"+name, map[string]any{"db_name": "shop", "username": name, "rotation_period": "1h"})
		}
		time.Sleep(30 * time.Minute)
		mount.Restart(t, fake.factory)
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		if got := len(fake.changes("app")); got != 1 {
			t.Errorf("the password changed %d times before its time", got)
		}
		time.Sleep(10*time.Minute + late)
		synctest.Wait()
		if got := len(fake.changes("app")); got != 2 {
			t.Errorf("the password changed %d times, want twice", got)
		}
		mount.Backend.Cleanup(t.Context())
		time.Sleep(5 * time.Hour)
		mount.Restart(t, fake.factory)
		time.Sleep(late)
		synctest.Wait()
		if got := len(fake.changes("asleep")); got != 3 {
			t.Errorf("after a night the password changed %d times, want once more", got)
		}
	})
}

func TestManyRolesAreRotatedAtOnceAndAllKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var names []string
		for i := range 200 {
			names = append(names, fmt.Sprintf("app%d", i))
		}
		mount, fake := mountFake(t, names...)
		for _, name := range names {
			mount.MustWrite(t, "static-roles/"+name, map[string]any{"db_name": "shop", "username": name, "rotation_period": "5s"})
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		for _, name := range names {
			if staticPassword(t, mount, name) != fake.password(name) {
				t.Fatalf("the password that is told for %s is not the user's", name)
			}
			if got := len(fake.changes(name)); got < 9 {
				t.Fatalf("the password of %s changed %d times in a minute", name, got)
			}
		}
	})
}
