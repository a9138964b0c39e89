package cert

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/auth/record"
	"github.com/novatech/securevault/server/core/endpoint"
)

// crl is what a revocation list says, whose signature is not asked about: it
// comes from an operator.
type crl struct {
	Issuer  []byte          `json:"issuer"`  // DER of the authority's name
	Serials map[string]bool `json:"serials"` // in decimal
}

func newCRLs() *record.Family[crl, *crl] {
	return &record.Family[crl, *crl]{
		Folder: "crls", Name: "name", Pattern: framework.GenericNameRegex("name"),
		Synopsis: "Reads, writes or deletes a revocation list.",
		Fields: endpoint.Fields{
			"crl": endpoint.Text("The list, in PEM."),
			"url": endpoint.Text("Not supported: fetch the list and send it as crl."),
		},
	}
}

// Apply implements record.Record.
func (c *crl) Apply(_ *logical.Request, d *framework.FieldData) error {
	if d.Get("url").(string) != "" {
		return errors.New("url is not supported: fetch the list and send it as crl")
	}
	block, _ := pem.Decode([]byte(d.Get("crl").(string)))
	if block == nil || block.Type != "X509 CRL" {
		return errors.New("crl: there is none; send a revocation list in PEM (X509 CRL)")
	}
	list, err := x509.ParseRevocationList(block.Bytes)
	if err != nil {
		return fmt.Errorf("crl: %w", err)
	}
	c.Issuer, c.Serials = list.RawIssuer, make(map[string]bool, len(list.RevokedCertificateEntries))
	for _, entry := range list.RevokedCertificateEntries {
		c.Serials[entry.SerialNumber.String()] = true
	}
	return nil
}

// Describe implements record.Record.
func (c *crl) Describe() map[string]any {
	serials := make(map[string]any, len(c.Serials))
	for serial := range c.Serials {
		serials[serial] = map[string]any{}
	}
	return map[string]any{"serials": serials}
}

func (c *crl) revokes(certificate *x509.Certificate) bool {
	return string(c.Issuer) == string(certificate.RawIssuer) && c.Serials[certificate.SerialNumber.String()]
}

// unrevoked reports whether one of the chains holds no revoked certificate.
func (b *backend) unrevoked(ctx context.Context, s logical.Storage, chains [][]*x509.Certificate) (bool, error) {
	lists, err := b.crls.All(ctx, s)
	if err != nil {
		return false, err
	}
	revoked := func(certificate *x509.Certificate) bool {
		for _, list := range lists {
			if list.revokes(certificate) {
				return true
			}
		}
		return false
	}
	return slices.ContainsFunc(chains, func(chain []*x509.Certificate) bool {
		return !slices.ContainsFunc(chain, revoked)
	}), nil
}
