package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAMigrationIsReadInEverySyntax(t *testing.T) {
	for name, text := range map[string]string{
		"m.hcl":  "storage_source \"file\" {\n path = \"/data\"\n}\nstorage_destination \"etcd\" {\n address = \"http://e\"\n}\ncluster_addr = \"https://x:8201\"\n",
		"m.yaml": "storage_source: {file: {path: /data}}\nstorage_destination: {etcd: {address: \"http://e\"}}\n",
		"m.json": `{"storage_source": {"file": {"path": "/data"}}, "storage_destination": {"etcd": {"address": "http://e"}}}`,
	} {
		m, err := loadMigration(t, name, text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if m.Source.Type != "file" || m.Source.Settings.Get("path") != "/data" || m.Destination.Settings.Get("address") != "http://e" {
			t.Errorf("%s: %+v to %+v", name, m.Source, m.Destination)
		}
	}
}

func TestAMigrationThatCannotBeIsExplained(t *testing.T) {
	for text, want := range map[string]string{
		"storage_source: {file: {path: /data}}\n":                                                `"storage_destination" is missing`,
		"storage_sorce: {file: {path: /data}}\n":                                                 `did you mean "storage_source"?`,
		"storage_source: {inmem: {}}\nstorage_destination: {file: {path: /data}}\n":              "lives and dies with its server",
		"storage_source: {file: {pth: /data}}\nstorage_destination: {file: {path: /data/two}}\n": `did you mean "path"?`,
		"storage_source: [\n": "invalid YAML",
	} {
		if _, err := loadMigration(t, "m.yaml", text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want %q", text, err, want)
		}
	}
	if _, err := LoadMigration(filepath.Join(t.TempDir(), "none.hcl")); err == nil || !strings.Contains(err.Error(), "check the path") {
		t.Errorf("a missing file: %v", err)
	}
}

func loadMigration(t *testing.T, name, text string) (*Migration, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return LoadMigration(path)
}
