package etcdtest

import (
	"context"
	"crypto/tls"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/novatech/securevault/server/engines/enginetest/certtest"
)

// The user of a secure etcd, who may read and write below Path and nothing
// else.
const (
	Username = "securevault"
	Password = "etcdtest-password"
	Path     = "securevault"

	rootPassword = "etcdtest-root"
)

// Secure is an etcd that knows its clients.
type Secure struct {
	*Server
	Files certtest.Files // a client's certificate, and whom it trusts
}

// StartSecure is Start for an etcd with TLS, certificates of clients, and users
// with passwords.
func StartSecure() (*Secure, error) {
	server, err := newServer()
	if err != nil {
		return nil, err
	}
	s := &Secure{Server: server}
	if err := s.certify(); err != nil {
		s.Stop()
		return nil, fmt.Errorf("making certificates for etcd: %w", err)
	}
	if _, err := s.started(); err != nil {
		return nil, err
	}
	if err := s.lock(); err != nil {
		s.Stop()
		return nil, fmt.Errorf("giving etcd users: %w", err)
	}
	return s, nil
}

func (s *Secure) certify() error {
	authority, err := certtest.New("etcd")
	if err != nil {
		return err
	}
	own, err := authority.Write(s.folder, "server", "127.0.0.1")
	if err != nil {
		return err
	}
	if s.Files, err = authority.Write(s.folder, "client"); err != nil {
		return err
	}
	certificate, err := tls.LoadX509KeyPair(s.Files.Certificate, s.Files.Key)
	if err != nil {
		return err
	}
	s.trust = &tls.Config{RootCAs: authority.Pool(), Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	s.tls = []string{"--cert-file=" + own.Certificate, "--key-file=" + own.Key, "--trusted-ca-file=" + own.Authority, "--client-cert-auth"}
	return nil
}

// lock makes the users; from then on nobody else is let in.
func (s *Secure) lock() error {
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{s.URL}, TLS: s.trust, DialTimeout: startLimit, Logger: zap.NewNop()})
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	below := clientv3.GetPrefixRangeEnd(Path + "/")
	for _, step := range []func() error{
		func() error { _, err := client.RoleAdd(ctx, "root"); return err },
		func() error { _, err := client.UserAdd(ctx, "root", rootPassword); return err },
		func() error { _, err := client.UserGrantRole(ctx, "root", "root"); return err },
		func() error { _, err := client.RoleAdd(ctx, Username); return err },
		func() error {
			_, err := client.RoleGrantPermission(ctx, Username, Path+"/", below, clientv3.PermissionType(clientv3.PermReadWrite))
			return err
		},
		func() error { _, err := client.UserAdd(ctx, Username, Password); return err },
		func() error { _, err := client.UserGrantRole(ctx, Username, Username); return err },
		func() error { _, err := client.AuthEnable(ctx); return err },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}
