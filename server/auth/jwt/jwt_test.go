package jwt_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	josejwt "github.com/go-jose/go-jose/v4/jwt"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/auth/jwt"
	"github.com/novatech/securevault/server/core/coretest"
)

const (
	read   = logical.ReadOperation
	update = logical.UpdateOperation
)

// issuer signs tokens and publishes its key like an OpenID provider.
type issuer struct {
	*httptest.Server
	key       crypto.Signer
	algorithm jose.SignatureAlgorithm
}

func newIssuer(t *testing.T, key crypto.Signer, algorithm jose.SignatureAlgorithm) *issuer {
	t.Helper()
	i := &issuer{key: key, algorithm: algorithm}
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/.well-known/openid-configuration":
			json.NewEncoder(w).Encode(map[string]any{
				"issuer": i.URL, "jwks_uri": i.URL + "/keys", "authorization_endpoint": i.URL + "/auth", "token_endpoint": i.URL + "/token",
				"id_token_signing_alg_values_supported": []string{string(algorithm)},
			})
		case "/keys":
			json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{
				Key: key.Public(), KeyID: "one", Algorithm: string(algorithm), Use: "sig",
			}}})
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(i.Close)
	return i
}

func rsaIssuer(t *testing.T) *issuer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return newIssuer(t, key, jose.RS256)
}

func ecIssuer(t *testing.T) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return newIssuer(t, key, jose.ES256)
}

// token signs the claims of a CI job, changed by more; nil removes one.
func (i *issuer) token(t *testing.T, more map[string]any) string {
	t.Helper()
	claims := map[string]any{
		"iss": i.URL, "sub": "job-7", "aud": "securevault", "project": "shop", "branch": "main", "groups": []string{"ci"},
		"exp": time.Now().Add(time.Hour).Unix(), "nbf": time.Now().Unix(), "iat": time.Now().Unix(),
	}
	maps.Copy(claims, more)
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: i.algorithm, Key: jose.JSONWebKey{Key: i.key, KeyID: "one"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := josejwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func (i *issuer) publicPEM(t *testing.T) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(i.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// start runs a server with the role "ci", changed by more.
func start(t *testing.T, config, more map[string]any) *coretest.Server {
	t.Helper()
	s := coretest.Start(t, map[string]logical.Factory{"jwt": jwt.Factory})
	t.Cleanup(func() { s.Close(t.Context()) })
	s.Must(t, coretest.Root, update, "auth/jwt/config", config)
	role := map[string]any{
		"role_type": "jwt", "user_claim": "sub", "bound_audiences": "securevault",
		"bound_claims": map[string]any{"project": "shop"}, "claim_mappings": map[string]any{"branch": "git_branch"},
		"groups_claim": "groups", "token_policies": "deploy", "token_ttl": "15m", "token_num_uses": 4,
	}
	maps.Copy(role, more)
	s.Must(t, coretest.Root, update, "auth/jwt/role/ci", role)
	return s
}

// login returns the token's description, or the refusal.
func login(t *testing.T, s *coretest.Server, role, token string) (*logical.Auth, string) {
	t.Helper()
	resp, err := s.Do(t, "", update, "auth/jwt/login", map[string]any{"role": role, "jwt": token})
	switch {
	case resp.IsError():
		return nil, resp.Error().Error()
	case err != nil:
		return nil, err.Error()
	}
	return resp.Auth, ""
}

func TestASignedTokenGivesAToken(t *testing.T) {
	byRSA, byEC := rsaIssuer(t), ecIssuer(t)
	for name, c := range map[string]struct {
		issuer *issuer
		config map[string]any
	}{
		"keys at a URL":            {byRSA, map[string]any{"jwks_url": byRSA.URL + "/keys", "bound_issuer": byRSA.URL}},
		"an OpenID provider":       {byEC, map[string]any{"oidc_discovery_url": byEC.URL}},
		"public keys given by PEM": {byEC, map[string]any{"jwt_validation_pubkeys": []string{byRSA.publicPEM(t), byEC.publicPEM(t)}}},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, c.config, nil)
			got, refusal := login(t, s, "ci", c.issuer.token(t, nil))
			if refusal != "" {
				t.Fatal(refusal)
			}
			if strings.Join(got.Policies, " ") != "default deploy" || got.TTL != 15*time.Minute || got.NumUses != 4 {
				t.Errorf("token %+v", got)
			}
			if got.DisplayName != "jwt-job-7" || got.Metadata["git_branch"] != "main" || got.Metadata["role"] != "ci" {
				t.Errorf("name %q, metadata %v", got.DisplayName, got.Metadata)
			}
		})
	}
}

func TestATokenThatDoesNotFitIsRefused(t *testing.T) {
	good, evil := ecIssuer(t), ecIssuer(t)
	s := start(t, map[string]any{"jwks_url": good.URL + "/keys", "bound_issuer": good.URL}, map[string]any{
		"expiration_leeway": "-1", "not_before_leeway": "-1", "clock_skew_leeway": "-1",
	})
	past, future := time.Now().Add(-time.Second).Unix(), time.Now().Add(time.Minute).Unix()
	none := strings.Join([]string{"eyJhbGciOiJub25lIn0", strings.Split(good.token(t, nil), ".")[1], ""}, ".")
	for name, c := range map[string]struct{ token, want string }{
		"signed by somebody else": {evil.token(t, map[string]any{"iss": good.URL}), "verify"},
		"of another issuer":       {good.token(t, map[string]any{"iss": "https://elsewhere"}), "issuer"},
		"for another audience":    {good.token(t, map[string]any{"aud": "elsewhere"}), "audience"},
		"of another project":      {good.token(t, map[string]any{"project": "other"}), `claim "project" does not match`},
		"of no project":           {good.token(t, map[string]any{"project": nil}), `claim "project" is missing`},
		"of nobody":               {good.token(t, map[string]any{"sub": nil}), `claim "sub" not found`},
		"expired":                 {good.token(t, map[string]any{"exp": past}), "expired"},
		"not yet valid":           {good.token(t, map[string]any{"nbf": future}), "not yet valid"},
		"not signed":              {none, "unexpected signature algorithm"},
		"no token":                {"nonsense", "malformed"},
		"empty":                   {"", "missing token"},
	} {
		if got, refusal := login(t, s, "ci", c.token); got != nil || !strings.Contains(refusal, c.want) {
			t.Errorf("%s: %v, %q; want %q", name, got, refusal, c.want)
		}
	}
	if got, refusal := login(t, s, "nobody", good.token(t, nil)); got != nil || !strings.Contains(refusal, "could not be found") {
		t.Errorf("for an unknown role: %v, %q", got, refusal)
	}
}

// A public key is known to everybody: it must not be taken for the secret of a
// symmetric signature, whatever the token says of its algorithm.
func TestAPublicKeyIsNoSecret(t *testing.T) {
	i := ecIssuer(t)
	key := i.publicPEM(t)
	s := start(t, map[string]any{"jwt_validation_pubkeys": key}, nil)
	if _, refusal := login(t, s, "ci", i.token(t, nil)); refusal != "" {
		t.Fatal(refusal)
	}
	claims, err := base64.RawURLEncoding.DecodeString(strings.Split(i.token(t, nil), ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{key, strings.TrimSpace(key)} {
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: []byte(secret)}, nil)
		if err != nil {
			t.Fatal(err)
		}
		signed, err := signer.Sign(claims)
		if err != nil {
			t.Fatal(err)
		}
		forged, err := signed.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		if got, refusal := login(t, s, "ci", forged); got != nil || !strings.Contains(refusal, "verifying token signature") {
			t.Errorf("%v, %q", got, refusal)
		}
	}
}

func TestLeewayForgivesClocks(t *testing.T) {
	i := ecIssuer(t)
	s := start(t, map[string]any{"jwks_url": i.URL + "/keys"}, map[string]any{"clock_skew_leeway": "60"})
	if _, refusal := login(t, s, "ci", i.token(t, map[string]any{"exp": time.Now().Add(-30 * time.Second).Unix()})); refusal != "" {
		t.Fatal(refusal)
	}
}

func TestATokenIsRenewedAfterItsRole(t *testing.T) {
	i := ecIssuer(t)
	s := start(t, map[string]any{"jwks_url": i.URL + "/keys"}, nil)
	got, _ := login(t, s, "ci", i.token(t, nil))
	s.Must(t, coretest.Root, update, "auth/jwt/role/ci", map[string]any{"role_type": "jwt", "user_claim": "sub", "bound_audiences": "securevault", "token_ttl": "30m"})
	renew := map[string]any{"token": got.ClientToken}
	if resp := s.Must(t, coretest.Root, update, "auth/token/renew", renew); resp.Auth.TTL != 30*time.Minute {
		t.Fatalf("renewed for %v; want the role's new 30m", resp.Auth.TTL)
	}
	s.Must(t, coretest.Root, logical.DeleteOperation, "auth/jwt/role/ci", nil)
	if resp, err := s.Do(t, coretest.Root, update, "auth/token/renew", renew); err == nil && !resp.IsError() {
		t.Fatal("a token of a deleted role was renewed")
	}
}

func TestTheConfigurationIsShownWithoutSecrets(t *testing.T) {
	i := ecIssuer(t)
	s := start(t, map[string]any{"oidc_discovery_url": i.URL, "oidc_client_id": "securevault", "oidc_client_secret": "hidden"}, nil)
	data := s.Must(t, coretest.Root, read, "auth/jwt/config", nil).Data
	if data["oidc_discovery_url"] != i.URL {
		t.Errorf("configured %v", data)
	}
	for field, value := range data {
		if value == "hidden" {
			t.Errorf("a read shows %s", field)
		}
	}
}
