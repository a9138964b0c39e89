// Package kms guards a seal's root key by something other than shares: a key
// file, the transit engine of another server, or the key service of a cloud.
//
// New is all there is to it. A key service is one entry of kinds; what it does
// with the root key is the work of hashicorp/go-kms-wrapping, to which service
// adapts. It is connected to once, at the first use.
package kms

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	wrapping "github.com/hashicorp/go-kms-wrapping/v2"
	"github.com/hashicorp/go-kms-wrapping/wrappers/awskms/v2"
	"github.com/hashicorp/go-kms-wrapping/wrappers/azurekeyvault/v2"
	"github.com/hashicorp/go-kms-wrapping/wrappers/gcpckms/v2"
	"github.com/hashicorp/go-kms-wrapping/wrappers/transit/v2"
	"google.golang.org/protobuf/proto"

	"github.com/novatech/securevault/server/core/seal"
)

// patience is how long reaching a key service may take. Some wrappers go on
// for a minute, whoever waits for them.
const patience = 15 * time.Second

// New returns what guards the root key as c says, or nil for shares. It reads
// files, and reaches no network.
func New(c seal.Config) (seal.Wrapper, error) {
	switch c.Type {
	case "", seal.Shamir:
		return nil, checkParams(c, kind{})
	case staticType:
		return newStatic(c)
	}
	k, known := kinds()[c.Type]
	if !known {
		names := slices.Sorted(maps.Keys(kinds()))
		return nil, fmt.Errorf("unknown seal %q: use %s, %s or %s", c.Type, seal.Shamir, staticType, strings.Join(names, ", "))
	}
	if err := checkParams(c, k); err != nil {
		return nil, err
	}
	params, err := withFiles(c)
	if err != nil {
		return nil, err
	}
	return &service{kind: c.Type, build: k.build, params: params}, nil
}

// kind is one type of key service.
type kind struct {
	build  func() wrapping.Wrapper
	params []string // names of what may be set; the service says what is missing
}

func kinds() map[string]kind {
	return map[string]kind{
		"transit": {
			build: func() wrapping.Wrapper { return transit.NewWrapper() },
			params: []string{
				"address", "token", "token_file", "key_name", "mount_path", "namespace", "disable_renewal", "key_id_prefix",
				"tls_ca_cert", "tls_client_cert", "tls_client_key", "tls_server_name", "tls_skip_verify",
			},
		},
		"awskms": {
			build: func() wrapping.Wrapper { return awskms.NewWrapper() },
			params: []string{
				"region", "access_key", "secret_key", "session_token", "kms_key_id", "endpoint", "shared_creds_filename", "shared_creds_profile",
			},
		},
		"gcpckms": {
			build:  func() wrapping.Wrapper { return gcpckms.NewWrapper() },
			params: []string{"credentials", "project", "region", "key_ring", "crypto_key"},
		},
		"azurekeyvault": {
			build:  func() wrapping.Wrapper { return azurekeyvault.NewWrapper() },
			params: []string{"tenant_id", "client_id", "client_secret", "environment", "vault_name", "key_name", "resource"},
		},
	}
}

// checkParams refuses parameters that would be ignored.
func checkParams(c seal.Config, k kind) error {
	for _, name := range slices.Sorted(maps.Keys(c.Params)) {
		switch {
		case len(k.params) == 0:
			return fmt.Errorf("seal %q has no parameter %q; it has none at all", c.Type, name)
		case !slices.Contains(k.params, name):
			return fmt.Errorf("seal %q has no parameter %q; it has %s", c.Type, name, strings.Join(k.params, ", "))
		}
	}
	return nil
}

// withFiles puts the content of token_file where the service looks for it.
func withFiles(c seal.Config) (map[string]string, error) {
	params := maps.Clone(c.Params)
	path, named := params["token_file"]
	if !named {
		return params, nil
	}
	content, err := readSecret(path)
	if err != nil {
		return nil, fmt.Errorf("seal %q: reading token_file: %w", c.Type, err)
	}
	delete(params, "token_file")
	params["token"] = string(content)
	return params, nil
}

// service implements seal.Wrapper by a key service.
type service struct {
	kind   string
	build  func() wrapping.Wrapper
	params map[string]string

	mu        sync.Mutex
	connected wrapping.Wrapper // guarded by mu; nil before the first success
}

// connect returns the wrapper, configured. It is kept, as it may renew the
// token that it uses.
func (s *service) connect(ctx context.Context) (wrapping.Wrapper, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.connected != nil {
		return s.connected, nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("it did not answer within %s", patience))
	defer cancel()
	w := s.build()
	configured := make(chan error, 1)
	go func() {
		_, err := w.SetConfig(ctx, wrapping.WithConfigMap(s.params))
		configured <- err
	}()
	var err error
	select {
	case err = <-configured:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("reaching the key service %q: %w; check the seal stanza and that the service answers", s.kind, err)
	}
	s.connected = w
	return w, nil
}

// Wrap implements seal.Wrapper.
func (s *service) Wrap(ctx context.Context, key []byte) ([]byte, error) {
	w, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	blob, err := w.Encrypt(ctx, key)
	if err != nil {
		return nil, err
	}
	return proto.Marshal(blob)
}

// Unwrap implements seal.Wrapper.
func (s *service) Unwrap(ctx context.Context, wrapped []byte) ([]byte, error) {
	w, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	return decrypt(ctx, w, wrapped)
}

// decrypt has w decrypt a blob. Some wrappers panic when it was cut short,
// which whoever can write to the store could do.
func decrypt(ctx context.Context, w wrapping.Wrapper, wrapped []byte) (key []byte, err error) {
	defer func() {
		if broken := recover(); broken != nil {
			key, err = nil, fmt.Errorf("decrypting the wrapped key: it is damaged (%v); restore the store from a backup", broken)
		}
	}()
	blob := new(wrapping.BlobInfo)
	if err := proto.Unmarshal(wrapped, blob); err != nil {
		return nil, fmt.Errorf("decoding the wrapped key: %w", err)
	}
	return w.Decrypt(ctx, blob)
}
