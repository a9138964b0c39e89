package notify

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// cgroupFolder is where the control groups are seen as folders.
const cgroupFolder = "/sys/fs/cgroup"

// cgroupMembers returns the ids of all processes of a control group and of the
// groups in it, but our own.
func cgroupMembers(group string) ([]int, error) {
	if !filepath.IsAbs(group) {
		group = filepath.Join(cgroupFolder, group)
	}
	pids, err := groupProcesses(group)
	if err != nil {
		return nil, fmt.Errorf("reading the cgroup: %w; name the folder of a control group, such as \"system.slice/app.service\"", err)
	}
	// A group may end while we look, and the processes of a threaded one are
	// listed by the group around it: what cannot be read has none.
	_ = filepath.WalkDir(group, func(path string, entry fs.DirEntry, _ error) error {
		if path != group && entry.IsDir() {
			more, _ := groupProcesses(path)
			pids = append(pids, more...)
		}
		return nil
	})
	return targets(pids), nil
}

func groupProcesses(folder string) ([]int, error) {
	content, err := os.ReadFile(filepath.Join(folder, "cgroup.procs"))
	if err != nil {
		return nil, err
	}
	var pids []int
	for line := range strings.Lines(string(content)) {
		pid, err := strconv.Atoi(strings.TrimSuffix(line, "\n"))
		if err != nil || pid < 0 {
			return nil, errors.New("its cgroup.procs is no list of process ids")
		}
		pids = append(pids, pid)
	}
	return pids, nil
}

// targets drops what must not be signalled, or not twice: the kernel lists a
// process that moves again, and as 0 what is outside of our pid namespace,
// which to kill(2) means our own process group.
func targets(pids []int) []int {
	seen := map[int]bool{0: true, os.Getpid(): true}
	var out []int
	for _, pid := range pids {
		if !seen[pid] {
			seen[pid] = true
			out = append(out, pid)
		}
	}
	return out
}
