// Package username generates the names of database users from a template, as
// username_template of a database configuration gives it.
//
// The template sees .DisplayName and .RoleName, which clients choose, so the
// result is restricted to letters, digits and ". _ - @ :", none of which can end
// a quoted identifier or string. Runs of dashes become one: two of them would
// start a comment where an operator forgot the quotes.
package username

import (
	"context"
	"regexp"

	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"
	"github.com/hashicorp/vault/sdk/helper/template"

	"github.com/novatech/securevault/server/engines/database/fault"
)

var (
	hostile = regexp.MustCompile(`[^A-Za-z0-9._@:-]`)
	dashes  = regexp.MustCompile(`-{2,}`)
)

// Generator makes the usernames of one database configuration.
type Generator struct {
	template template.StringTemplate
	maxBytes int
}

// New reads a template of the plugin SDK's template language. maxBytes is what
// the database allows for a name. Since a user is dropped by name, the template
// must give another name each time.
func New(text string, maxBytes int) (Generator, error) {
	parsed, err := template.NewTemplate(template.Template(text))
	if err != nil {
		return Generator{}, fault.New(fault.Refused, "reading username_template: %s", err)
	}
	generator := Generator{template: parsed, maxBytes: maxBytes}
	sample := dbplugin.UsernameMetadata{DisplayName: "token", RoleName: "app"}
	first, err := generator.NewUsername(sample)
	if err != nil {
		return Generator{}, err
	}
	second, err := generator.NewUsername(sample)
	if err != nil {
		return Generator{}, err
	}
	if first == second {
		return Generator{}, fault.New(fault.Refused, "username_template gives the name %q twice: add {{random 12}} to it", first)
	}
	return generator, nil
}

// NewUsername makes up the name of a user that is about to be created. Plugins
// embed the Generator for it.
func (g Generator) NewUsername(metadata dbplugin.UsernameMetadata) (string, error) {
	name, err := g.template.Generate(metadata)
	if err != nil {
		return "", fault.New(fault.Refused, "applying username_template: %s", err)
	}
	name = dashes.ReplaceAllString(hostile.ReplaceAllString(name, "_"), "-")
	switch {
	case name == "":
		return "", fault.New(fault.Refused, "username_template gives an empty name: add {{random 12}} to it")
	case len(name) > g.maxBytes:
		return "", fault.New(fault.Refused, "username_template gives a name of %d bytes, the database allows %d: shorten it with truncate", len(name), g.maxBytes)
	}
	return name, nil
}

// Maker is a plugin that tells the name of a user before it makes it.
type Maker interface {
	NewUsername(metadata dbplugin.UsernameMetadata) (string, error)
	NewNamedUser(ctx context.Context, name string, req dbplugin.NewUserRequest) (warnings []string, err error)
}

// NewUser is dbplugin.Database's method of that name for any Maker. The engine
// itself takes the two steps, to write the name down between them.
func NewUser(ctx context.Context, m Maker, req dbplugin.NewUserRequest) (dbplugin.NewUserResponse, error) {
	name, err := m.NewUsername(req.UsernameConfig)
	if err != nil {
		return dbplugin.NewUserResponse{}, err
	}
	_, err = m.NewNamedUser(ctx, name, req)
	return dbplugin.NewUserResponse{Username: name}, err
}
