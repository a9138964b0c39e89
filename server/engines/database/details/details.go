// Package details reads the connection details of a configuration: what an
// operator writes to config/NAME for the plugin. Each plugin embeds Common (and
// Pool, if it keeps connections) in a struct with the fields that only it knows,
// and calls Decode. A field nobody knows is an error with a suggestion.
package details

import (
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-secure-stdlib/parseutil"
	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"
	"github.com/mitchellh/mapstructure"

	"github.com/novatech/securevault/server/engines/database/fault"
	"github.com/novatech/securevault/server/engines/database/nearest"
)

// Common are the fields that every plugin knows. Embed it with the tag
// `mapstructure:",squash"`.
type Common struct {
	ConnectionURL    string `mapstructure:"connection_url"`
	Username         string `mapstructure:"username"`
	Password         string `mapstructure:"password"`
	UsernameTemplate string `mapstructure:"username_template"`
}

// Pool are the fields of a plugin that keeps connections open. Embed it with the
// tag `mapstructure:",squash"`.
type Pool struct {
	MaxOpen     int `mapstructure:"max_open_connections"`
	MaxIdle     int `mapstructure:"max_idle_connections"`    // negative: keep none
	MaxLifetime any `mapstructure:"max_connection_lifetime"` // seconds, or text such as "5m"
}

const (
	defaultMaxOpen = 8
	mostOpen       = 1000
)

// Decode fills the struct into points to. The error is in the class
// fault.Refused and repeats no value; plugin names the plugin in it.
func Decode(plugin string, given map[string]any, into any) error {
	given = maps.Clone(given)
	// A plugin's own answer to Initialize, which the engine stores with the rest.
	delete(given, dbplugin.SupportedCredentialTypesKey)
	known := fields(reflect.TypeOf(into).Elem())
	for _, key := range slices.Sorted(maps.Keys(given)) {
		if !slices.Contains(known, key) {
			return fault.New(fault.Refused, "unknown setting %q%s: %s knows %s", key, nearest.Hint(key, known), plugin, strings.Join(known, ", "))
		}
	}
	if err := mapstructure.WeakDecode(given, into); err != nil {
		// Its text repeats the values.
		return fault.New(fault.Refused, "a connection setting has the wrong type: %s", strings.Join(misfits(err), ", "))
	}
	return nil
}

// fields lists the names by which a struct is filled, in the order of the struct.
func fields(of reflect.Type) []string {
	var names []string
	for i := range of.NumField() {
		name, option, _ := strings.Cut(of.Field(i).Tag.Get("mapstructure"), ",")
		switch {
		case option == "squash":
			names = append(names, fields(of.Field(i).Type)...)
		case name != "":
			names = append(names, name)
		}
	}
	return names
}

// misfits lists the fields that an error of mapstructure is about.
func misfits(err error) []string {
	var several *mapstructure.Error
	if !errors.As(err, &several) {
		return nil
	}
	var names []string
	for _, one := range several.WrappedErrors() {
		if _, rest, ok := strings.Cut(one.Error(), "'"); ok {
			name, _, _ := strings.Cut(rest, "'")
			names = append(names, name)
		}
	}
	return names
}

// Check looks whether the URL is there and what it asks for; example is a URL to
// show to whom it is missing.
func (c Common) Check(example string) error {
	if c.ConnectionURL == "" {
		return fault.New(fault.Refused, "connection_url is missing: write connection_url=%s", example)
	}
	for field, value := range map[string]string{"username": c.Username, "password": c.Password} {
		if value == "" && strings.Contains(c.ConnectionURL, "{{"+field+"}}") {
			return fault.New(fault.Refused, "%s is missing, but connection_url uses {{%s}}: write %s=…", field, field, field)
		}
	}
	return nil
}

// Limits returns how many connections may be open and how many of them idle, and
// how long one may live, 0 for as long as the driver wants.
func (p Pool) Limits() (open, idle int, lifetime time.Duration, err error) {
	open, idle = min(p.MaxOpen, mostOpen), p.MaxIdle
	if open <= 0 {
		open = defaultMaxOpen
	}
	if idle == 0 || idle > open {
		idle = open
	}
	lifetime, err = parseutil.ParseDurationSecond(p.MaxLifetime)
	if err != nil || lifetime < 0 {
		return 0, 0, 0, fault.New(fault.Refused, "max_connection_lifetime is no duration: write seconds, or a number with s, m or h")
	}
	return open, idle, lifetime, nil
}
