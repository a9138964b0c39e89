package database

import (
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/engines/enginetest"
)

// remove deletes the config "shop".
func remove(t *testing.T, mount *enginetest.Mount) *logical.Response {
	t.Helper()
	response, err := mount.Handle(t.Context(), &logical.Request{Operation: logical.DeleteOperation, Path: "config/shop"})
	if err != nil {
		t.Fatal(err)
	}
	return response
}

// isKept tells whether the deleted config "shop" is still there.
func isKept(t *testing.T, mount *enginetest.Mount) bool {
	t.Helper()
	kept, err := loadRetired(t.Context(), mount.Storage, "shop")
	if err != nil {
		t.Fatal(err)
	}
	return kept != nil
}

// What went wrong without: users whose config was deleted lived on for good.
func TestADeletedConfigIssuesNothingButEndsItsUsers(t *testing.T) {
	mount, _ := mountShop(t)
	lease := mount.MustIssue(t, "creds/app")
	if response := remove(t, mount); response == nil || len(response.Warnings) != 1 {
		t.Errorf("got %v, want a warning that something is kept", response)
	}
	if shown, err := mount.Read(t.Context(), "config/shop"); shown != nil || err != nil {
		t.Errorf("the config is still shown: %v, %v", shown, err)
	}
	_, err := mount.Issue(t.Context(), "creds/app")
	wantError(t, err, `unknown config "shop"`)
	for _, action := range []string{"rotate-root/shop", "reset/shop"} {
		_, err := mount.Write(t.Context(), action, nil)
		wantError(t, err, `unknown config "shop"`)
	}
	if _, err := mount.Renew(t.Context(), lease, 2*time.Hour); err != nil {
		t.Errorf("renewing: %v", err)
	}
	mount.Restart(t, Factory)
	if err := mount.Revoke(t.Context(), lease); err != nil {
		t.Fatal(err)
	}
	if roleExists(t, usernameOf(lease)) {
		t.Error("the user outlived its lease")
	}
}

func TestAConfigThatIsDeletedDuringARotationStillEndsItsUsers(t *testing.T) {
	mount, _ := mountShop(t)
	lease := mount.MustIssue(t, "creds/app")
	stored, err := loadConfig(t.Context(), mount.Storage, "shop")
	if err != nil {
		t.Fatal(err)
	}
	stored.PendingPassword = "never-reached-the-database"
	if err := stored.save(t.Context(), mount.Storage); err != nil {
		t.Fatal(err)
	}
	remove(t, mount)
	if err := mount.Revoke(t.Context(), lease); err != nil {
		t.Fatal(err)
	}
	if shown, err := mount.Read(t.Context(), "config/shop"); shown != nil || err != nil {
		t.Errorf("the config is back: %v, %v", shown, err)
	}
}

func TestADeletedConfigIsForgotten(t *testing.T) {
	cases := map[string]func(*testing.T, *enginetest.Mount){
		"when it is deleted once more": func(t *testing.T, mount *enginetest.Mount) { remove(t, mount) },
		"when it is written again": func(t *testing.T, mount *enginetest.Mount) {
			mount.MustWrite(t, "config/shop", map[string]any{"plugin_name": fakePlugin, "username": "admin", "password": "admins"})
		},
		"when its time is over": func(t *testing.T, mount *enginetest.Mount) {
			tidy(t, mount)
			if !isKept(t, mount) {
				t.Fatal("forgotten too early")
			}
			retired, err := loadRetired(t.Context(), mount.Storage, "shop")
			if err != nil {
				t.Fatal(err)
			}
			if left := time.Until(retired.RetiredUntil); left < mount.System.MaxLeaseTTL() {
				t.Errorf("it is kept for %s, shorter than a lease may live", left)
			}
			retired.RetiredUntil = time.Now().Add(-time.Second)
			if err := retired.save(t.Context(), mount.Storage); err != nil {
				t.Fatal(err)
			}
			tidy(t, mount)
		},
	}
	for name, forget := range cases {
		t.Run(name, func(t *testing.T) {
			mount, _ := mountFake(t)
			remove(t, mount)
			if !isKept(t, mount) {
				t.Fatal("nothing is kept")
			}
			forget(t, mount)
			if isKept(t, mount) {
				t.Error("it is still kept")
			}
		})
	}
}

// tidy does the work that the core has engines do every minute.
func tidy(t *testing.T, mount *enginetest.Mount) {
	t.Helper()
	if _, err := mount.Handle(t.Context(), &logical.Request{Operation: logical.RollbackOperation}); err != nil {
		t.Fatal(err)
	}
}
