package ldap

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"
	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/helper/ldaputil"
)

// errRefused says that there is no such user, or not with that password. Any
// other error is the directory's, or that of its configuration.
var errRefused = errors.New("invalid username or password")

// directory is one connection to the directory.
type directory struct {
	client *ldaputil.Client
	conn   ldaputil.Connection
	config *config
}

// connect opens a connection, encrypted if the configuration says so.
func connect(c *config, logger hclog.Logger) (*directory, error) {
	client := &ldaputil.Client{Logger: logger, LDAP: ldaputil.NewLDAP()}
	conn, err := client.DialLDAP(c.ConfigEntry)
	if err != nil {
		return nil, fmt.Errorf("connecting to the directory: %w", err)
	}
	return &directory{client: client, conn: conn, config: c}, nil
}

// close is all that is left to do; that it fails does not matter any more.
func (d *directory) close() { _ = d.conn.Close() }

// logIn binds as the user and returns the user's groups.
func (d *directory) logIn(name, password string) ([]string, error) {
	dn, err := d.find(name)
	if err != nil {
		return nil, err
	}
	if err := d.conn.Bind(dn, password); err != nil {
		if ldap.IsErrorAnyOf(err, ldap.LDAPResultInvalidCredentials, ldap.LDAPResultInappropriateAuthentication,
			ldap.LDAPResultNoSuchObject, ldap.LDAPResultInvalidDNSyntax) {
			return nil, errRefused
		}
		return nil, fmt.Errorf("logging in at the directory: %w", err)
	}
	if d.config.hasService() {
		if err := d.conn.Bind(d.config.BindDN, d.config.BindPassword); err != nil {
			return nil, fmt.Errorf("logging in at the directory as binddn: %w", err)
		}
	}
	return d.groups(dn, name)
}

// find returns the name under which a user binds. If there is a service
// account it is looked up, else it is made from the user's name.
func (d *directory) find(name string) (string, error) {
	if d.config.UPNDomain != "" && strings.ContainsAny(name, "*()\\\x00") {
		return "", errRefused // it will stand in a filter
	}
	dn, err := d.client.GetUserBindDN(d.config.ConfigEntry, d.conn, name)
	var answer *ldap.Error
	switch {
	case err == nil:
		return dn, nil
	case !errors.As(err, &answer), answer.ResultCode == ldap.LDAPResultSizeLimitExceeded:
		return "", errRefused // nobody, or more than one
	}
	return "", fmt.Errorf("looking up a user: %w; check binddn, bindpass and userdn", err)
}

// groups returns the names of the user's groups, sorted.
func (d *directory) groups(dn, name string) ([]string, error) {
	if d.config.GroupDN == "" && !d.config.UseTokenGroups {
		return nil, nil
	}
	if d.config.AnonymousGroupSearch {
		if err := d.conn.UnauthenticatedBind(""); err != nil {
			return nil, fmt.Errorf("binding anonymously: %w", err)
		}
	}
	userDN, err := d.client.GetUserDN(d.config.ConfigEntry, d.conn, dn, name)
	if err != nil {
		return nil, fmt.Errorf("looking up a user: %w", err)
	}
	groups, err := d.client.GetLdapGroups(d.config.ConfigEntry, d.conn, userDN, name)
	if err != nil {
		return nil, fmt.Errorf("looking up groups: %w; check groupdn and groupfilter", err)
	}
	slices.Sort(groups)
	return groups, nil
}
