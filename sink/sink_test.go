package sink

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// write publishes content and fails the test if that is not possible.
func write(t *testing.T, f File, content string) (changed bool) {
	t.Helper()
	changed, err := f.Write([]byte(content))
	if err != nil {
		t.Fatal(err)
	}
	return changed
}

// put makes a file of exactly that mode, without the help of the package.
func put(t *testing.T, path, content string, mode fs.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func wantContent(t *testing.T, path, want string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(content) != want {
		t.Errorf("%s holds %q, want %q", path, content, want)
	}
}

func wantMode(t *testing.T, path string, want fs.FileMode) {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != want {
		t.Errorf("%s has mode %s, want %s", path, info.Mode(), want)
	}
}

// wantNames checks what is in a folder, hidden files included.
func wantNames(t *testing.T, folder string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	if !slices.Equal(names, want) {
		t.Errorf("%s holds %q, want %q", folder, names, want)
	}
}

func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("there was no error, want one with %q", parts)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error %q lacks %q", err, part)
		}
	}
	if strings.Contains(err.Error(), tempSuffix) {
		t.Errorf("the error %q names a temporary file", err)
	}
}

func inode(t *testing.T, path string) uint64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Ino
}

func TestMode(t *testing.T) {
	tests := []struct {
		name     string
		existing fs.FileMode // 0 for no file
		given    fs.FileMode
		want     fs.FileMode
	}{
		{"a new file is for its owner alone", 0, 0, 0o600},
		{"a new file gets the mode that was given, whatever the umask", 0, 0o666, 0o666},
		{"a file that exists keeps its mode", 0o640, 0, 0o640},
		{"a mode that was given replaces that of the file", 0o644, 0o600, 0o600},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "secret")
			if test.existing != 0 {
				put(t, path, "old", test.existing)
			}
			if !write(t, File{Path: path, Mode: test.given}, "new") {
				t.Error("new content was not reported as a change")
			}
			wantContent(t, path, "new")
			wantMode(t, path, test.want)
			wantNames(t, filepath.Dir(path), "secret")
		})
	}
}

func TestUnchangedContentTouchesNoFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	f := File{Path: path, Mode: 0o640}
	write(t, f, "same")
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if write(t, f, "same") {
		t.Error("the same content was reported as a change")
	}
	after, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if !os.SameFile(before, after) || !before.ModTime().Equal(after.ModTime()) {
		t.Error("the same content was written again")
	}
}

func TestUnchangedContentWithAWrongModeIsRepairedInPlace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	put(t, path, "same", 0o666)
	before := inode(t, path)
	staged, err := File{Path: path, Mode: 0o600}.Stage([]byte("same"))
	if err != nil {
		t.Fatal(err)
	}
	if staged.Changed() {
		t.Error("a wrong mode was reported as a change of the content")
	}
	wantMode(t, path, 0o666)
	if err := staged.Commit(); err != nil {
		t.Fatal(err)
	}
	wantMode(t, path, 0o600)
	if inode(t, path) != before {
		t.Error("the file was replaced, want it repaired in place")
	}
}

func TestStagedContentIsInvisibleUntilCommitted(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "secret")
	write(t, File{Path: path}, "old")
	staged, err := File{Path: path, Mode: 0o640}.Stage([]byte("new"))
	if err != nil {
		t.Fatal(err)
	}
	wantContent(t, path, "old")
	wantContent(t, staged.temp, "new")
	wantMode(t, staged.temp, 0o640)
	if err := staged.Commit(); err != nil {
		t.Fatal(err)
	}
	wantContent(t, path, "new")
	staged.Discard()
	wantContent(t, path, "new")
	wantNames(t, folder, "secret")
}

func TestDiscardLeavesNothing(t *testing.T) {
	folder := t.TempDir()
	staged, err := File{Path: filepath.Join(folder, "secret")}.Stage([]byte("new"))
	if err != nil {
		t.Fatal(err)
	}
	staged.Discard()
	staged.Discard()
	wantNames(t, folder)
}

func TestPublishStopsAtTheFirstFailureAndDiscardsTheRest(t *testing.T) {
	folder := t.TempDir()
	var staged []*Staged
	for _, name := range []string{"a", "b", "c"} {
		s, err := File{Path: filepath.Join(folder, name)}.Stage([]byte("new"))
		if err != nil {
			t.Fatal(err)
		}
		staged = append(staged, s)
	}
	if err := os.Mkdir(filepath.Join(folder, "b"), 0o755); err != nil {
		t.Fatal(err)
	}
	err := Publish(staged...)
	wantError(t, err, "publishing", filepath.Join(folder, "b"))
	wantNames(t, folder, "a", "b")
	wantContent(t, filepath.Join(folder, "a"), "new")
}

func TestMissingFoldersAreMadeSoThatOthersMayPass(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o022))
	folder := filepath.Join(t.TempDir(), "a", "b")
	write(t, File{Path: filepath.Join(folder, "secret"), CreateDirs: true}, "new")
	wantMode(t, folder, fs.ModeDir|0o755)
	wantMode(t, filepath.Join(folder, "secret"), 0o600)
}

func TestBackupKeepsTheContentBefore(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "secret")
	f := File{Path: path, Mode: 0o640, Backup: true}
	write(t, f, "one")
	wantNames(t, folder, "secret")
	write(t, f, "two")
	write(t, f, "three")
	write(t, f, "three")
	wantContent(t, path, "three")
	wantContent(t, path+".bak", "two")
	wantMode(t, path+".bak", 0o640)
	wantNames(t, folder, "secret", "secret.bak")
}

func TestLinkIsFollowed(t *testing.T) {
	tests := map[string]struct{ link, existing string }{
		"to a file":                        {"../real/secret", "old"},
		"to a file that is not there yet":  {"../real/secret", ""},
		"through a second link":            {"second", "old"},
		"by an absolute path to the place": {"", "old"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			real := filepath.Join(folder, "real", "secret")
			link := filepath.Join(folder, "links", "secret")
			for _, path := range []string{real, link} {
				if err := os.Mkdir(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			if test.existing != "" {
				put(t, real, test.existing, 0o600)
			}
			target := test.link
			if target == "" {
				target = real
			}
			if target == "second" {
				if err := os.Symlink("../real/secret", filepath.Join(folder, "links", "second")); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Symlink(target, link); err != nil {
				t.Fatal(err)
			}
			write(t, File{Path: link}, "new")
			wantContent(t, real, "new")
			if kept, err := os.Readlink(link); err != nil || kept != target {
				t.Errorf("the link is now %q (%v), want it to point to %q still", kept, err, target)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	tests := []struct {
		name    string
		prepare func(t *testing.T, folder string) File
		want    []string
	}{
		{"an empty path", func(*testing.T, string) File { return File{} }, []string{"name a file"}},
		{"a folder", func(_ *testing.T, folder string) File { return File{Path: folder} },
			[]string{"it is a folder"}},
		{"a path that ends like a folder", func(_ *testing.T, folder string) File { return File{Path: folder + "/new/", CreateDirs: true} },
			[]string{"it is a folder"}},
		{"a missing folder", func(_ *testing.T, folder string) File { return File{Path: folder + "/none/secret"} },
			[]string{"/none", "create_dest_dirs = true"}},
		{"a file where a folder should be", func(t *testing.T, folder string) File {
			put(t, folder+"/plain", "", 0o600)
			return File{Path: folder + "/plain/secret", CreateDirs: true}
		}, []string{"not a directory"}},
		{"a named pipe", func(t *testing.T, folder string) File {
			if err := syscall.Mkfifo(folder+"/pipe", 0o600); err != nil {
				t.Fatal(err)
			}
			return File{Path: folder + "/pipe"}
		}, []string{"no regular file"}},
		{"links in a circle", func(t *testing.T, folder string) File {
			if err := os.Symlink("loop", folder+"/loop"); err != nil {
				t.Fatal(err)
			}
			return File{Path: folder + "/loop"}
		}, []string{"circle"}},
		{"an unknown user", func(_ *testing.T, folder string) File { return File{Path: folder + "/secret", Owner: "no-such-user"} },
			[]string{`user "no-such-user"`, "create it or give its numeric id"}},
		{"an unknown group", func(_ *testing.T, folder string) File { return File{Path: folder + "/secret", Group: "no-such-group"} },
			[]string{`group "no-such-group"`}},
		{"an id out of range", func(_ *testing.T, folder string) File { return File{Path: folder + "/secret", Owner: "4294967295"} },
			[]string{"no id"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := test.prepare(t, t.TempDir())
			want := append(test.want, fmt.Sprintf("%q", f.Path))
			wantError(t, f.Check(), want...)
			_, err := f.Stage([]byte("new"))
			wantError(t, err, want...)
		})
	}
}

func TestCheckAcceptsWhatCanBeWrittenAndChangesNothing(t *testing.T) {
	folder := t.TempDir()
	for _, f := range []File{
		{Path: folder + "/new"},
		{Path: folder + "/a/b/c/new", CreateDirs: true},
		{Path: folder + "/owned", Owner: fmt.Sprint(os.Getuid()), Group: fmt.Sprint(os.Getgid())},
	} {
		if err := f.Check(); err != nil {
			t.Error(err)
		}
	}
	wantNames(t, folder)
}

func TestKilledBetweenStagingAndCommitKeepsTheOldContent(t *testing.T) {
	const variable = "SINK_TEST_DESTINATION"
	if path := os.Getenv(variable); path != "" {
		if _, err := (File{Path: path}).Stage([]byte("new")); err != nil {
			t.Fatal(err)
		}
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
	folder := t.TempDir()
	f := File{Path: filepath.Join(folder, "secret")}
	write(t, f, "old")
	child := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	child.Env = append(os.Environ(), variable+"="+f.Path)
	output, err := child.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the child ended with %v, want it killed: %s", err, output)
	}
	wantContent(t, f.Path, "old")
	if left, _ := filepath.Glob(filepath.Join(folder, ".secret.*.tmp")); len(left) != 1 {
		t.Fatalf("the child left %q, want one temporary file", left)
	}
	Sweep(time.Now().Add(time.Second), f)
	wantNames(t, folder, "secret")
	wantContent(t, f.Path, "old")
}

func TestSweepRemovesOnlyWhatIsCertainlyALeftover(t *testing.T) {
	folder := t.TempDir()
	started := time.Now()
	leftover := ".secret.0123456789abcdef.tmp"
	fresh := ".secret.fedcba9876543210.tmp"
	strangers := []string{
		".other.0123456789abcdef.tmp", // of a destination that is not ours
		".secret.0123456789abcde.tmp", // too short
		".secret.0123456789abcdeg.tmp",
		".secret.tmp",
		"secret.0123456789abcdef.tmp",
		"secret",
	}
	for _, name := range append(strangers, leftover, fresh) {
		path := filepath.Join(folder, name)
		put(t, path, "x", 0o600)
		age := -time.Hour
		if name == fresh {
			age = time.Hour
		}
		if err := os.Chtimes(path, started.Add(age), started.Add(age)); err != nil {
			t.Fatal(err)
		}
	}
	Sweep(started, File{Path: filepath.Join(folder, "secret")}, File{Path: filepath.Join(folder, "gone", "secret")})
	want := append(strangers, fresh)
	slices.Sort(want)
	wantNames(t, folder, want...)
}
