package cert

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/ryanuber/go-glob"
)

// constraints are patterns, in which * stands for anything. Of each list that
// is not empty, one must fit; of the extensions, every one.
type constraints struct {
	AnyNames    []string `json:"allowed_names"` // common name, DNS or mail
	CommonNames []string `json:"allowed_common_names"`
	DNS         []string `json:"allowed_dns_sans"`
	Mail        []string `json:"allowed_email_sans"`
	URIs        []string `json:"allowed_uri_sans"`
	Units       []string `json:"allowed_organizational_units"`
	Extensions  []string `json:"required_extensions"` // OID:pattern, or hex:OID:pattern
}

func constraintFields() map[string]string {
	return map[string]string{
		"allowed_names":                "Patterns of which the common name, a DNS or a mail name must fit one.",
		"allowed_common_names":         "Patterns of which the common name must fit one.",
		"allowed_dns_sans":             "Patterns of which a DNS name must fit one.",
		"allowed_email_sans":           "Patterns of which a mail name must fit one.",
		"allowed_uri_sans":             "Patterns of which a URI must fit one.",
		"allowed_organizational_units": "Patterns of which an organizational unit must fit one.",
		"required_extensions":          "Extensions that must be there, as OID:pattern or hex:OID:pattern.",
	}
}

func (c *constraints) byField() map[string]*[]string {
	return map[string]*[]string{
		"allowed_names":                &c.AnyNames,
		"allowed_common_names":         &c.CommonNames,
		"allowed_dns_sans":             &c.DNS,
		"allowed_email_sans":           &c.Mail,
		"allowed_uri_sans":             &c.URIs,
		"allowed_organizational_units": &c.Units,
		"required_extensions":          &c.Extensions,
	}
}

func (c *constraints) apply(d *framework.FieldData) error {
	for field, into := range c.byField() {
		if patterns, ok := d.GetOk(field); ok {
			*into = patterns.([]string)
		}
	}
	extension := regexp.MustCompile(`^(hex:)?[0-9]+(\.[0-9]+)+:`)
	for _, required := range c.Extensions {
		if !extension.MatchString(required) {
			return fmt.Errorf("required_extensions: %q is not written as OID:pattern, like 1.2.3.4:web-*", required)
		}
	}
	return nil
}

func (c *constraints) describe(data map[string]any) {
	for field, patterns := range c.byField() {
		data[field] = *patterns
	}
}

// fit reports whether a certificate is within the constraints.
func (c *constraints) fit(client *x509.Certificate) bool {
	common := []string{client.Subject.CommonName}
	var uris []string
	for _, uri := range client.URIs {
		uris = append(uris, uri.String())
	}
	return oneFits(c.AnyNames, slices.Concat(common, client.DNSNames, client.EmailAddresses)) &&
		oneFits(c.CommonNames, common) &&
		oneFits(c.DNS, client.DNSNames) &&
		oneFits(c.Mail, client.EmailAddresses) &&
		oneFits(c.URIs, uris) &&
		oneFits(c.Units, client.Subject.OrganizationalUnit) &&
		!slices.ContainsFunc(c.Extensions, func(required string) bool { return !hasExtension(client, required) })
}

// oneFits reports whether a name fits a pattern. No patterns let anything pass.
func oneFits(patterns, names []string) bool {
	return len(patterns) == 0 || slices.ContainsFunc(patterns, func(pattern string) bool {
		return slices.ContainsFunc(names, func(name string) bool { return glob.Glob(pattern, name) })
	})
}

func hasExtension(client *x509.Certificate, required string) bool {
	rest, inHex := strings.CutPrefix(required, "hex:")
	oid, pattern, _ := strings.Cut(rest, ":")
	for _, extension := range client.Extensions {
		if extension.Id.String() != oid {
			continue
		}
		if inHex && glob.Glob(strings.ToLower(pattern), hex.EncodeToString(extension.Value)) {
			return true
		}
		if text, ok := textOf(extension.Value); ok && !inHex && glob.Glob(pattern, text) {
			return true
		}
	}
	return false
}

// textOf reads an extension that holds an ASN.1 string.
func textOf(value []byte) (string, bool) {
	var text string
	rest, err := asn1.Unmarshal(value, &text)
	return text, err == nil && len(rest) == 0
}
