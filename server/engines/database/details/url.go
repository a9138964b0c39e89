package details

import "strings"

// While connection_url is parsed, these stand in for {{username}} and {{password}}:
// the real values never become part of a URL, so none needs escaping, whatever form
// the text has, and no parser can quote them.
const (
	usernameStandIn = "securevault-username"
	PasswordStandIn = "securevault-password"
)

// ParsableURL returns connection_url with the stand-ins. What comes out of the parser
// goes through Fill and FillPassword.
func (c Common) ParsableURL() string {
	return strings.NewReplacer("{{username}}", usernameStandIn, "{{password}}", PasswordStandIn).Replace(c.ConnectionURL)
}

// Fill returns a part of a parsed connection_url with the real name. The password is
// for FillPassword alone: errors may tell every other part.
func (c Common) Fill(part string) string {
	return strings.ReplaceAll(part, usernameStandIn, c.Username)
}

// FillPassword returns the password of a parsed connection_url with the real values.
func (c Common) FillPassword(part string) string {
	return strings.NewReplacer(usernameStandIn, c.Username, PasswordStandIn, c.Password).Replace(part)
}
