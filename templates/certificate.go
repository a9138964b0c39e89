package templates

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"slices"
	"strings"
)

// Certificate is what the function pkiCert returns, in PEM, in the shape that
// templates for consul-template expect.
type Certificate struct {
	Cert    string
	Key     string // "" when the server was sent a signing request of somebody else's
	CA      string // who issued Cert
	CAChain []string
}

// Data returns the certificate itself, for templates that ask for .Data.Cert.
func (c *Certificate) Data() *Certificate { return c }

func (e *evaluation) pkiCert(args ...string) (any, error) {
	want, err := wantOf("pkiCert", args)
	if err != nil {
		return nil, err
	}
	given := e.get(want)
	if given == nil {
		return (*absentCertificate)(nil), nil
	}
	return newCertificate(given.Data)
}

// newCertificate takes apart the answer of a PKI engine, which may have all
// its blocks in one field (format=pem_bundle).
func newCertificate(data map[string]any) (*Certificate, error) {
	fields := []any{data["certificate"], data["private_key"], data["issuing_ca"]}
	if chain, ok := data["ca_chain"].([]any); ok {
		fields = append(fields, chain...)
	}
	out := &Certificate{}
	for _, field := range fields {
		text, _ := field.(string)
		for block, rest := pem.Decode([]byte(text)); block != nil; block, rest = pem.Decode(rest) {
			if err := out.add(block); err != nil {
				return nil, err
			}
		}
	}
	if out.Cert == "" {
		return nil, errors.New("the answer holds no certificate in PEM; leave out the parameter format, and check the path")
	}
	return out, nil
}

// add puts a block where it belongs: the first certificate is the one that was
// asked for, and the others are those of authorities.
func (c *Certificate) add(block *pem.Block) error {
	text := string(pem.EncodeToMemory(block))
	if strings.HasSuffix(block.Type, "PRIVATE KEY") {
		c.Key = text
		return nil
	}
	if _, err := x509.ParseCertificate(block.Bytes); err != nil {
		return err
	}
	switch {
	case c.Cert == "":
		c.Cert = text
	case c.CA == "":
		c.CA, c.CAChain = text, []string{text}
	case !slices.Contains(c.CAChain, text):
		c.CAChain = append(c.CAChain, text)
	}
	return nil
}

// absentCertificate stands for a certificate that is pending, like [absent].
type absentCertificate struct{}

// The fields of a Certificate, as methods.
func (*absentCertificate) Cert() string       { return "" }
func (*absentCertificate) Key() string        { return "" }
func (*absentCertificate) CA() string         { return "" }
func (*absentCertificate) CAChain() []string  { return nil }
func (*absentCertificate) Data() *Certificate { return &Certificate{} }
