package agent

import (
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
)

// startGC is how much the heap may grow between two collections until the
// agent is at rest, in percent. The start makes much garbage in little time.
const startGC = 400

// start trades memory for time until [rest], unless the user has set GOGC.
func start(getenv func(string) string) (atRest func()) {
	if getenv("GOGC") != "" {
		return rest
	}
	usual := debug.SetGCPercent(startGC)
	return func() {
		debug.SetGCPercent(usual)
		rest()
	}
}

// rest gives back the memory that only the start needed: garbage, and the
// pages of our own program, most of which (parsers, set-up) an agent at rest
// never touches again. The kernel brings back from the file what is used.
func rest() {
	debug.FreeOSMemory()
	self, err := os.Executable()
	if err != nil {
		return
	}
	mappings, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		return
	}
	var current mapping
	for line := range strings.Lines(string(mappings)) {
		if m, ok := parseMapping(line); ok {
			current = m
			continue
		}
		// Pages that were written to, when the program was linked say, are
		// anonymous: the file does not hold them.
		if name, value, _ := strings.Cut(line, ":"); name == "Anonymous" && strings.TrimSpace(value) == "0 kB" && current.isText(self) {
			_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, current.start, current.length, syscall.MADV_DONTNEED)
		}
	}
}

// mapping is a range of addresses and what is mapped there.
type mapping struct {
	start, length uintptr
	permissions   string // "r-xp"
	file          string // "" for none
}

// isText reports whether a file is mapped without the permission to write.
func (m mapping) isText(file string) bool {
	return m.file == file && !strings.Contains(m.permissions, "w")
}

// parseMapping reads the first line of an entry of /proc/self/smaps; see
// proc_pid_smaps(5).
func parseMapping(line string) (mapping, bool) {
	fields := strings.Fields(line)
	if len(fields) < 5 {
		return mapping{}, false
	}
	from, to, _ := strings.Cut(fields[0], "-")
	start, err := strconv.ParseUint(from, 16, 64)
	if err != nil {
		return mapping{}, false
	}
	end, err := strconv.ParseUint(to, 16, 64)
	if err != nil || end <= start {
		return mapping{}, false
	}
	m := mapping{start: uintptr(start), length: uintptr(end - start), permissions: fields[1]}
	if len(fields) == 6 {
		m.file = fields[5]
	}
	return m, true
}
