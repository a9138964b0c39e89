package cert

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/helper/tokenutil"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/auth/record"
	"github.com/novatech/securevault/server/core/endpoint"
)

// trusted is one certificate, or several, of an authority or of a client, with
// what else must be true of those who log in by it.
type trusted struct {
	tokenutil.TokenParams
	constraints
	Certificate string   `json:"certificate"` // PEM
	DisplayName string   `json:"display_name"`
	Metadata    []string `json:"allowed_metadata_extensions"` // OIDs
}

func newCerts() *record.Family[trusted, *trusted] {
	fields := endpoint.Fields{
		"certificate":                 endpoint.Text("Certificate of an authority or a client, in PEM; several in a row."),
		"display_name":                endpoint.Text("Name in the display name of tokens; the record's if empty."),
		"allowed_metadata_extensions": {Type: framework.TypeCommaStringSlice, Description: "OIDs of extensions that become metadata of the token."},
		"ocsp_enabled":                endpoint.Flag("Not supported: use crls."),
		"policies":                    {Type: framework.TypeCommaStringSlice, Description: tokenutil.DeprecationText("token_policies")},
		"ttl":                         {Type: framework.TypeDurationSecond, Description: tokenutil.DeprecationText("token_ttl")},
	}
	for field, description := range constraintFields() {
		fields[field] = &framework.FieldSchema{Type: framework.TypeCommaStringSlice, Description: description}
	}
	tokenutil.AddTokenFields(fields)
	return &record.Family[trusted, *trusted]{
		Folder: "certs", Name: "name", Pattern: framework.GenericNameRegex("name"),
		Synopsis: "Reads, writes or deletes a trusted certificate.", Fields: fields,
	}
}

// Apply implements record.Record.
func (c *trusted) Apply(req *logical.Request, d *framework.FieldData) error {
	if err := c.ParseTokenFields(req, d); err != nil {
		return err
	}
	if policies, ok := d.GetOk("policies"); ok && d.Raw["token_policies"] == nil {
		c.TokenPolicies = policies.([]string)
	}
	if ttl, ok := d.GetOk("ttl"); ok && d.Raw["token_ttl"] == nil {
		c.TokenTTL = time.Duration(ttl.(int)) * time.Second
	}
	if certificate, ok := d.GetOk("certificate"); ok {
		c.Certificate = certificate.(string)
	}
	if name, ok := d.GetOk("display_name"); ok {
		c.DisplayName = name.(string)
	}
	if oids, ok := d.GetOk("allowed_metadata_extensions"); ok {
		c.Metadata = oids.([]string)
	}
	if d.Get("ocsp_enabled").(bool) {
		return errors.New("ocsp_enabled is not supported: write the authority's revocation list to crls/ instead")
	}
	if err := c.apply(d); err != nil {
		return err
	}
	_, err := parse(c.Certificate)
	return err
}

// Describe implements record.Record.
func (c *trusted) Describe() map[string]any {
	data := map[string]any{
		"certificate":                 c.Certificate,
		"display_name":                c.DisplayName,
		"allowed_metadata_extensions": c.Metadata,
	}
	c.describe(data)
	c.PopulateTokenData(data)
	return data
}

// parse reads certificates in PEM.
func parse(text string) ([]*x509.Certificate, error) {
	var certificates []*x509.Certificate
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("certificate: it holds a %s; send certificates only", block.Type)
		}
		parsed, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate: %w", err)
		}
		certificates = append(certificates, parsed)
	}
	if len(certificates) == 0 {
		return nil, errors.New("certificate: there is none; send one in PEM")
	}
	return certificates, nil
}

// chains returns the ways in which a client's certificate leads to what is
// trusted: through authorities, or by being trusted itself.
func (c *trusted) chains(shown []*x509.Certificate) [][]*x509.Certificate {
	certificates, err := parse(c.Certificate)
	if err != nil { // it was checked when it was written
		return nil
	}
	client := shown[0]
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	for _, certificate := range certificates {
		if certificate.IsCA || certificate.Equal(client) {
			roots.AddCert(certificate)
		}
	}
	for _, certificate := range shown[1:] {
		between.AddCert(certificate)
	}
	chains, err := client.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return nil
	}
	return chains
}
