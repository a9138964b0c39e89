package kmsstandin

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"hash/crc32"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/iam/apiv1/iampb"
	"cloud.google.com/go/kms/apiv1/kmspb"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const (
	googleHost    = "cloudkms.googleapis.com"
	googleScope   = "https://www.googleapis.com/auth/cloud-platform"
	googleAccount = "unseal@shop.iam.gserviceaccount.com"
	googleKeyID   = "5e0c"
	// googleRing is where the keys of the stand-in are.
	googleRing = "projects/shop/locations/europe-west3/keyRings/vault/cryptoKeys/"
)

// Google stands in for Cloud KMS (google.cloud.kms.v1, as gRPC) and for the
// part of IAM that it has.
type Google struct {
	kmspb.UnimplementedKeyManagementServiceServer
	iampb.UnimplementedIAMPolicyServer

	// Credentials is the file of the one service account that may use it.
	Credentials string

	account *rsa.PublicKey
	keys    map[string]cipher.AEAD // name of a key → what its primary version encrypts with
}

// NewGoogle starts a stand-in behind e. It has the keys named, in the ring
// "vault" of the project "shop" in the region "europe-west3".
func NewGoogle(t testing.TB, e *Egress, keys ...string) *Google {
	t.Helper()
	g := &Google{keys: map[string]cipher.AEAD{}}
	for _, name := range keys {
		secret := make([]byte, 32)
		rand.Read(secret)
		block, err := aes.NewCipher(secret)
		if err != nil {
			t.Fatal(err)
		}
		if g.keys[googleRing+name], err = cipher.NewGCM(block); err != nil {
			t.Fatal(err)
		}
	}
	g.writeCredentials(t)
	server := grpc.NewServer(
		grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{e.identity(t, googleHost)}, MinVersion: tls.VersionTLS12})),
		grpc.UnaryInterceptor(g.authenticate),
	)
	kmspb.RegisterKeyManagementServiceServer(server, g)
	iampb.RegisterIAMPolicyServer(server, g)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)
	e.lead(googleHost, l.Addr().String())
	return g
}

// writeCredentials makes the service account and the file that Google hands
// out for it.
func (g *Google) writeCredentials(t testing.TB) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	content, err := json.Marshal(map[string]string{
		"type": "service_account", "project_id": "shop", "client_email": googleAccount, "private_key_id": googleKeyID,
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), "token_uri": "https://oauth2.googleapis.com/token",
	})
	if err != nil {
		t.Fatal(err)
	}
	g.account, g.Credentials = &key.PublicKey, filepath.Join(t.TempDir(), "account.json")
	if err := os.WriteFile(g.Credentials, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// authenticate lets in who shows a token that the service account has signed
// for itself.
func (g *Google) authenticate(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	headers, _ := metadata.FromIncomingContext(ctx)
	bearer := strings.Join(headers.Get("authorization"), "")
	token, err := jwt.ParseSigned(strings.TrimPrefix(bearer, "Bearer "), []jose.SignatureAlgorithm{jose.RS256})
	if err != nil || token.Headers[0].KeyID != googleKeyID {
		return nil, status.Error(codes.Unauthenticated, "Request had invalid authentication credentials.")
	}
	var claims struct {
		jwt.Claims
		Scope string `json:"scope"`
	}
	if err := token.Claims(g.account, &claims); err != nil {
		return nil, status.Error(codes.Unauthenticated, "Request had invalid authentication credentials.")
	}
	expected := jwt.Expected{Issuer: googleAccount, Subject: googleAccount, Time: time.Now()}
	switch {
	case claims.ValidateWithLeeway(expected, time.Minute) != nil, claims.Expiry.Time().Sub(claims.IssuedAt.Time()) > time.Hour+time.Minute:
		return nil, status.Error(codes.Unauthenticated, "Request had invalid authentication credentials.")
	case !slices.Contains(strings.Fields(claims.Scope), googleScope):
		return nil, status.Error(codes.PermissionDenied, "Request had insufficient authentication scopes.")
	}
	return handle(ctx, req)
}

// key returns the key of that name.
func (g *Google) key(name string) (cipher.AEAD, error) {
	if key := g.keys[name]; key != nil {
		return key, nil
	}
	return nil, status.Errorf(codes.NotFound, "CryptoKey %s not found.", name)
}

// GetCryptoKey implements kmspb.KeyManagementServiceServer.
func (g *Google) GetCryptoKey(_ context.Context, req *kmspb.GetCryptoKeyRequest) (*kmspb.CryptoKey, error) {
	if _, err := g.key(req.GetName()); err != nil {
		return nil, err
	}
	primary := &kmspb.CryptoKeyVersion{Name: req.GetName() + "/cryptoKeyVersions/1", State: kmspb.CryptoKeyVersion_ENABLED}
	return &kmspb.CryptoKey{Name: req.GetName(), Purpose: kmspb.CryptoKey_ENCRYPT_DECRYPT, Primary: primary}, nil
}

// Encrypt implements kmspb.KeyManagementServiceServer.
func (g *Google) Encrypt(_ context.Context, req *kmspb.EncryptRequest) (*kmspb.EncryptResponse, error) {
	key, err := g.key(req.GetName())
	if err != nil {
		return nil, err
	}
	if len(req.GetPlaintext()) > 64<<10 {
		return nil, status.Error(codes.InvalidArgument, "The plaintext must be no larger than 64KiB.")
	}
	nonce := make([]byte, key.NonceSize())
	rand.Read(nonce)
	made := key.Seal(nonce, nonce, req.GetPlaintext(), req.GetAdditionalAuthenticatedData())
	return &kmspb.EncryptResponse{Name: req.GetName() + "/cryptoKeyVersions/1", Ciphertext: made, CiphertextCrc32C: checksum(made)}, nil
}

// Decrypt implements kmspb.KeyManagementServiceServer.
func (g *Google) Decrypt(_ context.Context, req *kmspb.DecryptRequest) (*kmspb.DecryptResponse, error) {
	key, err := g.key(req.GetName())
	if err != nil {
		return nil, err
	}
	given, size := req.GetCiphertext(), key.NonceSize()
	if len(given) < size {
		return nil, status.Error(codes.InvalidArgument, "Decryption failed: the ciphertext is invalid.")
	}
	plain, err := key.Open(nil, given[:size], given[size:], req.GetAdditionalAuthenticatedData())
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, "Decryption failed: the ciphertext is invalid.")
	}
	return &kmspb.DecryptResponse{Plaintext: plain, PlaintextCrc32C: checksum(plain), UsedPrimary: true}, nil
}

func checksum(content []byte) *wrapperspb.Int64Value {
	return wrapperspb.Int64(int64(crc32.Checksum(content, crc32.MakeTable(crc32.Castagnoli))))
}

// TestIamPermissions implements iampb.IAMPolicyServer: the account may encrypt
// and decrypt.
func (g *Google) TestIamPermissions(_ context.Context, req *iampb.TestIamPermissionsRequest) (*iampb.TestIamPermissionsResponse, error) {
	if _, err := g.key(req.GetResource()); err != nil {
		return nil, err
	}
	held := slices.DeleteFunc(slices.Clone(req.GetPermissions()), func(asked string) bool {
		return asked != "cloudkms.cryptoKeyVersions.useToEncrypt" && asked != "cloudkms.cryptoKeyVersions.useToDecrypt"
	})
	return &iampb.TestIamPermissionsResponse{Permissions: held}, nil
}
