package sink

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// killSteps is how many changes of the folder a run is killed at, each in a run
// of its own. One switch makes about a dozen.
const killSteps = 40

// Reference, section 3, row 2.
func TestGroupKilledAtAnyStepIsAllOldOrAllNew(t *testing.T) {
	const variable = "SINK_TEST_GROUP"
	if folder := os.Getenv(variable); folder != "" {
		switchForEver(t, folder)
	}
	g := pair(t)
	publish(t, g, "tls.crt", "start", "tls.key", "start")
	for step := range killSteps {
		child := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
		child.Env = append(os.Environ(), variable+"="+g.Directory)
		changes := watch(t, g.Directory)
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		changes.wait(step + 1)
		_ = child.Process.Kill()
		_ = child.Wait()
		if child.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("the child ended with %s, want it killed", child.ProcessState)
		}
		wantOneGeneration(t, g)
	}
	publish(t, g, "tls.crt", "end", "tls.key", "end")
	wantFiles(t, g, "tls.crt", "end", "tls.key", "end")
	if n := len(g.generations()); n > 1+g.Keep {
		t.Errorf("there are %d generations, want at most %d", n, 1+g.Keep)
	}
	if left, _ := filepath.Glob(filepath.Join(g.Directory, ".*"+tempSuffix)); len(left) > 0 {
		t.Errorf("%q were left", left)
	}
}

// switchForEver is the child. Every other generation has one more file.
func switchForEver(t *testing.T, folder string) {
	two := Group{Directory: folder, Keep: 1, Files: []Member{{Name: "tls.crt"}, {Name: "tls.key"}}}
	three := two
	three.Files = append([]Member{{Name: "ca.crt"}}, two.Files...)
	for i := 0; ; i++ {
		n := fmt.Sprint(os.Getpid(), " ", i)
		publish(t, two, "tls.crt", n, "tls.key", n)
		n += " and more"
		publish(t, three, "ca.crt", n, "tls.crt", n, "tls.key", n)
		if err := three.Rollback(); err != nil {
			t.Fatal(err)
		}
	}
}

// wantOneGeneration checks that all that an app can open is of one generation,
// and that the one is whole.
func wantOneGeneration(t *testing.T, g Group) {
	t.Helper()
	read := func(name string) string {
		content, err := os.ReadFile(filepath.Join(g.Directory, name))
		if err != nil && name != "ca.crt" {
			t.Fatal(err)
		}
		return string(content)
	}
	cert, key, ca := read("tls.crt"), read("tls.key"), read("ca.crt")
	if cert != key || cert == "" {
		t.Fatalf("the certificate is of %q, the key of %q", cert, key)
	}
	if strings.Contains(cert, "more") && ca != cert || ca != "" && ca != cert {
		t.Fatalf("the certificate is of %q, the CA of %q", cert, ca)
	}
}

// changes tells of what is made, renamed, written or removed in a folder and
// the folders made in it.
type changes struct {
	t      *testing.T
	fd     int
	file   *os.File // of fd, for its deadline
	folder string
}

func watch(t *testing.T, folder string) changes {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	c := changes{t, fd, os.NewFile(uintptr(fd), "inotify"), folder}
	t.Cleanup(func() { _ = c.file.Close() })
	c.add(folder)
	return c
}

func (c changes) add(folder string) {
	_, err := unix.InotifyAddWatch(c.fd, folder, unix.IN_CREATE|unix.IN_MOVE|unix.IN_DELETE|unix.IN_MODIFY|unix.IN_ATTRIB)
	if err != nil && !os.IsNotExist(err) {
		c.t.Fatal(err)
	}
}

// wait returns after so many changes.
func (c changes) wait(count int) {
	c.t.Helper()
	if err := c.file.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		c.t.Fatal(err)
	}
	events := make([]byte, 4096)
	for count > 0 {
		n, err := c.file.Read(events)
		if err != nil {
			c.t.Fatalf("waiting for a change of the group: %v", err)
		}
		for rest := events[:n]; len(rest) > 0; count-- {
			mask := binary.NativeEndian.Uint32(rest[4:])
			end := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(rest[12:]))
			name := strings.TrimRight(string(rest[unix.SizeofInotifyEvent:end]), "\x00")
			if mask&unix.IN_CREATE != 0 && mask&unix.IN_ISDIR != 0 {
				c.add(filepath.Join(c.folder, name))
			}
			rest = rest[end:]
		}
	}
}
