package vaulttest

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/novatech/securevault/internal/vault"
)

func TestAMethodGivesTokensToWhoPassesItsCheck(t *testing.T) {
	s := New()
	s.Method("auth/ldap/login/app", Method{Batch: true, Token: Token{TTL: time.Hour}, Check: func(body map[string]any) error {
		if body["password"] != "right" {
			return errors.New("ldap operation failed")
		}
		return nil
	}})
	client := s.Client(t).WithNamespace("team")
	if _, err := client.Login(t.Context(), "auth/ldap/login/app", map[string]any{"password": "wrong"}); vault.Classify(err) != vault.Refused {
		t.Errorf("a wrong password: %v", err)
	}
	auth, err := client.Login(t.Context(), "auth/ldap/login/app", map[string]any{"password": "right"})
	if err != nil || !auth.Batch || auth.Renewable || auth.TTL != time.Hour {
		t.Errorf("auth = %+v, %v; want a batch token of an hour", auth, err)
	}
	logins := s.Logins()
	if len(logins) != 2 || logins[1].Namespace != "team" || logins[1].Body["password"] != "right" || s.Count(Login) != 2 {
		t.Errorf("logins = %+v", logins)
	}
	if _, err := client.Login(t.Context(), "auth/ldap/login/other", nil); vault.Classify(err) != vault.Refused {
		t.Errorf("a user that nobody knows: %v", err)
	}
}

func TestAWrappedAnswerCanBeHadOnceAndInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New()
		client := s.Client(t)
		first := s.Wrap("auth/approle/role/app/secret-id", time.Minute, map[string]any{"secret_id": "x"})
		late := s.Wrap("auth/approle/role/app/secret-id", time.Minute, nil)
		info, err := client.Write(t.Context(), "", "sys/wrapping/lookup", map[string]any{"token": first})
		if err != nil || info.Data["creation_path"] != "auth/approle/role/app/secret-id" {
			t.Fatalf("lookup: %v, %v", info, err)
		}
		secret, err := client.Write(t.Context(), vault.Sensitive(first), "sys/wrapping/unwrap", nil)
		if err != nil || secret.Data["secret_id"] != "x" {
			t.Fatalf("unwrap: %v, %v", secret, err)
		}
		time.Sleep(time.Minute)
		for _, token := range []string{first, late} {
			_, err := client.Write(t.Context(), vault.Sensitive(token), "sys/wrapping/unwrap", nil)
			if err == nil || !strings.Contains(err.Error(), "wrapping token is not valid") {
				t.Errorf("unwrapping %s again or too late: %v", token, err)
			}
		}
	})
}
