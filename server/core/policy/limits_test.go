package policy

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/novatech/securevault/server/store"
	"github.com/novatech/securevault/server/store/inmem"
)

func TestParametersAreLimited(t *testing.T) {
	acl := compile([]*Policy{mustParse(t, `
path "allowed" {
  capabilities = ["create", "update", "read"]
  allowed_parameters = { "Color" = ["red", "blue*", "*ish"], "size" = [], "count" = [1, 2, 99999999999999999999], "on" = [true] }
}
path "others" {
  capabilities = ["update"]
  allowed_parameters = { "color" = ["red"], "*" = [] }
  denied_parameters = { "secret" = [], "size" = ["*huge*"] }
}
path "closed" { capabilities = ["update"] denied_parameters = { "*" = [] } }
path "needs" { capabilities = ["update", "read"] required_parameters = ["ttl"] }
path "united" { capabilities = ["update"] allowed_parameters = { "a" = ["1"], "b" = ["1"] } }
`), mustParse(t, `{"path":{"united":{"capabilities":["read"],"allowed_parameters":{"a":["2"],"b":[]},"denied_parameters":{"b":["9"]}}}}`)}, Identity{})
	cases := []struct {
		name, path, data string
		want             Capabilities
		allowed          bool
	}{
		{"a value that is listed", "allowed", `{"color":"red"}`, Update, true},
		{"a value with its beginning", "allowed", `{"color":"blueberry"}`, Update, true},
		{"a value with its end", "allowed", `{"color":"greenish"}`, Update, true},
		{"a value that is not", "allowed", `{"color":"green"}`, Update, false},
		{"a parameter in other case", "allowed", `{"COLOR":"green"}`, Update, false},
		{"any value where none is listed", "allowed", `{"size":{"x":1}}`, Update, true},
		{"a number", "allowed", `{"count":2}`, Update, true},
		{"a number that no machine can hold", "allowed", `{"count":99999999999999999999}`, Update, true},
		{"another number", "allowed", `{"count":3}`, Update, false},
		{"true", "allowed", `{"on":true}`, Update, true},
		{"a list whose values are listed", "allowed", `{"color":["red","blue"]}`, Update, true},
		{"a list with one that is not", "allowed", `{"color":["red","green"]}`, Update, false},
		{"a parameter that is not named", "allowed", `{"shape":"round"}`, Update, false},
		{"the same on a read", "allowed", `{"shape":"round"}`, Read, false},
		{"no parameters", "allowed", `{}`, Update, true},
		{"others where a star allows them", "others", `{"shape":"round"}`, Update, true},
		{"a named one is still limited", "others", `{"color":"blue"}`, Update, false},
		{"denied comes before allowed", "others", `{"secret":"x"}`, Update, false},
		{"a denied value", "others", `{"size":"so huge a one"}`, Update, false},
		{"a denied value in a list", "others", `{"size":["small","huge"]}`, Update, false},
		{"everything denied", "closed", `{"x":1}`, Update, false},
		{"nothing sent where everything is denied", "closed", `{}`, Update, true},
		{"what is required", "needs", `{"TTL":"1h"}`, Update, true},
		{"what is required left out", "needs", `{"x":"1h"}`, Update, false},
		{"a read requires nothing", "needs", `{}`, Read, true},
		{"values of two policies, the first", "united", `{"a":"1"}`, Update, true},
		{"values of two policies, the second", "united", `{"a":"2","b":"7"}`, Update, true},
		{"values of neither", "united", `{"a":"3"}`, Update, false},
		{"denied by one of them", "united", `{"b":"9"}`, Update, false},
		{"a capability that is missing", "closed", `{}`, Read, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var data map[string]any
			decoder := json.NewDecoder(strings.NewReader(c.data))
			decoder.UseNumber() // as the API does
			if err := decoder.Decode(&data); err != nil {
				t.Fatal(err)
			}
			if got := acl.Allows(Ask{Path: c.path, Want: c.want, Data: data}); got != c.allowed {
				t.Errorf("allowed %v; want %v", got, c.allowed)
			}
		})
	}
}

func TestWrappingTTLsAreLimited(t *testing.T) {
	acl := compile([]*Policy{mustParse(t, `
path "a" { capabilities = ["read"] min_wrapping_ttl = "1m" max_wrapping_ttl = "1h" }
path "b" { capabilities = ["read"] min_wrapping_ttl = "1s" }`), mustParse(t, `
path "a" { capabilities = ["read"] min_wrapping_ttl = "30s" max_wrapping_ttl = "2h" }`)}, Identity{})
	cases := []struct {
		path    string
		ttl     time.Duration
		allowed bool
	}{
		{"a", 0, false}, {"a", 29 * time.Second, false}, {"a", 30 * time.Second, true},
		{"a", time.Hour, true}, {"a", time.Hour + 1, false}, {"b", 0, false}, {"b", 99 * time.Hour, true},
	}
	for _, c := range cases {
		if got := acl.Allows(Ask{Path: c.path, Want: Read, WrapTTL: c.ttl}); got != c.allowed {
			t.Errorf("%s wrapped for %v: allowed %v; want %v", c.path, c.ttl, got, c.allowed)
		}
	}
}

func TestNoNameMakesOneIdentityAnother(t *testing.T) {
	s := NewStore(store.View(inmem.New(), ""))
	if err := s.Put(t.Context(), "team", `path "team/{{identity.entity.aliases.jwt_1.metadata.team}}" { capabilities = ["read"] }`); err != nil {
		t.Fatal(err)
	}
	ann := Identity{Accessor: "jwt_1", Name: "ann", Metadata: map[string]string{"team": "blue"}}
	if !s.ACL([]string{"team"}, ann).Capabilities("team/blue").Has(Read) {
		t.Fatal("ann does not reach the team's own")
	}
	for _, name := range []string{"ann\x00team\x00blue", `ann" "team" "blue`, "ann\n\nteam\nblue"} {
		if s.ACL([]string{"team"}, Identity{Accessor: "jwt_1", Name: name}).Capabilities("team/blue").Has(Read) {
			t.Errorf("%q is taken for ann of the team", name)
		}
	}
}

func TestTemplatesReachWhatIsTheirOwnAlone(t *testing.T) {
	s := NewStore(store.View(inmem.New(), ""))
	if err := s.Put(t.Context(), "home", `
path "home/{{identity.entity.aliases.ldap_1.name}}/*" { capabilities = ["read"] }
path "team/{{ identity.entity.aliases.ldap_1.metadata.team }}" { capabilities = ["read"] }
path "id/{{identity.entity.id}}" { capabilities = ["read"] }
path "id/" { capabilities = ["read"] }`); err != nil {
		t.Fatal(err)
	}
	ann := Identity{Accessor: "ldap_1", Name: "ann", Metadata: map[string]string{"team": "blue"}}
	bob := Identity{Accessor: "ldap_1", Name: "bob", Metadata: map[string]string{"team": "red"}}
	cases := []struct {
		name    string
		who     Identity
		path    string
		allowed bool
	}{
		{"one's own", ann, "home/ann/x", true},
		{"another's", ann, "home/bob/x", false},
		{"the other's own, after the first", bob, "home/bob/x", true},
		{"the first's, by the other", bob, "home/ann/x", false},
		{"metadata", ann, "team/blue", true},
		{"nobody's", Identity{}, "home//x", false},
		{"another mount's name", Identity{Accessor: "ldap_2", Name: "ann"}, "home/ann/x", false},
		{"an entity, which there is none of", ann, "id/", true},
		{"an entity by the template's text", ann, "id/{{identity.entity.id}}", false},
		{"a name that is a pattern", Identity{Accessor: "ldap_1", Name: "+"}, "home/ann/x", false},
		{"a name with a slash", Identity{Accessor: "ldap_1", Name: "repo:shop/web"}, "home/repo:shop/web/x", true},
		{"the first part of it alone", Identity{Accessor: "ldap_1", Name: "repo:shop/web"}, "home/repo:shop/x", false},
		{"a name that climbs", Identity{Accessor: "ldap_1", Name: "ann/../bob"}, "home/ann/../bob/x", false},
		{"a name of two slashes", Identity{Accessor: "ldap_1", Name: "ann//bob"}, "home/ann//bob/x", false},
		{"a pattern behind a slash", Identity{Accessor: "ldap_1", Name: "ann/+"}, "home/ann/x/y", false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := s.ACL([]string{"home"}, c.who).Capabilities(c.path).Has(Read); got != c.allowed {
				t.Errorf("allowed %v; want %v", got, c.allowed)
			}
		})
	}
}
