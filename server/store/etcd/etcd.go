// Package etcd is a store in an etcd cluster, which several servers may share:
// one of them is active and writes (elect.go).
//
// A write is on a majority of etcd's members when Put or Delete returns, and a
// read sees every write before it. A write is a transaction that has an effect
// only while the key stands with which its server was elected.
package etcd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.etcd.io/etcd/client/pkg/v3/srv"
	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/novatech/securevault/server/store"
)

const (
	// DefaultAddress is where etcd is when nothing is said about it.
	DefaultAddress = "http://127.0.0.1:2379"
	// DefaultPath is the prefix of all keys when nothing is said about it.
	DefaultPath = "securevault"

	requestTimeout = 5 * time.Second
	termLife       = 6 * time.Second
	// keepAlive is how often an idle connection is tried, so that a member that
	// is gone without a word is noticed.
	keepAlive = 5 * time.Second
)

// Config says where etcd is.
type Config struct {
	Addresses      []string // URLs; none: DefaultAddress
	Path           string   // "" is DefaultPath
	Username       string
	Password       string
	CAFile         string // PEM; "" is the system's
	CertFile       string // PEM, with KeyFile: for etcd to know this client by
	KeyFile        string
	SRVDomain      string        // its DNS records name the members, if set
	SRVName        string        // of the service in SRVDomain
	Sync           bool          // ask the cluster for its members
	TermLife       time.Duration // for how long a server that gives no sign of life stays active; whole seconds, 0: 6 s
	RequestTimeout time.Duration // of one request; 0: 5 s
}

// Store implements store.Elector in etcd.
type Store struct {
	client   *clientv3.Client
	entries  string // prefix of entries
	election string // prefix of the election
	life     time.Duration
	timeout  time.Duration
	term     atomic.Pointer[term]
}

// Open connects to etcd. Close must be called in the end.
func Open(ctx context.Context, c Config) (*Store, error) {
	settings, err := c.client()
	if err != nil {
		return nil, err
	}
	client, err := clientv3.New(settings)
	if err != nil {
		return nil, fmt.Errorf("opening the store in etcd: %w; check address, username and password", err)
	}
	path := strings.Trim(c.Path, "/")
	if path == "" {
		path = DefaultPath
	}
	s := &Store{client: client, entries: path + "/store/", election: path + "/election", life: c.TermLife, timeout: c.RequestTimeout}
	if s.life == 0 {
		s.life = termLife
	}
	if s.timeout == 0 {
		s.timeout = requestTimeout
	}
	if err := s.check(ctx, c.Sync); err != nil {
		return nil, errors.Join(fmt.Errorf("opening the store in etcd: %w; check address", err), client.Close())
	}
	return s, nil
}

// client translates the configuration.
func (c Config) client() (clientv3.Config, error) {
	settings := clientv3.Config{
		Endpoints: c.Addresses, Username: c.Username, Password: c.Password, Logger: zap.NewNop(),
		DialTimeout: requestTimeout, DialKeepAliveTime: keepAlive, DialKeepAliveTimeout: keepAlive,
	}
	if len(settings.Endpoints) == 0 {
		settings.Endpoints = []string{DefaultAddress}
	}
	if c.SRVDomain != "" {
		found, err := srv.GetClient("etcd-client", c.SRVDomain, c.SRVName)
		if err != nil {
			return settings, fmt.Errorf("finding etcd in the DNS of %q: %w; check discovery_srv", c.SRVDomain, err)
		}
		settings.Endpoints = found.Endpoints
	}
	if c.CAFile == "" && c.CertFile == "" {
		return settings, nil
	}
	files := transport.TLSInfo{TrustedCAFile: c.CAFile, CertFile: c.CertFile, KeyFile: c.KeyFile}
	var err error
	if settings.TLS, err = files.ClientConfig(); err != nil {
		return settings, fmt.Errorf("reading the certificates for etcd: %w; check tls_ca_file, tls_cert_file and tls_key_file", err)
	}
	return settings, nil
}

// check makes one request, so that a wrong address is noticed at once.
func (s *Store) check(ctx context.Context, sync bool) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	if sync {
		if err := s.client.Sync(ctx); err != nil {
			return err
		}
	}
	_, err := s.client.Get(ctx, s.entries, clientv3.WithLimit(1))
	return err
}

// Close ends the connections.
func (s *Store) Close() error {
	if err := s.client.Close(); err != nil {
		return fmt.Errorf("closing the store: %w", err)
	}
	return nil
}

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, key string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	found, err := s.client.Get(ctx, s.entries+key)
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading from etcd: %w", err)
	case len(found.Kvs) == 0:
		return nil, nil
	case found.Kvs[0].Value == nil:
		return []byte{}, nil // an empty value is not an absent one
	}
	return found.Kvs[0].Value, nil
}

// List implements store.Store.
func (s *Store) List(ctx context.Context, prefix string) ([]string, error) {
	end := clientv3.GetPrefixRangeEnd(s.entries)
	return store.ListPages(ctx, prefix, func(ctx context.Context, from string, limit int) ([]string, error) {
		ctx, cancel := context.WithTimeout(ctx, s.timeout)
		defer cancel()
		found, err := s.client.Get(ctx, s.entries+from, clientv3.WithRange(end), clientv3.WithKeysOnly(), clientv3.WithLimit(int64(limit)))
		if err != nil {
			return nil, fmt.Errorf("listing in etcd: %w", err)
		}
		keys := make([]string, len(found.Kvs))
		for i, kv := range found.Kvs {
			keys[i] = strings.TrimPrefix(string(kv.Key), s.entries)
		}
		return keys, nil
	})
}

// Put implements store.Store.
func (s *Store) Put(ctx context.Context, key string, value []byte) error {
	return s.write(ctx, clientv3.OpPut(s.entries+key, string(value)))
}

// Delete implements store.Store.
func (s *Store) Delete(ctx context.Context, key string) error {
	return s.write(ctx, clientv3.OpDelete(s.entries+key))
}

// write makes a change if this server is the active one.
func (s *Store) write(ctx context.Context, change clientv3.Op) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t := s.term.Load()
	if t == nil {
		return store.ErrNotActive
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.timeout)
	defer cancel()
	done, err := s.client.Txn(ctx).If(clientv3.Compare(clientv3.CreateRevision(t.key), "=", t.revision)).Then(change).Commit()
	switch {
	case errors.Is(err, rpctypes.ErrRequestTooLarge):
		return fmt.Errorf("writing to etcd: %w; raise etcd's --max-request-bytes", err)
	case err != nil:
		// It may still be on its way, and must not arrive after a later write
		// of the same key. No write outlives its term.
		t.lose()
		return fmt.Errorf("writing to etcd: %w", err)
	case !done.Succeeded:
		t.lose()
		return store.ErrNotActive
	}
	return nil
}
