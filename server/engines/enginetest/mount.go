// Package enginetest holds what every secrets engine has to pass: Suite, the
// conformance suite, and Mount, which drives an engine as the server's core
// would, with storage in memory.
package enginetest

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/core/intent"
)

// Mount is a mounted engine.
type Mount struct {
	Backend logical.Backend
	Storage logical.Storage
	System  *logical.StaticSystemView

	mu     sync.Mutex
	undone []*logical.Secret // intents of requests that failed
}

// Lease is an issued credential.
type Lease struct {
	Data     map[string]any // what the client sees
	Warnings []string       // the same
	Secret   *logical.Secret
}

// NewMount mounts the engine for the length of the test. Leases last an hour by
// default and a day at most.
func NewMount(t testing.TB, factory logical.Factory) *Mount {
	t.Helper()
	mount := &Mount{Storage: &logical.InmemStorage{}, System: &logical.StaticSystemView{
		DefaultLeaseTTLVal: time.Hour,
		MaxLeaseTTLVal:     24 * time.Hour,
	}}
	mount.Restart(t, factory)
	t.Cleanup(func() { mount.Backend.Cleanup(context.Background()) })
	return mount
}

// Restart makes a new engine on the same storage, as after a crash.
func (m *Mount) Restart(t testing.TB, factory logical.Factory) {
	t.Helper()
	if m.Backend != nil {
		m.Backend.Cleanup(t.Context())
	}
	backend, err := factory(t.Context(), &logical.BackendConfig{
		StorageView: m.Storage, System: m.System, Logger: hclog.NewNullLogger(), BackendUUID: "enginetest",
	})
	if err != nil {
		t.Fatalf("making the engine: %v", err)
	}
	if err := backend.Initialize(t.Context(), &logical.InitializationRequest{Storage: m.Storage}); err != nil {
		t.Fatalf("initializing the engine: %v", err)
	}
	m.Backend = backend
}

// Handle sends a request as the core does. An error response is an error, of
// status 400.
func (m *Mount) Handle(ctx context.Context, req *logical.Request) (*logical.Response, error) {
	req.Storage = m.Storage
	if req.DisplayName == "" {
		req.DisplayName = "token-enginetest"
	}
	if req.Operation == logical.UpdateOperation {
		found, exists, err := m.Backend.HandleExistenceCheck(ctx, req)
		if err != nil && !errors.Is(err, logical.ErrUnsupportedPath) {
			return nil, err
		}
		if found && !exists {
			req.Operation = logical.CreateOperation
		}
	}
	response, err := m.Backend.HandleRequest(ctx, req)
	if err == nil && response.IsError() {
		err = logical.CodedError(http.StatusBadRequest, response.Error().Error())
	}
	return response, err
}

// Write sends data to a path.
func (m *Mount) Write(ctx context.Context, path string, data map[string]any) (*logical.Response, error) {
	return m.Handle(ctx, &logical.Request{Operation: logical.UpdateOperation, Path: path, Data: data})
}

// MustWrite is Write that has to succeed.
func (m *Mount) MustWrite(t testing.TB, path string, data map[string]any) {
	t.Helper()
	if _, err := m.Write(t.Context(), path, data); err != nil {
		t.Fatalf("writing %s: %v", path, err)
	}
}

// Read returns the data at a path, nil if there is none.
func (m *Mount) Read(ctx context.Context, path string) (map[string]any, error) {
	response, err := m.Handle(ctx, &logical.Request{Operation: logical.ReadOperation, Path: path})
	if err != nil || response == nil {
		return nil, err
	}
	return response.Data, nil
}

// Issue reads a credential.
func (m *Mount) Issue(ctx context.Context, path string) (*Lease, error) {
	return m.IssueAs(ctx, path, "")
}

// IssueAs reads a credential for a client of that display name.
func (m *Mount) IssueAs(ctx context.Context, path, displayName string) (*Lease, error) {
	issued := time.Now()
	var planned plan
	response, err := m.Handle(intent.With(ctx, &planned), &logical.Request{Operation: logical.ReadOperation, Path: path, DisplayName: displayName})
	if err != nil {
		m.keep(planned.secret)
		return nil, err
	}
	if response == nil || response.Secret == nil {
		return nil, errors.New("the engine answered without a lease")
	}
	secret, err := persisted(response.Secret)
	if err != nil {
		return nil, err
	}
	secret.IssueTime = issued
	return &Lease{Data: response.Data, Warnings: response.Warnings, Secret: secret}, nil
}

// MustIssue is Issue that has to succeed.
func (m *Mount) MustIssue(t testing.TB, path string) *Lease {
	t.Helper()
	lease, err := m.Issue(t.Context(), path)
	if err != nil {
		t.Fatalf("reading %s: %v", path, err)
	}
	return lease
}

// plan is the intent of one request.
type plan struct{ secret *logical.Secret }

// Record implements intent.Recorder.
func (p *plan) Record(_ context.Context, secret *logical.Secret) (err error) {
	p.secret, err = persisted(secret)
	return err
}

// Withdraw implements intent.Recorder.
func (p *plan) Withdraw(context.Context) { p.secret = nil }

// keep remembers an intent for Undo; nil is none.
func (m *Mount) keep(secret *logical.Secret) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if secret != nil {
		m.undone = append(m.undone, secret)
	}
}

// Undo ends what failed requests may have left, as the core does: what they said
// that they were about to make, and did not take back.
func (m *Mount) Undo(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(m.undone) > 0 {
		if err := m.Revoke(ctx, &Lease{Secret: m.undone[0]}); err != nil {
			return err
		}
		m.undone = m.undone[1:]
	}
	return nil
}

// persisted returns what is left of a secret after the core has stored it.
func persisted(secret *logical.Secret) (*logical.Secret, error) {
	encoded, err := json.Marshal(secret)
	if err != nil {
		return nil, err
	}
	decoded := new(logical.Secret)
	return decoded, json.Unmarshal(encoded, decoded)
}

// Renew asks for another life of increment; 0 asks for the default.
func (m *Mount) Renew(ctx context.Context, lease *Lease, increment time.Duration) (*logical.Secret, error) {
	secret := *lease.Secret
	secret.Increment = increment
	response, err := m.Handle(ctx, logical.RenewRequest("", &secret, nil))
	if err != nil {
		return nil, err
	}
	if response == nil || response.Secret == nil {
		return nil, errors.New("the engine renewed without a lease")
	}
	return response.Secret, nil
}

// Revoke ends the credential.
func (m *Mount) Revoke(ctx context.Context, lease *Lease) error {
	_, err := m.Handle(ctx, logical.RevokeRequest("", lease.Secret, nil))
	return err
}
