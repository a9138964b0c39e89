package ldap

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"text/template"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/helper/ldaputil"
	"github.com/hashicorp/vault/sdk/helper/tokenutil"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/auth/record"
)

// config is where the directory is, and what every token of a login gets.
type config struct {
	tokenutil.TokenParams
	*ldaputil.ConfigEntry
}

func newConfig() *record.Family[config, *config] {
	fields := ldaputil.ConfigFields()
	tokenutil.AddTokenFields(fields)
	return &record.Family[config, *config]{
		Folder: "config", Synopsis: "Reads, writes or deletes where the directory is.", Fields: fields,
	}
}

// Apply implements record.Record.
func (c *config) Apply(req *logical.Request, d *framework.FieldData) error {
	if err := c.ParseTokenFields(req, d); err != nil {
		return err
	}
	entry, err := ldaputil.NewConfigEntry(c.ConfigEntry, d)
	if err != nil {
		return err
	}
	c.ConfigEntry = entry
	return c.validate()
}

func (c *config) validate() error {
	for address := range strings.SplitSeq(c.Url, ",") {
		if !strings.HasPrefix(address, "ldap://") && !strings.HasPrefix(address, "ldaps://") {
			return fmt.Errorf("url: %q begins with neither ldap:// nor ldaps://", address)
		}
	}
	switch {
	case c.CaseSensitiveNames != nil && *c.CaseSensitiveNames:
		return errors.New("case_sensitive_names is not supported: leave it out; directories compare names without regard to case")
	case !c.DenyNullBind:
		return errors.New("deny_null_bind must stay true: many directories take an empty password for an anonymous login that succeeds")
	}
	if err := c.Validate(); err != nil {
		return fmt.Errorf("%w: give userdn, upndomain, or binddn with bindpass, so that users can be found", err)
	}
	if err := check("userfilter", c.UserFilter, struct{ UserAttr, Username string }{}); err != nil {
		return err
	}
	return check("groupfilter", c.GroupFilter, struct{ UserDN, Username string }{})
}

// check tries a filter on what it will be given.
func check(field, filter string, given any) error {
	parsed, err := template.New(field).Parse(filter)
	if err == nil {
		err = parsed.Execute(io.Discard, given)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", field, err)
	}
	return nil
}

// Describe implements record.Record.
func (c *config) Describe() map[string]any {
	data := maps.Clone(c.PasswordlessMap())
	c.PopulateTokenData(data)
	return data
}

// hasService reports whether the directory may be asked about users without
// their passwords.
func (c *config) hasService() bool { return c.BindDN != "" && c.BindPassword != "" }
