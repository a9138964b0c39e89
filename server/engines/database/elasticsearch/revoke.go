package elasticsearch

import (
	"context"
	"net/url"

	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"

	"github.com/novatech/securevault/server/engines/database/fault"
)

// DeleteUser ends the user or key of that name and what depends on it, and looks
// whether it is gone. Statements mean nothing to this database.
func (d *Database) DeleteUser(ctx context.Context, req dbplugin.DeleteUserRequest) (dbplugin.DeleteUserResponse, error) {
	var none dbplugin.DeleteUserResponse
	dialect, err := d.speak(ctx)
	if err != nil {
		return none, err
	}
	name := req.Username
	if dialect.keys {
		if err := d.endKeys(ctx, dialect, name); err != nil {
			return none, err
		}
	}
	// The user first: it must not outlive a role that cannot be deleted.
	for _, last := range []struct{ what, path string }{
		{"deleting the user", dialect.userPath(name)}, {"deleting the user's own role", dialect.rolePath(name)},
	} {
		if err := unlessGone(d.client.do(ctx, last.what, request{"DELETE", last.path, nil}, nil)); err != nil {
			return none, err
		}
	}
	err = d.client.do(ctx, "looking whether the user is gone", request{"GET", dialect.userPath(name), nil}, nil)
	if err == nil {
		return none, fault.New(fault.Later, "the user %q is still there after its deletion: try again", name)
	}
	return none, unlessGone(err)
}

// endKeys disables the user of that name and invalidates the keys and tokens that
// it has made for itself, which would outlive it, and the keys of that name.
func (d *Database) endKeys(ctx context.Context, dialect dialect, name string) error {
	if err := unlessGone(d.client.do(ctx, "disabling the user", request{"PUT", dialect.userPath(name) + "/_disable", nil}, nil)); err != nil {
		return err
	}
	if err := d.invalidate(ctx, "the user's tokens", "/_security/oauth2/token", "username", name); err != nil && !unavailable(err) {
		return err
	}
	for _, whose := range []string{"username", "name"} {
		switch err := d.invalidate(ctx, "API keys", keysPath, whose, name); {
		case unavailable(err):
			return nil // nor can anybody have made one
		case err != nil:
			return err
		}
	}
	return d.checkKeys(ctx, name)
}

// invalidate ends all tokens or keys that have the name in that field.
func (d *Database) invalidate(ctx context.Context, what, path, field, name string) error {
	var ended struct {
		Errors int `json:"error_count"`
	}
	err := unlessGone(d.client.do(ctx, "invalidating "+what, request{"DELETE", path, map[string]string{field: name}}, &ended))
	if err == nil && ended.Errors > 0 {
		return fault.New(fault.Later, "invalidating %s: the server failed for %d of them: try again", what, ended.Errors)
	}
	return err
}

// checkKeys looks whether a key of that name still works.
func (d *Database) checkKeys(ctx context.Context, name string) error {
	var found struct {
		Keys []struct {
			Name        string `json:"name"`
			Invalidated bool   `json:"invalidated"`
		} `json:"api_keys"`
	}
	err := d.client.do(ctx, "looking whether the API key is gone", request{"GET", keysPath + "?name=" + url.QueryEscape(name), nil}, &found)
	if err := unlessGone(err); err != nil {
		return err
	}
	for _, key := range found.Keys {
		if key.Name == name && !key.Invalidated {
			return fault.New(fault.Later, "the API key %q still works after its invalidation: try again", name)
		}
	}
	return nil
}

// unlessGone takes it for a success that there is nothing to end.
func unlessGone(err error) error {
	if missing(err) {
		return nil
	}
	return err
}
