package elasticsearch

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/novatech/securevault/server/engines/database/fault"
)

// dialect is what differs between the security APIs of Elasticsearch and of
// OpenSearch.
//
// Sources: Elasticsearch, "Security APIs"; OpenSearch, "Access control API".
type dialect struct {
	name       string
	user, role string // the paths of all users and all roles
	self       string // the path that tells everybody who he is
	keys       bool   // it has API keys and tokens
}

var (
	elastic = dialect{
		name: "Elasticsearch", user: "/_security/user",
		role: "/_security/role", self: "/_security/_authenticate", keys: true,
	}
	openSearch = dialect{
		name: "OpenSearch", user: openSearchAPI + "internalusers",
		role: openSearchAPI + "roles", self: "/_plugins/_security/authinfo",
	}
)

const openSearchAPI = "/_plugins/_security/api/"

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
	const what = "asking the server what it is"
	var about struct {
		Version struct {
			Number       string `json:"number"`
			Distribution string `json:"distribution"`
		} `json:"version"`
		Tagline string `json:"tagline"`
	}
	err := c.do(ctx, what, request{"GET", "/", nil}, &about)
	switch {
	case isStatus(err, http.StatusForbidden):
		// That takes the privilege monitor, which nothing else needs. Who it is, each
		// account may ask, by a path that only one of the two knows.
		for _, candidate := range []dialect{elastic, openSearch} {
			if c.do(ctx, what, request{"GET", candidate.self, nil}, nil) == nil {
				return candidate, nil
			}
		}
		return dialect{}, err
	case err != nil:
		return dialect{}, err
	case about.Version.Number == "":
		return dialect{}, fault.New(fault.Refused, "%s: it is neither Elasticsearch nor OpenSearch: check url", what)
	// With compatibility.override_main_response_version, which Amazon turns on for what
	// was Elasticsearch before, the tagline alone tells it.
	case about.Version.Distribution == "opensearch", strings.Contains(about.Tagline, "OpenSearch"):
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

// alone tells whether no other request may change anything meanwhile: OpenSearch
// keeps all users in one document and all roles in another, and refuses a change of
// one that has changed since it began.
func (r request) alone() bool {
	return r.method != http.MethodGet && strings.HasPrefix(r.path, openSearchAPI)
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
