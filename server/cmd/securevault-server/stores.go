package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/novatech/securevault/server/config"
	"github.com/novatech/securevault/server/core"
	"github.com/novatech/securevault/server/store"
	"github.com/novatech/securevault/server/store/etcd"
	"github.com/novatech/securevault/server/store/file"
	"github.com/novatech/securevault/server/store/inmem"
	"github.com/novatech/securevault/server/store/postgresql"
)

// openStore opens the store of a configuration; the closer may be nil.
func openStore(ctx context.Context, s *config.Storage) (opened store.Store, closer io.Closer, err error) {
	switch s.Type {
	case "inmem":
		return inmem.New(), nil, nil
	case "file":
		opened, closer, err = openFile(s)
	case "postgresql":
		opened, closer, err = openPostgreSQL(ctx, s)
	case "etcd":
		opened, closer, err = openEtcd(ctx, s)
	default:
		err = fmt.Errorf("storage %q is not built into this program", s.Type)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", s.At, err)
	}
	return opened, closer, nil
}

func openFile(s *config.Storage) (store.Store, io.Closer, error) {
	path := s.Settings.Get("path")
	if path == "" {
		return nil, nil, fmt.Errorf("storage \"file\" has no path; set path to the file to keep everything in")
	}
	opened, err := file.Open(path)
	return opened, opened, err
}

func openPostgreSQL(ctx context.Context, s *config.Storage) (store.Store, io.Closer, error) {
	c := postgresql.Config{
		URL: s.Settings.Get("connection_url"), Table: s.Settings.Get("table"), ElectionTable: s.Settings.Get("ha_table"),
	}
	if c.URL == "" {
		c.URL = os.Getenv("VAULT_PG_CONNECTION_URL")
	}
	if c.URL == "" {
		return nil, nil, fmt.Errorf("storage \"postgresql\" has no connection_url; set it, or VAULT_PG_CONNECTION_URL, to postgres://user:password@host:5432/database")
	}
	var err error
	if c.MaxConnections, err = number(s, "max_parallel"); err != nil {
		return nil, nil, err
	}
	if c.SkipCreateTable, err = flagOf(s, "skip_create_table"); err != nil {
		return nil, nil, err
	}
	opened, err := postgresql.Open(ctx, c)
	return opened, opened, err
}

func openEtcd(ctx context.Context, s *config.Storage) (store.Store, io.Closer, error) {
	if api := s.Settings.Get("etcd_api"); api != "" && api != "v3" {
		return nil, nil, fmt.Errorf("etcd_api %q is not supported; use v3", api)
	}
	c := etcd.Config{
		Path: s.Settings.Get("path"), Username: s.Settings.Get("username"), Password: s.Settings.Get("password"),
		CAFile: s.Settings.Get("tls_ca_file"), CertFile: s.Settings.Get("tls_cert_file"), KeyFile: s.Settings.Get("tls_key_file"),
		SRVDomain: s.Settings.Get("discovery_srv"), SRVName: s.Settings.Get("discovery_srv_name"),
	}
	for address := range strings.SplitSeq(s.Settings.Get("address"), ",") {
		if address = strings.TrimSpace(address); address != "" {
			c.Addresses = append(c.Addresses, address)
		}
	}
	var err error
	if c.Sync, err = flagOf(s, "sync"); err != nil {
		return nil, nil, err
	}
	for key, target := range map[string]*time.Duration{"lock_timeout": &c.TermLife, "request_timeout": &c.RequestTimeout} {
		if *target, err = durationOf(s, key); err != nil {
			return nil, nil, err
		}
	}
	opened, err := etcd.Open(ctx, c)
	return opened, opened, err
}

func number(s *config.Storage, key string) (int, error) {
	text := s.Settings.Get(key)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%s: %q is no positive number", key, text)
	}
	return n, nil
}

func flagOf(s *config.Storage, key string) (bool, error) {
	text := s.Settings.Get(key)
	if text == "" {
		return false, nil
	}
	on, err := strconv.ParseBool(text)
	if err != nil {
		return false, fmt.Errorf("%s: %q is neither true nor false", key, text)
	}
	return on, nil
}

func durationOf(s *config.Storage, key string) (time.Duration, error) {
	text := s.Settings.Get(key)
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < time.Second {
		return 0, fmt.Errorf("%s: %q is no duration of a second or more; write it like 10s", key, text)
	}
	return d, nil
}

// clusterOf says how the server stands among others on its store.
func clusterOf(f *config.File, s store.Store) (core.Cluster, error) {
	elector, shared := s.(store.Elector)
	c := core.Cluster{Elector: elector, APIAddr: cmp.Or(f.APIAddr, ownAddress(f.Listeners)), ClusterAddr: f.ClusterAddr}
	if shared && c.APIAddr == "" {
		return c, fmt.Errorf("%s: storage %q may have several servers, which must reach each other: set api_addr to the URL of this one",
			f.Storage.At, f.Storage.Type)
	}
	return c, nil
}

// ownAddress returns the URL of the first listener that says where it is; one
// on every address of the machine does not.
func ownAddress(listeners []config.Listener) string {
	for _, l := range listeners {
		host, port, err := net.SplitHostPort(l.Address)
		if l.Type != "tcp" || err != nil || port == "0" || host == "" {
			continue
		}
		if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
			continue
		}
		if l.TLSDisable {
			return "http://" + l.Address
		}
		return "https://" + l.Address
	}
	return ""
}
