package postgresql_test

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
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// google stands in for Google: for the endpoint that hands out a token to who
// presents an assertion signed by a service account (RFC 7523), and for the check
// of tokens at Cloud SQL.
type google struct {
	server *httptest.Server
	key    *rsa.PrivateKey // the service account's
	life   int             // of tokens, in seconds

	mu     sync.Mutex
	handed []string
}

const (
	accountAddress = "vault-admin@shop.iam.gserviceaccount.com"
	accountUser    = "vault-admin@shop.iam" // as Cloud SQL calls it
)

func newGoogle(t *testing.T) *google {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	g := &google{key: key, life: 3600}
	g.server = httptest.NewServer(http.HandlerFunc(g.exchange))
	t.Cleanup(g.server.Close)
	return g
}

// account returns the service account's key file.
func (g *google) account(t *testing.T) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(g.key)
	if err != nil {
		t.Fatal(err)
	}
	file, err := json.Marshal(map[string]string{
		"type": "service_account", "project_id": "shop", "private_key_id": "key-1", "client_email": accountAddress,
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), "token_uri": g.server.URL,
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(file)
}

func (g *google) exchange(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || r.FormValue("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" {
		http.Error(w, `{"error":"unsupported_grant_type"}`, http.StatusBadRequest)
		return
	}
	if err := g.verify(r.FormValue("assertion")); err != nil {
		http.Error(w, fmt.Sprintf(`{"error":"invalid_grant","error_description":%q}`, err), http.StatusBadRequest)
		return
	}
	token := "ya29." + rand.Text()
	g.mu.Lock()
	g.handed = append(g.handed, token)
	g.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"access_token": token, "token_type": "Bearer", "expires_in": g.life})
}

// verify checks an assertion: its signature, then what it says.
func (g *google) verify(assertion string) error {
	parts := strings.Split(assertion, ".")
	if len(parts) != 3 {
		return errors.New("the assertion has not three parts")
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if err := rsa.VerifyPKCS1v15(&g.key.PublicKey, crypto.SHA256, sum[:], signature); err != nil {
		return err
	}
	var header struct{ Alg, Typ, Kid string }
	var claims struct {
		Iss, Scope, Aud string
		Iat, Exp        int64
	}
	if err := errors.Join(decode(parts[0], &header), decode(parts[1], &claims)); err != nil {
		return err
	}
	now := time.Now().Unix()
	switch {
	case header.Alg != "RS256" || header.Typ != "JWT" || header.Kid != "key-1":
		return fmt.Errorf("the header is %+v", header)
	case claims.Iss != accountAddress || claims.Aud != g.server.URL:
		return fmt.Errorf("the assertion is of %q for %q", claims.Iss, claims.Aud)
	case claims.Scope != "https://www.googleapis.com/auth/sqlservice.login":
		return fmt.Errorf("the scope is %q", claims.Scope)
	case claims.Iat > now+60 || claims.Exp < now || claims.Exp-claims.Iat > 3600:
		return fmt.Errorf("good from %d to %d, now is %d", claims.Iat, claims.Exp, now)
	}
	return nil
}

func decode(part string, into any) error {
	text, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

// check is that of Cloud SQL: a token lets in its owner alone.
func (g *google) check(user, token string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, handed := range g.handed {
		if handed == token && user == accountUser {
			return nil
		}
	}
	return errors.New("Cloud SQL IAM service account authentication failed")
}
