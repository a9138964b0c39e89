package main

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/novatech/securevault/server/engines/enginetest/kmsstandin"
)

// cloudSeal is a seal by the key service of a cloud, in its stanza's words.
type cloudSeal struct {
	kind     string
	params   map[string]string
	wrongKey map[string]string // a key that is there and is not the one
	noKey    map[string]string // a key that is not there
	noEntry  map[string]string // credentials that the cloud refuses
	secret   string            // what no message may hold
}

func TestGoogleUnsealsAServer(t *testing.T) {
	t.Parallel()
	egress := kmsstandin.NewEgress(t)
	google, stranger := kmsstandin.NewGoogle(t, egress, "unseal", "other"), kmsstandin.NewGoogle(t, kmsstandin.NewEgress(t))
	s := cloudSeal{
		kind:     "gcpckms",
		params:   map[string]string{"credentials": google.Credentials, "project": "shop", "region": "europe-west3", "key_ring": "vault", "crypto_key": "unseal"},
		wrongKey: map[string]string{"crypto_key": "other"},
		noKey:    map[string]string{"crypto_key": "none"},
		noEntry:  map[string]string{"credentials": stranger.Credentials},
		secret:   "PRIVATE KEY",
	}
	s.unseals(t, egress)
}

func TestAzureUnsealsAServer(t *testing.T) {
	t.Parallel()
	egress := kmsstandin.NewEgress(t)
	kmsstandin.NewAzure(t, egress, "unseal", "other")
	s := cloudSeal{
		kind: "azurekeyvault",
		params: map[string]string{
			"tenant_id": kmsstandin.AzureTenant, "client_id": kmsstandin.AzureClient, "client_secret": kmsstandin.AzureSecret,
			"vault_name": kmsstandin.AzureVault, "key_name": "unseal",
		},
		wrongKey: map[string]string{"key_name": "other"},
		noKey:    map[string]string{"key_name": "none"},
		noEntry:  map[string]string{"client_secret": "azure-client-" + "guess"},
		secret:   "azure-client-",
	}
	s.unseals(t, egress)
}

// unseals is the life of a server whose root key a cloud guards.
func (s cloudSeal) unseals(t *testing.T, egress *kmsstandin.Egress) {
	t.Helper()
	w := newWorld(t, "")
	w.environment = egress.Environment()
	plain, err := os.ReadFile(w.file)
	if err != nil {
		t.Fatal(err)
	}
	s.start(t, w, plain, nil)
	s.cannotBeReached(t, w, egress)
	answer := w.must(t, "PUT", "sys/init", map[string]any{"recovery_shares": 1, "recovery_threshold": 1})
	w.token = answer["root_token"].(string)
	w.must(t, "PUT", "sys/policies/acl/kept", map[string]any{"policy": `path "a" { capabilities = ["read"] }`})
	w.stop(t, syscall.SIGTERM)

	s.start(t, w, plain, nil)
	w.must(t, "GET", "sys/policies/acl/kept", nil) // nobody unsealed it
	w.stop(t, syscall.SIGKILL)
	for what, change := range map[string]map[string]string{"the wrong key": s.wrongKey, "no key": s.noKey, "no entry": s.noEntry} {
		s.start(t, w, plain, change)
		if status, answer := w.send(t, "GET", "sys/health", nil); status != http.StatusServiceUnavailable {
			t.Errorf("with %s: %d %v", what, status, answer)
		}
		w.stop(t, syscall.SIGTERM)
		s.explains(t, what, w.server.Log())
	}

	egress.Cut()
	s.start(t, w, plain, nil)
	if status, answer := w.send(t, "GET", "sys/health", nil); status != http.StatusServiceUnavailable {
		t.Errorf("out of reach: %d %v", status, answer)
	}
	egress.Restore()
	await(t, func() bool {
		status, _ := w.send(t, "GET", "sys/health", nil)
		return status == http.StatusOK
	}, func() string { return "in reach again, it does not unseal" })
	w.must(t, "GET", "sys/policies/acl/kept", nil)
	w.stop(t, syscall.SIGTERM)
	s.explains(t, "out of reach", w.server.Log())
}

// cannotBeReached wants a refusal of sys/init that leaves nothing behind.
func (s cloudSeal) cannotBeReached(t *testing.T, w *world, egress *kmsstandin.Egress) {
	t.Helper()
	egress.Cut()
	defer egress.Restore()
	status, answer := w.send(t, "PUT", "sys/init", map[string]any{"recovery_shares": 1, "recovery_threshold": 1})
	if status != http.StatusInternalServerError || !strings.Contains(fmt.Sprint(answer), fmt.Sprintf("reaching the key service %q", s.kind)) {
		t.Errorf("init, out of reach: %d %v", status, answer)
	}
	if answer := w.must(t, "GET", "sys/init", nil); answer["initialized"] != false {
		t.Errorf("a failed init: %v", answer)
	}
}

// start writes the seal stanza, with a change, and runs the server.
func (s cloudSeal) start(t *testing.T, w *world, plain []byte, change map[string]string) {
	t.Helper()
	stanza := fmt.Sprintf("seal:\n  %s:\n", s.kind)
	for name, value := range s.params {
		if changed, ok := change[name]; ok {
			value = changed
		}
		stanza += fmt.Sprintf("    %s: %q\n", name, value)
	}
	if err := os.WriteFile(w.file, append(plain, stanza...), 0o600); err != nil {
		t.Fatal(err)
	}
	w.start(t)
}

// explains wants a log that names the seal and says that it is tried again.
func (s cloudSeal) explains(t *testing.T, what, logs string) {
	t.Helper()
	for _, want := range []string{"the seal will be tried again", fmt.Sprintf("unsealing with the seal %q", s.kind)} {
		if !strings.Contains(logs, want) && !strings.Contains(logs, strings.ReplaceAll(want, `"`, `\"`)) {
			t.Errorf("%s: no %q in the log:\n%s", what, want, logs)
		}
	}
	if strings.Contains(logs, s.secret) {
		t.Errorf("%s: the log holds %q", what, s.secret)
	}
}
