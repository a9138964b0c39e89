package api

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/core/seal"
)

const (
	// shownCertificate carries the certificates that a client has shown to the
	// standby that passes its request on: base64, with commas between.
	shownCertificate = "X-Securevault-Client-Certificate"
	// voucherHeader carries the voucher of that standby for them.
	voucherHeader = "X-Securevault-Voucher"
	// maxShown bounds the certificates that are passed on, in bytes.
	maxShown = maxHeader / 4
)

// voucher is what the servers of a cluster know each other by.
type voucher interface {
	Vouch(message []byte) ([]byte, error)
	// CheckVoucher returns an error wrapping seal.ErrSealed if it cannot tell.
	CheckVoucher(message, voucher []byte) error
}

// certificates encodes those that the client of r has proven to have, "" for
// none. Nobody but auth methods asks for them.
func certificates(r *http.Request) string {
	if r.TLS == nil || !strings.HasPrefix(r.URL.Path, prefix+"auth/") {
		return ""
	}
	var shown []string
	for _, c := range r.TLS.PeerCertificates {
		shown = append(shown, base64.StdEncoding.EncodeToString(c.Raw))
	}
	return strings.Join(shown, ",")
}

// statement is what a standby vouches for: that this request is of a client
// with these certificates.
func statement(r *http.Request, shown string) []byte {
	return []byte("client certificate\n" + r.Method + "\n" + r.URL.EscapedPath() + "\n" + shown)
}

// introduce adds the headers to h that show the client's certificates to the
// active server, and removes what the client put there itself.
func introduce(h http.Header, r *http.Request, shown string, v voucher) error {
	h.Del(shownCertificate)
	h.Del(voucherHeader)
	if shown == "" {
		return nil
	}
	proof, err := v.Vouch(statement(r, shown))
	if err != nil {
		return fmt.Errorf("vouching for the client's certificate: %w", err)
	}
	h.Set(shownCertificate, shown)
	h.Set(voucherHeader, base64.StdEncoding.EncodeToString(proof))
	return nil
}

// meet makes the certificates of r those that a standby vouches for. Nobody
// else is believed, and who tries is told.
func meet(r *http.Request, v voucher) error {
	shown, proofs := r.Header.Values(shownCertificate), r.Header.Values(voucherHeader)
	if len(shown)+len(proofs) == 0 {
		if r.Header.Get(passedOn) != "" {
			know(r, nil) // not by the standby's own
		}
		return nil
	}
	if len(shown) != 1 || len(proofs) != 1 {
		return badRequest("%s and %s belong to each other: leave both out", shownCertificate, voucherHeader)
	}
	proof, err := base64.StdEncoding.DecodeString(proofs[0])
	if err == nil {
		err = v.CheckVoucher(statement(r, shown[0]), proof)
	}
	switch {
	case errors.Is(err, seal.ErrSealed):
		return err
	case err != nil:
		return logical.CodedError(http.StatusForbidden,
			fmt.Sprintf("%s is not vouched for by a server of this cluster: %v", shownCertificate, err))
	}
	chain, err := parseChain(shown[0])
	if err != nil {
		return badRequest("%s: %v", shownCertificate, err)
	}
	know(r, chain)
	return nil
}

// know makes chain the certificates of r's client.
func know(r *http.Request, chain []*x509.Certificate) {
	state := tls.ConnectionState{}
	if r.TLS != nil {
		state = *r.TLS
	}
	state.PeerCertificates, state.VerifiedChains = chain, nil
	r.TLS = &state
}

func parseChain(shown string) ([]*x509.Certificate, error) {
	var chain []*x509.Certificate
	for text := range strings.SplitSeq(shown, ",") {
		der, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, fmt.Errorf("it is no base64: %w", err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("it is no certificate: %w", err)
		}
		chain = append(chain, c)
	}
	return chain, nil
}
