package plugintest

import (
	"net"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/novatech/securevault/server/engines/database"
	"github.com/novatech/securevault/server/engines/enginetest"
)

const (
	// answerLimit bounds how long a config may be tried.
	answerLimit = 12 * time.Second
	// leakPatience bounds how long a failed attempt may take to clean up after
	// itself.
	leakPatience = 10 * time.Second
)

func (h Hostile) configs(t *testing.T) {
	cases := map[string]map[string]any{
		"a wrong password":   {"password": wrong},
		"an unknown setting": {"nonsense_setting": "1"},
		"a broken template":  {"username_template": "{{nonsense"},
		"a closed port":      h.at(closedPort(t)),
	}
	for _, field := range []string{"connection_url", "url"} {
		if text, ok := h.Config[field].(string); ok {
			cases["an unknown setting in "+field] = map[string]any{field: withSetting(text)}
		}
	}
	for name, changes := range cases {
		t.Run(name, func(t *testing.T) {
			err := h.notStored(t, changes)
			if _, named := changes["nonsense_setting"]; named && !strings.Contains(err.Error(), "nonsense_setting") {
				t.Errorf("error %q does not name the setting", err)
			}
		})
	}
}

func (h Hostile) silence(t *testing.T) { _ = h.notStored(t, h.at(silentHost(t))) }

// notStored expects a config with those changes to be refused in time, and
// nothing to remain of the attempt.
func (h Hostile) notStored(t *testing.T, changes map[string]any) error {
	t.Helper()
	mount := enginetest.NewMount(t, database.Factory)
	mount.System.SetPasswordPolicy("known", func() (string, error) { return issued, nil })
	goroutines := runtime.NumGoroutine()
	begun := time.Now()
	_, err := mount.Write(t.Context(), "config/shop", h.config(changes))
	if took := time.Since(begun); took > answerLimit {
		t.Errorf("it took %s, want %s at most", took.Round(time.Millisecond), answerLimit)
	}
	h.refused(t, err)
	if stored, err := mount.Read(t.Context(), "config/shop"); stored != nil || err != nil {
		t.Errorf("reading what should not be stored: %v, %v", stored, err)
	}
	checkGoroutines(t, goroutines)
	return err
}

func checkGoroutines(t *testing.T, before int) {
	t.Helper()
	deadline := time.Now().Add(leakPatience)
	for runtime.NumGoroutine() > before {
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<20)
			t.Errorf("%d goroutines, want %d as before:\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// hostPort finds the address of the database in a URL of any database.
var hostPort = regexp.MustCompile(`(?:[\w-]+(?:\.[\w-]+)*|\[[0-9a-fA-F:]+\]):\d{2,5}\b`)

// at returns the fields of the config that change with the database's address.
func (h Hostile) at(address string) map[string]any {
	host, port, _ := net.SplitHostPort(address)
	if h.At != nil {
		return h.At(host, port)
	}
	changed := map[string]any{}
	for field, value := range h.Config {
		text, _ := value.(string)
		switch field {
		case "connection_url", "url":
			changed[field] = hostPort.ReplaceAllString(text, address)
		case "host":
			changed[field] = host
		case "port":
			changed[field] = port
		}
	}
	return changed
}

// withSetting adds a setting to a URL that nobody knows.
func withSetting(text string) string {
	separator := "?"
	if strings.Contains(text, "?") {
		separator = "&"
	}
	return text + separator + "nonsense_setting=1"
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return listener
}

// closedPort returns an address where nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	listener := listen(t)
	_ = listener.Close()
	return listener.Addr().String()
}

// silentHost returns an address that accepts connections and never says a word:
// the kernel accepts them, up to its backlog, though nobody asks for them.
func silentHost(t *testing.T) string {
	t.Helper()
	return listen(t).Addr().String()
}
