package kubernetes_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	josejwt "github.com/go-jose/go-jose/v4/jwt"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/auth/kubernetes"
	"github.com/novatech/securevault/server/core/coretest"
)

const update = logical.UpdateOperation

// reviewer is what the stand-in lets ask it.
const reviewer = "token-of-the-reviewer"

// cluster is a stand-in for the API server of a cluster: it answers
// TokenReview of authentication.k8s.io/v1 as documented, and only whoever may
// create one. It knows a token by its signature, not by what it says.
type cluster struct {
	*httptest.Server
	key     *ecdsa.PrivateKey
	deleted atomic.Bool // the service accounts are gone
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{key: key}
	c.Server = httptest.NewTLSServer(http.HandlerFunc(c.review))
	t.Cleanup(c.Close)
	return c
}

// The parts of a TokenReview that matter.
type (
	tokenReview struct {
		APIVersion string       `json:"apiVersion"`
		Kind       string       `json:"kind"`
		Spec       reviewSpec   `json:"spec"`
		Status     reviewStatus `json:"status"`
	}
	reviewSpec struct {
		Token     string   `json:"token"`
		Audiences []string `json:"audiences"`
	}
	reviewStatus struct {
		Authenticated bool           `json:"authenticated"`
		Error         string         `json:"error,omitempty"`
		Audiences     []string       `json:"audiences,omitempty"`
		User          map[string]any `json:"user"`
	}
)

func (c *cluster) review(w http.ResponseWriter, r *http.Request) {
	var asked tokenReview
	switch {
	case r.Method != http.MethodPost || r.URL.Path != "/apis/authentication.k8s.io/v1/tokenreviews":
		http.NotFound(w, r)
		return
	case r.Header.Get("Authorization") != "Bearer "+reviewer:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		json.NewEncoder(w).Encode(map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Unauthorized", "code": 401})
		return
	case json.NewDecoder(r.Body).Decode(&asked) != nil:
		http.Error(w, "no TokenReview", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	json.NewEncoder(w).Encode(tokenReview{APIVersion: "authentication.k8s.io/v1", Kind: "TokenReview", Status: c.judge(asked.Spec)})
}

func (c *cluster) judge(spec reviewSpec) reviewStatus {
	parsed, err := josejwt.ParseSigned(spec.Token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return reviewStatus{Error: "invalid bearer token"}
	}
	var standard josejwt.Claims
	var own serviceAccount
	if err := parsed.Claims(&c.key.PublicKey, &standard, &own); err != nil || c.deleted.Load() {
		return reviewStatus{Error: "invalid bearer token"}
	}
	audiences := slices.DeleteFunc(slices.Clone(spec.Audiences), func(a string) bool { return !standard.Audience.Contains(a) })
	if len(spec.Audiences) > 0 && len(audiences) == 0 {
		return reviewStatus{Error: "token audiences is invalid for the target audiences"}
	}
	return reviewStatus{Authenticated: true, Audiences: audiences, User: map[string]any{
		"username": standard.Subject, "uid": own.Kubernetes.Account.UID,
		"groups": []string{"system:serviceaccounts", "system:serviceaccounts:" + own.Kubernetes.Namespace, "system:authenticated"},
	}}
}

// serviceAccount is the claim that projected tokens carry.
type serviceAccount struct {
	Kubernetes struct {
		Namespace string `json:"namespace"`
		Account   struct {
			Name string `json:"name"`
			UID  string `json:"uid"`
		} `json:"serviceaccount"`
	} `json:"kubernetes.io"`
}

// token is that of a pod of a service account.
func (c *cluster) token(t *testing.T, namespace, name string) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: c.key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := josejwt.Signed(signer).Claims(map[string]any{
		"iss": "https://kubernetes.default.svc", "sub": "system:serviceaccount:" + namespace + ":" + name,
		"aud": []string{"securevault"}, "exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix(), "nbf": time.Now().Unix(),
		"kubernetes.io": map[string]any{
			"namespace": namespace, "serviceaccount": map[string]string{"name": name, "uid": "uid-of-" + name},
		},
	}).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// start runs a server with the role "shop", changed by more.
func start(t *testing.T, c *cluster, config, more map[string]any) *coretest.Server {
	t.Helper()
	s := coretest.Start(t, map[string]logical.Factory{"kubernetes": kubernetes.Factory})
	t.Cleanup(func() { s.Close(t.Context()) })
	whole := map[string]any{
		"kubernetes_host": c.URL, "token_reviewer_jwt": reviewer, "disable_local_ca_jwt": true,
		"kubernetes_ca_cert": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate().Raw})),
	}
	maps.Copy(whole, config)
	s.Must(t, coretest.Root, update, "auth/kubernetes/config", whole)
	role := map[string]any{
		"bound_service_account_names": "web,worker-*", "bound_service_account_namespaces": "prod,team-*",
		"token_policies": "shop", "token_ttl": "10m",
	}
	maps.Copy(role, more)
	s.Must(t, coretest.Root, update, "auth/kubernetes/role/shop", role)
	return s
}

// login returns the token's description, or the refusal.
func login(t *testing.T, s *coretest.Server, token string) (*logical.Auth, string) {
	t.Helper()
	resp, err := s.Do(t, "", update, "auth/kubernetes/login", map[string]any{"role": "shop", "jwt": token})
	switch {
	case resp.IsError():
		return nil, resp.Error().Error()
	case err != nil:
		return nil, err.Error()
	}
	return resp.Auth, ""
}

func TestAPodLogsInWithItsServiceAccount(t *testing.T) {
	c := newCluster(t)
	for name, more := range map[string]map[string]any{
		"for any audience":          nil,
		"for its audience":          {"audience": "securevault"},
		"known by its account":      {"alias_name_source": "serviceaccount_name"},
		"known by its account's id": {"alias_name_source": "serviceaccount_uid"},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, c, nil, more)
			for _, account := range [][2]string{{"prod", "web"}, {"team-7", "web"}, {"prod", "worker-3"}} {
				got, refusal := login(t, s, c.token(t, account[0], account[1]))
				if refusal != "" {
					t.Fatalf("%v: %s", account, refusal)
				}
				if strings.Join(got.Policies, " ") != "default shop" || got.TTL != 10*time.Minute ||
					got.DisplayName != "kubernetes-"+account[0]+"-"+account[1] || got.Metadata["service_account_uid"] != "uid-of-"+account[1] {
					t.Errorf("%v: token %+v", account, got)
				}
			}
		})
	}
}

func TestAPodThatDoesNotFitIsRefused(t *testing.T) {
	c := newCluster(t)
	elsewhere := newCluster(t)
	for name, k := range map[string]struct {
		config, role map[string]any
		token        string
		want         string
	}{
		"another account":          {nil, nil, c.token(t, "prod", "db"), "service account name not authorized"},
		"another namespace":        {nil, nil, c.token(t, "dev", "web"), "namespace not authorized"},
		"another cluster":          {nil, nil, elsewhere.token(t, "prod", "web"), "permission denied"},
		"another audience":         {nil, map[string]any{"audience": "other"}, c.token(t, "prod", "web"), "audience"},
		"a reviewer who may not":   {map[string]any{"token_reviewer_jwt": "wrong"}, nil, c.token(t, "prod", "web"), "permission denied"},
		"a cluster nobody vouches": {map[string]any{"kubernetes_ca_cert": ""}, nil, c.token(t, "prod", "web"), "permission denied"},
		"a token that is none":     {nil, nil, "nonsense", "permission denied"},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, c, k.config, k.role)
			if got, refusal := login(t, s, k.token); got != nil || !strings.Contains(refusal, k.want) {
				t.Errorf("%v, %q; want %q", got, refusal, k.want)
			}
		})
	}
}

func TestADeletedAccountLogsInNoMore(t *testing.T) {
	c := newCluster(t)
	s := start(t, c, nil, nil)
	token := c.token(t, "prod", "web")
	if _, refusal := login(t, s, token); refusal != "" {
		t.Fatal(refusal)
	}
	c.deleted.Store(true)
	if got, refusal := login(t, s, token); got != nil || refusal != "permission denied" {
		t.Fatalf("%v, %q", got, refusal)
	}
}
