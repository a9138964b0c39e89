package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"
)

// residentProgram returns how much of the program's file is in memory, in bytes.
func residentProgram(t *testing.T) (size int) {
	t.Helper()
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	maps, err := os.Open("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = maps.Close() }()
	ours := false
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		line := lines.Text()
		var kilobytes int
		switch _, err := fmt.Sscanf(line, "Rss: %d kB", &kilobytes); {
		case err == nil && ours:
			size += kilobytes << 10
		case strings.Contains(strings.Fields(line)[0], "-"):
			ours = strings.HasSuffix(line, " "+program)
		}
	}
	return size
}

func TestWhatTheStartNeededIsGivenBack(t *testing.T) {
	before := residentProgram(t)
	if err := giveBackProgram(); err != nil {
		t.Fatal(err)
	}
	after := residentProgram(t)
	t.Logf("%d MB of the program were in memory, %d MB are", before>>20, after>>20)
	if after >= before {
		t.Errorf("%d bytes of the program are in memory, %d were", after, before)
	}
}
