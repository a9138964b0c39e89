package auth

import (
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
)

const (
	azureInstance = `{"compute":{"name":"vm-1","resourceGroupName":"group","subscriptionId":"sub","vmScaleSetName":"set"}}`
	azureAnswer   = `{"access_token":"entra.jwt.x","expires_in":"86399","token_type":"Bearer"}`
)

// azureStandIn stands in for the metadata service and for Entra, as Microsoft
// documents them. Each refuses a query or a form that differs from what is
// wanted.
func azureStandIn(t *testing.T, query, form url.Values) cloud {
	t.Helper()
	metadata := func(want url.Values, answer string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Metadata") != "true" || r.Header.Get("X-Forwarded-For") != "" || r.URL.RawQuery != want.Encode() {
				t.Errorf("metadata asked with %q and header %q, want %q", r.URL.RawQuery, r.Header, want.Encode())
				http.Error(w, "", http.StatusBadRequest)
				return
			}
			says(answer)(w, r)
		}
	}
	return standIn(t, map[string]http.HandlerFunc{
		"GET 169.254.169.254/metadata/instance":              metadata(url.Values{"api-version": {"2021-02-01"}}, azureInstance),
		"GET 169.254.169.254/metadata/identity/oauth2/token": metadata(query, azureAnswer),
		"POST login.microsoftonline.com/tenant-1/oauth2/v2.0/token": func(w http.ResponseWriter, r *http.Request) {
			if err := r.ParseForm(); err != nil || r.PostForm.Encode() != form.Encode() {
				fails(http.StatusUnauthorized, `{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret hunter2"}`)(w, r)
				return
			}
			says(azureAnswer)(w, r)
		},
	})
}

func newTestAzure(t *testing.T, cfg AzureConfig, query, form url.Values) *Azure {
	t.Helper()
	cfg.Mount, cfg.Role, cfg.Resource = "auth/azure", "app", "https://management.azure.com/"
	if cfg.Getenv == nil {
		cfg.Getenv = env()
	}
	method := NewAzure(cfg)
	method.near = azureStandIn(t, query, form)
	method.issuer = method.near
	return method
}

func TestAzureMachineProvesItsManagedIdentity(t *testing.T) {
	plain := url.Values{"api-version": {"2018-02-01"}, "resource": {"https://management.azure.com/"}}
	tests := []struct {
		name string
		cfg  AzureConfig
		add  url.Values
	}{
		{"the only identity", AzureConfig{}, nil},
		{"one of several, by client", AzureConfig{ClientID: "c-1"}, url.Values{"client_id": {"c-1"}}},
		{"one of several, by object", AzureConfig{ObjectID: "o-1"}, url.Values{"object_id": {"o-1"}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			query := url.Values{}
			for _, values := range []url.Values{plain, test.add} {
				for key, value := range values {
					query[key] = value
				}
			}
			wantBody(t, sent(t, newTestAzure(t, test.cfg, query, nil), "auth/azure/login"), map[string]string{
				"role": "app", "jwt": "entra.jwt.x", "vm_name": "vm-1", "vmss_name": "set", "resource_group_name": "group", "subscription_id": "sub",
			})
		})
	}
}

func TestAzureApplicationProvesItselfByTheEnvironment(t *testing.T) {
	token := put(t, t.TempDir(), "federated", "kubernetes.jwt.x\n")
	base := []string{"AZURE_TENANT_ID", "tenant-1", "AZURE_CLIENT_ID", "client-1"}
	assertion := url.Values{
		"grant_type": {"client_credentials"}, "client_id": {"client-1"}, "scope": {"https://management.azure.com/.default"},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {"kubernetes.jwt.x"},
	}
	secret := url.Values{
		"grant_type": {"client_credentials"}, "client_id": {"client-1"}, "scope": {"api://vault/.default"}, "client_secret": {"hunter2"},
	}
	tests := []struct {
		name string
		cfg  AzureConfig
		env  []string
		form url.Values
	}{
		{"workload identity", AzureConfig{}, append(base, "AZURE_FEDERATED_TOKEN_FILE", token, "AZURE_CLIENT_SECRET", "unused"), assertion},
		{"a client secret", AzureConfig{Scope: "api://vault/.default"}, append(base, "AZURE_CLIENT_SECRET", "hunter2"), secret},
		{"an authority of a sovereign cloud", AzureConfig{}, append(base, "AZURE_FEDERATED_TOKEN_FILE", token,
			"AZURE_AUTHORITY_HOST", "https://login.microsoftonline.com/"), assertion},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.cfg.FromEnvironment, test.cfg.Getenv = true, env(test.env...)
			wantBody(t, sent(t, newTestAzure(t, test.cfg, nil, test.form), "auth/azure/login"), map[string]string{"role": "app", "jwt": "entra.jwt.x"})
		})
	}
}

func TestAzureIdentitiesThatCannotBeProved(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	base := []string{"AZURE_TENANT_ID", "tenant-1", "AZURE_CLIENT_ID", "client-1"}
	tests := []struct {
		name string
		env  []string
		says []string
	}{
		{"no tenant", []string{"AZURE_CLIENT_ID", "client-1"}, []string{"AZURE_TENANT_ID"}},
		{"no proof", base, []string{"AZURE_FEDERATED_TOKEN_FILE", "AZURE_CLIENT_SECRET"}},
		{"a missing token", append(base, "AZURE_FEDERATED_TOKEN_FILE", missing), []string{missing}},
		{"an authority without TLS", append(base, "AZURE_CLIENT_SECRET", "hunter2", "AZURE_AUTHORITY_HOST", "http://evil.test"), []string{"AZURE_AUTHORITY_HOST", "http://evil.test"}},
		{"a wrong secret", append(base, "AZURE_CLIENT_SECRET", "hunter2"),
			[]string{"https://login.microsoftonline.com/tenant-1/oauth2/v2.0/token", "401", "AADSTS7000215", "client-1", "check the tenant"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			cfg := AzureConfig{FromEnvironment: true, Getenv: env(test.env...)}
			if err := refused(t, newTestAzure(t, cfg, nil, nil), test.says...); strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error tells a secret: %v", err)
			}
		})
	}
	method := newTestAzure(t, AzureConfig{}, nil, nil)
	method.near = standIn(t, map[string]http.HandlerFunc{"169.254.169.254/": fails(404, "")})
	refused(t, method, "http://169.254.169.254/metadata/instance", "authenticate_from_environment = true")
	method.near = standIn(t, map[string]http.HandlerFunc{
		"169.254.169.254/metadata/instance":              says(azureInstance),
		"169.254.169.254/metadata/identity/oauth2/token": fails(400, `{"error":"invalid_request","error_description":"Identity not found"}`),
	})
	refused(t, method, "http://169.254.169.254/metadata/identity/oauth2/token", "invalid_request", "client_id")
	method.near = standIn(t, map[string]http.HandlerFunc{"169.254.169.254/": says("<html>hunter2")})
	refused(t, method, "no JSON object", "http://169.254.169.254/metadata/instance")
}
