package policy

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/novatech/securevault/server/store"
	"github.com/novatech/securevault/server/store/inmem"
)

func mustParse(t *testing.T, text string) *Policy {
	t.Helper()
	p, err := Parse("test", text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestTheMostSpecificRuleDecides(t *testing.T) {
	acl := compile([]*Policy{mustParse(t, `
path "*" { capabilities = ["list"] }
path "db/creds/*" { capabilities = ["read"] }
path "db/creds/admin" { capabilities = ["deny"] }
path "db/creds/admin*" { capabilities = ["update"] }
path "db/+/admin-two" { capabilities = ["delete"] }
path "kv/+/config/*" { capabilities = ["create"] }
path "kv/+/config" { capabilities = ["patch"] }
path "/leading/slash" { policy = "write" }
path "folder" { capabilities = ["list", "read"] }
`)}, Identity{})
	cases := []struct {
		path string
		want string
	}{
		{"anything", "list"},
		{"db/creds/reader", "read"},
		{"db/creds/admin", "deny"},
		{"db/creds/admin-one", "update"},
		{"db/creds/admin-two", "update"}, // its first wildcard comes later
		{"db/roles/admin-two", "delete"},
		{"kv/team/config/a/b", "create"},
		{"kv/team/config", "patch"},
		{"kv/team/configs", "list"},
		{"kv//config", "list"}, // + stands for a segment with something in it
		{"leading/slash", "create,delete,list,patch,read,update"},
		{"folder/", "list"},
		{"folder", "list,read"},
	}
	for _, c := range cases {
		if got := acl.Capabilities(c.path).String(); got != c.want {
			t.Errorf("%s: %s; want %s", c.path, got, c.want)
		}
	}
}

func TestPoliciesOfATokenAreUnitedAndDenyWins(t *testing.T) {
	one := mustParse(t, `path "a/*" { capabilities = ["read"] } path "b" { capabilities = ["read"] }`)
	two := mustParse(t, `path "a/*" { capabilities = ["update"] } path "b" { capabilities = ["deny"] }`)
	acl := compile([]*Policy{one, nil, two}, Identity{})
	if got := acl.Capabilities("a/x").String(); got != "read,update" {
		t.Errorf("a/x: %s; want read,update", got)
	}
	if acl.Capabilities("b").Has(Read) {
		t.Error("b can be read in spite of deny")
	}
}

func TestMistakesNameTheLine(t *testing.T) {
	cases := []struct{ name, text, want string }{
		{"an unknown capability", "path \"a\" {\n}\npath \"b\" {\n  capabilities = [\"fly\"]\n}", `line 3: path "b": unknown capability "fly"`},
		{"an unknown top-level key", "\nroute \"a\" {}", `line 2: unknown key "route"`},
		{"a restriction that is not enforced", `path "a" { control_group = {} }`, `line 1: path "a": unknown key "control_group"`},
		{"parameters that are a list", `path "a" { allowed_parameters = ["x"] }`, "parameters are written like"},
		{"values that are no list", `path "a" { denied_parameters = { "x" = "y" } }`, "parameters are written like"},
		{"values that are lists", `path "a" { denied_parameters = { "x" = [["y"]] } }`, `the values of parameter "x" must be`},
		{"a required parameter without a name", `path "a" { required_parameters = [7] }`, "must be a list of names"},
		{"a wrapping TTL that is none", `path "a" { min_wrapping_ttl = "soon" }`, "min_wrapping_ttl must be a duration"},
		{"a wrapping TTL beyond all numbers", `path "a" { min_wrapping_ttl = 99999999999999999999 }`, "min_wrapping_ttl must be a duration"},
		{"a minimum above the maximum", `path "a" { min_wrapping_ttl = "2m" max_wrapping_ttl = 60 }`, "min_wrapping_ttl 2m0s is longer"},
		{"an open template", `path "a/{{identity.entity.id" { capabilities = ["read"] }`, "must end with }}"},
		{"an unknown template", `path "a/{{time.now}}" { capabilities = ["read"] }`, "unknown template {{time.now}}"},
		{"a star inside", `path "a/*/b" { capabilities = ["read"] }`, `"*" may only stand at the end`},
		{"plus and star", `path "a/+*" { capabilities = ["read"] }`, `"+*" means nothing`},
		{"capabilities that are no list", `path "a" { capabilities = "read" }`, "must be a list of strings"},
		{"a number as a capability", `path "a" { capabilities = [1] }`, "must be a list of strings"},
		{"a path without a name", `path { capabilities = ["read"] }`, `expected path "…"`},
		{"an unclosed block", "path \"a\" {\n  capabilities = [\"read\"]\n", "line "},
		{"blocks in blocks without end", strings.Repeat("a{", 1<<20), "nested more than 1000 deep"},
		{"the same in JSON", strings.Repeat(`{"a":`, 1<<20), "nested more than 1000 deep"},
		{"lists in lists without end", `path "a" { capabilities = ` + strings.Repeat("[", 1<<20), "nested more than 1000 deep"},
		{"an unknown shorthand", `path "a" { policy = "all" }`, `unknown policy "all"`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse("test", c.text)
			var at *ParseError
			if !errors.As(err, &at) || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v; want a ParseError with %q", err, c.want)
			}
		})
	}
}

func TestPoliciesCanBeWrittenInJSON(t *testing.T) {
	acl := compile([]*Policy{mustParse(t, `{"path":{"a/*":{"capabilities":["read"]},"b":{"capabilities":["list"]}}}`)}, Identity{})
	if !acl.Capabilities("a/x").Has(Read) || !acl.Capabilities("b").Has(List) {
		t.Fatal("the JSON policy grants nothing")
	}
}

func TestTouchesFindsMountsATokenCanSee(t *testing.T) {
	acl := compile([]*Policy{mustParse(t, `
path "db/creds/*" { capabilities = ["read"] }
path "secret/data/x" { capabilities = ["read"] }
path "hidden/*" { capabilities = ["deny"] }
path "+/config" { capabilities = ["read"] }
`)}, Identity{})
	for prefix, want := range map[string]bool{"db/": true, "secret/": true, "db/creds/team/": true} {
		if got := acl.Touches(prefix); got != want {
			t.Errorf("Touches(%q) = %v; want %v", prefix, got, want)
		}
	}
	only := compile([]*Policy{mustParse(t, `path "hidden/*" { capabilities = ["deny"] } path "db" { capabilities = ["read"] }`)}, Identity{})
	if only.Touches("hidden/") || only.Touches("other/") {
		t.Error("a mount that may not be used is seen")
	}
}

func TestAChangedPolicyChangesTheACL(t *testing.T) {
	ctx := t.Context()
	storage := store.View(inmem.New(), "policy/")
	s := NewStore(storage)
	if err := s.Restore(ctx); err != nil {
		t.Fatal(err)
	}
	allowed := func(s *Store) bool { return s.ACL([]string{"app", "default"}, Identity{}).Capabilities("a").Has(Read) }
	if allowed(s) {
		t.Fatal("a policy that does not exist grants something")
	}
	if err := s.Put(ctx, " App ", `path "a" { capabilities = ["read"] }`); err != nil {
		t.Fatal(err)
	}
	if !allowed(s) {
		t.Fatal("a new policy grants nothing")
	}
	again := NewStore(storage)
	if err := again.Restore(ctx); err != nil {
		t.Fatal(err)
	}
	if !allowed(again) || !slices.Equal(again.Names(), []string{"app", "default", "root"}) {
		t.Fatalf("restored: %v, %q", allowed(again), again.Names())
	}
	if err := s.Delete(ctx, "app"); err != nil {
		t.Fatal(err)
	}
	if allowed(s) {
		t.Fatal("a deleted policy still grants")
	}
}

func TestBuiltInPoliciesStay(t *testing.T) {
	s := NewStore(store.View(inmem.New(), ""))
	if err := s.Restore(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		s.Put(t.Context(), "root", ""), s.Delete(t.Context(), "root"), s.Delete(t.Context(), "default"),
	} {
		if !errors.Is(err, ErrBuiltIn) {
			t.Errorf("error %v; want ErrBuiltIn", err)
		}
	}
	acl := s.ACL([]string{"root"}, Identity{})
	if !acl.Capabilities("sys/anything").Has(Sudo) || !slices.Equal(acl.Names("x"), []string{"root"}) {
		t.Error("root does not grant everything")
	}
	if !s.ACL([]string{"default"}, Identity{}).Capabilities("auth/token/renew-self").Has(Update) {
		t.Error("default does not allow renew-self")
	}
}

func FuzzParse(f *testing.F) {
	f.Add(defaultText)
	f.Add(`{"path":{"a/*":{"capabilities":["read"]}}}`)
	f.Add(`path "a" { policy = "write" }`)
	f.Add("path \"a\" {\n capabilities = [<<X\nread\nX\n]}")
	f.Add(`path "a/{{identity.entity.aliases.m.name}}" { allowed_parameters = { "a" = ["*b", 1] } required_parameters = ["a"] }`)
	f.Add(`{"path":{"a":{"denied_parameters":{"a":[],"*":[true]},"min_wrapping_ttl":"1s","max_wrapping_ttl":60}}}`)
	f.Add(`path "\x" {}`)
	f.Add(`path "a" { allowed_parameters = { "a" = [99999999999999999999, 1e999, 0x7f, true] } min_wrapping_ttl = 1e999 }`)
	f.Add(`path = [{"a" = 1}]`)
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Parse("fuzz", text)
		if err != nil {
			var at *ParseError
			if !errors.As(err, &at) {
				t.Fatalf("error %T is no ParseError", err)
			}
			return
		}
		acl := compile([]*Policy{p}, Identity{})
		for _, r := range p.rules {
			path := strings.ReplaceAll(strings.TrimSuffix(r.pattern.text, "*"), "+", "segment")
			_ = acl.Allows(Ask{Path: path, Want: Read | Update, Data: map[string]any{"a": []any{"b"}}, WrapTTL: 1})
			if r.grants&Deny != 0 && r.pattern.exact() && acl.Capabilities(r.pattern.text).Has(Read) {
				t.Fatalf("%q is denied and can be read", r.pattern.text)
			}
		}
	})
}
