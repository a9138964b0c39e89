// Package username generates the names of database users from a template, as
// username_template of a database configuration gives it.
//
// The template sees .DisplayName and .RoleName, which clients choose, so the
// result is restricted to letters, digits and ". _ - @ :", none of which can end
// a quoted identifier or string. Runs of dashes become one: two of them would
// start a comment where an operator forgot the quotes.
package username

import (
	"fmt"
	"regexp"

	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"
	"github.com/hashicorp/vault/sdk/helper/template"
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
		return Generator{}, fmt.Errorf("reading username_template: %w", err)
	}
	generator := Generator{template: parsed, maxBytes: maxBytes}
	sample := dbplugin.UsernameMetadata{DisplayName: "token", RoleName: "app"}
	first, err := generator.Generate(sample)
	if err != nil {
		return Generator{}, err
	}
	second, err := generator.Generate(sample)
	if err != nil {
		return Generator{}, err
	}
	if first == second {
		return Generator{}, fmt.Errorf("username_template gives the name %q twice: add {{random 12}} to it", first)
	}
	return generator, nil
}

// Generate returns a new name.
func (g Generator) Generate(metadata dbplugin.UsernameMetadata) (string, error) {
	name, err := g.template.Generate(metadata)
	if err != nil {
		return "", fmt.Errorf("applying username_template: %w", err)
	}
	name = dashes.ReplaceAllString(hostile.ReplaceAllString(name, "_"), "-")
	switch {
	case name == "":
		return "", fmt.Errorf("username_template gives an empty name: add {{random 12}} to it")
	case len(name) > g.maxBytes:
		return "", fmt.Errorf("username_template gives a name of %d bytes, the database allows %d: shorten it with truncate", len(name), g.maxBytes)
	}
	return name, nil
}
