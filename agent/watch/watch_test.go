package watch

import (
	"os"
	"path/filepath"
	"testing"
)

func TestWhatCountsAsNews(t *testing.T) {
	tests := []struct {
		name   string
		change func(t *testing.T, path string)
		news   bool
	}{
		{"nothing", func(*testing.T, string) {}, false},
		{"other content", func(t *testing.T, path string) { put(t, path, "longer than before") }, true},
		{"another file in its place", func(t *testing.T, path string) {
			put(t, path+".new", "before")
			if err := os.Rename(path+".new", path); err != nil {
				t.Fatal(err)
			}
		}, true},
		{"a file that is removed", func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "file")
			put(t, path, "before")
			files := New(path)
			files.Note()
			test.change(t, path)
			if got := files.Fresh(); got != test.news {
				t.Errorf("fresh = %t, want %t", got, test.news)
			}
			files.Note()
			if files.Fresh() {
				t.Error("the same news twice")
			}
		})
	}
}

func TestAFileThatAppearsIsNews(t *testing.T) {
	folder := t.TempDir()
	files := New(folder, filepath.Join(folder, "later"))
	files.Note()
	put(t, filepath.Join(folder, "later"), "x")
	if !files.Fresh() {
		t.Error("no news of a file that has appeared")
	}
}

func put(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
