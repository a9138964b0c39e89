package etcd_test

import (
	"strings"
	"testing"
	"time"

	"github.com/novatech/securevault/server/engines/enginetest/etcdtest"
	"github.com/novatech/securevault/server/store"
	"github.com/novatech/securevault/server/store/etcd"
	"github.com/novatech/securevault/server/store/storetest"
)

// secureConfig is what the one user of a secure etcd configures.
func secureConfig(s *etcdtest.Secure) etcd.Config {
	return etcd.Config{
		Addresses: []string{s.URL}, Path: etcdtest.Path, Username: etcdtest.Username, Password: etcdtest.Password, TermLife: 3 * time.Second,
		CAFile: s.Files.Authority, CertFile: s.Files.Certificate, KeyFile: s.Files.Key,
	}
}

func startSecure(t *testing.T) *etcdtest.Secure {
	t.Helper()
	secure, err := etcdtest.StartSecure()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(secure.Stop)
	return secure
}

func TestASecureEtcdMeetsTheContractOfStoresAndElections(t *testing.T) {
	secure := startSecure(t)
	path := func() etcd.Config {
		c := secureConfig(secure)
		c.Path += "/" + newPath()
		return c
	}
	opened := func(t testing.TB, c etcd.Config) *etcd.Store {
		s, err := etcd.Open(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	t.Run("store", func(t *testing.T) {
		storetest.Run(t, func(t testing.TB) store.Store {
			s := opened(t, path())
			storetest.Elect(t, s, "test")
			return s
		})
	})
	t.Run("election", func(t *testing.T) {
		shared := path()
		first, second := opened(t, shared), opened(t, shared)
		term := storetest.Elect(t, first, "one")
		if err := term.Resign(t.Context()); err != nil {
			t.Fatal(err)
		}
		storetest.Elect(t, second, "two")
		if nodes, err := first.Nodes(t.Context()); err != nil || len(nodes) == 0 || nodes[0].APIAddr != "two" {
			t.Errorf("%+v, %v", nodes, err)
		}
	})
}

func TestASecureEtcdLetsNobodyElseIn(t *testing.T) {
	secure := startSecure(t)
	for name, c := range map[string]struct {
		change func(*etcd.Config)
		want   string
	}{
		"the wrong password":        {func(c *etcd.Config) { c.Password = "guess" }, "check address, username and password"},
		"nobody":                    {func(c *etcd.Config) { c.Username, c.Password = "", "" }, "check"},
		"a path of somebody else":   {func(c *etcd.Config) { c.Path = "other" }, "permission denied"},
		"no certificate":            {func(c *etcd.Config) { c.CertFile, c.KeyFile = "", "" }, "check"},
		"a CA that is not its own":  {func(c *etcd.Config) { c.CAFile = "" }, "check"},
		"a file that is not there":  {func(c *etcd.Config) { c.CAFile += ".none" }, "check tls_ca_file, tls_cert_file and tls_key_file"},
		"plain text where TLS goes": {func(c *etcd.Config) { c.Addresses[0] = strings.Replace(c.Addresses[0], "https", "http", 1) }, "check"},
	} {
		t.Run(name, func(t *testing.T) {
			config := secureConfig(secure)
			c.change(&config)
			s, err := etcd.Open(t.Context(), config)
			if err == nil {
				_ = s.Close()
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), etcdtest.Password) {
				t.Errorf("%v; want %q", err, c.want)
			}
		})
	}
}
