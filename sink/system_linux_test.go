package sink

import (
	"errors"
	"io/fs"
	"os"
	"os/signal"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// The tests of this file need what only root or a certain system has. Where
// it is missing they prove the same by other means; none is skipped.

// limitDisk makes writing more than limit bytes to a file in the returned
// folder fail: by a small file system where we may mount one, by a limit on
// the size of files elsewhere.
func limitDisk(t *testing.T, limit uint64) (folder string, full error) {
	t.Helper()
	folder = t.TempDir()
	if err := syscall.Mount("tmpfs", folder, "tmpfs", 0, "size=64k"); err == nil {
		t.Cleanup(func() { _ = syscall.Unmount(folder, syscall.MNT_DETACH) })
		return folder, syscall.ENOSPC
	}
	t.Log("mounting is not permitted: a limit on the size of files stands in for a full disk")
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	signal.Ignore(syscall.SIGXFSZ)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: limit, Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
			t.Fatal(err)
		}
		signal.Reset(syscall.SIGXFSZ)
	})
	return folder, syscall.EFBIG
}

func TestFullDiskLeavesTheOldFile(t *testing.T) {
	folder, full := limitDisk(t, 64<<10)
	f := File{Path: filepath.Join(folder, "secret"), Mode: 0o640}
	write(t, f, "old")
	_, err := f.Write([]byte(strings.Repeat("x", 128<<10)))
	wantError(t, err, "staging", f.Path)
	if !errors.Is(err, full) {
		t.Errorf("the error %q is not %q", err, full)
	}
	if full == syscall.ENOSPC {
		wantError(t, err, "free some space")
	}
	wantContent(t, f.Path, "old")
	wantMode(t, f.Path, 0o640)
	wantNames(t, folder, "secret")
}

// Reference, section 2, row 21.
func TestMountPointIsExplained(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "secret")
	put(t, path, "old", 0o600)
	if err := syscall.Mount(path, path, "", syscall.MS_BIND, ""); err != nil {
		t.Log("mounting is not permitted: the error of the kernel stands in")
		wantError(t, failed("publishing", path, syscall.EBUSY), "mount its folder instead")
		return
	}
	t.Cleanup(func() { _ = syscall.Unmount(path, syscall.MNT_DETACH) })
	_, err := File{Path: path}.Write([]byte("new"))
	wantError(t, err, path, "in_place = true", "mount its folder instead")
	wantContent(t, path, "old")
	wantNames(t, folder, "secret")
}

// unprivileged runs a function without the privileges of root, on a thread of
// its own that ends with it.
func unprivileged(t *testing.T, run func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		run()
		return
	}
	done := make(chan syscall.Errno)
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread is of no more use to others
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, nobody, nobody, nobody); errno != 0 {
			done <- errno
			return
		}
		run()
	}()
	if errno := <-done; errno != 0 {
		t.Fatalf("dropping privileges: %v", errno)
	}
}

const nobody = 65534

// open lets everybody reach a temporary folder, but not write to it.
func open(t *testing.T, folder string) {
	t.Helper()
	for path := folder; path != os.TempDir() && path != "/"; path = filepath.Dir(path) {
		if err := os.Chmod(path, 0o555); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFolderThatIsNotOursIsRefused(t *testing.T) {
	folder := t.TempDir()
	open(t, folder)
	t.Cleanup(func() { _ = os.Chmod(filepath.Dir(folder), 0o755); _ = os.Chmod(folder, 0o755) })
	f := File{Path: filepath.Join(folder, "secret")}
	var checked, staged error
	unprivileged(t, func() {
		checked = f.Check()
		_, staged = f.Stage([]byte("new"))
	})
	for _, err := range []error{checked, staged} {
		wantError(t, err, f.Path, "permission denied", "let the user of the agent write to the folder")
	}
	wantNames(t, folder)
}

func TestForeignOwnerIsRefusedToTheUnprivileged(t *testing.T) {
	folder := t.TempDir()
	open(t, folder)
	if err := os.Chmod(folder, 0o777); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(filepath.Dir(folder), 0o755) })
	f := File{Path: filepath.Join(folder, "secret"), Owner: "0"}
	var err error
	unprivileged(t, func() { _, err = f.Stage([]byte("new")) })
	wantError(t, err, f.Path, "setting the owner", "leave owner, group and backup out")
	wantNames(t, folder)
}

func TestOwner(t *testing.T) {
	own := ids{os.Getuid(), os.Getgid()}
	other := own
	if own.uid == 0 {
		other = ids{12345, 12346} // only root can give a file away
	}
	tests := []struct {
		name     string
		existing ids
		file     File
		want     ids
	}{
		{"a new file is ours", ids{unset, unset}, File{}, own},
		{"a file that exists keeps owner and group", other, File{}, other},
		{"owner and group are set as given", own, File{Owner: strconv.Itoa(other.uid), Group: strconv.Itoa(other.gid)}, other},
		{"a group alone leaves the owner", other, File{Group: strconv.Itoa(own.gid)}, ids{other.uid, own.gid}},
	}
	for _, test := range tests {
		for _, content := range []string{"new", "old"} {
			t.Run(test.name+", content "+content, func(t *testing.T) {
				f := test.file
				f.Path = filepath.Join(t.TempDir(), "secret")
				if test.existing.uid != unset {
					put(t, f.Path, "old", 0o600)
					if err := os.Chown(f.Path, test.existing.uid, test.existing.gid); err != nil {
						t.Fatal(err)
					}
				}
				write(t, f, content)
				info, err := os.Stat(f.Path)
				if err != nil {
					t.Fatal(err)
				}
				if got := owners(info); got != test.want {
					t.Errorf("the file belongs to %v, want %v", got, test.want)
				}
				wantMode(t, f.Path, 0o600)
			})
		}
	}
}

// Reference, section 2, row 19.
func TestOwnerAndModeAreSetBeforeTheFileAppears(t *testing.T) {
	want := ids{os.Getuid(), os.Getgid()}
	if want.uid == 0 {
		want = ids{12345, 12346} // only root can give a file away
	}
	path := filepath.Join(t.TempDir(), "secret")
	staged, err := File{Path: path, Mode: 0o640, Owner: strconv.Itoa(want.uid), Group: strconv.Itoa(want.gid)}.Stage([]byte("new"))
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(staged.temp)
	if err != nil {
		t.Fatal(err)
	}
	if owners(before) != want || before.Mode().Perm() != 0o640 {
		t.Errorf("before the rename the file belongs to %v and has mode %s, want %v and 0640", owners(before), before.Mode(), want)
	}
	if err := staged.Commit(); err != nil {
		t.Fatal(err)
	}
	if after, err := os.Stat(path); err != nil || !os.SameFile(before, after) {
		t.Errorf("the file that appeared is not the one that was prepared: %v", err)
	}
}

// Reference, section 2, row 19.
func TestOwnerByName(t *testing.T) {
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	got, err := File{Owner: me.Username}.ids()
	if err != nil {
		t.Fatal(err)
	}
	if want := (ids{os.Getuid(), unset}); got != want {
		t.Errorf("%q is %v, want %v", me.Username, got, want)
	}
}

func TestLinkOfAnotherUserInAnOpenFolderIsRefused(t *testing.T) {
	folder := t.TempDir()
	link := filepath.Join(folder, "secret")
	if err := os.Symlink("elsewhere", link); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(folder, 0o777|fs.ModeSticky); err != nil {
		t.Fatal(err)
	}
	write(t, File{Path: link}, "new") // our own link is fine
	if os.Geteuid() != 0 {
		t.Log("only root can make a link of another user; the link of the folder's owner was followed")
		return
	}
	if err := os.Lchown(link, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	wantError(t, File{Path: link}.Check(), link, "another user")
	_, err := File{Path: link}.Write([]byte("newer"))
	wantError(t, err, link, "another user")
	wantContent(t, filepath.Join(folder, "elsewhere"), "new")
}
