package certificate

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"slices"

	"github.com/novatech/securevault/server/engines/database/fault"
)

// The values of key_type.
const (
	rsaKey     = "rsa"
	ecKey      = "ec"
	ed25519Key = "ed25519"
)

// Settings is what an operator asks of certificates. The zero value asks for keys
// on the curve P-256, which every TLS library knows and which cost nothing to make,
// and for signatures with SHA-256.
type Settings struct {
	KeyType       string `json:"key_type,omitempty"`
	KeyBits       int    `json:"key_bits,omitempty"`
	SignatureBits int    `json:"signature_bits,omitempty"` // of the hash that is signed
}

// Check says which field is wrong, in the class fault.Refused.
func (s Settings) Check() error {
	known := map[string][]int{rsaKey: {2048, 3072, 4096}, ecKey: {256, 384, 521}, ed25519Key: {}}
	sizes, ok := known[s.keyType()]
	if !ok {
		return fault.New(fault.Refused, "key_type %q is unknown: use %s, %s or %s", s.KeyType, rsaKey, ecKey, ed25519Key)
	}
	if s.KeyBits != 0 && !slices.Contains(sizes, s.KeyBits) {
		if len(sizes) == 0 {
			return fault.New(fault.Refused, "key_bits %d: keys of type %s have one size, leave it out", s.KeyBits, s.keyType())
		}
		return fault.New(fault.Refused, "key_bits %d is unknown for keys of type %s: use one of %v", s.KeyBits, s.keyType(), sizes)
	}
	if hashes := []int{0, 256, 384, 512}; !slices.Contains(hashes, s.SignatureBits) {
		return fault.New(fault.Refused, "signature_bits %d is unknown: use one of %v", s.SignatureBits, hashes[1:])
	}
	return nil
}

func (s Settings) keyType() string {
	if s.KeyType == "" {
		return ecKey
	}
	return s.KeyType
}

// newKey makes a key of a kind that Check has let through.
func (s Settings) newKey() (crypto.Signer, error) {
	switch s.keyType() {
	case rsaKey:
		return rsa.GenerateKey(rand.Reader, max(s.KeyBits, 2048))
	case ed25519Key:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	}
	curve := elliptic.P256()
	switch s.KeyBits {
	case 384:
		curve = elliptic.P384()
	case 521:
		curve = elliptic.P521()
	}
	return ecdsa.GenerateKey(curve, rand.Reader)
}

// algorithm returns how the holder of a key signs; Ed25519 has but one way.
func (s Settings) algorithm(key crypto.PublicKey) x509.SignatureAlgorithm {
	strength := max(s.SignatureBits, 256)
	switch key.(type) {
	case *rsa.PublicKey:
		return map[int]x509.SignatureAlgorithm{256: x509.SHA256WithRSA, 384: x509.SHA384WithRSA, 512: x509.SHA512WithRSA}[strength]
	case *ecdsa.PublicKey:
		return map[int]x509.SignatureAlgorithm{256: x509.ECDSAWithSHA256, 384: x509.ECDSAWithSHA384, 512: x509.ECDSAWithSHA512}[strength]
	default:
		return x509.PureEd25519
	}
}
