package elasticsearch

import "testing"

func FuzzStatements(f *testing.F) {
	for _, seed := range []string{
		`{"elasticsearch_roles": ["app"]}`, `{"role_descriptors": {"a": {}}, "metadata": {}}`, `{"elasticsearch_role_definition": {"cluster": []}}`,
		`{}`, `null`, `[]`, `{"metadata": null}`, `{{name}}`, `{"elasticsearch_roles": ["{{name}}"]}`, "{\"a\xff\": 1}",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		granted, err := decodeGrants([]string{text}, map[string]string{"name": "v-app"})
		if err != nil {
			return
		}
		if keys, err := granted.forKey("v-app"); err == nil && len(keys) == 0 {
			t.Errorf("%q makes a key that may do everything", text)
		}
		if granted.forUser() == nil && len(granted.roles) == 0 && granted.definition == nil {
			t.Errorf("%q makes a user of no role", text)
		}
	})
}
