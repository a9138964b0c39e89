package e2e

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

// testWorld returns a world with PostgreSQL, a server, and what app.sh makes
// there for the given TTLs.
func testWorld(t *testing.T, ttl, maxTTL string) *world {
	t.Helper()
	w := newWorld(t.TempDir())
	t.Cleanup(func() {
		if err := w.close(); err != nil {
			t.Error(err)
		}
	})
	ctx, cancel := stepContext()
	defer cancel()
	if err := w.startPostgres(ctx); err != nil {
		t.Fatal(err)
	}
	if err := w.startServer(os.Environ()); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(w.folder, os.DirFS("testdata/setup")); err != nil {
		t.Fatal(err)
	}
	prepare := exec.CommandContext(ctx, "sh", "-e", "app.sh", ttl, maxTTL)
	prepare.Dir, prepare.Env = w.folder, w.env()
	if output, err := prepare.CombinedOutput(); err != nil {
		t.Fatalf("preparing the server: %v\n%s", err, output)
	}
	return w
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// waitFor polls until something is there.
func waitFor(t *testing.T, what string, there func() bool) {
	t.Helper()
	for deadline := time.Now().Add(stepLimit / 2); !there(); time.Sleep(pollDelay) {
		if time.Now().After(deadline) {
			t.Fatalf("waiting in vain for %s", what)
		}
	}
}
