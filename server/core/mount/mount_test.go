package mount

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/store/inmem"
)

func plain(ctx context.Context, conf *logical.BackendConfig) (logical.Backend, error) {
	b := &framework.Backend{BackendType: logical.TypeLogical}
	return b, b.Setup(ctx, conf)
}

func newTable() *Table {
	factories := map[string]logical.Factory{"plain": plain}
	return NewTable(Settings{
		Store: inmem.New(), Engines: factories, Methods: factories, Logger: hclog.NewNullLogger(),
		Server: Server{
			DefaultLeaseTTL: 100, MaxLeaseTTL: 1000,
			GeneratePassword: func(context.Context, string) (string, error) { return "made", nil },
		},
		Drain: func(context.Context, *Mount) error { return nil },
	})
}

func TestTheLongestMountAnswers(t *testing.T) {
	table := newTable()
	for _, path := range []string{"db", "team/one/db", "team/two", "auth/app"} {
		if err := table.Enable(t.Context(), Entry{Path: path, Type: "plain"}); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string][2]string{
		"db/creds/x":         {"db/", "creds/x"},
		"db/":                {"db/", ""},
		"db":                 {"db/", ""},
		"team/one/db/creds":  {"team/one/db/", "creds"},
		"team/two/one/db/x":  {"team/two/", "one/db/x"},
		"auth/app/role/name": {"auth/app/", "role/name"},
	} {
		m, rest, ok := table.Route(path)
		if !ok || m.Entry().Path != want[0] || rest != want[1] {
			t.Errorf("%q: %v, %q; want %q", path, ok, rest, want)
		}
	}
	for _, path := range []string{"", "dbx/creds", "team/one", "auth", "auth/other/login"} {
		if m, _, ok := table.Route(path); ok {
			t.Errorf("%q is answered by %q", path, m.Entry().Path)
		}
	}
}

func TestMountsThatCannotBe(t *testing.T) {
	table := newTable()
	if err := table.Enable(t.Context(), Entry{Path: "team/db", Type: "plain"}); err != nil {
		t.Fatal(err)
	}
	for name, e := range map[string]Entry{
		"in use":               {Path: "team/db/", Type: "plain"},
		"above another":        {Path: "team", Type: "plain"},
		"below another":        {Path: "team/db/sub", Type: "plain"},
		"of an unknown type":   {Path: "x", Type: "nope"},
		"reserved":             {Path: "sys/x", Type: "plain"},
		"all of auth":          {Path: "auth/", Type: "plain"},
		"climbing":             {Path: "a/../b", Type: "plain"},
		"empty":                {Path: "/", Type: "plain"},
		"with a space":         {Path: "a b", Type: "plain"},
		"with a policy's mark": {Path: "a*", Type: "plain"},
	} {
		if err := table.Enable(t.Context(), e); !errors.Is(err, ErrInvalid) {
			t.Errorf("a mount %s: %v; want ErrInvalid", name, err)
		}
	}
}

func TestSettingsOfAMountComeBeforeTheServers(t *testing.T) {
	table := newTable()
	if err := table.Enable(t.Context(), Entry{Path: "db", Type: "plain"}); err != nil {
		t.Fatal(err)
	}
	m, _ := table.Get("db")
	view := m.System()
	if view.DefaultLeaseTTL() != 100 || view.MaxLeaseTTL() != 1000 {
		t.Fatalf("untuned: %d, %d", view.DefaultLeaseTTL(), view.MaxLeaseTTL())
	}
	tune := func(byDefault, most time.Duration) error {
		return table.Tune(t.Context(), "db/", func(e *Entry) error {
			e.Config.DefaultLeaseTTL, e.Config.MaxLeaseTTL = byDefault, most
			return nil
		})
	}
	if err := tune(0, 50); err != nil {
		t.Fatal(err)
	}
	if view.DefaultLeaseTTL() != 50 || view.MaxLeaseTTL() != 50 {
		t.Fatalf("tuned: %d, %d; want the default within the maximum", view.DefaultLeaseTTL(), view.MaxLeaseTTL())
	}
	if err := tune(60, 50); !errors.Is(err, ErrInvalid) {
		t.Fatalf("a default above the maximum: %v", err)
	}
	if password, err := view.GeneratePasswordFromPolicy(t.Context(), "any"); password != "made" || err != nil {
		t.Fatalf("password %q, %v", password, err)
	}
	if err := view.DeregisterRotationJob(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
}

func TestSpecialPathsMatchAsTheSDKSays(t *testing.T) {
	set := pathSet{"login", "oidc/*", "role/+/id", "deep/+/x*"}
	for path, want := range map[string]bool{
		"login": true, "login/x": false, "oidc/callback": true, "oidc": false,
		"role/a/id": true, "role/a/b/id": false, "role//id": false, "role/a": false,
		"deep/a/xyz": true, "deep/a/xyz/w": true, "deep/a/y": false, "deep/a": false,
	} {
		if got := set.match(path); got != want {
			t.Errorf("%q: %v; want %v", path, got, want)
		}
	}
}
