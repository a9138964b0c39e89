package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/novatech/securevault/internal/vault"
)

// GCPConfig says how to prove an identity of Google Cloud.
type GCPConfig struct {
	Mount string // "auth/gcp"
	Type  string // "gce" or "iam"
	Role  string
	// ServiceAccount is whose identity to prove; "" for that of the key or,
	// without one, of the machine.
	ServiceAccount string
	// Credentials is a service account's key: a path, or the JSON itself.
	// Without it GOOGLE_APPLICATION_CREDENTIALS names a path and, failing
	// that, the machine's account asks for the signature.
	Credentials vault.Sensitive
	Validity    time.Duration // of the signed identity; 0 for 15 minutes
	Getenv      func(name string) string
}

// GCP logs in as a machine, by a token of its metadata service, or as a
// service account, by a token that its key signed. Make one with [NewGCP].
type GCP struct {
	mount
	cfg    GCPConfig
	near   cloud
	issuer cloud
}

const (
	googleMetadata = "http://metadata.google.internal"
	googleIAM      = "https://iamcredentials.googleapis.com"
)

// NewGCP returns the method.
func NewGCP(cfg GCPConfig) *GCP {
	if cfg.Validity <= 0 {
		cfg.Validity = 15 * time.Minute
	}
	return &GCP{mount: newMount(cfg.Mount), cfg: cfg, near: newMetadata(), issuer: newIssuer()}
}

// Login implements [Method].
func (g *GCP) Login(ctx context.Context, server Server) (*vault.Auth, error) {
	prove := g.machine
	if g.cfg.Type == "iam" {
		prove = g.account
	}
	jwt, err := prove(ctx)
	if err != nil {
		return nil, err
	}
	return server.Login(ctx, g.login(), map[string]any{"role": g.cfg.Role, "jwt": jwt.Reveal()})
}

// machine returns the identity token of the instance, made for this server's
// role and nobody else.
func (g *GCP) machine(ctx context.Context) (vault.Sensitive, error) {
	query := url.Values{"audience": {"http://vault/" + g.cfg.Role}, "format": {"full"}}
	token, err := g.about(ctx, g.accountName(), "identity?"+query.Encode())
	if err == nil && token == "" {
		err = errors.New("the answer is empty")
	}
	if err != nil {
		return "", fmt.Errorf("getting the instance's identity: %w; run on Google Cloud with a service account, or log in with type = \"iam\"", err)
	}
	return vault.Sensitive(token), nil
}

func (g *GCP) accountName() string {
	if g.cfg.ServiceAccount == "" {
		return "default"
	}
	return g.cfg.ServiceAccount
}

// about reads what the metadata service says of a service account.
func (g *GCP) about(ctx context.Context, account, what string) (string, error) {
	address := googleMetadata + "/computeMetadata/v1/instance/service-accounts/" + url.PathEscape(account) + "/" + what
	text, err := g.near.get(ctx, address, http.Header{"Metadata-Flavor": {"Google"}})
	return strings.TrimSpace(text), err
}

// account returns a token of the service account for this role: signed with
// its key or, where that is not at hand, by Google.
func (g *GCP) account(ctx context.Context) (vault.Sensitive, error) {
	key, err := g.key()
	if err != nil {
		return "", err
	}
	account := g.cfg.ServiceAccount
	if key != nil && (account == "" || account == key.Account) {
		return key.sign(g.claims(key.Account))
	}
	if account == "" {
		if account, err = g.about(ctx, "default", "email"); err != nil {
			return "", fmt.Errorf("getting the machine's service account: %w; name a key by credentials, or the account by service_account", err)
		}
	}
	bearer, err := g.accessToken(ctx, key)
	if err != nil {
		return "", err
	}
	return g.signedByGoogle(ctx, account, bearer)
}

// claims are what the server verifies.
func (g *GCP) claims(account string) map[string]any {
	return map[string]any{"sub": account, "aud": "vault/" + g.cfg.Role, "exp": time.Now().Add(g.cfg.Validity).Unix()}
}

// accessToken returns a token for Google's own APIs: that of the key's
// account or, without a key, of the machine's.
func (g *GCP) accessToken(ctx context.Context, key *serviceAccountKey) (vault.Sensitive, error) {
	type token struct {
		Value string `json:"access_token"`
	}
	var address, text string
	var err error
	if key == nil {
		address = googleMetadata
		text, err = g.about(ctx, "default", "token")
	} else {
		address = key.TokenURI
		text, err = g.exchange(ctx, key)
	}
	var t token
	if err == nil {
		t, err = decode[token](address, text)
	}
	if err == nil && t.Value == "" {
		err = errors.New("the answer carries no token")
	}
	if err != nil {
		return "", fmt.Errorf("getting an access token of Google: %w; name a service account's key by credentials, or run on Google Cloud", err)
	}
	return vault.Sensitive(t.Value), nil
}

// exchange trades a token that the key signed for an access token.
func (g *GCP) exchange(ctx context.Context, key *serviceAccountKey) (string, error) {
	if err := secure("token_uri of the service account's key", key.TokenURI); err != nil {
		return "", err
	}
	now := time.Now()
	assertion, err := key.sign(map[string]any{
		"iss": key.Account, "aud": key.TokenURI, "scope": "https://www.googleapis.com/auth/cloud-platform",
		"iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(),
	})
	if err != nil {
		return "", err
	}
	return g.issuer.post(ctx, key.TokenURI, url.Values{
		"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {assertion.Reveal()},
	})
}

// signedByGoogle has the IAM credentials API sign the claims for an account.
func (g *GCP) signedByGoogle(ctx context.Context, account string, bearer vault.Sensitive) (vault.Sensitive, error) {
	claims, err := json.Marshal(g.claims(account))
	if err != nil {
		return "", fmt.Errorf("encoding the identity of %q: %w", account, err)
	}
	request, err := json.Marshal(map[string]string{"payload": string(claims)})
	if err != nil {
		return "", fmt.Errorf("encoding the identity of %q: %w", account, err)
	}
	address := googleIAM + "/v1/projects/-/serviceAccounts/" + url.PathEscape(account) + ":signJwt"
	text, err := g.issuer.send(ctx, http.MethodPost, address, http.Header{
		"Authorization": {"Bearer " + bearer.Reveal()}, "Content-Type": {"application/json"},
	}, string(request))
	type answer struct {
		SignedJWT string `json:"signedJwt"`
	}
	var signed answer
	if err == nil {
		signed, err = decode[answer](address, text)
	}
	if err == nil && signed.SignedJWT == "" {
		err = errors.New("the answer carries no signature")
	}
	if err != nil {
		return "", fmt.Errorf("having the identity of %q signed: %w; grant roles/iam.serviceAccountTokenCreator on that account", account, err)
	}
	return vault.Sensitive(signed.SignedJWT), nil
}
