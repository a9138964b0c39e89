package ldap

import (
	"context"
	"slices"
	"strings"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/auth/record"
	"github.com/novatech/securevault/server/core/endpoint"
)

// user is what a user of the directory gets beside what the groups bring.
type user struct {
	Groups   []string `json:"groups"` // beside those of the directory
	Policies []string `json:"policies"`
}

// group is what every member of a group gets.
type group struct {
	Policies []string `json:"policies"`
}

func newUsers() *record.Family[user, *user] {
	return &record.Family[user, *user]{
		Folder: "users", Name: "name", Pattern: record.Names("name"),
		Synopsis: "Reads, writes or deletes what a user gets.",
		Fields: endpoint.Fields{
			"groups":   {Type: framework.TypeCommaStringSlice, Description: "Groups of the user beside those of the directory."},
			"policies": {Type: framework.TypeCommaStringSlice, Description: "Policies of the user's tokens."},
		},
	}
}

func newGroups() *record.Family[group, *group] {
	return &record.Family[group, *group]{
		Folder: "groups", Name: "name", Pattern: record.Names("name"),
		Synopsis: "Reads, writes or deletes what the members of a group get.",
		Fields: endpoint.Fields{
			"policies": {Type: framework.TypeCommaStringSlice, Description: "Policies of the members' tokens."},
		},
	}
}

// Apply implements record.Record.
func (u *user) Apply(_ *logical.Request, d *framework.FieldData) error {
	if groups, ok := d.GetOk("groups"); ok {
		u.Groups = groups.([]string)
	}
	if policies, ok := d.GetOk("policies"); ok {
		u.Policies = policies.([]string)
	}
	return nil
}

// Describe implements record.Record.
func (u *user) Describe() map[string]any {
	return map[string]any{"groups": strings.Join(u.Groups, ","), "policies": u.Policies}
}

// Apply implements record.Record.
func (g *group) Apply(_ *logical.Request, d *framework.FieldData) error {
	if policies, ok := d.GetOk("policies"); ok {
		g.Policies = policies.([]string)
	}
	return nil
}

// Describe implements record.Record.
func (g *group) Describe() map[string]any { return map[string]any{"policies": g.Policies} }

// policies are those of everybody, of the user, and of the user's groups.
func (b *backend) policies(ctx context.Context, s logical.Storage, everybody []string, name string, groups []string) ([]string, error) {
	policies := slices.Clone(everybody)
	u, err := b.users.Get(ctx, s, name)
	if err != nil {
		return nil, err
	}
	if u != nil {
		policies = append(policies, u.Policies...)
		groups = slices.Concat(groups, u.Groups)
	}
	for _, name := range groups {
		if strings.Contains(name, "..") { // no such name can have been written
			continue
		}
		g, err := b.groups.Get(ctx, s, strings.ToLower(name))
		if err != nil {
			return nil, err
		}
		if g != nil {
			policies = append(policies, g.Policies...)
		}
	}
	slices.Sort(policies)
	return slices.Compact(policies), nil
}
