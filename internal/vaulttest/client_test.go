package vaulttest

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/novatech/securevault/internal/vault"
)

// recorder keeps the last request and answers that there is nothing to say.
type recorder struct {
	request *http.Request
	body    string
}

func (r *recorder) RoundTrip(request *http.Request) (*http.Response, error) {
	r.request, r.body = request, ""
	if request.Body != nil {
		text, err := io.ReadAll(request.Body)
		if err != nil {
			return nil, err
		}
		r.body = string(text)
	}
	return &http.Response{StatusCode: http.StatusNoContent, Body: http.NoBody, Header: http.Header{}, Request: request}, nil
}

// TestTheAgentAsksAsTheWireSays pins the other side of the exchanges: what
// the agent's client sends is what the server is tested with.
func TestTheAgentAsksAsTheWireSays(t *testing.T) {
	token := vault.Token{Value: "{token}"}
	read := func(path string) func(context.Context, *vault.Client) error {
		return func(ctx context.Context, c *vault.Client) error {
			_, err := c.Fetch(ctx, token, want(t, path))
			return err
		}
	}
	calls := map[string]func(ctx context.Context, c *vault.Client) error{
		"approle-login": func(ctx context.Context, c *vault.Client) error {
			_, err := c.Write(ctx, "", "auth/approle/login", map[string]any{"role_id": "{role_id}", "secret_id": "{secret_id}"})
			return err
		},
		"token-lookup-self": func(ctx context.Context, c *vault.Client) error {
			_, err := c.LookupSelf(ctx, token.Value)
			return err
		},
		"token-renew-self": func(ctx context.Context, c *vault.Client) error {
			_, err := c.RenewSelf(ctx, token.Value)
			return err
		},
		"token-revoke-self": func(ctx context.Context, c *vault.Client) error { return c.RevokeSelf(ctx, token.Value) },
		"lease-renew": func(ctx context.Context, c *vault.Client) error {
			_, err := c.Renew(ctx, token, "{lease}", time.Hour)
			return err
		},
		"lease-revoke":    func(ctx context.Context, c *vault.Client) error { return c.Revoke(ctx, token, "{lease}") },
		"credential-read": read("database/creds/app"),
		"read-nothing":    read("database/notes/none"),
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			var sent recorder
			client, err := vault.New(vault.Config{Address: Address, Transport: &sent})
			if err != nil {
				t.Fatal(err)
			}
			_ = call(t.Context(), client) // only the request is of interest
			x := readWire(t, name, strings.NewReplacer())
			if got := sent.request.Method + " " + sent.request.URL.RequestURI(); got != x.Request.Method+" "+x.Request.Path {
				t.Errorf("%s, want %s %s", got, x.Request.Method, x.Request.Path)
			}
			for header, want := range x.Request.Headers {
				if got := sent.request.Header.Get(header); got != want {
					t.Errorf("%s: %q, want %q", header, got, want)
				}
			}
			if !sameJSON(t, sent.body, string(x.Request.Body)) {
				t.Errorf("body %s, want %s", sent.body, x.Request.Body)
			}
		})
	}
}

// sameJSON reports whether two texts hold the same; nothing equals nothing.
func sameJSON(t *testing.T, a, b string) bool {
	var values [2]any
	for i, text := range []string{a, b} {
		if text == "" {
			continue
		}
		if err := json.Unmarshal([]byte(text), &values[i]); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	return reflect.DeepEqual(values[0], values[1])
}
