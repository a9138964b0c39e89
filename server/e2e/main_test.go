package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// program is the path of the server under test.
var program string

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	if program = os.Getenv("SECUREVAULT_SERVER_BIN"); program != "" {
		if _, err := os.Stat(program); err != nil {
			return 0, fmt.Errorf("looking for the program under test: %w; run make server, or unset SECUREVAULT_SERVER_BIN", err)
		}
		return m.Run(), nil
	}
	folder, err := os.MkdirTemp("", "securevault-e2e-")
	if err != nil {
		return 0, err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	program = filepath.Join(folder, "securevault-server")
	build := exec.Command("go", "build", "-trimpath", "-o", program, "../cmd/securevault-server")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("building the program under test: %w\n%s", err, output)
	}
	return m.Run(), nil
}
