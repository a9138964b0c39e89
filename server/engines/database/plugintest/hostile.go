// Package plugintest holds what every plugin of the database engine has to
// survive besides the conformance suite: Hostile, the bad input of clients,
// operators and databases.
package plugintest

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/engines/database"
	"github.com/novatech/securevault/server/engines/enginetest"
)

// Hostile is the bad input every database plugin has to survive.
type Hostile struct {
	Config  map[string]any                         // of config/shop, works; it logs in with a password
	Role    map[string]any                         // of roles/app without db_name, works
	Halfway map[string]any                         // a role whose statements make the user and then fail
	Users   func(t testing.TB) []string            // names of the users on the database now
	Drop    func(t testing.TB, name string)        // removes a user by hand
	Admin   string                                 // the admin's password: no error may hold it
	At      func(host, port string) map[string]any // the config's fields for another address; nil: written into connection_url or url, host and port
}

const (
	// issued is the password of every user, so that errors can be searched for it.
	issued = "Issued-Secret-4711"
	// wrong is a password that no admin has.
	wrong = "Wrong-Secret-0815"
)

// breakouts are texts that mean something to some database, in quotes or out.
var breakouts = []string{
	`a'b`, `a"b`, "a`b", `a\`, "a\x00b", "a\nb", "a;b", `a"; DROP TABLE orders; --`, `a'; DROP TABLE orders; --`,
	"a/*", "$$;", `", "$where": "1`, `{"role": "root"}`, "{{password}}", "\u2019\u202eü\xff", "../../app", "a b >x ~* +@all", "%s%n",
}

// Run needs a database that nobody else makes users on meanwhile.
func (h Hostile) Run(t *testing.T) {
	t.Run("texts that would break out stay names", h.names)
	t.Run("a username template cannot break out", h.templates)
	t.Run("a password that would break out stays a password", h.passwords)
	t.Run("broken statements are refused", h.statements)
	t.Run("a creation that fails half-way leaves nothing", h.halfway)
	t.Run("a request that ends half-way leaves nothing", h.cancelled)
	t.Run("a user dropped by hand is revoked", h.dropped)
	t.Run("a config that cannot work is not stored", h.configs)
	t.Run("a database that does not answer fails in time", h.silence)
}

// mount returns the engine with config/shop and roles/app.
func (h Hostile) mount(t *testing.T) *enginetest.Mount {
	t.Helper()
	mount := enginetest.NewMount(t, database.Factory)
	mount.System.SetPasswordPolicy("known", func() (string, error) { return issued, nil })
	mount.MustWrite(t, "config/shop", h.config(nil))
	mount.MustWrite(t, "roles/app", h.role(nil))
	return mount
}

func (h Hostile) config(changes map[string]any) map[string]any {
	return with(h.Config, map[string]any{"allowed_roles": "*", "password_policy": "known"}, changes)
}

func (h Hostile) role(changes map[string]any) map[string]any {
	return with(h.Role, map[string]any{"db_name": "shop"}, changes)
}

func with(fields ...map[string]any) map[string]any {
	all := map[string]any{}
	for _, some := range fields {
		maps.Copy(all, some)
	}
	return all
}

func (h Hostile) names(t *testing.T) {
	mount := h.mount(t)
	mount.MustWrite(t, "config/shop", map[string]any{"username_template": `{{printf "%s-%s-%s" (random 8) .DisplayName .RoleName | truncate 24}}`})
	for _, text := range breakouts {
		t.Run("display name "+text, func(t *testing.T) {
			h.lives(t, mount, func() (*enginetest.Lease, error) { return mount.IssueAs(t.Context(), "creds/app", text) })
		})
		t.Run("role name "+text, func(t *testing.T) {
			if _, err := mount.Write(t.Context(), "roles/"+text, h.role(nil)); err != nil {
				h.discreet(t, err)
				return
			}
			h.lives(t, mount, func() (*enginetest.Lease, error) { return mount.Issue(t.Context(), "creds/"+text) })
		})
	}
}

func (h Hostile) templates(t *testing.T) {
	mount := h.mount(t)
	for _, text := range breakouts {
		t.Run(text, func(t *testing.T) {
			template := strings.ReplaceAll(text, "{{", "{") + "-{{random 8}}"
			if _, err := mount.Write(t.Context(), "config/shop", map[string]any{"username_template": template}); err != nil {
				h.discreet(t, err)
				return
			}
			h.survives(t, mount)
		})
	}
}

func (h Hostile) passwords(t *testing.T) {
	mount := h.mount(t)
	mount.MustWrite(t, "config/shop", map[string]any{"password_policy": "hostile"})
	for _, text := range breakouts {
		t.Run(text, func(t *testing.T) {
			mount.System.SetPasswordPolicy("hostile", func() (string, error) { return issued + text, nil })
			h.survives(t, mount)
		})
	}
}

// survives expects a user that lives, or a refusal that leaves none.
func (h Hostile) survives(t *testing.T, mount *enginetest.Mount) {
	t.Helper()
	before := h.users(t)
	lease, err := mount.Issue(t.Context(), "creds/app")
	if err != nil {
		h.refused(t, err)
		h.unchanged(t, before)
		return
	}
	h.ends(t, mount, lease, before)
}

// lives expects a user that lives and ends.
func (h Hostile) lives(t *testing.T, mount *enginetest.Mount, issue func() (*enginetest.Lease, error)) {
	t.Helper()
	before := h.users(t)
	lease, err := issue()
	if err != nil {
		t.Fatalf("issuing: %v", err)
	}
	h.ends(t, mount, lease, before)
}

// ends expects one more user than before, of a name that is harmless anywhere,
// and none once it is revoked.
func (h Hostile) ends(t *testing.T, mount *enginetest.Mount, lease *enginetest.Lease, before []string) {
	t.Helper()
	made := slices.DeleteFunc(h.users(t), func(name string) bool { return slices.Contains(before, name) })
	if len(made) != 1 || strings.ContainsAny(made[0], "'\"`\\;{}$<>*/% \x00\n") {
		t.Errorf("made the users %q, want one of a harmless name", made)
	}
	if err := mount.Revoke(t.Context(), lease); err != nil {
		t.Errorf("revoking: %v", err)
	}
	h.unchanged(t, before)
}

func (h Hostile) statements(t *testing.T) {
	mount := h.mount(t)
	for name, tail := range map[string]string{"an unknown placeholder": " {{unheard_of}}", "unbalanced quotes and brackets": ` '"{[(`} {
		t.Run(name, func(t *testing.T) {
			before := h.users(t)
			mount.MustWrite(t, "roles/broken", h.role(map[string]any{"creation_statements": appended(h.Role["creation_statements"], tail)}))
			_, err := mount.Issue(t.Context(), "creds/broken")
			h.refused(t, err)
			if word := strings.Trim(tail, " {}"); word == "unheard_of" && err != nil && !strings.Contains(err.Error(), word) {
				t.Errorf("error %q does not name the placeholder", err)
			}
			h.unchanged(t, before)
		})
	}
}

// appended returns statements, a text or a list, whose last one ends on tail.
func appended(statements any, tail string) any {
	switch given := statements.(type) {
	case []string:
		last := len(given) - 1
		return append(slices.Clone(given[:last]), given[last]+tail)
	default:
		return given.(string) + tail
	}
}

func (h Hostile) halfway(t *testing.T) {
	mount := h.mount(t)
	before := h.users(t)
	mount.MustWrite(t, "roles/half", with(h.Halfway, map[string]any{"db_name": "shop"}))
	_, err := mount.Issue(t.Context(), "creds/half")
	h.refused(t, err)
	h.unchanged(t, before)
}

// cancelled ends requests after ever longer times, until one is issued.
func (h Hostile) cancelled(t *testing.T) {
	mount := h.mount(t)
	before := h.users(t)
	h.ends(t, mount, mount.MustIssue(t, "creds/app"), before) // and the connection is open
	for limit := 100 * time.Microsecond; ; limit = limit * 5 / 4 {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		lease, err := mount.Issue(ctx, "creds/app")
		cancel()
		if err != nil {
			h.discreet(t, err)
			h.unchanged(t, before)
			continue
		}
		h.ends(t, mount, lease, before)
		return
	}
}

func (h Hostile) dropped(t *testing.T) {
	mount := h.mount(t)
	before := h.users(t)
	lease := mount.MustIssue(t, "creds/app")
	for _, name := range h.users(t) {
		if !slices.Contains(before, name) {
			h.Drop(t, name)
		}
	}
	h.unchanged(t, before)
	if err := mount.Revoke(t.Context(), lease); err != nil {
		t.Errorf("revoking a user that is gone: %v", err)
	}
}

func (h Hostile) users(t *testing.T) []string {
	t.Helper()
	users := slices.Clone(h.Users(t))
	slices.Sort(users)
	return users
}

func (h Hostile) unchanged(t *testing.T, before []string) {
	t.Helper()
	if after := h.users(t); !slices.Equal(after, before) {
		t.Errorf("the database has the users %q, want %q as before", after, before)
	}
}

// refused expects the error of a request that has to change before it can succeed.
func (h Hostile) refused(t *testing.T, err error) {
	t.Helper()
	h.discreet(t, err)
	var coded logical.HTTPCodedError
	if !errors.As(err, &coded) || coded.Code() != http.StatusBadRequest {
		t.Errorf("error %q has not status 400: its class should be fault.Refused", err)
	}
}

// discreet expects an error without any password.
func (h Hostile) discreet(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		t.Fatal("succeeded, want an error")
	}
	for _, secret := range []string{h.Admin, issued, wrong} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("error %q gives the password %q away", err, secret)
		}
	}
}
