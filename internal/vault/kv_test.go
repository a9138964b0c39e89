package vault_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/novatech/securevault/internal/vault"
	"github.com/novatech/securevault/internal/vaulttest"
)

var root = vault.Token{Value: vaulttest.RootToken, Epoch: 1}

func must(t *testing.T) func(vault.Want, error) vault.Want {
	return func(w vault.Want, err error) vault.Want {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
}

func TestVersionedMountIsFoundOutOnce(t *testing.T) {
	s := vaulttest.New()
	for i := range 20 {
		s.Static(fmt.Sprintf("secret/data/app%d", i), map[string]any{"n": i})
	}
	client := s.Client(t)
	var group sync.WaitGroup
	for i := range 20 {
		w := must(t)(vault.ReadWant(fmt.Sprintf("secret/app%d", i), nil))
		group.Go(func() {
			secret, err := client.Fetch(t.Context(), root, w)
			if err != nil {
				t.Error(err)
				return
			}
			inner, _ := secret.Data["data"].(map[string]any)
			if fmt.Sprint(inner["n"]) != fmt.Sprint(i) {
				t.Errorf("read %v of %s", inner, w)
			}
		})
	}
	group.Wait()
	if n := s.Count(vaulttest.Probe); n != 1 {
		t.Errorf("asked for the mount %d times, want once", n)
	}
	before := s.Requests()
	if _, err := client.Fetch(t.Context(), root, must(t)(vault.ReadWant("secret/app1", nil))); err != nil {
		t.Error(err)
	}
	if n := s.Requests() - before; n != 1 {
		t.Errorf("a read on a known mount took %d requests, want 1", n)
	}
}

func TestVersionedMountIsListedAndWrittenWithoutItsFolders(t *testing.T) {
	s := vaulttest.New()
	s.Static("secret/data/team/a", map[string]any{"k": "v"})
	client := s.Client(t)
	write := must(t)(vault.WriteWant("secret/team/b", map[string]any{"k": "w"}))
	if _, err := client.Fetch(t.Context(), root, write); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"secret/team": "[a b]", "secret": "[team/]", "secret/none": "[]"} {
		listed, err := client.Fetch(t.Context(), root, must(t)(vault.ListWant(path+"/")))
		if err != nil || fmt.Sprint(listed.Data["keys"]) != want {
			t.Errorf("listing %s: %v, %v; want %s", path, listed.Data["keys"], err, want)
		}
	}
	read, err := client.Fetch(t.Context(), root, must(t)(vault.ReadWant("secret/data/team/b", nil)))
	if err != nil || fmt.Sprint(read.Data["data"]) != "map[k:w]" {
		t.Errorf("read back %v, %v", read.Data["data"], err)
	}
}

func TestPolicyThatNamesDataAllowsThePathWithout(t *testing.T) {
	s := vaulttest.New()
	s.Static("secret/data/app", map[string]any{"k": "v"})
	s.Allow(func(_ string, op vaulttest.Op, path string) bool {
		return op == vaulttest.Probe || strings.HasPrefix(path, "secret/data/")
	})
	client := s.Client(t)
	if _, err := client.Fetch(t.Context(), root, must(t)(vault.ReadWant("secret/app", nil))); err != nil {
		t.Error(err)
	}
}

func TestOtherMountsAreAskedForAtMostOnceAndOnlyWhenRefused(t *testing.T) {
	s := vaulttest.New()
	s.Role("database/creds/*", vaulttest.Role{TTL: time.Hour})
	s.Allow(func(_ string, _ vaulttest.Op, path string) bool { return path != "database/creds/denied" })
	client := s.Client(t)
	fetch := func(path string) error {
		_, err := client.Fetch(t.Context(), root, must(t)(vault.ReadWant(path, nil)))
		return err
	}
	if err := fetch("database/creds/app"); err != nil || s.Requests() != 1 {
		t.Errorf("a read that works: %v after %d requests", err, s.Requests())
	}
	if err := fetch("database/missing"); vault.Status(err) != http.StatusNotFound || s.Count(vaulttest.Probe) != 0 {
		t.Errorf("a path nobody knows: %v, %d probes", err, s.Count(vaulttest.Probe))
	}
	for range 3 {
		if err := fetch("database/creds/denied"); vault.Status(err) != http.StatusForbidden {
			t.Errorf("a denied path: %v", err)
		}
	}
	if n := s.Count(vaulttest.Probe); n != 1 {
		t.Errorf("asked for the mount %d times, want once", n)
	}
}

func TestMissingSecretOnVersionedMountIsAnError(t *testing.T) {
	s := vaulttest.New()
	_, err := s.Client(t).Fetch(t.Context(), root, must(t)(vault.ReadWant("secret/none", nil)))
	if vault.Status(err) != http.StatusNotFound || !strings.Contains(err.Error(), "secret/data/none") {
		t.Errorf("error %v, want a 404 that names secret/data/none", err)
	}
}
