package auth

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/novatech/securevault/internal/vault"
)

const (
	keyAccount   = "app@project.iam.gserviceaccount.com"
	otherAccount = "other@project.iam.gserviceaccount.com"
)

// serviceAccount makes a service account's key, and returns its file and the
// public half.
func serviceAccount(t *testing.T) (file string, public *rsa.PublicKey) {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": keyAccount, "private_key_id": "key-1", "token_uri": "https://oauth2.googleapis.com/token",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(text), &private.PublicKey
}

// verifyJWT returns the claims of a token if the key has signed it and it has
// not ended.
func verifyJWT(token string, public *rsa.PublicKey) (map[string]any, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, fmt.Errorf("a token of %d parts", len(parts))
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if err := rsa.VerifyPKCS1v15(public, crypto.SHA256, sum[:], signature); err != nil {
		return nil, err
	}
	var header, claims map[string]any
	for i, into := range []*map[string]any{&header, &claims} {
		text, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(text, into); err != nil {
			return nil, err
		}
	}
	if header["alg"] != "RS256" || header["kid"] != "key-1" {
		return nil, fmt.Errorf("header %v", header)
	}
	if exp, _ := claims["exp"].(float64); int64(exp) <= time.Now().Unix() {
		return nil, errors.New("the token has ended")
	}
	return claims, nil
}

// gcpStandIn stands in for the metadata service, the token endpoint and the
// IAM credentials API, as Google documents them. Google's signature is the
// payload itself behind "signed:".
func gcpStandIn(t *testing.T, public *rsa.PublicKey) cloud {
	t.Helper()
	metadata := func(answer func(*http.Request) string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Metadata-Flavor") != "Google" {
				http.Error(w, "", http.StatusForbidden)
				return
			}
			says(answer(r))(w, r)
		}
	}
	text := func(text string) func(*http.Request) string { return func(*http.Request) string { return text } }
	accounts := "GET metadata.google.internal/computeMetadata/v1/instance/service-accounts/"
	return standIn(t, map[string]http.HandlerFunc{
		accounts + "{account}/identity": metadata(func(r *http.Request) string {
			return "identity of " + r.PathValue("account") + " for " + r.FormValue("audience") + " " + r.FormValue("format") + "\n"
		}),
		accounts + "default/email": metadata(text("machine@project.iam.gserviceaccount.com")),
		accounts + "default/token": metadata(text(`{"access_token":"bearer-machine"}`)),
		"POST oauth2.googleapis.com/token": func(w http.ResponseWriter, r *http.Request) {
			claims, err := verifyJWT(r.FormValue("assertion"), public)
			if err != nil || r.FormValue("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" || claims["iss"] != keyAccount ||
				claims["aud"] != "https://oauth2.googleapis.com/token" || claims["scope"] != "https://www.googleapis.com/auth/cloud-platform" {
				fails(http.StatusBadRequest, `{"error":"invalid_grant"}`)(w, r)
				return
			}
			says(`{"access_token":"bearer-key"}`)(w, r)
		},
		"POST iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{call}": func(w http.ResponseWriter, r *http.Request) {
			account, call, _ := strings.Cut(r.PathValue("call"), ":")
			bearer := r.Header.Get("Authorization")
			var request struct{ Payload string }
			body, _ := io.ReadAll(r.Body)
			if json.Unmarshal(body, &request) != nil || call != "signJwt" || !strings.HasPrefix(bearer, "Bearer bearer-") || account == "forbidden" {
				fails(http.StatusForbidden, `{"error":{"code":403,"status":"PERMISSION_DENIED"}}`)(w, r)
				return
			}
			answer, _ := json.Marshal(map[string]string{"keyId": "g", "signedJwt": account + " by " + bearer + " signed:" + request.Payload})
			says(string(answer))(w, r)
		},
	})
}

func newTestGCP(t *testing.T, cfg GCPConfig, public *rsa.PublicKey) *GCP {
	t.Helper()
	cfg.Mount, cfg.Role = "auth/gcp", "app"
	if cfg.Getenv == nil {
		cfg.Getenv = env()
	}
	method := NewGCP(cfg)
	method.near = gcpStandIn(t, public)
	method.issuer = method.near
	return method
}

func TestAMachineOfGoogleSendsItsIdentityForThisRole(t *testing.T) {
	wantBody(t, sent(t, newTestGCP(t, GCPConfig{Type: "gce"}, nil), "auth/gcp/login"),
		map[string]string{"role": "app", "jwt": "identity of default for http://vault/app full"})
	wantBody(t, sent(t, newTestGCP(t, GCPConfig{Type: "gce", ServiceAccount: otherAccount}, nil), "auth/gcp/login"),
		map[string]string{"role": "app", "jwt": "identity of " + otherAccount + " for http://vault/app full"})
}

func TestAServiceAccountSignsWithItsOwnKey(t *testing.T) {
	text, public := serviceAccount(t)
	file := put(t, t.TempDir(), "key.json", text)
	tests := []struct {
		name string
		cfg  GCPConfig
	}{
		{"a path", GCPConfig{Credentials: vault.Sensitive(file)}},
		{"the key itself", GCPConfig{Credentials: vault.Sensitive(text)}},
		{"the environment", GCPConfig{Getenv: env("GOOGLE_APPLICATION_CREDENTIALS", file)}},
		{"the account named as well", GCPConfig{Credentials: vault.Sensitive(file), ServiceAccount: keyAccount}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				test.cfg.Type, test.cfg.Validity = "iam", 10*time.Minute
				body := sent(t, newTestGCP(t, test.cfg, public), "auth/gcp/login")
				claims, err := verifyJWT(body["jwt"].(string), public)
				if err != nil {
					t.Fatal(err)
				}
				end := float64(time.Now().Add(10 * time.Minute).Unix())
				if claims["sub"] != keyAccount || claims["aud"] != "vault/app" || claims["exp"] != end || len(claims) != 3 {
					t.Errorf("claims = %v", claims)
				}
			})
		})
	}
}

func TestGoogleSignsWhereTheKeyIsNotAtHand(t *testing.T) {
	text, public := serviceAccount(t)
	tests := []struct {
		name string
		cfg  GCPConfig
		want string
	}{
		{"the machine's account", GCPConfig{}, "machine@project.iam.gserviceaccount.com by Bearer bearer-machine"},
		{"another account, asked for by the machine", GCPConfig{ServiceAccount: otherAccount}, otherAccount + " by Bearer bearer-machine"},
		{"another account, asked for with a key", GCPConfig{ServiceAccount: otherAccount, Credentials: vault.Sensitive(text)}, otherAccount + " by Bearer bearer-key"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.cfg.Type = "iam"
			jwt, _ := sent(t, newTestGCP(t, test.cfg, public), "auth/gcp/login")["jwt"].(string)
			signer, payload, _ := strings.Cut(jwt, " signed:")
			var claims map[string]any
			if err := json.Unmarshal([]byte(payload), &claims); err != nil {
				t.Fatal(err)
			}
			account, _, _ := strings.Cut(test.want, " ")
			if signer != test.want || claims["sub"] != account || claims["aud"] != "vault/app" {
				t.Errorf("signed for %q: %v, want %q", signer, claims, test.want)
			}
		})
	}
}

func TestGoogleIdentitiesThatCannotBeProved(t *testing.T) {
	text, public := serviceAccount(t)
	dir := t.TempDir()
	missing := filepath.Join(dir, "missing")
	user := put(t, dir, "user.json", `{"type":"authorized_user","refresh_token":"hunter2"}`)
	broken := put(t, dir, "broken.json", `{"type":"service_account","client_email":"a","private_key":"hunter2"}`)
	garbage := put(t, dir, "garbage.json", `hunter2`)
	plain := put(t, dir, "plain.json", strings.Replace(text, "https://oauth2.googleapis.com", "http://evil.test", 1))
	tests := []struct {
		name string
		cfg  GCPConfig
		says []string
	}{
		{"a missing key", GCPConfig{Credentials: vault.Sensitive(missing)}, []string{missing}},
		{"the credentials of a person", GCPConfig{Credentials: vault.Sensitive(user)}, []string{user, "no key of a service account"}},
		{"a key without a key", GCPConfig{Credentials: vault.Sensitive(broken)}, []string{broken, "no PEM"}},
		{"no JSON", GCPConfig{Credentials: vault.Sensitive(garbage)}, []string{garbage, "no JSON object"}},
		{"a token endpoint without TLS", GCPConfig{Credentials: vault.Sensitive(plain), ServiceAccount: otherAccount}, []string{"token_uri", "http://evil.test/token"}},
		{"an account that may not be used", GCPConfig{ServiceAccount: "forbidden"},
			[]string{"https://iamcredentials.googleapis.com/", "PERMISSION_DENIED", "roles/iam.serviceAccountTokenCreator"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.cfg.Type = "iam"
			if err := refused(t, newTestGCP(t, test.cfg, public), test.says...); strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error tells a secret: %v", err)
			}
		})
	}
	for kind, hint := range map[string]string{"gce": `type = "iam"`, "iam": "credentials"} {
		method := newTestGCP(t, GCPConfig{Type: kind}, public)
		method.near = standIn(t, map[string]http.HandlerFunc{"metadata.google.internal/": fails(404, "")})
		refused(t, method, "http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/", hint)
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add(`{"type":"service_account","client_email":"a","private_key":"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"}`)
	f.Add(`{"type":"service_account"}`)
	f.Add(`[]`)
	f.Fuzz(func(t *testing.T, text string) {
		key, err := parseKey("key.json", text)
		if (key == nil) == (err == nil) {
			t.Errorf("key %v with error %v", key, err)
		}
		if err != nil && !strings.Contains(err.Error(), "key.json") {
			t.Errorf("the error does not name the file: %v", err)
		}
	})
}
