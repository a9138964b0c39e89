package ui_test

import (
	"context"
	"encoding/base64"
	"net/http/httptest"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/api"
	"github.com/novatech/securevault/server/auth"
	"github.com/novatech/securevault/server/core"
	"github.com/novatech/securevault/server/core/alert"
	"github.com/novatech/securevault/server/core/coretest"
	"github.com/novatech/securevault/server/core/endpoint"
	"github.com/novatech/securevault/server/core/metric"
	"github.com/novatech/securevault/server/core/seal"
	"github.com/novatech/securevault/server/store/inmem"
	"github.com/novatech/securevault/server/ui"
)

// house is a server with its page, its database made up: see coretest.Engine.
// It is mounted at database/ and has the roles app and report. Two of three
// key shares unseal it.
type house struct {
	server *core.Server
	engine *coretest.Engine
	shares []string
	web    *httptest.Server
	url    string
}

// newHouse opens a house with limits: type of engine → leases of a role.
func newHouse(t *testing.T, limits map[string]int) *house {
	t.Helper()
	metrics, err := metric.New(metric.Config{})
	if err != nil {
		t.Fatal(err)
	}
	many, err := alert.Parse("secret.lease.count > 1")
	if err != nil {
		t.Fatal(err)
	}
	never, err := alert.Parse("rate(secret.lease.renew.failure) > 10/min")
	if err != nil {
		t.Fatal(err)
	}
	watch := alert.New([]alert.Rule{
		{Name: "failed-renewals", Condition: never, Severity: "critical", Description: "Apps will lose their database."},
		{Name: "many-leases", Condition: many, Severity: "warning"},
	}, metrics, nil, hclog.NewNullLogger())

	h := &house{engine: coretest.NewEngine()}
	h.server = core.NewServer(core.Config{
		Engines: map[string]logical.Factory{"database": withRoles(h.engine)}, Methods: auth.All(), Metrics: metrics, Alerts: watch,
		MaxLeases: func(engine string) int { return limits[engine] }, StoreType: "inmem", Version: "test", Logger: hclog.NewNullLogger(),
	}, seal.New(seal.Settings{Store: inmem.New()}))
	made, err := h.server.Init(t.Context(), seal.Split{Shares: 3, Threshold: 2}, coretest.Root)
	if err != nil {
		t.Fatal(err)
	}
	for _, share := range made.Shares {
		if err := h.server.Unseal(t.Context(), share); err != nil {
			t.Fatal(err)
		}
		h.shares = append(h.shares, base64.StdEncoding.EncodeToString(share))
	}
	h.run(t, watch)
	h.furnish(t)
	h.web = httptest.NewServer(ui.Handler(api.NewServer(h.server, api.Limits{}, nil).Handler))
	t.Cleanup(h.web.Close)
	h.url = h.web.URL
	return h
}

// run has the server work in time until the test ends.
func (h *house) run(t *testing.T, watch *alert.Watch) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 2)
	go func() { done <- h.server.Run(ctx) }()
	go func() { done <- watch.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-done
		<-done
	})
}

// furnish makes what the tests look at.
func (h *house) furnish(t *testing.T) {
	t.Helper()
	h.must(t, logical.UpdateOperation, "sys/mounts/database", map[string]any{
		"type": "database", "description": "Orders and reports", "config": map[string]any{"default_lease_ttl": "1h", "max_lease_ttl": "24h"},
	})
	h.must(t, logical.UpdateOperation, "sys/auth/userpass", map[string]any{"type": "userpass"})
	h.must(t, logical.UpdateOperation, "sys/policies/acl/viewer", map[string]any{
		"policy": `path "database/*" { capabilities = ["read"] } path "sys/leases/count" { capabilities = ["read"] }`,
	})
	h.must(t, logical.UpdateOperation, "auth/userpass/users/ada", map[string]any{"password": "correct horse", "token_policies": "viewer"})
}

func (h *house) must(t *testing.T, op logical.Operation, path string, data map[string]any) *logical.Response {
	t.Helper()
	resp, err := h.server.Handle(t.Context(), &logical.Request{
		Operation: op, Path: path, Data: data, ClientToken: coretest.Root, Connection: &logical.Connection{RemoteAddr: "127.0.0.1"},
	})
	if err == nil {
		err = resp.Error()
	}
	if err != nil {
		t.Fatalf("%s %s: %v", op, path, err)
	}
	return resp
}

// issue gives out a credential and returns the id of its lease.
func (h *house) issue(t *testing.T, role string) string {
	t.Helper()
	return h.must(t, logical.ReadOperation, "database/creds/"+role, nil).Secret.LeaseID
}

// withRoles mounts the engine as a database that has roles.
func withRoles(engine *coretest.Engine) logical.Factory {
	return func(ctx context.Context, conf *logical.BackendConfig) (logical.Backend, error) {
		made, err := engine.Factory(ctx, conf)
		if err != nil {
			return nil, err
		}
		b := made.(*framework.Backend)
		b.Paths = append(b.Paths,
			endpoint.New("roles/?", "The roles.", nil, endpoint.Operations{logical.ListOperation: listRoles}),
			endpoint.New("roles/(?P<name>.+)", "A role.", endpoint.Fields{"name": endpoint.Text("Its name.")}, endpoint.Operations{logical.ReadOperation: readRole}))
		return b, nil
	}
}

func listRoles(context.Context, *logical.Request, *framework.FieldData) (*logical.Response, error) {
	return logical.ListResponse([]string{"app", "report"}), nil
}

func readRole(context.Context, *logical.Request, *framework.FieldData) (*logical.Response, error) {
	return &logical.Response{Data: map[string]any{"db_name": "orders", "default_ttl": 1800, "max_ttl": 7200}}, nil
}
