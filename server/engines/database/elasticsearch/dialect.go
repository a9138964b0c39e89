package elasticsearch

import (
	"context"
	"net/url"

	"github.com/novatech/securevault/server/engines/database/fault"
)

// dialect is what differs between the security APIs of Elasticsearch and of
// OpenSearch.
//
// Sources: Elasticsearch, "Security APIs"; OpenSearch, "Access control API".
type dialect struct {
	name       string
	user, role string // the paths of all users and all roles
	keys       bool   // it has API keys and tokens
}

var (
	elastic    = dialect{name: "Elasticsearch", user: "/_security/user", role: "/_security/role", keys: true}
	openSearch = dialect{
		name: "OpenSearch", user: "/_plugins/_security/api/internalusers",
		role: "/_plugins/_security/api/roles",
	}
)

// speak returns the dialect of the server, which is asked once.
func (d *Database) speak(ctx context.Context) (dialect, error) {
	if known := d.dialect.Load(); known != nil {
		return *known, nil
	}
	if d.client == nil {
		return dialect{}, fault.New(fault.Refused, "the database is not initialized: call Initialize first")
	}
	found, err := d.client.identify(ctx)
	if err == nil {
		d.dialect.Store(&found)
	}
	return found, err
}

// identify finds out what the server is.
func (c *client) identify(ctx context.Context) (dialect, error) {
	var about struct {
		Version struct {
			Number       string `json:"number"`
			Distribution string `json:"distribution"`
		} `json:"version"`
	}
	if err := c.do(ctx, "asking the server what it is", request{"GET", "/", nil}, &about); err != nil {
		return dialect{}, err
	}
	switch {
	case about.Version.Number == "":
		return dialect{}, fault.New(fault.Refused, "asking the server what it is: it is neither Elasticsearch nor OpenSearch: check url")
	case about.Version.Distribution == "opensearch":
		return openSearch, nil
	}
	return elastic, nil
}

func (d dialect) userPath(name string) string { return d.user + "/" + url.PathEscape(name) }
func (d dialect) rolePath(name string) string { return d.role + "/" + url.PathEscape(name) }

// request is one request to the server.
type request struct {
	method, path string
	body         any
}

// creation returns the requests that make a user. After the first it cannot log
// in, or may do nothing; the second is refused if there is no such user. Should the
// first arrive when its sender is dead or has given up, and the user been deleted
// already, what is left opens no door.
func (d dialect) creation(name, password string, roles []string) [2]request {
	if d.name == openSearch.name {
		return [2]request{
			{"PUT", d.userPath(name), map[string]any{"password": password}},
			{"PATCH", d.userPath(name), []any{map[string]any{"op": "add", "path": "/opendistro_security_roles", "value": roles}}},
		}
	}
	return [2]request{
		{"PUT", d.userPath(name), map[string]any{"password": password, "roles": roles, "enabled": false}},
		{"PUT", d.userPath(name) + "/_enable", nil},
	}
}

// passwordChange is the request that gives a user another password and leaves
// the rest of it alone.
func (d dialect) passwordChange(name, password string) request {
	if d.name == openSearch.name {
		return request{"PATCH", d.userPath(name), []any{map[string]any{"op": "add", "path": "/password", "value": password}}}
	}
	return request{"POST", d.userPath(name) + "/_password", map[string]string{"password": password}}
}
