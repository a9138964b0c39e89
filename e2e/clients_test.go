package e2e

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The clients made for Vault that a user may have. Each finds the server, as
// root, and PostgreSQL in its environment; see examples/clients.
const clients = "../examples/clients"

func TestClients(t *testing.T) {
	t.Parallel()
	guide := []string{"issued database/creds/app-readonly/", "orders: 2", "renewed for 4 s", "refused after revocation"}
	calls := []string{"all calls answered"}
	tests := []struct {
		name    string
		command func(t *testing.T) *exec.Cmd
		want    []string // in the output
	}{
		{"the guide in Python", python(clients + "/python/guide.py"), append(guide, "the pool has moved to its next credential")},
		{"the guide in JavaScript", node(clients + "/node/guide.js"), guide},
		{"the guide in Go", golang(clients + "/go"), guide},
		{"every call of hvac", python("testdata/clients/hvac_calls.py"), calls},
		{"every call of node-vault", node("testdata/clients/node_vault_calls.js"), calls},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			command := test.command(t)
			w := testWorld(t, "4s", "8s")
			command.Env = append(append(w.env(), "UNSEAL_KEY="+w.unsealKey), command.Env...)
			output, err := command.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, output)
			}
			for _, want := range test.want {
				if !strings.Contains(string(output), want) {
					t.Errorf("the output lacks %q:\n%s", want, output)
				}
			}
			waitFor(t, "the end of every credential", func() bool {
				names, err := w.issuedRoles()
				return err == nil && len(names) == 0
			})
		})
	}
}

// python runs a script with the interpreter that Debian's packages are for.
func python(script string) func(t *testing.T) *exec.Cmd {
	return func(t *testing.T) *exec.Cmd {
		t.Helper()
		const interpreter = "/usr/bin/python3"
		if output, err := exec.CommandContext(t.Context(), interpreter, "-c", "import hvac, psycopg2").CombinedOutput(); err != nil {
			t.Fatalf("%v: apt-get install python3-hvac python3-psycopg2\n%s", err, output)
		}
		return exec.CommandContext(t.Context(), interpreter, "-B", script)
	}
}

// node runs a script with the packages of examples/clients/node.
func node(script string) func(t *testing.T) *exec.Cmd {
	return func(t *testing.T) *exec.Cmd {
		t.Helper()
		modules, err := nodeModules(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		command := exec.CommandContext(t.Context(), "node", script)
		command.Env = []string{"NODE_PATH=" + modules}
		return command
	}
}

// nodeModules installs the packages of the lock file into a folder of the
// user's cache that is named by its content, once, and returns the folder.
func nodeModules(ctx context.Context) (string, error) {
	lock, err := os.ReadFile(clients + "/node/package-lock.json")
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	folder := filepath.Join(cache, "securevault-e2e", fmt.Sprintf("node-%x", sha256.Sum256(lock)))
	modules := filepath.Join(folder, "node_modules")
	if _, err := os.Stat(modules); err == nil {
		return modules, nil
	}
	// Beside others that do the same: whoever is first gets the name.
	if err := os.MkdirAll(filepath.Dir(folder), 0o755); err != nil {
		return "", err
	}
	fresh, err := os.MkdirTemp(filepath.Dir(folder), "installing-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(fresh) }()
	if err := os.CopyFS(fresh, os.DirFS(clients+"/node")); err != nil {
		return "", err
	}
	install := exec.CommandContext(ctx, "npm", "ci", "--no-audit", "--no-fund")
	install.Dir = fresh
	if output, err := install.CombinedOutput(); err != nil {
		return "", fmt.Errorf("installing the packages of node-vault: %w: apt-get install nodejs npm\n%s", err, output)
	}
	if err := os.Rename(fresh, folder); err != nil && !errors.Is(err, os.ErrExist) {
		return "", err
	}
	return modules, nil
}

// golang builds a program of this module and runs it.
func golang(folder string) func(t *testing.T) *exec.Cmd {
	return func(t *testing.T) *exec.Cmd {
		t.Helper()
		program := filepath.Join(t.TempDir(), "client")
		if output, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, folder).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, output)
		}
		return exec.CommandContext(t.Context(), program)
	}
}
