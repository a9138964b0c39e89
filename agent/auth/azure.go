package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/novatech/securevault/internal/vault"
)

// AzureConfig says how to prove an identity of Azure.
type AzureConfig struct {
	Mount    string // "auth/azure"
	Role     string
	Resource string // that the token is for, as in the server's configuration
	ObjectID string // of one of several managed identities; "" for the only one
	ClientID string // likewise
	// FromEnvironment logs in as the application that AZURE_CLIENT_ID and
	// AZURE_TENANT_ID name, by AZURE_FEDERATED_TOKEN_FILE (workload identity)
	// or AZURE_CLIENT_SECRET, instead of as the machine.
	FromEnvironment bool
	Scope           string // of that token; "" for the resource's default
	Getenv          func(name string) string
}

// Azure logs in with a token of Microsoft Entra, as the machine's managed
// identity or as an application. Make one with [NewAzure].
type Azure struct {
	mount
	cfg    AzureConfig
	near   cloud
	issuer cloud
}

const azureMetadata = "http://169.254.169.254"

// NewAzure returns the method.
func NewAzure(cfg AzureConfig) *Azure {
	return &Azure{mount: newMount(cfg.Mount), cfg: cfg, near: newMetadata(), issuer: newIssuer()}
}

// Login implements [Method].
func (a *Azure) Login(ctx context.Context, server Server) (*vault.Auth, error) {
	prove := a.machine
	if a.cfg.FromEnvironment {
		prove = a.application
	}
	body, err := prove(ctx)
	if err != nil {
		return nil, err
	}
	body["role"] = a.cfg.Role
	return server.Login(ctx, a.login(), body)
}

// machine proves the managed identity, and says which machine it is: roles
// may be bound to that.
func (a *Azure) machine(ctx context.Context) (map[string]any, error) {
	type document struct {
		Compute struct {
			Name           string `json:"name"`
			ResourceGroup  string `json:"resourceGroupName"`
			SubscriptionID string `json:"subscriptionId"`
			ScaleSet       string `json:"vmScaleSetName"`
		} `json:"compute"`
	}
	const hint = "run on a virtual machine of Azure, or set authenticate_from_environment = true"
	instance, err := metadataOf[document](ctx, a, "/metadata/instance", url.Values{"api-version": {"2021-02-01"}})
	if err != nil {
		return nil, fmt.Errorf("getting the machine's description: %w; %s", err, hint)
	}
	query := url.Values{"api-version": {"2018-02-01"}, "resource": {a.cfg.Resource}}
	if a.cfg.ObjectID != "" {
		query.Set("object_id", a.cfg.ObjectID)
	}
	if a.cfg.ClientID != "" {
		query.Set("client_id", a.cfg.ClientID)
	}
	token, err := metadataOf[azureToken](ctx, a, "/metadata/identity/oauth2/token", query)
	if err == nil && token.Value == "" {
		err = errors.New("the answer carries no token")
	}
	if err != nil {
		return nil, fmt.Errorf("getting a token of the managed identity: %w; assign one to the machine, and name it by client_id "+
			"or object_id if there are several", err)
	}
	c := instance.Compute
	return map[string]any{
		"jwt": token.Value, "vm_name": c.Name, "vmss_name": c.ScaleSet,
		"resource_group_name": c.ResourceGroup, "subscription_id": c.SubscriptionID,
	}, nil
}

// metadataOf reads one document of the metadata service.
func metadataOf[T any](ctx context.Context, a *Azure, path string, query url.Values) (out T, err error) {
	address := azureMetadata + path + "?" + query.Encode()
	text, err := a.near.get(ctx, address, http.Header{"Metadata": {"true"}})
	if err != nil {
		return out, err
	}
	return decode[T](address, text)
}

// azureToken is an access token, which for this purpose is a JWT.
type azureToken struct {
	Value string `json:"access_token"`
}

// application proves who the environment says that the agent is.
func (a *Azure) application(ctx context.Context) (map[string]any, error) {
	tenant, client := a.cfg.Getenv("AZURE_TENANT_ID"), a.cfg.Getenv("AZURE_CLIENT_ID")
	if a.cfg.ClientID != "" {
		client = a.cfg.ClientID
	}
	if tenant == "" || client == "" {
		return nil, errors.New("reading the Azure identity of the environment: AZURE_TENANT_ID and AZURE_CLIENT_ID must be set " +
			"with authenticate_from_environment = true")
	}
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {client}, "scope": {a.scope()}}
	if err := a.addProof(form); err != nil {
		return nil, err
	}
	authority := strings.TrimRight(a.cfg.Getenv("AZURE_AUTHORITY_HOST"), "/")
	if authority == "" {
		authority = "https://login.microsoftonline.com"
	}
	if err := secure("AZURE_AUTHORITY_HOST", authority); err != nil {
		return nil, err
	}
	address := authority + "/" + url.PathEscape(tenant) + "/oauth2/v2.0/token"
	text, err := a.issuer.post(ctx, address, form)
	var token azureToken
	if err == nil {
		token, err = decode[azureToken](address, text)
	}
	if err == nil && token.Value == "" {
		err = errors.New("the answer carries no token")
	}
	if err != nil {
		return nil, fmt.Errorf("getting a token of the application %q: %w; check the tenant, the application's credentials and the scope %q",
			client, err, a.scope())
	}
	return map[string]any{"jwt": token.Value}, nil
}

// scope returns what the token is asked for.
func (a *Azure) scope() string {
	if a.cfg.Scope != "" {
		return a.cfg.Scope
	}
	return strings.TrimRight(a.cfg.Resource, "/") + "/.default"
}

// addProof adds what proves the application's identity: the token of its
// Kubernetes service account, or its secret.
func (a *Azure) addProof(form url.Values) error {
	if path := a.cfg.Getenv("AZURE_FEDERATED_TOKEN_FILE"); path != "" {
		assertion, err := readCredential("federated token", path)
		if err != nil {
			return err
		}
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", assertion.Reveal())
		return nil
	}
	secret := a.cfg.Getenv("AZURE_CLIENT_SECRET")
	if secret == "" {
		return errors.New("reading the Azure identity of the environment: set AZURE_FEDERATED_TOKEN_FILE or AZURE_CLIENT_SECRET")
	}
	form.Set("client_secret", secret)
	return nil
}
