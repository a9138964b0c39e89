package config

import "testing"

func TestStarterOfFiles(t *testing.T) {
	f, err := parseText(Starter{Secrets: []string{"database/creds/app", "kv/data/a\"b"}, Address: "http://x:8200"}.HCL())
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "address", f.Vault.Address, "http://x:8200")
	equal(t, "destinations", []string{f.Templates[0].Destination, f.Templates[1].Destination}, []string{"app.env", "a\"b.env"})
	equal(t, "a database", f.Templates[0].Contents, "{{ with secret \"database/creds/app\" }}USERNAME={{ .Data.username }}\nPASSWORD={{ .Data.password }}\n{{ end }}\n")
	equal(t, "a value", f.Templates[1].Contents, "{{ with secret \"kv/data/a\\\"b\" }}VALUE={{ .Data.data.value }}\n{{ end }}\n")
	equal(t, "warnings", f.Warnings, nil)
}

func TestStarterOfVariables(t *testing.T) {
	f, err := parseText(Starter{Env: true, Secrets: []string{"db/creds/my-app", "kv/1 ü", "other/1 ü"}, Command: []string{"app", "a b"}}.HCL())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, v := range f.EnvTemplates {
		names = append(names, v.Name)
	}
	equal(t, "names", names, []string{"MY_APP_USERNAME", "MY_APP_PASSWORD", "_1___VALUE", "_1___VALUE_"})
	equal(t, "contents", f.EnvTemplates[0].Contents, `{{ with secret "db/creds/my-app" }}{{ .Data.username }}{{ end }}`)
	equal(t, "command", f.Child.Command.Args, []string{"app", "a b"})
}

func TestStarterWithoutAnythingLoads(t *testing.T) {
	for _, env := range []bool{false, true} {
		if _, err := parseText(Starter{Env: env}.HCL()); err != nil {
			t.Errorf("env %t: %v", env, err)
		}
	}
}
