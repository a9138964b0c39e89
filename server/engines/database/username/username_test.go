package username

import (
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"
)

func TestNamesHoldOnlyHarmlessCharacters(t *testing.T) {
	generator, err := New(`v-{{.DisplayName}}-{{.RoleName}}-{{random 8}}`, 63)
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct{ display, role, prefix string }{
		"ordinary":       {"approle", "app-readonly", "v-approle-app-readonly-"},
		"mail address":   {"ldap-a.b@c.d", "app", "v-ldap-a.b@c.d-app-"},
		"injection":      {`x"; DROP TABLE t; --`, "a'b", "v-x___DROP_TABLE_t__-a_b-"},
		"placeholder":    {"{{password}}", "app", "v-__password__-app-"},
		"other scripts":  {"naïve\x00", "app", "v-na_ve_-app-"},
		"empty":          {"", "app", "v-app-"},
		"comment dashes": {"a--b", "c", "v-a-b-c-"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := generator.NewUsername(dbplugin.UsernameMetadata{DisplayName: test.display, RoleName: test.role})
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(got, test.prefix) || len(got) != len(test.prefix)+8 {
				t.Errorf("got %q, want %q and 8 random characters", got, test.prefix)
			}
		})
	}
}

func TestABadTemplateIsRefusedWithAHint(t *testing.T) {
	cases := map[string]struct{ text, want string }{
		"broken":          {`{{`, "reading username_template"},
		"unknown field":   {`{{.Role}}-{{random 8}}`, "applying username_template"},
		"always the same": {`v-{{.RoleName}}`, "add {{random 12}}"},
		"nothing":         {`{{if false}}x{{end}}`, "empty name"},
		"too long":        {`{{random 64}}`, "64 bytes, the database allows 63"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := New(test.text, 63)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v, want one that says %q", err, test.want)
			}
		})
	}
}
