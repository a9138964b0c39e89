package kmsstandin

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

const (
	azureLoginHost = "login.microsoftonline.com"
	azureVaultHost = "shop.vault.azure.net"
	azureResource  = "https://vault.azure.net"
)

// What a client of the stand-in for Azure has to be configured with.
const (
	AzureTenant = "8d3f4b1e-5c7a-4a3f-9b0e-2f6d1c8e7a90"
	AzureClient = "c2a1e7d4-0b5f-4e8a-8c3d-6f9b1a2e4d70"
	AzureSecret = "azure-client-secret"
	AzureVault  = "shop"
)

// Azure stands in for the vault "shop" of Azure Key Vault (its REST interface)
// and for the part of the Microsoft identity platform that gives its clients
// their tokens.
type Azure struct {
	keys map[string]*rsa.PrivateKey // name → its one version

	mu     sync.Mutex
	tokens map[string]bool // guarded by mu; those given out
}

// NewAzure starts a stand-in behind e that has the keys named.
func NewAzure(t testing.TB, e *Egress, keys ...string) *Azure {
	t.Helper()
	a := &Azure{keys: map[string]*rsa.PrivateKey{}, tokens: map[string]bool{}}
	for _, name := range keys {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		a.keys[name] = key
	}
	for host, handle := range map[string]http.HandlerFunc{azureLoginHost: a.logIn, azureVaultHost: a.serveVault} {
		server := httptest.NewUnstartedServer(handle)
		server.TLS = &tls.Config{Certificates: []tls.Certificate{e.identity(t, host)}, MinVersion: tls.VersionTLS12}
		server.StartTLS()
		t.Cleanup(server.Close)
		e.lead(host, server.Listener.Addr().String())
	}
	return a
}

// logIn answers for the identity platform.
func (a *Azure) logIn(w http.ResponseWriter, r *http.Request) {
	const authority = "https://" + azureLoginHost + "/" + AzureTenant
	switch r.Method + " " + r.URL.Path {
	case "GET /common/discovery/instance":
		answer(w, http.StatusOK, map[string]any{
			"tenant_discovery_endpoint": authority + "/v2.0/.well-known/openid-configuration",
			"metadata": []any{map[string]any{
				"preferred_network": azureLoginHost, "preferred_cache": "login.windows.net", "aliases": []string{azureLoginHost, "login.windows.net"},
			}},
		})
	case "GET /" + AzureTenant + "/v2.0/.well-known/openid-configuration":
		answer(w, http.StatusOK, map[string]string{
			"issuer": authority + "/v2.0", "authorization_endpoint": authority + "/oauth2/v2.0/authorize", "token_endpoint": authority + "/oauth2/v2.0/token",
		})
	case "POST /" + AzureTenant + "/oauth2/v2.0/token":
		a.giveToken(w, r)
	default:
		answer(w, http.StatusNotFound, map[string]string{"error": "invalid_request"})
	}
}

// giveToken answers a request with client credentials.
func (a *Azure) giveToken(w http.ResponseWriter, r *http.Request) {
	form := func(name string) string { return r.PostFormValue(name) }
	scopes := strings.Fields(form("scope"))
	switch {
	case form("grant_type") != "client_credentials":
		answer(w, http.StatusBadRequest, map[string]string{"error": "unsupported_grant_type", "error_description": "AADSTS70003: The app requested an unsupported grant type."})
	case form("client_id") != AzureClient:
		answer(w, http.StatusBadRequest, map[string]string{"error": "unauthorized_client", "error_description": "AADSTS700016: Application was not found in the directory."})
	case subtle.ConstantTimeCompare([]byte(form("client_secret")), []byte(AzureSecret)) != 1:
		answer(w, http.StatusUnauthorized, map[string]string{"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret provided."})
	case len(scopes) == 0 || scopes[0] != azureResource+"/.default":
		answer(w, http.StatusBadRequest, map[string]string{"error": "invalid_scope", "error_description": "AADSTS70011: The provided value for the input parameter 'scope' is not valid."})
	default:
		token := rand.Text()
		a.mu.Lock()
		a.tokens[token] = true
		a.mu.Unlock()
		answer(w, http.StatusOK, map[string]any{"token_type": "Bearer", "expires_in": 3599, "access_token": token})
	}
}

// serveVault answers for the vault: whoever has no token is told where to get
// one.
func (a *Azure) serveVault(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	known := a.tokens[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
	a.mu.Unlock()
	if !known {
		w.Header().Set("WWW-Authenticate", `Bearer authorization="https://`+azureLoginHost+"/"+AzureTenant+`", resource="`+azureResource+`"`)
		refuse(w, http.StatusUnauthorized, "Unauthorized", "AKV10000: Request is missing a Bearer or PoP token.")
		return
	}
	if r.URL.Query().Get("api-version") == "" {
		refuse(w, http.StatusBadRequest, "BadParameter", "api-version must be specified")
		return
	}
	name, version, operation := splitPath(r)
	key := a.keys[name]
	switch {
	case key == nil || version != "" && version != versionOf(key):
		refuse(w, http.StatusNotFound, "KeyNotFound", "A key with (name/id) "+name+"/"+version+" was not found in this key vault.")
	case r.Method == http.MethodGet:
		describe(w, name, key)
	case operation == "wrapkey" || operation == "unwrapkey":
		operate(w, r, name, operation, key)
	default:
		refuse(w, http.StatusMethodNotAllowed, "BadParameter", "The request URI contains an invalid name: "+operation)
	}
}

// splitPath takes keys/NAME[/VERSION][/OPERATION] apart; only what is posted
// has an operation, and without a version the latest one is meant.
func splitPath(r *http.Request) (name, version, operation string) {
	rest, _ := strings.CutPrefix(r.URL.Path, "/keys/")
	if r.Method == http.MethodPost {
		if at := strings.LastIndexByte(rest, '/'); at >= 0 {
			rest, operation = rest[:at], rest[at+1:]
		}
	}
	name, version, _ = strings.Cut(strings.TrimSuffix(rest, "/"), "/")
	return name, version, operation
}

// describe answers with the public half of a key.
func describe(w http.ResponseWriter, name string, key *rsa.PrivateKey) {
	answer(w, http.StatusOK, map[string]any{
		"key": map[string]any{
			"kid": identifier(name, key), "kty": "RSA", "key_ops": []string{"wrapKey", "unwrapKey"},
			"n": base64.RawURLEncoding.EncodeToString(key.N.Bytes()), "e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(key.E)).Bytes()),
		},
		"attributes": map[string]any{"enabled": true},
	})
}

// versionOf names the one version of a key.
func versionOf(key *rsa.PrivateKey) string {
	sum := sha256.Sum256(key.N.Bytes())
	return hex.EncodeToString(sum[:16])
}

func identifier(name string, key *rsa.PrivateKey) string {
	return "https://" + azureVaultHost + "/keys/" + name + "/" + versionOf(key)
}

// operate wraps or unwraps a key.
func operate(w http.ResponseWriter, r *http.Request, name, operation string, key *rsa.PrivateKey) {
	var asked struct{ Alg, Value string }
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil || asked.Alg != "RSA-OAEP-256" {
		refuse(w, http.StatusBadRequest, "BadParameter", "Property has invalid value")
		return
	}
	value, err := base64.RawURLEncoding.DecodeString(asked.Value)
	if err == nil && operation == "wrapkey" {
		value, err = rsa.EncryptOAEP(sha256.New(), rand.Reader, &key.PublicKey, value, nil)
	} else if err == nil {
		value, err = rsa.DecryptOAEP(sha256.New(), nil, key, value, nil)
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, "BadParameter", "The parameter is incorrect.")
		return
	}
	answer(w, http.StatusOK, map[string]string{"kid": identifier(name, key), "value": base64.RawURLEncoding.EncodeToString(value)})
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	answer(w, status, map[string]any{"error": map[string]string{"code": code, "message": message}})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
