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
	"strings"

	"github.com/novatech/securevault/internal/vault"
)

// serviceAccountKey is a key file of Google Cloud.
type serviceAccountKey struct {
	Type       string `json:"type"`
	Account    string `json:"client_email"`
	KeyID      string `json:"private_key_id"`
	PrivateKey string `json:"private_key"`
	TokenURI   string `json:"token_uri"`

	name string // that errors call it by
	rsa  *rsa.PrivateKey
}

// key returns the key of the configuration or of the environment, nil if
// there is none.
func (g *GCP) key() (*serviceAccountKey, error) {
	path := g.cfg.Credentials.Reveal()
	if strings.HasPrefix(strings.TrimSpace(path), "{") {
		return parseKey("credentials", path)
	}
	if path == "" {
		path = g.cfg.Getenv("GOOGLE_APPLICATION_CREDENTIALS")
	}
	if path == "" {
		return nil, nil
	}
	text, err := readSmall("service account's key", path)
	if err != nil {
		return nil, err
	}
	return parseKey(path, text)
}

// parseKey reads a key. Its errors repeat nothing of it.
func parseKey(name, text string) (*serviceAccountKey, error) {
	key := &serviceAccountKey{}
	if json.Unmarshal([]byte(text), key) != nil {
		return nil, fmt.Errorf("reading the service account's key: %q is no JSON object", name)
	}
	if key.Type != "service_account" || key.Account == "" {
		return nil, fmt.Errorf("reading the service account's key: %q is no key of a service account; "+
			"make one, or leave credentials away on Google Cloud", name)
	}
	block, _ := pem.Decode([]byte(key.PrivateKey))
	if block == nil {
		return nil, fmt.Errorf("reading the service account's key: private_key of %q is no PEM", name)
	}
	private, err := parsePrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("reading the service account's key: private_key of %q: %w", name, err)
	}
	key.name, key.rsa = name, private
	return key, nil
}

func parsePrivateKey(der []byte) (*rsa.PrivateKey, error) {
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key, nil
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if private, ok := key.(*rsa.PrivateKey); ok && err == nil {
		return private, nil
	}
	return nil, errors.New("it is no RSA key in PKCS #8 or PKCS #1")
}

// sign returns the claims as a JSON web token with the signature RS256.
func (k *serviceAccountKey) sign(claims map[string]any) (vault.Sensitive, error) {
	header, err := json.Marshal(map[string]string{"alg": "RS256", "typ": "JWT", "kid": k.KeyID})
	if err != nil {
		return "", fmt.Errorf("signing with the key of %q: %w", k.name, err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("signing with the key of %q: %w", k.name, err)
	}
	text := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(payload)
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, k.rsa, crypto.SHA256, sum[:])
	if err != nil {
		return "", fmt.Errorf("signing with the key of %q: %w", k.name, err)
	}
	return vault.Sensitive(text + "." + base64.RawURLEncoding.EncodeToString(signature)), nil
}
