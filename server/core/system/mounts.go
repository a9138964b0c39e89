package system

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/hashicorp/go-secure-stdlib/parseutil"
	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/core/endpoint"
	"github.com/novatech/securevault/server/core/mount"
)

// kind is what tells sys/mounts from sys/auth.
type kind struct {
	route  string // below sys/
	prefix string // of the mounts' paths
}

var (
	secrets = kind{route: "mounts"}
	methods = kind{route: "auth", prefix: mount.AuthPrefix}
)

// holds reports whether e is listed under this kind.
func (k kind) holds(e *mount.Entry) bool { return e.IsAuth() == (k.prefix != "") }

// path returns the whole path of the mount that a request names.
func (k kind) path(d *framework.FieldData) string {
	return k.prefix + strings.Trim(d.Get("path").(string), "/") + "/"
}

// own is path for what only the kind's own route may do: sys/auth needs sudo,
// and must not be got round by sys/mounts/auth. Clients tune auth methods there,
// as they may.
func (k kind) own(d *framework.FieldData) (string, error) {
	path := k.path(d)
	if name, ok := strings.CutPrefix(path, mount.AuthPrefix); ok && k.prefix == "" {
		return "", logical.CodedError(http.StatusBadRequest, fmt.Sprintf("%q is for auth methods: use sys/auth/%s", path, strings.Trim(name, "/")))
	}
	return path, nil
}

func (b *backend) mountPaths(k kind) []*framework.Path {
	where := endpoint.Text("Where the engine answers.")
	return []*framework.Path{
		endpoint.New(k.route+"/?", "Lists what is mounted.", nil, endpoint.Operations{
			logical.ReadOperation: b.listMounts(k),
		}),
		endpoint.New(k.route+"/(?P<path>.+?)/tune", "Reads or changes the settings of a mount.", endpoint.Fields{
			"path":                where,
			"default_lease_ttl":   endpoint.Text("Lifetime of leases that ask for none; empty for the server's."),
			"max_lease_ttl":       endpoint.Text("Longest lifetime of a lease; empty for the server's."),
			"description":         endpoint.Text("What the mount is for."),
			"listing_visibility":  endpoint.Text("unauth or hidden."),
			"options":             {Type: framework.TypeKVPairs, Description: "Options of the engine."},
			"user_lockout_config": {Type: framework.TypeMap, Description: "When failed logins lock a user out."},
		}, endpoint.Operations{
			logical.ReadOperation:   b.readTune(k),
			logical.UpdateOperation: b.tune(k),
		}),
		endpoint.New(k.route+"/(?P<path>.+?)/?", "Enables, shows or disables a mount.", endpoint.Fields{
			"path":        where,
			"type":        endpoint.Text("Type of the engine."),
			"description": endpoint.Text("What the mount is for."),
			"config":      {Type: framework.TypeMap, Description: "Settings, as for tune."},
			"options":     {Type: framework.TypeKVPairs, Description: "Options of the engine."},
			"local":       endpoint.Flag("Kept for clients that send it."),
			"seal_wrap":   endpoint.Flag("Kept for clients that send it."),
			"plugin_name": endpoint.Text("Older name of type."),
		}, endpoint.Operations{
			logical.ReadOperation:   b.readMount(k),
			logical.UpdateOperation: b.enable(k),
			logical.DeleteOperation: b.disable(k),
		}),
	}
}

func (b *backend) listMounts(k kind) framework.OperationFunc {
	return func(context.Context, *logical.Request, *framework.FieldData) (*logical.Response, error) {
		data := map[string]any{}
		for _, m := range b.Mounts.Mounts() {
			if e := m.Entry(); k.holds(e) {
				data[strings.TrimPrefix(e.Path, k.prefix)] = describe(e)
			}
		}
		return &logical.Response{Data: data}, nil
	}
}

func (b *backend) readMount(k kind) framework.OperationFunc {
	return func(_ context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
		path, err := k.own(d)
		if err != nil {
			return nil, err
		}
		m, err := b.Mounts.Get(path)
		if err != nil {
			return nil, err
		}
		return &logical.Response{Data: describe(m.Entry())}, nil
	}
}

func (b *backend) enable(k kind) framework.OperationFunc {
	return func(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
		path, err := k.own(d)
		if err != nil {
			return nil, err
		}
		e := mount.Entry{
			Path:        path,
			Type:        d.Get("type").(string),
			Description: d.Get("description").(string),
			Options:     d.Get("options").(map[string]string),
			Local:       d.Get("local").(bool),
			SealWrap:    d.Get("seal_wrap").(bool),
		}
		if e.Type == "" || e.Type == "plugin" {
			e.Type = d.Get("plugin_name").(string)
		}
		if err := configure(&e.Config, d.Get("config").(map[string]any)); err != nil {
			return logical.ErrorResponse(err.Error()), nil
		}
		return nil, b.Mounts.Enable(ctx, e)
	}
}

func (b *backend) disable(k kind) framework.OperationFunc {
	return func(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
		path, err := k.own(d)
		if err != nil {
			return nil, err
		}
		return nil, b.Mounts.Disable(ctx, path)
	}
}

func (b *backend) readTune(k kind) framework.OperationFunc {
	return func(_ context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
		m, err := b.Mounts.Get(k.path(d))
		if err != nil {
			return nil, err
		}
		e := m.Entry()
		data := map[string]any{
			"default_lease_ttl": int64(m.System().DefaultLeaseTTL().Seconds()),
			"max_lease_ttl":     int64(m.System().MaxLeaseTTL().Seconds()),
			"description":       e.Description,
			"force_no_cache":    e.Config.ForceNoCache,
		}
		if len(e.Options) > 0 {
			data["options"] = e.Options
		}
		if e.Config.ListingVisibility != "" {
			data["listing_visibility"] = e.Config.ListingVisibility
		}
		describeLockout(data, e)
		return &logical.Response{Data: data}, nil
	}
}

func (b *backend) tune(k kind) framework.OperationFunc {
	return func(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
		var bad error
		err := b.Mounts.Tune(ctx, k.path(d), func(e *mount.Entry) error {
			if description, ok := d.GetOk("description"); ok {
				e.Description = description.(string)
			}
			if options, ok := d.GetOk("options"); ok {
				e.Options = maps.Clone(e.Options)
				if e.Options == nil {
					e.Options = map[string]string{}
				}
				maps.Copy(e.Options, options.(map[string]string))
			}
			bad = configure(&e.Config, d.Raw)
			return bad
		})
		if bad != nil {
			return logical.ErrorResponse(bad.Error()), nil //nolint:nilerr // what the client sent is wrong, and says so in the answer
		}
		return nil, err
	}
}

// configure applies the settings that a client sent; those that are absent or
// null stay as they are.
func configure(c *mount.Config, sent map[string]any) error {
	for field, ttl := range map[string]*time.Duration{
		"default_lease_ttl": &c.DefaultLeaseTTL, "max_lease_ttl": &c.MaxLeaseTTL,
	} {
		raw, ok := sent[field]
		if !ok || raw == nil {
			continue
		}
		if raw == "system" {
			raw = ""
		}
		parsed, err := parseutil.ParseDurationSecond(raw)
		if err != nil || parsed < 0 {
			return fmt.Errorf("%s: %v is not a duration; write it like 90s, 24h or 3600", field, raw)
		}
		*ttl = parsed
	}
	if raw, ok := sent["force_no_cache"]; ok && raw != nil {
		value, err := parseutil.ParseBool(raw)
		if err != nil {
			return fmt.Errorf("force_no_cache: %v is neither true nor false", raw)
		}
		c.ForceNoCache = value
	}
	if err := configureLockout(&c.Lockout, sent["user_lockout_config"]); err != nil {
		return err
	}
	switch visibility, _ := sent["listing_visibility"].(string); visibility {
	case "unauth", "hidden":
		c.ListingVisibility = visibility
	case "":
	default:
		return fmt.Errorf("listing_visibility: %q is neither unauth nor hidden", visibility)
	}
	return nil
}

// describe is how a mount is shown. Durations are in seconds; 0 stands for the
// server's own.
func describe(e *mount.Entry) map[string]any {
	return map[string]any{
		"type":        e.Type,
		"description": e.Description,
		"accessor":    e.Accessor,
		"uuid":        e.UUID,
		"options":     e.Options,
		"local":       e.Local,
		"seal_wrap":   e.SealWrap,
		"config": map[string]any{
			"default_lease_ttl": int64(e.Config.DefaultLeaseTTL.Seconds()),
			"max_lease_ttl":     int64(e.Config.MaxLeaseTTL.Seconds()),
			"force_no_cache":    e.Config.ForceNoCache,
		},
		"external_entropy_access": false,
	}
}

// visiblePaths are what clients ask, with any token, to learn what kind of
// engine answers for a path.
func (b *backend) visiblePaths() []*framework.Path {
	return []*framework.Path{
		endpoint.New("internal/ui/mounts/?", "Shows the mounts that the token can use.", nil, endpoint.Operations{
			logical.ReadOperation: b.listVisible,
		}),
		endpoint.New("internal/ui/mounts/(?P<path>.+)", "Shows the mount that answers for a path.", endpoint.Fields{
			"path": endpoint.Text("Any path."),
		}, endpoint.Operations{
			logical.ReadOperation: b.readVisible,
		}),
	}
}

func (b *backend) listVisible(_ context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	caller, err := b.Tokens.Lookup(req.ClientToken)
	if err != nil {
		return nil, err
	}
	acl := b.acl(caller)
	found := map[string]map[string]any{"secret": {}, "auth": {}}
	for _, m := range b.Mounts.Mounts() {
		e := m.Entry()
		if !acl.Touches(e.Path) {
			continue
		}
		family := "secret"
		if e.IsAuth() {
			family = "auth"
		}
		found[family][strings.TrimPrefix(e.Path, mount.AuthPrefix)] = describe(e)
	}
	return &logical.Response{Data: map[string]any{"secret": found["secret"], "auth": found["auth"]}}, nil
}

func (b *backend) readVisible(_ context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	caller, err := b.Tokens.Lookup(req.ClientToken)
	if err != nil {
		return nil, err
	}
	m, _, ok := b.Mounts.Route(d.Get("path").(string))
	if !ok || !b.acl(caller).Touches(m.Entry().Path) {
		return nil, logical.ErrPermissionDenied
	}
	data := describe(m.Entry())
	data["path"] = m.Entry().Path
	return &logical.Response{Data: data}, nil
}
