package notify

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// procFolder shows the running processes, one folder each.
const procFolder = "/proc"

// processes returns the ids of all processes of a name but our own.
func processes(name string) ([]int, error) {
	entries, err := os.ReadDir(procFolder)
	if err != nil {
		return nil, fmt.Errorf("listing processes: %w; use pid or pidfile where there is no %s", err, procFolder)
	}
	var pids []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err == nil && pid != os.Getpid() && isNamed(pid, name) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// isNamed reports whether a process is called name, by the kernel (which
// keeps 15 bytes) or by its first argument. Kernel threads and the dead that
// nobody has waited for have no arguments, and count for nobody.
func isNamed(pid int, name string) bool {
	folder := filepath.Join(procFolder, strconv.Itoa(pid))
	arguments, err := os.ReadFile(filepath.Join(folder, "cmdline"))
	if err != nil || len(arguments) == 0 {
		return false
	}
	first, _, _ := strings.Cut(string(arguments), "\x00")
	if filepath.Base(first) == name {
		return true
	}
	comm, err := os.ReadFile(filepath.Join(folder, "comm"))
	return err == nil && strings.TrimSuffix(string(comm), "\n") == name
}
