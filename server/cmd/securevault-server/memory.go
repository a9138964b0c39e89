package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// startTime is how long after its start a server is taken to have come to rest.
const startTime = 3 * time.Second

// giveBackStart lets go of the memory that only starting needed, once the server
// has come to rest. It returns when that is done, or ctx ends.
//
// A thousand packages initialize themselves, spread over the whole program, which
// so becomes resident: 50 MB and more, most of it never used again. The kernel is
// told; what is needed after all is mapped again from its page cache, unnoticed.
func giveBackStart(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-time.After(startTime):
		return giveBackProgram()
	}
}

// giveBackProgram unmaps the pages of the program's own code and constants. They
// cannot differ from the file, so nothing is lost.
func giveBackProgram() error {
	regions, err := programRegions()
	if err != nil {
		return err
	}
	for _, r := range regions {
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, r.begin, r.end-r.begin, unix.MADV_DONTNEED); errno != 0 {
			return fmt.Errorf("giving back the memory of the start: %w", errno)
		}
	}
	return nil
}

// region is a range of addresses.
type region struct{ begin, end uintptr }

// programRegions returns where the program's file is mapped so that nobody can
// write. Source: proc_pid_maps(5).
func programRegions() ([]region, error) {
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return nil, fmt.Errorf("finding the program: %w", err)
	}
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return nil, fmt.Errorf("finding the program: %w", err)
	}
	defer func() { _ = maps.Close() }()
	var found []region
	lines := bufio.NewScanner(maps)
	for lines.Scan() {
		line := lines.Text()
		var r region
		var permissions string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &r.begin, &r.end, &permissions); err != nil {
			return nil, fmt.Errorf("finding the program: %q is no line of a map: %w", line, err)
		}
		if strings.HasSuffix(line, " "+program) && (permissions == "r-xp" || permissions == "r--p") {
			found = append(found, r)
		}
	}
	return found, lines.Err()
}
