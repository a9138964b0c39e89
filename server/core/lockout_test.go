package core_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/auth"
	"github.com/novatech/securevault/server/core/coretest"
)

// logIn logs a user in whose password is "correct horse".
func logIn(t *testing.T, s *coretest.Server, password string) error {
	t.Helper()
	resp, err := s.Do(t, "", logical.UpdateOperation, "auth/userpass/login/ada", map[string]any{"password": password})
	if err == nil {
		err = resp.Error()
	}
	return err
}

func TestALockedUserStaysSoAfterARestart(t *testing.T) {
	s := coretest.Start(t, auth.All())
	s.Must(t, coretest.Root, logical.UpdateOperation, "auth/userpass/users/ada", map[string]any{"password": "correct horse"})
	for range 5 {
		if err := logIn(t, s, "guess"); err == nil {
			t.Fatal("a guess is let in")
		}
	}
	s.Stop()
	s = coretest.Restart(t, s.Engine, s.Store, auth.All())
	if err := logIn(t, s, "correct horse"); !errors.Is(err, logical.ErrPermissionDenied) {
		t.Errorf("after the restart: %v", err)
	}
	locked := s.Must(t, coretest.Root, logical.ReadOperation, "sys/locked-users", nil).Data
	if locked["total"] != 1 {
		t.Fatalf("%v", locked)
	}
	accessor := s.Must(t, coretest.Root, logical.ReadOperation, "sys/auth", nil).Data["userpass/"].(map[string]any)["accessor"].(string)
	s.Must(t, coretest.Root, logical.UpdateOperation, "sys/locked-users/"+accessor+"/unlock/ada", nil)
	s.Stop()
	s = coretest.Restart(t, s.Engine, s.Store, auth.All())
	if err := logIn(t, s, "correct horse"); err != nil {
		t.Errorf("unlocked, after another restart: %v", err)
	}
}

// Whoever logged in under long names that do not exist filled the memory.
func TestALongNameIsNotKept(t *testing.T) {
	s := coretest.Start(t, auth.All())
	long := strings.Repeat("a", 1<<20)
	for range 5 {
		resp, err := s.Do(t, "", logical.UpdateOperation, "auth/approle/login", map[string]any{"role_id": long, "secret_id": "x"})
		if err != nil || !resp.IsError() {
			t.Fatalf("%v, %v", resp, err)
		}
	}
	if _, err := s.Do(t, "", logical.UpdateOperation, "auth/approle/login", map[string]any{"role_id": long}); !errors.Is(err, logical.ErrPermissionDenied) {
		t.Errorf("after five failures: %v", err)
	}
	shown := fmt.Sprint(s.Must(t, coretest.Root, logical.ReadOperation, "sys/locked-users", nil).Data)
	if len(shown) > 500 || !strings.Contains(shown, "sha256:") {
		t.Errorf("locked users in %d bytes: %.500s", len(shown), shown)
	}
}

// Each of them was compared with the password, however many there were.
func TestGuessesSentAtOnceLockAUserOutAsWell(t *testing.T) {
	s := coretest.Start(t, auth.All())
	s.Must(t, coretest.Root, logical.UpdateOperation, "auth/userpass/users/ada", map[string]any{"password": "correct horse"})
	refusals := make(chan error)
	for range 40 {
		go func() { refusals <- logIn(t, s, "guess") }()
	}
	compared := 0
	for range 40 {
		switch err := <-refusals; {
		case err != nil && strings.Contains(err.Error(), "invalid username or password"):
			compared++
		case !errors.Is(err, logical.ErrPermissionDenied):
			t.Errorf("a guess: %v", err)
		}
	}
	if compared != 5 {
		t.Errorf("%d guesses were compared with the password; want 5", compared)
	}
}
