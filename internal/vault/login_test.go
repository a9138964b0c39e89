package vault

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

const wrappedAnswer = `{"wrap_info":{"token":"hvs.wrapping","accessor":"a","ttl":300,` +
	`"creation_time":"2026-01-02T03:04:05Z","creation_path":"auth/jwt/login","wrapped_accessor":"inside"}}`

func TestANamespacedClientSendsEveryRequestThere(t *testing.T) {
	var seen []string
	c := client(t, Config{Namespace: "team"}, func(req *http.Request) (*http.Response, error) {
		seen = append(seen, req.URL.Path+" in "+req.Header.Get("X-Vault-Namespace"))
		return answer(200, `{"auth":{"client_token":"x"},"data":{}}`), nil
	})
	there := c.WithNamespace("team/app")
	if _, err := there.Login(t.Context(), "auth/jwt/login", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := there.RenewSelf(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	w := read(t, "a/b")
	w.Namespace = "other"
	for _, sender := range []*Client{there, c} {
		if _, err := sender.Fetch(t.Context(), Token{}, w); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.LookupSelf(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	want := "/v1/auth/jwt/login in team/app, /v1/auth/token/renew-self in team/app, " +
		"/v1/a/b in other, /v1/a/b in other, /v1/auth/token/lookup-self in team"
	if got := strings.Join(seen, ", "); got != want {
		t.Errorf("requests:\n%s\nwant\n%s", got, want)
	}
}

func TestOnlyLoginsAskForAWrappedAnswer(t *testing.T) {
	c := client(t, Config{}, func(req *http.Request) (*http.Response, error) {
		if req.URL.Path != "/v1/auth/jwt/login" {
			if ttl := req.Header.Get("X-Vault-Wrap-TTL"); ttl != "" {
				t.Errorf("%s asks for a wrapped answer", req.URL.Path)
			}
			return answer(200, `{"data":{"secret_id":"x"}}`), nil
		}
		if ttl := req.Header.Get("X-Vault-Wrap-TTL"); ttl != "300" {
			t.Errorf("wrap TTL of the login = %q, want 300", ttl)
		}
		return answer(200, wrappedAnswer), nil
	}).WithWrapping(5 * time.Minute)
	if _, err := c.Write(t.Context(), "x", "sys/wrapping/unwrap", nil); err != nil {
		t.Fatal(err)
	}
	auth, err := c.Login(t.Context(), "auth/jwt/login", nil)
	if err != nil {
		t.Fatal(err)
	}
	if auth.Token != "" || auth.Wrap == nil || auth.Wrap.Token != "hvs.wrapping" || auth.Wrap.WrappedAccessor != "inside" {
		t.Errorf("auth = %+v, want nothing but the wrapping", auth)
	}
	var delivery map[string]any
	if err := json.Unmarshal([]byte(auth.Wrap.Delivery().Reveal()), &delivery); err != nil {
		t.Fatal(err)
	}
	if delivery["token"] != "hvs.wrapping" || delivery["creation_time"] != "2026-01-02T03:04:05Z" || delivery["ttl"] != 300.0 {
		t.Errorf("delivery = %v", delivery)
	}
	if text, _ := json.Marshal(auth); strings.Contains(string(text), "hvs.wrapping") {
		t.Errorf("the wrapping token prints: %s", text)
	}
}

func TestLoginsWithoutAToken(t *testing.T) {
	tests := []struct {
		name, body, says string
		wrap             time.Duration
	}{
		{"an empty answer", "", "check the mount path", 0},
		{"an answer of another kind", `{"data":{"a":"b"}}`, "check the mount path", 0},
		{"a token in clear where a wrapped one was asked for", `{"auth":{"client_token":"hvs.clear"}}`, "not wrapped", time.Minute},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := client(t, Config{}, func(req *http.Request) (*http.Response, error) {
				_, _ = io.Copy(io.Discard, req.Body)
				return answer(200, test.body), nil
			}).WithWrapping(test.wrap)
			_, err := c.Login(t.Context(), "auth/jwt/login", map[string]any{"jwt": "x"})
			if err == nil || !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), "auth/jwt/login") {
				t.Errorf("error %v does not say %q and the path", err, test.says)
			}
			if strings.Contains(err.Error(), "hvs.clear") {
				t.Errorf("the error tells the token: %v", err)
			}
		})
	}
}

func TestWrapPutsDataAside(t *testing.T) {
	var sent string
	reply := wrappedAnswer
	c := client(t, Config{Namespace: "team"}, func(req *http.Request) (*http.Response, error) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		sent = strings.Join([]string{
			req.URL.Path, req.Header.Get("X-Vault-Token"), req.Header.Get("X-Vault-Wrap-TTL"), req.Header.Get("X-Vault-Namespace"), string(body),
		}, " ")
		return answer(200, reply), nil
	})
	wrapping, err := c.Wrap(t.Context(), "hvs.app", 5*time.Minute, map[string]any{"token": "hvs.app"})
	if err != nil || wrapping.Token != "hvs.wrapping" {
		t.Errorf("wrapping = %v, %v", wrapping, err)
	}
	if want := `/v1/sys/wrapping/wrap hvs.app 300 team {"token":"hvs.app"}`; sent != want {
		t.Errorf("request = %s, want %s", sent, want)
	}
	reply = `{"data":{"token":"hvs.app"}}`
	if _, err := c.Wrap(t.Context(), "hvs.app", 5*time.Minute, nil); Classify(err) != Later || strings.Contains(err.Error(), "hvs.app") {
		t.Errorf("an answer that is not wrapped is told as %v", err)
	}
}
