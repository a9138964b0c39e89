package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// crashConfig asks for a credential whose file is large, so that a torn one
// would be seen, and says at both ends whose it is.
const crashConfig = `
template {
  destination = "out/app.env"
  contents    = <<EOT
{{ with secret "database/creds/app-readonly" -}}
DB_USER={{ .Data.username }}
DB_PASSWORD={{ .Data.password }}
{{ range loop 2000 }}# padding
{{ end -}}
END={{ .Data.username }}={{ .Data.password }}
{{ end -}}
EOT
}
`

// crashes is how often the agent is killed.
const crashes = 20

// TestAKilledAgentLeavesACompleteFile kills the agent with SIGKILL at random
// moments: most of them around the publication that follows its start, some
// around a rotation. Whoever reads the file finds a whole credential that
// works, at any time.
func TestAKilledAgentLeavesACompleteFile(t *testing.T) {
	t.Parallel()
	w := testWorld(t, "3s", "3s")
	writeFile(t, filepath.Join(w.folder, "agent.hcl"), crashConfig)
	file := filepath.Join(w.folder, "out", "app.env")
	reading, stopReading := context.WithCancel(t.Context())
	torn := make(chan error, 1)
	go func() { torn <- watchCredential(reading, file) }()

	start := publication(t, w, file)
	for i := range crashes {
		longest := start * 3 / 2
		if i%4 == 3 {
			longest = 3 * time.Second
		}
		crash(t, w, file, rand.N(longest))
	}

	stopReading()
	if err := <-torn; err != nil {
		t.Error(err)
	}
	p := startAgent(t, w)
	waitFor(t, "the file of an agent that lives", func() bool {
		user, password, err := readCredential(file)
		ok, _ := w.login(user, password, "SELECT 1")
		return err == nil && ok
	})
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(filepath.Dir(file))
	if err != nil || len(entries) != 1 {
		t.Errorf("beside the file there are %v, %v; the killed agents' temporary files must be gone", entries, err)
	}
	waitFor(t, "the end of every credential that the killed agents left", func() bool {
		names, err := w.issuedRoles()
		return err == nil && len(names) == 0
	})
}

func startAgent(t *testing.T, w *world) *process {
	t.Helper()
	if err := w.start("agent", w.env(), program, "agent", "-config=agent.hcl"); err != nil {
		t.Fatal(err)
	}
	return w.processes["agent"]
}

// publication returns how long an agent takes from its start to its first file,
// which depends on the machine, and kills it.
func publication(t *testing.T, w *world, file string) time.Duration {
	t.Helper()
	begun := time.Now()
	p := startAgent(t, w)
	waitFor(t, "the first file", func() bool {
		_, err := os.Stat(file)
		return err == nil
	})
	took := time.Since(begun)
	if err := p.signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-p.ended
	return took
}

// crash starts an agent, kills it after a delay, and checks the file.
func crash(t *testing.T, w *world, file string, delay time.Duration) {
	t.Helper()
	p := startAgent(t, w)
	time.Sleep(delay)
	if err := p.signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-p.ended
	user, password, err := readCredential(file)
	if err != nil {
		t.Fatalf("killed after %s: %v", delay, err)
	}
	ok, err := w.login(user, password, "SELECT count(*) FROM orders")
	if err != nil {
		t.Fatal(err)
	}
	if ok {
		return
	}
	// A credential that has ended in the meantime is no reason to complain.
	admitted, err := w.admits(user)
	if err != nil {
		t.Fatal(err)
	}
	if admitted {
		t.Errorf("killed after %s: the file holds the name %q with a password that is not its own", delay, user)
	}
}

// readCredential reads a file of crashConfig and fails unless it is whole.
func readCredential(path string) (user, password string, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", "", err
	}
	whole := regexp.MustCompile(`\ADB_USER=(\S+)\nDB_PASSWORD=(\S+)\n(?:# padding\n)+END=(\S+)\n\z`)
	found := whole.FindStringSubmatch(string(text))
	if found == nil || strings.Count(string(text), "# padding\n") != 2000 || found[3] != found[1]+"="+found[2] {
		return "", "", fmt.Errorf("the file is torn: %d bytes", len(text))
	}
	return found[1], found[2], nil
}

// watchCredential reads the file over and over until ctx ends.
func watchCredential(ctx context.Context, path string) error {
	for ctx.Err() == nil {
		if _, _, err := readCredential(path); err != nil && !os.IsNotExist(err) {
			return err
		}
		time.Sleep(time.Millisecond)
	}
	return nil
}
