package agent

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	logged "go.uber.org/zap/zaptest/observer"

	"github.com/novatech/securevault/agent/state"
	"github.com/novatech/securevault/internal/vault"
	"github.com/novatech/securevault/internal/vaulttest"
)

// Reference, section 2, row 7.
func TestARestartNeedsNoSecretIDThatWasWrapped(t *testing.T) {
	const wrappedAt = "auth/approle/role/app/secret-id"
	text := strings.Replace(approle, "remove_secret_id_file_after_reading = false", "secret_id_response_wrapping_path = \""+wrappedAt+"\"", 1) + pair("db")
	within(t, func(r *rig) {
		r.write("secret-id", r.server.Wrap(wrappedAt, time.Minute, map[string]any{"secret_id": "the-secret"}))
		for start := range time.Duration(3) {
			log := r.state()
			r.launch(text, Options{State: log})
			r.at((start + 1) * time.Minute)
			r.expect("file", r.read("db"), "v-app-1:password-1")
			if _, err := os.Stat(r.path("secret-id")); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the file with the wrapping token: %v, want it gone", err)
			}
			r.expect("end", r.end(), nil)
			r.close(log)
		}
		r.expect("logins", r.server.Count(vaulttest.Login), 1)
		r.expect("credentials", r.server.Issued(creds), 1)
	})
}

// killed starts an agent with a state, and returns the state that a kill at the
// given time leaves to the next start.
func (r *rig) killed(text string, at time.Duration) *state.Log {
	r.Helper()
	r.launch(text, Options{State: r.state()})
	r.at(at)
	r.copy("state", "killed")
	r.copy("state.key", "killed.key")
	r.expect("end", r.end(), nil)
	log, _, err := state.Open(state.Config{Path: r.path("killed"), Getenv: func(string) string { return "" }})
	if err != nil {
		r.Fatal(err)
	}
	return log
}

// Reference, section 3, row 4.
func TestWhatAKilledAgentHeldAndNobodyWantsIsRevoked(t *testing.T) {
	within(t, func(r *rig) {
		r.server.Role("database/creds/other", vaulttest.Role{TTL: 100 * time.Second})
		log := r.killed(approle+pair("db")+strings.ReplaceAll(pair("other"), creds, "database/creds/other"), 30*time.Second)
		r.expect("live leases that the kill left", len(r.server.Live()), 2)
		r.launch(approle+pair("db"), Options{State: log})
		r.at(time.Minute)
		live := r.server.Live()
		if len(live) != 1 || live[0].Path != creds {
			t.Errorf("live leases = %v, want the one that is still wanted", live)
		}
		r.expect("revocations", r.server.Count(vaulttest.Revoke), 1)
		r.expect("credentials", r.server.Issued(""), 2)
		r.expect("logins", r.server.Count(vaulttest.Login), 1)
		r.expect("end", r.end(), nil)
	})
}

// Reference, section 3, row 4.
func TestAKillInTheMiddleOfARotationLeavesNothingUnaccounted(t *testing.T) {
	within(t, func(r *rig) { // replaced at 227.5 s; the old one drains for 15 s
		log := r.killed(approle+pair("db"), 230*time.Second)
		r.expect("live leases that the kill left", len(r.server.Live()), 2)
		r.launch(approle+pair("db"), Options{State: log})
		r.expect("file", r.read("db"), "v-app-2:password-2")
		r.at(249 * time.Second)
		live := r.server.Live()
		if len(live) != 1 || live[0].ID != creds+"/lease-2" {
			t.Errorf("live leases = %v, want the successor alone, before the end of the old one", live)
		}
		r.expect("credentials", r.server.Issued(creds), 2)
		r.expect("end", r.end(), nil)
	})
}

// Reference, section 3, row 5.
func TestTheStateIsSealedByACredentialOfSystemd(t *testing.T) {
	within(t, func(r *rig) {
		credentials := t.TempDir()
		getenv := func(name string) string { return map[string]string{"CREDENTIALS_DIRECTORY": credentials}[name] }
		key := func(text string) {
			if err := os.WriteFile(filepath.Join(credentials, "state-key"), []byte(text), 0o400); err != nil {
				t.Fatal(err)
			}
		}
		run := func() {
			t.Helper()
			text := "state {\n path = \"DIR/state\"\n credential = \"state-key\"\n}\n" + approle + pair("db")
			opts := Options{Getenv: getenv, Server: vault.Config{Address: vaulttest.Address}}
			file := r.load(text)
			log, err := openState(file, clientConfig(file, opts), getenv, zap.NewNop())
			if err != nil {
				t.Fatal(err)
			}
			r.launch(approle+pair("db"), Options{Getenv: getenv, State: log})
			time.Sleep(time.Second)
			r.expect("end", r.end(), nil)
			r.close(log)
		}
		key(strings.Repeat("k", 32))
		run()
		run()
		r.expect("credentials of two starts", r.server.Issued(creds), 1)
		if _, err := os.Stat(r.path("state.key")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("a key beside the state: %v", err)
		}
		for _, secret := range []string{"password-1", "v-app-1", r.token(), creds} {
			r.expect(secret+" is readable in the state", strings.Contains(r.read("state"), secret), false)
		}
		if err := os.Remove(filepath.Join(credentials, "state-key")); err != nil {
			t.Fatal(err)
		}
		key(strings.Repeat("z", 32))
		run()
		r.expect("credentials after a start with another key", r.server.Issued(creds), 2)
	})
}

func TestAStateThatCannotBeTrustedIsSetAsideAndDoneWithout(t *testing.T) {
	spoil := map[string]func(r *rig){
		"a byte that was changed": func(r *rig) {
			content := []byte(r.read("state"))
			content[len(content)/2] ^= 1
			r.write("state", string(content))
		},
		"another program's file": func(r *rig) { r.write("state", "[Unit]\nDescription=app\n") },
		"another key":            func(r *rig) { r.write("state.key", strings.Repeat("k", 64)) },
	}
	for name, spoil := range spoil {
		t.Run(name, func(t *testing.T) {
			within(t, func(r *rig) {
				open := func() (*state.Log, *logged.ObservedLogs) {
					core, logs := logged.New(zap.WarnLevel)
					opts := Options{Server: vault.Config{Address: vaulttest.Address}, Getenv: func(string) string { return "" }}
					file := r.load("state { path = \"DIR/state\" }\n" + approle + pair("db"))
					log, err := openState(file, clientConfig(file, opts), opts.Getenv, zap.New(core))
					if err != nil {
						t.Fatal(err)
					}
					return log, logs
				}
				log, _ := open()
				r.launch(approle+pair("db"), Options{State: log})
				r.expect("end", r.end(), nil)
				r.close(log)
				spoil(r)
				log, logs := open()
				r.expect("warnings", logs.Len() > 0 && strings.Contains(logs.All()[logs.Len()-1].ContextMap()["warning"].(string), "cannot be trusted"), true)
				r.launch(approle+pair("db"), Options{State: log})
				r.at(time.Minute)
				r.expect("logins", r.server.Count(vaulttest.Login), 2)
				r.expect("file", r.read("db"), "v-app-2:password-2")
				if kept, _ := filepath.Glob(r.path("state.rejected-*")); len(kept) != 1 {
					t.Errorf("files set aside: %v", kept)
				}
				r.expect("end", r.end(), nil)
				r.close(log)
			})
		})
	}
}
