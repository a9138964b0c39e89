package cert

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/auth/grant"
	"github.com/novatech/securevault/server/core/endpoint"
)

const refusal = "invalid certificate or no client certificate supplied: none that is trusted fits it"

func (b *backend) loginPaths() []*framework.Path {
	return []*framework.Path{
		endpoint.Update("login", "Trades the certificate of the connection for a token.", endpoint.Fields{
			"name": endpoint.Text("Name of the trusted certificate; every one is tried if empty."),
		}, b.login),
	}
}

// shown returns the certificates of the client, its own first, or none.
func shown(req *logical.Request) []*x509.Certificate {
	if req.Connection == nil || req.Connection.ConnState == nil {
		return nil
	}
	return req.Connection.ConnState.PeerCertificates
}

func (b *backend) login(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	certificates := shown(req)
	if len(certificates) == 0 {
		return logical.ErrorResponse("the connection shows no client certificate: connect over TLS with one"), nil
	}
	name, found, err := b.match(ctx, req.Storage, d.Get("name").(string), certificates)
	if err != nil {
		return nil, err
	}
	if found == nil {
		return grant.Refuse(refusal)
	}
	client := certificates[0]
	shownAs := found.DisplayName
	if shownAs == "" {
		shownAs = name
	}
	return grant.Login(req, &found.TokenParams, &logical.Auth{
		InternalData: map[string]any{"cert_name": name, "key": keyOf(client)},
		Metadata:     metadata(name, found, client),
		DisplayName:  shownAs,
		Alias:        &logical.Alias{Name: client.Subject.CommonName},
	}, refusal)
}

// keyOf names a certificate's key, which outlives the certificate.
func keyOf(client *x509.Certificate) string {
	sum := sha256.Sum256(client.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:])
}

func metadata(name string, found *trusted, client *x509.Certificate) map[string]string {
	data := map[string]string{
		"cert_name":        name,
		"common_name":      client.Subject.CommonName,
		"serial_number":    client.SerialNumber.String(),
		"subject_key_id":   colons(client.SubjectKeyId),
		"authority_key_id": colons(client.AuthorityKeyId),
	}
	for _, extension := range client.Extensions {
		oid := extension.Id.String()
		if text, ok := textOf(extension.Value); ok && slices.Contains(found.Metadata, oid) {
			data[strings.ReplaceAll(oid, ".", "-")] = text
		}
	}
	return data
}

// colons writes bytes as in 0a:1b:2c.
func colons(id []byte) string {
	parts := make([]string, len(id))
	for i := range id {
		parts[i] = hex.EncodeToString(id[i : i+1])
	}
	return strings.Join(parts, ":")
}

// match finds what trusts the client, by name or among all.
func (b *backend) match(ctx context.Context, s logical.Storage, name string, certificates []*x509.Certificate) (string, *trusted, error) {
	candidates := map[string]*trusted{}
	var err error
	if name == "" {
		candidates, err = b.certs.All(ctx, s)
	} else {
		candidates[strings.ToLower(name)], err = b.certs.Get(ctx, s, strings.ToLower(name))
	}
	if err != nil {
		return "", nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(candidates)) {
		if ok, err := b.trusts(ctx, s, candidates[name], certificates); err != nil || ok {
			return name, candidates[name], err
		}
	}
	return "", nil, nil
}

// trusts reports whether c trusts the client, and nobody has revoked it.
func (b *backend) trusts(ctx context.Context, s logical.Storage, c *trusted, certificates []*x509.Certificate) (bool, error) {
	if c == nil || !c.fit(certificates[0]) {
		return false, nil
	}
	return b.unrevoked(ctx, s, c.chains(certificates))
}

// renew prolongs a token after what its certificate may do now. The connection
// must show the key of the login, in a certificate that is still trusted,
// unless the configuration has unbound them.
func (b *backend) renew(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	name, _ := req.Auth.InternalData["cert_name"].(string)
	c, err := b.certs.Get(ctx, req.Storage, name)
	if err != nil {
		return nil, err
	}
	if c == nil {
		return logical.ErrorResponse("certificate %q is not trusted any more; the token cannot be renewed", name), nil
	}
	settings, err := b.config.Get(ctx, req.Storage, "")
	if err != nil {
		return nil, err
	}
	if settings != nil && settings.DisableBinding {
		return grant.Renew(req, &c.TokenParams)
	}
	certificates := shown(req)
	if len(certificates) == 0 || keyOf(certificates[0]) != req.Auth.InternalData["key"] {
		return logical.ErrorResponse("the token is bound to the key of its login: renew it over a connection that shows it, or log in again"), nil
	}
	trusted, err := b.trusts(ctx, req.Storage, c, certificates)
	if err != nil {
		return nil, err
	}
	if !trusted {
		return logical.ErrorResponse("the client's certificate is not trusted any more; the token cannot be renewed"), nil
	}
	return grant.Renew(req, &c.TokenParams)
}
