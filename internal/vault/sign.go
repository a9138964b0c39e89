package vault

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// MethodSign is the method of a want for a certificate whose private key is
// made here: what is sent is a signing request, what is got has the key with
// the certificate. The key never leaves the process but for the template.
const MethodSign = "SIGN"

// The parameters of a signing want that say which key to make. They are not
// sent.
const (
	keyType = "key_type" // ec (by default), rsa or ed25519
	keyBits = "key_bits"
)

// SignWant is a write to path, which must sign (pki/sign/ROLE), of a signing
// request for a new key. The names of the certificate are those of the
// parameters: common_name, alt_names, ip_sans and uri_sans.
func SignWant(path string, params map[string]any) (Want, error) {
	w, err := newWant(MethodSign, path, params)
	if err != nil {
		return Want{}, err
	}
	if slices.Contains(strings.Split(w.Path, "/"), "issue") {
		return Want{}, fmt.Errorf("signing a key made here: the server makes the key itself at %q; use the path with sign in place of issue", w.Path)
	}
	if _, err := keyMaker(params); err != nil {
		return Want{}, err
	}
	_, err = requestTemplate(params)
	return w, err
}

// sign performs a want of [MethodSign].
func (c *Client) sign(ctx context.Context, token Token, w Want) (*Secret, error) {
	failed := func(err error) error { return &Error{Op: "signing", Path: w.Path, Cause: err, Kind: Refused} }
	key, sent, err := signingRequest(w)
	if err != nil {
		return nil, failed(err)
	}
	secret, err := c.send(ctx, token, sent)
	if err != nil {
		return nil, err
	}
	if err := certifies(secret.Data, key); err != nil {
		return nil, failed(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, failed(err)
	}
	out := *secret
	out.Data = maps.Clone(secret.Data)
	out.Data["private_key"] = string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}))
	return &out, nil
}

// signingRequest makes a key, and the write that has it certified.
func signingRequest(w Want) (crypto.Signer, Want, error) {
	params := map[string]any{}
	if err := json.Unmarshal([]byte(orEmptyObject(w.Params)), &params); err != nil {
		return nil, Want{}, err
	}
	makeKey, err := keyMaker(params)
	if err != nil {
		return nil, Want{}, err
	}
	template, err := requestTemplate(params)
	if err != nil {
		return nil, Want{}, err
	}
	key, err := makeKey()
	if err != nil {
		return nil, Want{}, err
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		return nil, Want{}, err
	}
	delete(params, keyType)
	delete(params, keyBits)
	params["csr"] = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: request}))
	sent, err := newWant(http.MethodPut, w.Path, params)
	sent.Namespace = w.Namespace
	return key, sent, err
}

// keyMaker returns what makes a key of the type that the parameters say.
func keyMaker(params map[string]any) (func() (crypto.Signer, error), error) {
	curve := func(c elliptic.Curve) func() (crypto.Signer, error) {
		return func() (crypto.Signer, error) { return ecdsa.GenerateKey(c, rand.Reader) }
	}
	prime := func(bits int) func() (crypto.Signer, error) {
		return func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, bits) }
	}
	kind := strings.Trim(param(params, keyType)+" "+param(params, keyBits), " ")
	switch kind {
	case "", "ec", "256", "ec 256":
		return curve(elliptic.P256()), nil
	case "ec 384":
		return curve(elliptic.P384()), nil
	case "ec 521":
		return curve(elliptic.P521()), nil
	case "rsa", "rsa 2048":
		return prime(2048), nil
	case "rsa 3072":
		return prime(3072), nil
	case "rsa 4096":
		return prime(4096), nil
	case "ed25519":
		return func() (crypto.Signer, error) {
			_, key, err := ed25519.GenerateKey(rand.Reader)
			return key, err
		}, nil
	default:
		return nil, fmt.Errorf("making a key: there is none of type and bits %q; use ec with 256, 384 or 521, rsa with 2048, 3072 or 4096, or ed25519", kind)
	}
}

// requestTemplate puts the names of the parameters into a signing request:
// by default, a server takes them from there.
func requestTemplate(params map[string]any) (*x509.CertificateRequest, error) {
	name := param(params, "common_name")
	names := list(params, "alt_names")
	if name != "" && !strings.ContainsAny(name, " /") && param(params, "exclude_cn_from_sans") != "true" {
		names = append([]string{name}, names...)
	}
	out := &x509.CertificateRequest{Subject: pkix.Name{CommonName: name}}
	for _, name := range names {
		field := &out.DNSNames
		if strings.Contains(name, "@") {
			field = &out.EmailAddresses
		}
		if !slices.Contains(*field, name) {
			*field = append(*field, name)
		}
	}
	for _, address := range list(params, "ip_sans") {
		ip := net.ParseIP(address)
		if ip == nil {
			return nil, fmt.Errorf("making a signing request: %q in ip_sans is no IP address; correct it", address)
		}
		out.IPAddresses = append(out.IPAddresses, ip)
	}
	for _, address := range list(params, "uri_sans") {
		uri, err := url.Parse(address)
		if err != nil {
			return nil, fmt.Errorf("making a signing request: %q in uri_sans is no URI; correct it", address)
		}
		out.URIs = append(out.URIs, uri)
	}
	return out, nil
}

func param(params map[string]any, key string) string {
	value, _ := params[key].(string)
	return value
}

func list(params map[string]any, key string) []string {
	return strings.FieldsFunc(param(params, key), func(r rune) bool { return r == ',' || r == ' ' })
}

// certifies reports whether an answer's certificate is for the key.
func certifies(data map[string]any, key crypto.Signer) error {
	block, _ := pem.Decode([]byte(param(data, "certificate")))
	if block == nil {
		return errors.New("the answer holds no certificate in PEM; leave out the parameter format, or use a path that signs")
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return err
	}
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(certificate.PublicKey) {
		return errors.New("the server's certificate is for another key; use a path that signs, such as pki/sign/ROLE")
	}
	return nil
}
