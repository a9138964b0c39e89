package file_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/novatech/securevault/server/store"
	"github.com/novatech/securevault/server/store/file"
	"github.com/novatech/securevault/server/store/storetest"
)

func open(t testing.TB, path string) *file.Store {
	t.Helper()
	s, err := file.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// fresh opens an empty store that ends with the test.
func fresh(t testing.TB) store.Store {
	s := open(t, filepath.Join(t.TempDir(), "vault.db"))
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestAFileMeetsTheContractOfStores(t *testing.T) { storetest.Run(t, fresh) }

func TestWhatAFileHoldsSurvives(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vault.db")
	storetest.Survives(t, func(t testing.TB) (store.Store, func() error) {
		s := open(t, path)
		return s, s.Close
	})
}

func BenchmarkFile(b *testing.B) { storetest.Bench(b, fresh) }

func TestTheFileAndItsFolderAreForTheirOwnerAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "vault.db")
	for range 2 {
		if err := open(t, path).Close(); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]fs.FileMode{path: 0o600, filepath.Dir(path): 0o700 | fs.ModeDir} {
			info, err := os.Stat(name)
			if err != nil || info.Mode() != want {
				t.Fatalf("mode of %s: %v, %v; want %v", name, info.Mode(), err, want)
			}
		}
		if err := os.Chmod(path, 0o644); err != nil { // mended by the second round
			t.Fatal(err)
		}
	}
}

func TestAFileThatCannotBeOpenedIsNamedWithWhatToDo(t *testing.T) {
	folder := t.TempDir()
	taken, foreign, cut := filepath.Join(folder, "taken"), filepath.Join(folder, "foreign"), filepath.Join(folder, "cut")
	s := open(t, taken)
	defer s.Close()
	if err := os.WriteFile(foreign, []byte(strings.Repeat("not a store\n", 2000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := open(t, cut).Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(cut, 100); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		taken:                                "another process has it open; stop that server, or choose another path",
		foreign:                              "it is damaged or not a store; restore it from a backup",
		cut:                                  "it is damaged or not a store; restore it from a backup",
		filepath.Join(foreign, "below", "x"): "making the folder of the store",
	} {
		s, err := file.Open(path)
		if err == nil {
			s.Close()
			t.Errorf("%s: opened", path)
			continue
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", path, err, want)
		}
	}
}
