package sink

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Reference, section 2, row 21.
func TestInPlaceKeepsTheFileThatIsMounted(t *testing.T) {
	tests := []struct{ name, old, content string }{
		{"longer", "old", "new content"},
		{"shorter", "old content", "new"},
		{"of the same length", "old", "new"},
		{"empty", "old", ""},
		{"first, into an empty file", "", "new"},
	}
	for _, test := range tests {
		t.Run("content that is "+test.name, func(t *testing.T) {
			folder := t.TempDir()
			f := File{Path: filepath.Join(folder, "secret"), InPlace: true}
			put(t, f.Path, test.old, 0o640)
			before := inode(t, f.Path)
			staged, err := f.Stage([]byte(test.content))
			if err != nil {
				t.Fatal(err)
			}
			wantContent(t, f.Path, test.old)
			if err := staged.Commit(); err != nil {
				t.Fatal(err)
			}
			wantContent(t, f.Path, test.content)
			wantMode(t, f.Path, 0o640)
			wantNames(t, folder, "secret")
			if inode(t, f.Path) != before {
				t.Error("the file was replaced, want it written over")
			}
			if write(t, f, test.content) {
				t.Error("the same content was reported as a change")
			}
		})
	}
}

func TestInPlaceMakesAFileThatIsMissing(t *testing.T) {
	f := File{Path: filepath.Join(t.TempDir(), "new", "secret"), InPlace: true, CreateDirs: true}
	write(t, f, "new")
	wantContent(t, f.Path, "new")
	wantMode(t, f.Path, DefaultMode)
}

func TestInPlaceSetsTheModeBeforeTheContent(t *testing.T) {
	f := File{Path: filepath.Join(t.TempDir(), "secret"), Mode: 0o600, InPlace: true}
	put(t, f.Path, "old", 0o666)
	write(t, f, "new")
	wantMode(t, f.Path, 0o600)
}

func TestInPlaceBackupIsACopy(t *testing.T) {
	folder := t.TempDir()
	f := File{Path: filepath.Join(folder, "secret"), Backup: true, InPlace: true}
	put(t, f.Path, "first", 0o640)
	write(t, f, "second")
	wantContent(t, f.Path+".bak", "first")
	write(t, f, "third")
	wantContent(t, f.Path+".bak", "second")
	wantMode(t, f.Path+".bak", 0o640)
	wantNames(t, folder, "secret", "secret.bak")
}

func TestInPlaceDiscardedLeavesTheOldContent(t *testing.T) {
	f := File{Path: filepath.Join(t.TempDir(), "secret"), InPlace: true}
	put(t, f.Path, "old", 0o600)
	staged, err := f.Stage([]byte("new"))
	if err != nil {
		t.Fatal(err)
	}
	staged.Discard()
	if err := staged.Commit(); err != nil {
		t.Fatal(err)
	}
	wantContent(t, f.Path, "old")
}

func TestInPlaceOnAFullDiskLeavesTheOldContent(t *testing.T) {
	folder, full := limitDisk(t, 64<<10)
	f := File{Path: filepath.Join(folder, "secret"), InPlace: true}
	put(t, f.Path, "old", 0o600)
	_, err := f.Write([]byte(strings.Repeat("x", 128<<10)))
	wantError(t, err, f.Path)
	if !errors.Is(err, full) {
		t.Errorf("the error %q is not %q", err, full)
	}
	wantContent(t, f.Path, "old")
}

func TestInPlaceNeedsNoFolderThatCanBeWrittenTo(t *testing.T) {
	folder := t.TempDir()
	f := File{Path: filepath.Join(folder, "secret"), InPlace: true}
	put(t, f.Path, "old", 0o666)
	open(t, folder)
	t.Cleanup(func() { _ = os.Chmod(filepath.Dir(folder), 0o755); _ = os.Chmod(folder, 0o755) })
	var checked, written error
	unprivileged(t, func() {
		checked = f.Check()
		_, written = f.Write([]byte("new"))
	})
	if err := errors.Join(checked, written); err != nil {
		t.Fatal(err)
	}
	wantContent(t, f.Path, "new")
}

// Reference, section 2, row 21.
func TestInPlaceWritesThroughAMount(t *testing.T) {
	folder := t.TempDir()
	source, path := filepath.Join(folder, "source"), filepath.Join(folder, "secret")
	put(t, source, "old", 0o600)
	put(t, path, "", 0o600)
	if err := syscall.Mount(source, path, "", syscall.MS_BIND, ""); err != nil {
		t.Log("mounting is not permitted: a second name of the file stands in for the mount")
		if err := errors.Join(os.Remove(path), os.Link(source, path)); err != nil {
			t.Fatal(err)
		}
	} else {
		t.Cleanup(func() { _ = syscall.Unmount(path, syscall.MNT_DETACH) })
	}
	write(t, File{Path: path, InPlace: true}, "new")
	wantContent(t, source, "new")
}
