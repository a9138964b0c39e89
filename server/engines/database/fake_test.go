package database

import (
	"context"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/engines/database/fault"
	"github.com/novatech/securevault/server/engines/enginetest"
)

const fakePlugin = "fake-database-plugin"

// fakeServer is a database in memory, for what is about the engine alone: time,
// and types of credentials.
type fakeServer struct {
	mu        sync.Mutex
	passwords map[string]string // user → password
	changed   map[string][]time.Time
	made      []dbplugin.NewUserRequest
	updated   []dbplugin.UpdateUserRequest
	fails     func(ctx context.Context, username string) error
}

func (s *fakeServer) factory(ctx context.Context, config *logical.BackendConfig) (logical.Backend, error) {
	return newBackend(ctx, config, map[string]func() dbplugin.Database{
		fakePlugin: func() dbplugin.Database { return &fakeDatabase{server: s} },
	})
}

func (s *fakeServer) password(username string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.passwords[username]
}

// set gives a user another password by hand.
func (s *fakeServer) set(username, password string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.passwords[username] = password
}

// failWith sets what becomes of a change of password; nil lets all succeed.
func (s *fakeServer) failWith(fails func(ctx context.Context, username string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fails = fails
}

func (s *fakeServer) changes(username string) []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed[username]
}

// mountFake mounts the engine with the config "shop" on a fake server that has the
// given users.
func mountFake(t *testing.T, users ...string) (*enginetest.Mount, *fakeServer) {
	t.Helper()
	fake := &fakeServer{passwords: map[string]string{"admin": "admins"}, changed: map[string][]time.Time{}}
	for _, user := range users {
		fake.passwords[user] = "initial"
	}
	mount := enginetest.NewMount(t, fake.factory)
	mount.MustWrite(t, "config/shop", map[string]any{
		"plugin_name": fakePlugin, "username": "admin", "password": "admins", "allowed_roles": "*",
	})
	return mount, fake
}

// fakeDatabase is the plugin of a fakeServer. It issues "api_key" itself.
type fakeDatabase struct{ server *fakeServer }

func (d *fakeDatabase) Type() (string, error) { return "fake", nil }
func (d *fakeDatabase) Close() error          { return nil }

func (d *fakeDatabase) Initialize(_ context.Context, req dbplugin.InitializeRequest) (dbplugin.InitializeResponse, error) {
	username, _ := req.Config["username"].(string)
	if real := d.server.password(username); req.VerifyConnection && (real == "" || real != req.Config["password"]) {
		return dbplugin.InitializeResponse{}, fault.New(fault.Later, "login refused")
	}
	response := dbplugin.InitializeResponse{Config: maps.Clone(req.Config)}
	response.SetSupportedCredentialTypes([]dbplugin.CredentialType{dbplugin.CredentialTypePassword, dbplugin.CredentialTypeClientCertificate})
	return response, nil
}

func (d *fakeDatabase) NewUsername(metadata dbplugin.UsernameMetadata) (string, error) {
	return "v-" + metadata.RoleName, nil
}

func (d *fakeDatabase) NewUser(context.Context, dbplugin.NewUserRequest) (dbplugin.NewUserResponse, error) {
	return dbplugin.NewUserResponse{}, fault.New(fault.Refused, "the engine knows the name")
}

func (d *fakeDatabase) NewNamedUser(_ context.Context, name string, req dbplugin.NewUserRequest) ([]string, error) {
	d.server.mu.Lock()
	defer d.server.mu.Unlock()
	d.server.made = append(d.server.made, req)
	d.server.passwords[name] = req.Password
	return nil, nil
}

func (d *fakeDatabase) Issues() []string { return []string{"api_key"} }

func (d *fakeDatabase) Issue(_ context.Context, kind, name string, req dbplugin.NewUserRequest) (map[string]any, []string, error) {
	d.server.mu.Lock()
	defer d.server.mu.Unlock()
	d.server.made = append(d.server.made, req)
	d.server.passwords[name] = "by " + kind
	return map[string]any{"api_key": "key of " + name}, []string{"look"}, nil
}

func (d *fakeDatabase) UpdateUser(ctx context.Context, req dbplugin.UpdateUserRequest) (dbplugin.UpdateUserResponse, error) {
	var none dbplugin.UpdateUserResponse
	d.server.mu.Lock()
	fails := d.server.fails
	d.server.mu.Unlock()
	if fails != nil {
		if err := fails(ctx, req.Username); err != nil {
			return none, err
		}
	}
	d.server.mu.Lock()
	defer d.server.mu.Unlock()
	d.server.updated = append(d.server.updated, req)
	if _, exists := d.server.passwords[req.Username]; !exists {
		return none, fault.New(fault.NoUser, "user %q does not exist", req.Username)
	}
	if req.Password != nil {
		d.server.passwords[req.Username] = req.Password.NewPassword
		d.server.changed[req.Username] = append(d.server.changed[req.Username], time.Now())
	}
	return none, nil
}

func (d *fakeDatabase) DeleteUser(_ context.Context, req dbplugin.DeleteUserRequest) (dbplugin.DeleteUserResponse, error) {
	d.server.mu.Lock()
	defer d.server.mu.Unlock()
	delete(d.server.passwords, req.Username)
	return dbplugin.DeleteUserResponse{}, nil
}
