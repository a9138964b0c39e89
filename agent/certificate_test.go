package agent

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/novatech/securevault/internal/vaulttest"
)

// authority stands before a fake server as its PKI engine. Its certificates live
// for ten hours, and have no lease.
type authority struct {
	next http.RoundTripper

	mu     sync.Mutex
	issued int
	sent   []string // bodies of the requests
}

// RoundTrip implements [http.RoundTripper].
func (a *authority) RoundTrip(req *http.Request) (*http.Response, error) {
	if !strings.HasPrefix(req.URL.Path, "/v1/pki/") {
		return a.next.RoundTrip(req)
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.issued++
	a.sent = append(a.sent, string(body))
	data, err := a.certify(body)
	if err != nil {
		return nil, err
	}
	answer, err := json.Marshal(map[string]any{"data": data})
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader(answer)), Request: req}, err
}

// certify signs the request that a body holds, or makes a key of its own.
func (a *authority) certify(body []byte) (map[string]any, error) {
	var params struct{ CSR string }
	if err := json.Unmarshal(body, &params); err != nil {
		return nil, err
	}
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(own)
	if err != nil {
		return nil, err
	}
	data := map[string]any{"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}))}
	var subject any = own.Public()
	if block, _ := pem.Decode([]byte(params.CSR)); block != nil {
		request, err := x509.ParseCertificateRequest(block.Bytes)
		if err != nil {
			return nil, err
		}
		subject, data = request.PublicKey, make(map[string]any)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(int64(a.issued)), Subject: pkix.Name{CommonName: "web.example"},
		NotBefore: time.Now(), NotAfter: time.Now().Add(10 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, subject, own)
	data["certificate"] = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return data, err
}

func (a *authority) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.issued
}

// withAuthority runs a test on a server with a PKI engine.
func withAuthority(t *testing.T, test func(r *rig, pki *authority)) {
	within(t, func(r *rig) { test(r, &authority{next: r.server.Transport()}) })
}

// certified is a certificate in one file and its key in another, as users of
// consul-template write them; %s is for the arguments and for more keys.
const certified = `
template {
  contents    = "{{ with pkiCert ARGUMENTS }}{{ .Cert }}{{ .Key | writeToFile \"DIR/key.pem\" \"\" \"\" \"0600\" }}{{ end }}"
  destination = "DIR/cert.pem"
  command     = "echo told >>DIR/calls"
  KEYS
}
`

func certificates(arguments, keys string) string {
	return strings.NewReplacer("ARGUMENTS", strings.ReplaceAll(arguments, `"`, `\"`), "KEYS", keys).Replace(certified)
}

// serial returns that of the certificate in the files, whose key must be its own.
func (r *rig) serial() int64 {
	r.Helper()
	both, err := tls.X509KeyPair([]byte(r.read("cert.pem")), []byte(r.read("key.pem")))
	if err != nil {
		r.Fatalf("at +%s: %v", time.Since(r.start), err)
	}
	return both.Leaf.SerialNumber.Int64()
}

// Reference, section 2, row 16.
func TestNothingIsTouchedWhileACertificateStaysTheSame(t *testing.T) {
	withAuthority(t, func(r *rig, pki *authority) {
		r.server.Static("secret/data/app", map[string]any{"key": "one"})
		text := approle + strings.Replace(certificates(`"pki/issue/web" "common_name=web.example"`, `refresh_interval = "1m"`),
			`{{ with pkiCert`, `{{ with secret \"secret/data/app\" }}{{ .Data.data.key | writeToFile \"DIR/side\" \"\" \"\" \"0600\" }}{{ end }}{{ with pkiCert`, 1)
		files := []string{"cert.pem", "key.pem"}
		stat := func() (infos []os.FileInfo) {
			for _, name := range files {
				info, err := os.Stat(r.path(name))
				if err != nil {
					t.Fatal(err)
				}
				infos = append(infos, info)
			}
			return infos
		}
		unchanged := func(before []os.FileInfo) {
			t.Helper()
			for i, info := range stat() {
				if !os.SameFile(info, before[i]) || !info.ModTime().Equal(before[i].ModTime()) {
					t.Errorf("at +%s: %s was written again", time.Since(r.start), files[i])
				}
			}
		}
		log := r.state()
		r.launch(text, Options{State: log, Transport: pki})
		before := stat()
		r.at(30 * time.Minute) // thirty reads of a secret that does not change
		unchanged(before)
		r.expect("told", r.lines("calls"), 1)

		r.server.Static("secret/data/app", map[string]any{"key": "two"}) // the template is evaluated anew
		r.at(32 * time.Minute)
		r.expect("the file of the other secret", r.read("side"), "two")
		unchanged(before)
		r.expect("told of the other file", r.lines("calls"), 2)

		r.reload("state { path = \"DIR/state\" }\nlog_level = \"debug\"\n" + text)
		r.expect("end", r.end(), nil)
		r.close(log)
		log = r.state()
		r.launch(text, Options{State: log, Transport: pki})
		r.at(time.Hour)
		unchanged(before)
		r.expect("certificates", pki.count(), 1)
		r.expect("end", r.end(), nil)
		r.close(log)
	})
}

// Reference, section 2, rows 15 and 17.
func TestACertificateIsReplacedWithItsKeyWhenAsked(t *testing.T) {
	tests := map[string]struct {
		keys string
		at   time.Duration
	}{
		"at half of its life, which is the default": {"", 5 * time.Hour},
		"early": {"renew_at = 0.2", 2 * time.Hour},
		"late":  {"renew_at = 0.9", 9 * time.Hour},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			withAuthority(t, func(r *rig, pki *authority) {
				r.server.AppRole(vaulttest.AppRole{RoleID: "the-role", SecretID: "the-secret", TokenTTL: 24 * time.Hour})
				r.launch(approle+certificates(`"pki/issue/web" "common_name=web.example"`, test.keys), Options{Transport: pki})
				r.expect("first certificate", r.serial(), int64(1))
				r.at(test.at - time.Minute)
				r.expect("certificate before its time", r.serial(), int64(1))
				r.at(test.at + time.Minute)
				r.expect("certificate after it", r.serial(), int64(2))
				r.expect("told", r.lines("calls"), 2)
				r.expect("issued", pki.count(), 2)
				r.expect("end", r.end(), nil)
			})
		})
	}
}

// Reference, section 2, row 17.
func TestAKeyThatIsMadeHereNeverLeaves(t *testing.T) {
	withAuthority(t, func(r *rig, pki *authority) {
		r.launch(approle+certificates(`"pki/sign/web" "csr=local" "common_name=web.example"`, ""), Options{Transport: pki})
		r.expect("first certificate", r.serial(), int64(1))
		key := r.read("key.pem")
		r.at(5*time.Hour + time.Minute)
		r.expect("second certificate", r.serial(), int64(2))
		if key == r.read("key.pem") {
			t.Error("the second certificate has the key of the first")
		}
		for _, body := range pki.sent {
			if strings.Contains(body, "PRIVATE") || !strings.Contains(body, "CERTIFICATE REQUEST") {
				t.Errorf("the server was sent %s", body)
			}
		}
		r.expect("end", r.end(), nil)
	})
}

// Reference, section 2, row 15.
func TestOneHookSeesAllFilesOfACredentialSwitched(t *testing.T) {
	field := func(name string) string {
		return strings.NewReplacer(".Data.username }}:{{ .Data.password", ".Data."+name).Replace(pair(name))
	}
	const hook = `notify "command" {
  command = "echo $(cat DIR/FOLDERusername) $(cat DIR/FOLDERpassword) >>DIR/calls"
}
`
	tests := map[string]string{
		"files of their own": strings.ReplaceAll(hook, "FOLDER", "") + field("username") + field("password"),
		"files of a group": "group \"db\" {\n directory = \"DIR/db\"\n" + strings.ReplaceAll(hook, "FOLDER", "db/") +
			strings.ReplaceAll(field("username")+field("password"), "destination = \"DIR/", "destination = \"") + "}\n",
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			within(t, func(r *rig) {
				r.launch(approle+text, Options{})
				r.at(10 * time.Minute)
				r.expect("what the app saw when it was told", r.read("calls"), "v-app-1 password-1\nv-app-2 password-2\nv-app-3 password-3\n")
				r.expect("credentials", r.server.Issued(creds), 3)
				r.expect("end", r.end(), nil)
			})
		})
	}
}
