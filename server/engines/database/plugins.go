package database

import (
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"

	"github.com/novatech/securevault/server/engines/database/fault"
	"github.com/novatech/securevault/server/engines/database/nearest"
)

// plugin returns the constructor for a plugin_name.
func (b *backend) plugin(name string) (func() dbplugin.Database, error) {
	if construct, ok := b.plugins[name]; ok {
		return construct, nil
	}
	known := slices.Sorted(maps.Keys(b.plugins))
	if name == "" {
		return nil, fault.New(fault.Refused, "plugin_name is missing: write plugin_name=NAME with one of %s", strings.Join(known, ", "))
	}
	return nil, fault.New(fault.Refused, "unknown plugin_name %q%s: known are %s", name, nearest.Hint(name, known), strings.Join(known, ", "))
}

// Plugins returns every plugin_name, sorted.
func Plugins() []string { return slices.Sorted(maps.Keys(plugins())) }
