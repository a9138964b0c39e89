package database

import (
	"context"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/engines/database/fault"
)

// configOf returns the config of a static role, if the role may use it.
func (b *backend) configOf(ctx context.Context, storage logical.Storage, name string, role *staticRole) (*config, error) {
	config, err := loadConfig(ctx, storage, role.Config)
	if err != nil {
		return nil, err
	}
	switch {
	case config == nil:
		return nil, fault.New(fault.Refused, "static role %q uses the unknown config %q: write config/%s first", name, role.Config, role.Config)
	case !config.allows(name):
		return nil, fault.New(fault.Refused, "static role %q may not use config %q: add it to allowed_roles of config/%s", name, role.Config, role.Config)
	case config.isAdmin(role.Username):
		return nil, fault.New(fault.Refused, "user %q is the admin of config %q: rotate its password with rotate-root/%s", role.Username, role.Config, role.Config)
	}
	return config, b.checkCredential(&role.credential, config)
}

// urlUser finds the user whom a connection_url names itself, in front of an address
// (behind the scheme, if it has one) or in a list of key=value.
var urlUser = regexp.MustCompile(`^(?:\w+(?:\+\w+)?://)?([^:/@=\s]+)(?:[:/]\S*)?@|\buser(?:name)?\s*=\s*'?([^'\s&]+)`)

// isAdmin tells whether the config logs in as that user.
func (c *config) isAdmin(user string) bool {
	names := []string{c.detail("username")}
	for _, found := range urlUser.FindAllStringSubmatch(c.detail("connection_url"), -1) {
		name := found[1] + found[2]
		if plain, err := url.PathUnescape(name); err == nil {
			name = plain
		}
		names = append(names, name)
	}
	// Some databases tell names apart by case, some do not.
	return slices.ContainsFunc(names, func(name string) bool { return strings.EqualFold(name, user) })
}

// adminStaysOut refuses a config whose admin is the user of a static role: the
// rotation would lock the engine out.
func adminStaysOut(ctx context.Context, storage logical.Storage, name string, config *config) error {
	roles, err := staticRolesOf(ctx, storage, name)
	if err != nil {
		return err
	}
	for role, its := range roles {
		if config.isAdmin(its.Username) {
			return fault.New(fault.Refused, "username %q is rotated by static role %q: give config %q another admin, or delete that role first", its.Username, role, name)
		}
	}
	return nil
}

// claim stores the role, unless another one rotates its user: each would take the
// password away from the other's clients.
func (b *backend) claim(ctx context.Context, storage logical.Storage, name string, role *staticRole) error {
	b.claiming.Lock()
	defer b.claiming.Unlock()
	others, err := staticRolesOf(ctx, storage, role.Config)
	if err != nil {
		return err
	}
	for other, its := range others {
		// Some databases tell names apart by case, some do not.
		if other != name && strings.EqualFold(its.Username, role.Username) {
			return fault.New(fault.Refused, "static role %q rotates user %q of config %q already: use that role, or delete it first", other, its.Username, role.Config)
		}
	}
	return b.keep(ctx, storage, name, role)
}

// staticRolesOf returns the static roles of a config, by name.
func staticRolesOf(ctx context.Context, storage logical.Storage, config string) (map[string]*staticRole, error) {
	names, err := storage.List(ctx, staticPrefix)
	if err != nil {
		return nil, fmt.Errorf("listing static roles: %w", err)
	}
	found := map[string]*staticRole{}
	for _, name := range names {
		role, err := loadStatic(ctx, storage, name)
		if err != nil {
			return nil, err
		}
		if role != nil && role.Config == config {
			found[name] = role
		}
	}
	return found, nil
}
