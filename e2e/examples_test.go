package e2e

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const examples = "../examples"

// TestEveryExampleIsExecuted fails for a file of examples/ that no test runs: it
// would be wrong for a long time before anybody noticed.
func TestEveryExampleIsExecuted(t *testing.T) {
	t.Parallel()
	tests := linesOf(t, "*_test.go", "testdata/*.txtar", "testdata/setup/*.sh", "../server/cmd/securevault-server/examples_test.go")
	found := 0
	err := fs.WalkDir(os.DirFS(examples), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if path == "demo" || entry.Name() == "node_modules" { // TestTheDemo runs the one, npm makes the other
				return fs.SkipDir
			}
			return nil
		}
		if slices.Contains([]string{"README.md", "package.json"}, entry.Name()) { // npm refuses a package.json that its lock does not fit
			return nil
		}
		found++
		if words := execution(path); words == "" || !strings.Contains(tests, words) {
			t.Errorf("no test executes examples/%s: no line of one says %q", path, words)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if found == 0 {
		t.Error("there are no examples")
	}
}

// execution returns how a test says that it executes an example; empty in a
// folder of which nothing is known.
func execution(path string) string {
	folder, name := filepath.Split(path)
	switch {
	case folder == "agent/":
		return "sh -e example.sh " + name
	case filepath.Ext(name) == ".ctmpl":
		return "sh -e database.sh " + name
	case folder == "agent/databases/":
		return "examples/databases/" + name
	case folder == "clients/go/":
		return `golang(clients + "/go")`
	case strings.HasPrefix(folder, "clients/"):
		return `clients + "` + strings.TrimPrefix(path, "clients") + `"`
	case path == "server/dev-limits.yaml":
		return "server -config=examples/" + path
	case folder == "server/":
		return `settle(t, "` + name + `")`
	}
	return ""
}

// linesOf returns all lines of the files that are no comments.
func linesOf(t *testing.T, patterns ...string) string {
	t.Helper()
	var lines strings.Builder
	for _, pattern := range patterns {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("there is no %s: %v", pattern, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(string(text)) {
				if bare := strings.TrimSpace(line); !strings.HasPrefix(bare, "#") && !strings.HasPrefix(bare, "//") {
					lines.WriteString(line)
				}
			}
		}
	}
	return lines.String()
}

func TestTheDemo(t *testing.T) {
	t.Parallel()
	demo := filepath.Join(t.TempDir(), "demo")
	if output, err := exec.CommandContext(t.Context(), "go", "build", "-o", demo, examples+"/demo").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	server, err := exec.LookPath(serverProgram)
	if err != nil {
		t.Fatal(err)
	}
	output, err := exec.CommandContext(t.Context(), demo, "-bin", filepath.Dir(server)).CombinedOutput()
	if err != nil || !strings.Contains(string(output), "All of it was seen") {
		t.Errorf("%v\n%s", err, output)
	}
}
