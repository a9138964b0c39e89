package notify

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
)

// cgroup lays out the folder of a control group as the kernel shows it.
func cgroup(t *testing.T, folder string, pids ...int) {
	t.Helper()
	var list []byte
	for _, pid := range pids {
		list = fmt.Appendln(list, pid)
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "cgroup.procs"), list, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestSignalReachesEveryProcessOfACGroup(t *testing.T) {
	name := uniqueName(t)
	outer, lines := start(t, name)
	inner, innerLines := start(t, name)
	group := filepath.Join(t.TempDir(), "app.service")
	cgroup(t, group, outer)
	cgroup(t, filepath.Join(group, "workers", "one"), inner)
	s := Signal{Signal: syscall.SIGHUP, CGroup: group}
	send(t, s)
	wantLine(t, lines, "hangup")
	wantLine(t, innerLines, "hangup")

	later, laterLines := start(t, name)
	cgroup(t, group, later)
	send(t, s)
	wantLine(t, laterLines, "hangup")
}

func TestCGroupMembers(t *testing.T) {
	group := t.TempDir()
	tests := []struct {
		name string
		pids []int
		want []int
	}{
		{"are all that are listed", []int{10, 11}, []int{10, 11}},
		{"are counted once", []int{10, 11, 10}, []int{10, 11}},
		{"are not those of another pid namespace, which read as our own process group", []int{0, 10, 0}, []int{10}},
		{"are not the agent", []int{os.Getpid(), 10}, []int{10}},
		{"may be none", nil, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			cgroup(t, group, test.pids...)
			got, err := cgroupMembers(group)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestRelativeCGroupIsLookedForWhereTheKernelShowsThem(t *testing.T) {
	_, err := cgroupMembers("no-such.slice/app.service")
	wantError(t, err, cgroupFolder+"/no-such.slice/app.service")
}
