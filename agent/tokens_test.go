package agent

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/novatech/securevault/agent/config"
	"github.com/novatech/securevault/internal/vault"
	"github.com/novatech/securevault/internal/vaulttest"
)

// login is a configuration that logs in with a JWT that may be replaced, and
// has sinks besides.
func login(method, sinks string) string {
	return fmt.Sprintf(`
auto_auth {
  enable_reauth_on_new_credentials = true
  method "jwt" {
    %s
    config = {
      role                     = "app"
      path                     = "DIR/jwt"
      remove_jwt_after_reading = false
      jwt_read_period          = "10s"
    }
  }
  %s
}
lease { jitter = 0 }
`, method, sinks)
}

// sinkTo is a sink for a file, with keys besides.
func sinkTo(file, keys string) string {
	return fmt.Sprintf("sink \"file\" {\n%s\nconfig = { path = \"DIR/%s\" }\n}\n", keys, file)
}

// withTokens runs a test on a server that takes any JWT.
func withTokens(t *testing.T, test func(r *rig)) {
	within(t, func(r *rig) {
		r.write("jwt", "first")
		r.server.Method("auth/jwt/login", vaulttest.Method{Token: vaulttest.Token{TTL: time.Hour}})
		test(r)
	})
}

// readerKey makes the key of a reader, and its file reader.json.
func (r *rig) readerKey() *ecdh.PrivateKey {
	r.Helper()
	private, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		r.Fatal(err)
	}
	r.write("reader.json", fmt.Sprintf(`{"curve25519_public_key": %q}`, base64.StdEncoding.EncodeToString(private.PublicKey().Bytes())))
	return private
}

// decrypt opens what a sink holds, as its reader does.
func (r *rig) decrypt(private *ecdh.PrivateKey, file, aad string) string {
	r.Helper()
	fields := map[string][]byte{}
	if err := json.Unmarshal([]byte(r.read(file)), &fields); err != nil {
		r.Fatalf("%s holds %q: %v", file, r.read(file), err)
	}
	theirs, err := ecdh.X25519().NewPublicKey(fields["curve25519_public_key"])
	if err != nil {
		r.Fatal(err)
	}
	key, err := private.ECDH(theirs)
	if err != nil {
		r.Fatal(err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		r.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		r.Fatal(err)
	}
	plain, err := aead.Open(nil, fields["nonce"], fields["encrypted_payload"], []byte(aad))
	if err != nil {
		r.Fatalf("decrypting %s: %v", file, err)
	}
	return string(plain)
}

// unwrap returns the answer behind the wrapping that a sink holds.
func (r *rig) unwrap(text string) *vault.Secret {
	r.Helper()
	var wrapping struct {
		Token        string
		TTL          int
		CreationPath string `json:"creation_path"`
	}
	if err := json.Unmarshal([]byte(text), &wrapping); err != nil {
		r.Fatalf("unwrapping %q: %v", text, err)
	}
	r.expect("ttl", wrapping.TTL, 300)
	secret, err := r.server.Client(r.T).Write(r.Context(), "", "sys/wrapping/unwrap", map[string]any{"token": wrapping.Token})
	if err != nil {
		r.Fatalf("unwrapping what was made by %q: %v", wrapping.CreationPath, err)
	}
	return secret
}

func TestEachSinkGetsTheTokenInItsShape(t *testing.T) {
	withTokens(t, func(r *rig) {
		reader := r.readerKey()
		const encrypted = "dh_path = \"DIR/reader.json\"\n"
		r.launch(login("", sinkTo("plain", "")+sinkTo("wrapped", `wrap_ttl = "5m"`)+sinkTo("encrypted", encrypted+`aad_env_var = "APP_AAD"`)+
			sinkTo("both", encrypted+"wrap_ttl = 300\naad = \"both\"")), Options{Getenv: func(name string) string {
			return map[string]string{"APP_AAD": "the-app"}[name]
		}})
		token := r.read("plain")
		r.expect("a token in the clear", strings.HasPrefix(token, "hvs.token-"), true)
		r.expect("encrypted", r.decrypt(reader, "encrypted", "the-app"), token)
		r.expect("wrapped", r.unwrap(r.read("wrapped")).Data["token"], any(token))
		r.expect("wrapped and encrypted", r.unwrap(r.decrypt(reader, "both", "both")).Data["token"], any(token))
		for _, entry := range r.logs.All() {
			if strings.Contains(fmt.Sprint(entry.Message, entry.ContextMap()), token) {
				t.Errorf("the log tells the token: %v", entry)
			}
		}
	})
}

func TestASinkIsWrittenForEachTokenAndNotForItsRenewals(t *testing.T) {
	withTokens(t, func(r *rig) {
		r.launch(login("", sinkTo("wrapped", `wrap_ttl = "5m"`)), Options{})
		first := r.read("wrapped")
		r.at(2 * time.Hour)
		r.expect("renewals", r.server.Count(vaulttest.RenewSelf) > 1, true)
		r.expect("the same wrapping, although its time is over", r.read("wrapped") == first, true)
		r.write("jwt", "another")
		r.at(2*time.Hour + 11*time.Second)
		r.expect("another wrapping", r.read("wrapped") != first, true)
		r.expect("a new token in it", r.unwrap(r.read("wrapped")).Data["token"], any(r.agent.keeper.Token().Value.Reveal()))
		r.expect("old tokens that were revoked under their readers", r.server.Count(vaulttest.RevokeSelf), 0)
	})
}

func TestATokenThatTheServerWrapsIsEncryptedForTheReader(t *testing.T) {
	withTokens(t, func(r *rig) {
		reader := r.readerKey()
		r.launch(login(`wrap_ttl = "5m"`, sinkTo("token", "dh_path = \"DIR/reader.json\"")), Options{})
		secret := r.unwrap(r.decrypt(reader, "token", ""))
		if secret.Auth == nil || secret.Auth.TTL != time.Hour {
			t.Errorf("the reader finds %v, want a login", secret)
		}
	})
}

func TestAServerThatIsSlowToWrapHoldsUpNothingElse(t *testing.T) {
	withTokens(t, func(r *rig) {
		remove := r.server.Inject(vaulttest.Fault{Op: vaulttest.System, Hang: true})
		r.launch(login("", sinkTo("wrapped", `wrap_ttl = "5m"`)+sinkTo("plain", ""))+pair("db"), Options{})
		r.at(time.Second)
		r.expect("file", r.read("db"), "v-app-1:password-1")
		r.expect("wrapped", r.read("wrapped"), "")
		r.expect("ready", r.agent.ready, false)
		r.at(wrapBound + time.Millisecond)
		r.expect("plain", r.read("plain") != "", true)
		r.expect("failures told", r.logs.FilterMessage("writing the token failed").Len(), 1)
		remove()
		r.at(wrapBound + 5*time.Second)
		r.expect("wrapped", r.unwrap(r.read("wrapped")).Data["token"], any(r.read("plain")))
		r.expect("ready", r.agent.ready, true)
		r.at(time.Hour)
		r.expect("failures told", r.logs.FilterMessage("writing the token failed").Len(), 1)
	})
}

func TestAReaderMayPutItsKeyThereLater(t *testing.T) {
	withTokens(t, func(r *rig) {
		r.launch(login("", sinkTo("token", "dh_path = \"DIR/reader.json\"")), Options{})
		r.at(10 * time.Minute)
		r.expect("token", r.read("token"), "")
		if n := r.logs.FilterMessage("writing the token failed").Len(); n < 5 || n > 20 {
			t.Errorf("failures told in ten minutes = %d, want further and further apart", n)
		}
		reader := r.readerKey()
		r.at(12 * time.Minute)
		r.expect("token", r.decrypt(reader, "token", ""), r.agent.keeper.Token().Value.Reveal())
	})
}

func TestARunThatEndsByItselfSaysWhichSinkFailed(t *testing.T) {
	tests := []struct {
		name, keys string
		fault      vaulttest.Fault
		code       int
		says       []string
	}{
		{"for want of the reader's key", "dh_path = \"DIR/reader.json\"", vaulttest.Fault{Op: vaulttest.Delete}, ExitSink, []string{"reader.json", "dh_path"}},
		{"for a policy", `wrap_ttl = "5m"`, vaulttest.Fault{Op: vaulttest.System, Status: 403}, ExitSink, []string{"wrapping the token", "403"}},
		{"for a server that never answers", `wrap_ttl = "5m"`, vaulttest.Fault{Op: vaulttest.System, Hang: true}, ExitServer, []string{"time is up", "wrapping the token"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			withTokens(t, func(r *rig) {
				r.server.Inject(test.fault)
				r.launch(login("", sinkTo("token", test.keys)), Options{Once: true, Deadline: time.Minute})
				err := <-r.done
				r.expect("exit code", ExitCode(err), test.code)
				for _, part := range test.says {
					if err == nil || !strings.Contains(err.Error(), part) {
						t.Errorf("error %v does not say %q", err, part)
					}
				}
				synctest.Wait()
			})
		})
	}
}

func TestAdditionalDataOfAnEmptyVariableIsRefused(t *testing.T) {
	sink := config.Sink{DHPath: "reader.json", AADEnvVar: "APP_AAD", Origin: config.Origin{At: config.Position{File: "agent.hcl", Line: 7}}}
	_, err := newRecipient(sink, func(string) string { return "" })
	if want := `agent.hcl:7: aad_env_var: the variable "APP_AAD" is empty`; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error = %v, want %s", err, want)
	}
}

func TestAnOldTokenIsRevokedWhenNoLeaseNeedsIt(t *testing.T) {
	withTokens(t, func(r *rig) {
		r.launch(login("", "")+pair("db"), Options{})
		r.at(time.Minute)
		r.write("jwt", "another")
		r.at(71 * time.Second)
		old := r.server.Live()[0].Token
		r.expect("revoked while a lease needs it", r.server.Count(vaulttest.RevokeSelf), 0)
		r.at(3 * time.Minute)
		r.expect("revoked", r.server.Count(vaulttest.RevokeSelf), 1)
		r.expect("file", r.read("db"), "v-app-2:password-2")
		live := r.server.Live()
		r.expect("live leases", len(live), 1)
		r.expect("of the new token", live[0].Token != old, true)
	})
}

func TestWhoElseHasTheToken(t *testing.T) {
	const socket = "listener \"unix\" {\n address = \"/run/agent\"\n}\n"
	tests := []struct {
		name, text string
		want       bool
	}{
		{"nobody", login("", "") + pair("db") + socket, false},
		{"who reads a sink", login("", sinkTo("token", "")), true},
		{"callers of the proxy", login("", "") + socket + "api_proxy {\n use_auto_auth_token = true\n}", true},
		{"nobody, since callers bring their own", login("", "") + pair("db") + socket + "api_proxy {\n}", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := &rig{T: t, dir: t.TempDir()}
			r.expect("shares its token", shares(r.load(test.text)), test.want)
		})
	}
}
